//! Where the demo lives: a temporary directory with its journal and its secrets, gone when it ends.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    app::Failure,
    config::Config,
    connector, credentials,
    enricher::config::GroupProtocol,
    kafka::{self, topics::Provision},
    secret::Secret,
    simulator::{Connection, Simulator},
};

/// The simulator reads what it has written at once, so what is not there need not be waited for long.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// The directory, as long as this lives.
pub struct Place(TempDir);

impl Place {
    /// A new one.
    pub fn new() -> Result<Self, Failure> {
        tempfile::Builder::new()
            .prefix("mews-bridge-demo-")
            .tempdir()
            .map(Self)
            .map_err(|error| Failure::io("cannot make a temporary directory", &error))
    }

    /// The configuration in force, with the ingress on loopback, in this directory, and on this broker.
    pub fn ingress(&self, mut config: Config, broker: &str, token: &str) -> Result<Config, Failure> {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        config.ingress.listen = any_port;
        config.ingress.tokens = [("demo".to_owned(), Secret::new(token.to_owned()))].into();
        config.ingress.token_files.clear();
        config.admin.listen = any_port;
        config.admin.control_socket = None;
        config.journal.dir = self.path().join("journal");
        config.kafka = kafka::Config { bootstrap_servers: broker.to_owned(), ..Default::default() };
        // The embedded broker was given its topics; it has no administration of its own.
        config.topics.provision = Provision::Off;
        let key = self.write("sealing.key", &sealing_key()?)?;
        config.credentials = credentials::Config { sealing_key_files: vec![key], ..Default::default() };
        Ok(config)
    }

    /// The same with the enricher at this simulator, as the client of these integrations.
    pub fn enricher(
        &self,
        mut config: Config,
        simulator: &Simulator,
        known: &[Connection],
    ) -> Result<Config, Failure> {
        let credentials = serde_json::to_string(known)
            .map_err(|error| Failure::bug(format!("credentials are no JSON: {error}")))?;
        config.credentials.file = Some(self.write("credentials.json", &credentials)?);
        config.connector = connector::Config {
            platform_address: simulator.platform.clone(),
            client_token_file: Some(self.write("client.token", &simulator.client_token)?),
            ..Default::default()
        };
        // The embedded broker knows no other.
        config.enricher.group_protocol = GroupProtocol::Classic;
        config.enricher.recheck_after = RECHECK_AFTER;
        Ok(config)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path().join(name);
        std::fs::write(&path, text)
            .map_err(|error| Failure::io(&format!("cannot write {}", path.display()), &error))?;
        Ok(path)
    }
}

/// 32 random bytes in hex.
fn sealing_key() -> Result<String, Failure> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::bug(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
