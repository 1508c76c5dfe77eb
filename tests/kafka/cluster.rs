//! Apache Kafka clusters on loopback: one shared by all tests, private ones for tests that harm brokers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{leash::Leash, reader};

/// Nodes of one cluster and the folder that they share.
pub struct Cluster {
    nodes: Vec<Node>,
    listeners: Vec<Listener>,
    dir: TempDir,
}

struct Node {
    id: usize,
    dir: PathBuf,
    process: Mutex<Option<Leash>>,
}

/// One client listener, with a port per node.
struct Listener {
    name: &'static str,
    protocol: &'static str,
    ports: Vec<u16>,
}

/// Where `tests/run` put the jars: beside the build.
pub fn kafka_dir() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_mews-bridge"));
    let target = binary.ancestors().nth(2).expect("the binary is in target/<profile>");
    let dir = target.join("kafka");
    assert!(dir.join("lib").is_dir(), "no Kafka in {}: run tests/run once", dir.display());
    dir
}

/// All jars in a fixed order: a class archive holds for one class path.
pub fn class_path() -> &'static str {
    static CLASS_PATH: OnceLock<String> = OnceLock::new();
    CLASS_PATH.get_or_init(|| {
        let lib = kafka_dir().join("lib").canonicalize().expect("the folder is there");
        let files = fs::read_dir(lib).expect("the folder can be read");
        let mut jars: Vec<_> = files.map(|file| file.expect("a folder entry").path()).collect();
        jars.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
        jars.sort();
        jars.iter().map(|jar| jar.to_string_lossy()).collect::<Vec<_>>().join(":")
    })
}

/// A port nobody listens on, below those of outgoing connections: a broker that comes back finds it free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() * 97 % 12_000) as u16;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A topic prefix that no other test has.
pub fn unique_prefix(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Cluster {
    /// The cluster for tests that leave brokers alone; started by the first that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::start_private(1))
    }

    /// A cluster of one's own, ready.
    pub fn start_private(nodes: usize) -> Self {
        Self::start(nodes, &[], &BTreeMap::new(), &[])
    }

    /// A cluster with more client listeners (name, protocol) than the plain one.
    ///
    /// `settings` go into every node's file, `format` onto the command line of the formatting tool.
    pub fn start(
        nodes: usize,
        listeners: &[(&'static str, &'static str)],
        settings: &BTreeMap<String, String>,
        format: &[&str],
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("mews-bridge-kafka").tempdir().expect("a temporary folder");
        let listeners: Vec<_> = [("PLAINTEXT", "PLAINTEXT")]
            .iter()
            .chain(listeners)
            .chain(&[("CONTROLLER", "PLAINTEXT")])
            .map(|(name, protocol)| Listener {
                name,
                protocol,
                ports: (0..nodes).map(|_| free_port()).collect(),
            })
            .collect();
        let folder = |id: usize| dir.path().join(id.to_string());
        let nodes: Vec<_> =
            (1..=nodes).map(|id| Node { id, dir: folder(id), process: Mutex::new(None) }).collect();
        let cluster = Self { nodes, listeners, dir };
        thread::scope(|scope| {
            for node in &cluster.nodes {
                scope.spawn(|| cluster.format(node, settings, format));
            }
        });
        for node in &cluster.nodes {
            cluster.launch(node);
        }
        cluster.wait_until_ready(cluster.nodes.len());
        cluster
    }

    /// Addresses of the plain listener.
    pub fn bootstrap(&self) -> String {
        self.bootstrap_of("PLAINTEXT")
    }

    /// Addresses of one listener.
    pub fn bootstrap_of(&self, name: &str) -> String {
        let listener =
            self.listeners.iter().find(|listener| listener.name == name).expect("a listener of it");
        listener.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Ends a node with SIGKILL; nodes count from 1.
    pub fn kill(&self, node: usize) {
        self.process(node).take().expect("the node runs").kill();
    }

    /// Starts a node again, with its ports and data, and waits until all nodes are up.
    pub fn start_again(&self, node: usize) {
        self.launch(&self.nodes[node - 1]);
        let running = self.nodes.iter().filter(|node| self.process(node.id).is_some()).count();
        self.wait_until_ready(running);
    }

    /// Stops a node's clock (SIGSTOP).
    pub fn freeze(&self, node: usize) {
        self.process(node).as_mut().expect("the node runs").signal(Signal::STOP);
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, node: usize) {
        self.process(node).as_mut().expect("the node runs").signal(Signal::CONT);
    }

    fn process(&self, node: usize) -> std::sync::MutexGuard<'_, Option<Leash>> {
        self.nodes[node - 1].process.lock().expect("no test panics while it holds a node")
    }

    fn format(&self, node: &Node, settings: &BTreeMap<String, String>, format: &[&str]) {
        fs::create_dir(&node.dir).expect("a folder for the node");
        let file = node.dir.join("server.properties");
        let mut all = self.settings(node);
        all.extend(settings.iter().map(|(name, value)| (name.clone(), value.clone())));
        let text: String = all.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(&file, text).expect("the node's file is written");
        let output = Command::new("java")
            .args(java())
            .args(["kafka.tools.StorageTool", "format", "-t", "ThisIsOneClusterIdAAAA", "-c"])
            .arg(&file)
            .args(format)
            .output()
            .expect("java can be started: run tests/run once");
        assert!(output.status.success(), "formatting failed: {}", String::from_utf8_lossy(&output.stdout));
    }

    fn settings(&self, node: &Node) -> BTreeMap<String, String> {
        let at = node.id - 1;
        let every = |make: &dyn Fn(&Listener) -> String| {
            self.listeners.iter().map(make).collect::<Vec<_>>().join(",")
        };
        let controllers = self.listeners.last().expect("the controller's listener is the last");
        let voters: Vec<_> = (1..=self.nodes.len())
            .map(|id| format!("{id}@127.0.0.1:{}", controllers.ports[id - 1]))
            .collect();
        let replicas = self.nodes.len().min(3).to_string();
        let in_sync = self.nodes.len().div_ceil(2).to_string();
        let id = node.id.to_string();
        let data = node.dir.join("data").to_string_lossy().into_owned();
        let listeners = every(&|each| format!("{}://127.0.0.1:{}", each.name, each.ports[at]));
        let protocols = every(&|each| format!("{}:{}", each.name, each.protocol));
        let voters = voters.join(",");
        [
            ("process.roles", "broker,controller"),
            ("node.id", &id),
            ("controller.quorum.voters", &voters),
            ("controller.listener.names", "CONTROLLER"),
            ("inter.broker.listener.name", "PLAINTEXT"),
            ("listeners", &listeners),
            ("listener.security.protocol.map", &protocols),
            ("log.dirs", &data),
            ("auto.create.topics.enable", "false"),
            ("default.replication.factor", &replicas),
            ("min.insync.replicas", &in_sync),
            ("offsets.topic.replication.factor", &replicas),
            ("transaction.state.log.replication.factor", &replicas),
            ("share.coordinator.state.topic.replication.factor", &replicas),
            ("transaction.state.log.min.isr", &in_sync),
            ("offsets.topic.num.partitions", "4"),
            ("transaction.state.log.num.partitions", "4"),
            ("group.initial.rebalance.delay.ms", "0"),
            // The new group protocol moves partitions with heartbeats, by default one in 5 s.
            ("group.consumer.heartbeat.interval.ms", "500"),
            ("group.consumer.min.heartbeat.interval.ms", "500"),
            // A member that was killed is missed after 6 s instead of 45.
            ("group.consumer.session.timeout.ms", "6000"),
            ("group.consumer.min.session.timeout.ms", "6000"),
            // The default of 128 MiB is too much for a small heap.
            ("log.cleaner.dedupe.buffer.size", "8388608"),
            // Hundreds of small partitions: 10 MiB of index each would be allocated ahead.
            ("log.index.size.max.bytes", "65536"),
            // A dead leader is replaced after 3 s instead of 9.
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn launch(&self, node: &Node) {
        let java = java();
        let file = node.dir.join("server.properties").to_string_lossy().into_owned();
        let mut command = vec!["java"];
        command.extend(java.iter().map(String::as_str));
        command.extend(["kafka.Kafka", &file]);
        let leash = Leash::start(&node.dir.join("log"), Some(self.dir.path()), &command, &[]);
        *self.process(node.id) = Some(leash);
    }

    /// Until a client sees that many brokers: an open port is no proof.
    fn wait_until_ready(&self, nodes: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = reader::shared().nodes(&self.bootstrap());
            if seen == Ok(nodes) {
                return;
            }
            assert!(Instant::now() < deadline, "Kafka is not ready: {seen:?}\n{}", self.output());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What its nodes have printed.
    pub fn output(&self) -> String {
        let outputs = self.nodes.iter().filter_map(|node| Some(self.process(node.id).as_ref()?.output()));
        outputs.collect()
    }
}

/// Options of the Java machine for a broker: a small heap, a fast start, the class archive if there is one.
fn java() -> Vec<String> {
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/log4j2.properties");
    let mut options: Vec<String> =
        ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class_path()]
            .map(str::to_owned)
            .into();
    options.push(format!("-Dlog4j2.configurationFile={}", log.display()));
    let archive = kafka_dir().join("broker.jsa");
    if archive.exists() {
        options.push(format!("-XX:SharedArchiveFile={}", archive.display()));
        options.push("-Xlog:cds=off".to_owned());
    }
    options
}
