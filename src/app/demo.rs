//! `mews-bridge demo`: the product in one process, with nothing to install and nothing to configure.
//!
//! ```text
//! hotels of the simulator ── webhooks ──► ingress ─ journal ─ relay ──► embedded broker ──► your kcat
//! ```
//!
//! It builds the same parts as `mews-bridge ingress`; only the broker and the sender are its own.
//! The journal lives in a temporary directory that goes when the demo ends.

mod hotels;
mod table;

use std::{net::SocketAddr, path::Path, time::Instant};

use super::{Exit, Failure, arguments::Demo, ingress::Bridge, output};
use crate::{
    config::Config,
    credentials,
    kafka::{embedded::Embedded, topics::Provision},
    secret::Secret,
    shutdown::Shutdown,
};

/// One is enough to show topics, partitions and keys.
const BROKERS: u8 = 1;

/// A hotel for the line to paste.
const PASTED: &str = r#"{"EnterpriseId":"851df8c8-90f2-4c4a-8e01-a4fc46b25178","IntegrationId":"7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718","Events":[{"Discriminator":"ServiceOrderUpdated","Value":{"Id":"5f0e1d2c-3b4a-4958-8776-655443322110"}}]}"#;

/// Runs until Ctrl-C or the end of `--duration`.
///
/// # Errors
/// When a part cannot start or ends by itself.
pub async fn run(options: Demo, config: Config) -> Result<Exit, Failure> {
    let shutdown =
        Shutdown::on_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
    let place = tempfile::Builder::new()
        .prefix("mews-bridge-demo-")
        .tempdir()
        .map_err(|error| Failure::io("cannot make a temporary directory", &error))?;
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let broker = Embedded::start(BROKERS)
        .and_then(|broker| broker.create(&names.written_by_ingress()).map(|()| broker))
        .map_err(|error| Failure::unavailable("the embedded broker does not start", &error))?;
    let token = uuid::Uuid::new_v4().simple().to_string();
    let config = configure(config, place.path(), broker.bootstrap_servers(), &token)?;
    let mut bridge = Bridge::start(&config, "demo").await?;

    let url = format!("http://{}/webhooks?token={token}", bridge.webhook_address);
    let events = names.events("ServiceOrderUpdated");
    output::print(
        format!(
            "webhook: {url}\nbroker: {broker}\nadmin: http://{}\n\n  \
             curl -i '{url}' -d '{PASTED}'\n  \
             kcat -C -e -o beginning -b {broker} -t {events} -f 'partition %p, key %k\\n%h\\n%s\\n\\n'\n\n",
            bridge.admin_address,
            broker = broker.bootstrap_servers(),
        )
        .as_bytes(),
    )?;

    let began = Instant::now();
    let sending = hotels::start(&options, url, &shutdown.drain).await?;
    let mut table = table::Table::new(&bridge.metrics, &names);
    let mut each_second = tokio::time::interval(table::REFRESH);
    let ended = loop {
        // Only ticks are lost by cancelling any of these.
        tokio::select! {
            _ = each_second.tick() => table.draw(began.elapsed())?,
            failure = bridge.failed() => break Err(failure),
            () = shutdown.drain.cancelled() => break Ok(()),
            () = over(options.duration, began) => break Ok(()),
        }
    };
    shutdown.drain.cancel();
    let hotels = sending.await.map_err(|error| Failure::bug(format!("the sender broke off: {error}")))?;
    let metrics = bridge.metrics.clone();
    let drained = bridge.drain(&config, &shutdown).await?;
    ended?;
    table::Table::new(&metrics, &names).sum_up(began.elapsed(), &hotels)?;
    Ok(drained)
}

async fn over(duration: Option<std::time::Duration>, began: Instant) {
    match duration {
        Some(duration) => tokio::time::sleep_until((began + duration).into()).await,
        None => std::future::pending().await,
    }
}

/// The configuration in force, with everything on loopback and in the temporary directory.
fn configure(mut config: Config, place: &Path, bootstrap: &str, token: &str) -> Result<Config, Failure> {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    config.ingress.listen = any_port;
    config.ingress.tokens = [("demo".to_owned(), Secret::new(token.to_owned()))].into();
    config.ingress.token_files.clear();
    config.admin.listen = any_port;
    config.admin.control_socket = None;
    config.journal.dir = place.join("journal");
    config.kafka = crate::kafka::Config { bootstrap_servers: bootstrap.to_owned(), ..Default::default() };
    // The embedded broker was given its topics; it has no administration of its own.
    config.topics.provision = Provision::Off;
    let key = place.join("sealing.key");
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::bug(format!("no randomness: {error}")))?;
    let half = uuid::Uuid::from_bytes(bytes).simple().to_string();
    std::fs::write(&key, format!("{half}{}", uuid::Uuid::new_v4().simple()))
        .map_err(|error| Failure::io("cannot write the demo's sealing key", &error))?;
    config.credentials = credentials::Config { sealing_key_files: vec![key], ..Default::default() };
    Ok(config)
}
