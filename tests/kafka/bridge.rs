//! The built binary: a configuration file, the processes `ingress` and `enricher`, and its commands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    cluster::{free_port, unique_prefix},
    http::{Answer, Client},
    leash::Leash,
};

/// The webhook token of every test; must be nowhere but in requests and the configuration file.
pub const TOKEN: &str = "canary-webhook-token-5b1d";
const BINARY: &str = env!("CARGO_BIN_EXE_mews-bridge");

/// A folder with a configuration file, a sealing key and a journal: what outlives a process.
pub struct Setup {
    /// Prefix of this test's topics.
    pub prefix: String,
    /// Port of the ingress.
    pub port: u16,
    /// Port of the admin server.
    pub admin_port: u16,
    table: toml::Table,
    dir: TempDir,
}

impl Setup {
    /// A configuration with its own ports, folder and topic prefix, and few partitions.
    pub fn new(name: &str, bootstrap: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("mews-bridge-test").tempdir().expect("a temporary folder");
        let key = dir.path().join("sealing.key");
        fs::write(&key, "5a".repeat(32)).expect("the key is written");
        let (port, admin_port) = (free_port(), free_port());
        let setup = Self { prefix: unique_prefix(name), port, admin_port, table: toml::Table::new(), dir };
        let journal = setup.journal().display().to_string();
        let prefix = setup.prefix.clone();
        setup
            .set("ingress.listen", format!("127.0.0.1:{port}"))
            .set("ingress.tokens.main", TOKEN)
            .set("admin.listen", format!("127.0.0.1:{admin_port}"))
            .set("journal.dir", journal)
            .set("kafka.bootstrap_servers", bootstrap)
            .set("topics.prefix", prefix)
            .set("topics.partitions", 3)
            .set("credentials.sealing_key_files", vec![key.display().to_string()])
    }

    /// Sets one key, sections divided by dots.
    pub fn set(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        let (sections, name) = key.rsplit_once('.').expect("a key stands in a section");
        let mut table = &mut self.table;
        for section in sections.split('.') {
            let entry = table.entry(section).or_insert_with(|| toml::Table::new().into());
            table = entry.as_table_mut().expect("a section is a table");
        }
        table.insert(name.to_owned(), value.into());
        self
    }

    /// Sets one librdkafka property, whose name has dots of its own.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        let kafka = self.table.entry("kafka").or_insert_with(|| toml::Table::new().into());
        let kafka = kafka.as_table_mut().expect("a section is a table");
        let properties = kafka.entry("properties").or_insert_with(|| toml::Table::new().into());
        properties.as_table_mut().expect("a table").insert(name.to_owned(), value.into());
        self
    }

    /// Removes one key, sections divided by dots.
    pub fn unset(mut self, key: &str) -> Self {
        let (sections, name) = key.rsplit_once('.').expect("a key stands in a section");
        let mut table = &mut self.table;
        for section in sections.split('.') {
            let entry = table.get_mut(section).expect("the section is there");
            table = entry.as_table_mut().expect("a section is a table");
        }
        table.remove(name).expect("the key is there");
        self
    }

    /// A small journal: segments of 1 MiB, 4 MiB in all, bodies up to 256 KiB.
    pub fn with_small_journal(self) -> Self {
        self.set("journal.segment_bytes", "1MiB")
            .set("journal.max_bytes", "4MiB")
            .set("ingress.max_body_bytes", "256KiB")
    }

    /// The folder of everything this test writes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.dir().join("journal")
    }

    /// A full topic name.
    pub fn topic(&self, rest: &str) -> String {
        format!("{}.{rest}", self.prefix)
    }

    /// Writes the configuration file and says where.
    pub fn config(&self) -> String {
        let path = self.dir().join("mews-bridge.toml");
        fs::write(&path, self.table.to_string()).expect("the configuration is written");
        path.display().to_string()
    }

    /// Starts the ingress without waiting for it.
    pub fn launch(&self) -> Bridge {
        self.launch_under(&[])
    }

    /// Starts the ingress under another command, such as strace.
    pub fn launch_under(&self, wrapper: &[&str]) -> Bridge {
        let config = self.config();
        let mut command = wrapper.to_vec();
        command.extend([BINARY, "ingress", "--config", &config]);
        let leash = Leash::start(&self.dir().join("ingress"), None, &command, &[]);
        Bridge { leash, port: self.port, admin: Client::new(self.admin_port), client: Client::new(self.port) }
    }

    /// Starts one more enricher, with an admin port of its own, without waiting for it.
    pub fn launch_enricher(&self) -> Bridge {
        let (config, admin_port) = (self.config(), free_port());
        let listen = format!("admin.listen=127.0.0.1:{admin_port}");
        let client = format!("connector.client=mews-bridge test {admin_port}");
        let command = [BINARY, "enricher", "--config", &config, "--set", &listen, "--set", &client];
        let leash = Leash::start(&self.dir().join(format!("enricher-{admin_port}")), None, &command, &[]);
        Bridge { leash, port: admin_port, admin: Client::new(admin_port), client: Client::new(admin_port) }
    }

    /// Starts the ingress and waits until it is ready.
    pub async fn start(&self) -> Bridge {
        let mut bridge = self.launch();
        bridge.until_ready().await;
        bridge
    }

    /// Runs another command of the binary to its end.
    pub fn command(&self, arguments: &[&str]) -> Finished {
        self.command_with(arguments, &[])
    }

    /// The same with environment variables.
    pub fn command_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
        let child = Command::new("timeout")
            .args(["--kill-after=1", "60", BINARY])
            .args(arguments)
            .env("MEWS_BRIDGE_CONFIG", self.config())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("the binary can be started");
        Finished {
            code: child.status.code().unwrap_or(-1),
            bytes: child.stdout,
            errors: String::from_utf8_lossy(&child.stderr).into_owned(),
        }
    }
}

/// A command that ended. 124 means that it did not within a minute.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub bytes: Vec<u8>,
    pub errors: String,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.text(), self.errors)
    }

    /// Fails with everything that was said unless it ended with this code.
    #[track_caller]
    pub fn must_exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code; output:\n{}", self.all());
        self
    }
}

/// A running `mews-bridge ingress` or `mews-bridge enricher`.
pub struct Bridge {
    leash: Leash,
    port: u16,
    admin: Client,
    client: Client,
}

impl Bridge {
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.leash.pid()
    }

    /// Sends a body with the right token to the URL that takes both kinds.
    pub async fn post(&mut self, body: impl Into<bytes::Bytes>) -> Answer {
        let answer = self.client.post(&format!("/webhooks?token={TOKEN}"), body).await;
        answer.unwrap_or_else(|error| panic!("no answer: {error}\n{}", self.log()))
    }

    /// Sends a body that must be accepted.
    pub async fn accept(&mut self, body: impl Into<bytes::Bytes>) {
        let answer = self.post(body).await;
        assert_eq!(answer.status, 202, "{}\n{}", answer.text(), self.log());
    }

    /// Asks the admin server.
    pub async fn admin(&mut self, path: &str) -> Answer {
        let answer = self.admin.get(path).await;
        answer.unwrap_or_else(|error| panic!("no answer from the admin server: {error}\n{}", self.log()))
    }

    /// Waits for the first `/readyz` that says so.
    pub async fn until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(code) = self.leash.exit_code() {
                panic!("it ended with {code} before it was ready:\n{}", self.log());
            }
            if let Ok(answer) = self.admin.get("/readyz").await
                && answer.status == 200
            {
                return;
            }
            assert!(Instant::now() < deadline, "it is not ready:\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// One sample of a metric, by its name without `mewsbridge_` and some of its labels.
    pub async fn metric(&mut self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.admin("/metrics").await.text();
        sample(&text, name, labels)
            .unwrap_or_else(|| panic!("no mewsbridge_{name} with {labels:?} in\n{text}"))
    }

    /// Waits until a metric has a value.
    pub async fn until_metric(&mut self, name: &str, labels: &[(&str, &str)], wanted: f64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // Some are there when there is something to measure.
            let value = sample(&self.admin("/metrics").await.text(), name, labels);
            if value == Some(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{name}{labels:?} is {value:?}, not {wanted}\n{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the journal has nothing pending, and checks its accounts.
    pub async fn until_drained(&mut self) {
        self.until_metric("journal_pending_records", &[], 0.0).await;
        self.until_metric("journal_unaccounted_records", &[], 0.0).await;
    }

    /// Waits until the log holds a text.
    pub async fn until_logged(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} is not logged:\n{}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.leash.kill();
    }

    /// Any signal, without waiting.
    pub fn signal(&mut self, signal: Signal) {
        self.leash.signal(signal);
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&mut self) {
        self.leash.signal(Signal::TERM);
    }

    /// Waits for the process to end by itself.
    pub fn exit(&mut self, within: Duration) -> i32 {
        self.leash.wait(within).unwrap_or_else(|| panic!("still running after {within:?}:\n{}", self.log()))
    }

    /// SIGTERM, and how the process ended.
    pub fn stop(&mut self) -> i32 {
        self.terminate();
        self.exit(Duration::from_secs(40))
    }

    /// Everything that it wrote to standard output and standard error.
    pub fn log(&self) -> String {
        self.leash.output()
    }

    /// Port of the ingress.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A sample in the text exposition format.
fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let line = text.lines().find(|line| {
        let rest = line.strip_prefix("mewsbridge_").and_then(|line| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn samples_are_found_by_name_and_labels() {
    let text = "# HELP mewsbridge_a_total x\nmewsbridge_a_total{b=\"c\",d=\"e\"} 3\nmewsbridge_a 1.5\n";
    assert_eq!(sample(text, "a_total", &[("d", "e")]), Some(3.0));
    assert_eq!(sample(text, "a", &[]), Some(1.5));
    assert_eq!(sample(text, "a_total", &[("d", "x")]), None);
}
