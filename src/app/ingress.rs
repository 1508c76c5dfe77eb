//! `mews-bridge ingress`: webhooks in, journal, Kafka.
//!
//! ```text
//! start   bind both ports ─ open the journal ─ producer ─ relay ─ webhook server ─ ready
//! drain   not ready ─ webhook server ends ─ journal takes no more ─ relay delivers ─ flush ─ journal closes
//! ```
//!
//! A drain ends when the journal is empty or `shutdown.timeout` is over; a second signal ends it at
//! once. Whatever is left is in the journal and goes out after the next start.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Exit, Failure, Part,
    control::server::{self as control, Socket},
};
use crate::{
    config::{Config, Role},
    credentials::seal::{KeyRing, Sealer},
    ingress, journal,
    kafka::{
        Producer, TopicNames,
        provision::{self, Inspection},
        topics::Provision,
    },
    relay::{
        self,
        capacity::{Capacities, Capacity},
    },
    reload,
    shutdown::Shutdown,
    telemetry::{
        admin,
        health::Health,
        logging,
        metrics::{Metrics, Names, Process, SecretFile},
    },
};

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start, or a part ends that never ends by itself.
pub async fn run(config: Config) -> Result<Exit, Failure> {
    super::checked(&config, Role::Ingress)?;
    let shutdown =
        Shutdown::on_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
    let mut bridge = Bridge::start(&config, "ingress").await?;
    tracing::info!(
        webhooks = %bridge.webhook_address,
        admin = %bridge.admin_address,
        version = env!("CARGO_PKG_VERSION"),
        "ready for webhooks on {}, metrics and probes on {}",
        bridge.webhook_address,
        bridge.admin_address,
    );
    tokio::select! {
        failure = bridge.failed() => {
            tracing::error!("a part has failed, the others are drained: {}", failure.message);
            // What failed first is what counts; the journal holds what could not be drained.
            let _ = bridge.drain(&config, &shutdown).await;
            Err(failure)
        }
        () = shutdown.drain.cancelled() => bridge.drain(&config, &shutdown).await,
    }
}

/// The running parts, from the webhook port to the producer.
pub struct Bridge {
    /// Where webhooks are taken.
    pub webhook_address: SocketAddr,
    /// Where metrics and probes are.
    pub admin_address: SocketAddr,
    /// All metrics of the process.
    pub metrics: Metrics,
    /// What the parts vouch for; more parts can join.
    pub health: Health,
    journal: journal::Handle,
    producer: Arc<Producer>,
    server: Part,
    relay: Part,
    background: JoinSet<&'static str>,
    control: Part,
    admin: Part,
}

impl Bridge {
    /// Starts every part in the written order; ready when it returns.
    ///
    /// # Errors
    /// When a port, the journal or the configuration stands in the way.
    pub async fn start(config: &Config, role: &str) -> Result<Self, Failure> {
        raise_file_limit();
        let webhook_listener = bind(config.ingress.listen, "ingress.listen", config).await?;
        let admin_listener = bind(config.admin.listen, "admin.listen", config).await?;
        let (webhook_address, admin_address) = (address(&webhook_listener)?, address(&admin_listener)?);

        let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
        let discriminators = config.topics.known();
        let metrics = Metrics::new(&Names {
            topics: names.written_by_ingress().into_iter().map(|topic| topic.name.to_string()).collect(),
            discriminators: config.topics.discriminators.clone(),
            token_aliases: config.ingress.token_aliases().map(str::to_owned).collect(),
            role: role.to_owned(),
        });
        logging::count_in(metrics.process.log_events.clone());
        let health = Health::default();
        let admin = Part::spawn("admin server", |stop| {
            let (health, metrics) = (health.clone(), metrics.clone());
            async move {
                admin::run(admin_listener, health, metrics, stop).await;
                Ok(())
            }
        });
        let opened = open_journal(config, &metrics).await?;
        let journal = opened.handle;
        vouch(&health, &journal, &metrics);
        let (discards, discards_asked) = relay::discard::channel();
        let control = open_control(config, control::Parts { journal: journal.clone(), discards })?;

        let (reports_in, reports) = tokio::sync::mpsc::unbounded_channel();
        let producer = Producer::start(&config.kafka, metrics.kafka.clone(), reports_in)
            .map(Arc::new)
            .map_err(|error| Failure::configuration(&error))?;
        let reconnect = Arc::new(Notify::new());
        // With nobody to ask, the client's own limits are all there is.
        let unasked = match config.topics.provision {
            Provision::Off => Capacities::default(),
            Provision::Verify | Provision::Create => Capacities::unknown(),
        };
        let (learned, capacities) = watch::channel(unasked);
        let relay = relay::Parts {
            reader: opened.reader,
            journal: journal.clone(),
            producer: Arc::clone(&producer),
            reports,
            discards: discards_asked,
            names: names.clone(),
            discriminators: discriminators.clone(),
            consumer: config.kafka.clone(),
            give_up_topic_after: config.kafka.give_up_topic_after,
            journal_metrics: metrics.journal.clone(),
            kafka_metrics: metrics.kafka.clone(),
            leftovers_dir: config.journal.dir.join(relay::leftovers::DIR),
            capacities,
            reconnect: Arc::clone(&reconnect),
            abandon: CancellationToken::new(),
        };
        let relay = Part::spawn("relay", |stop| async move {
            relay::run(relay, stop)
                .await
                .map(drop)
                .map_err(|error| Failure::io("the relay cannot go on", &error))
        });
        let sealer = config.credentials.sealer().map_err(|error| Failure::configuration(&error))?;
        let background = background(config, &names, reconnect, learned, &sealer, &health, &metrics);
        let parts = ingress::Parts {
            config: config.ingress.clone(),
            journal: journal.clone(),
            tokens: ingress::Tokens::load(&config.ingress).map_err(|error| Failure::configuration(&error))?,
            sealer,
            discriminators,
            metrics: ingress::Metrics {
                http: metrics.http.clone(),
                deliveries: metrics.webhook.clone(),
                process: metrics.process.clone(),
            },
        };
        let server = Part::spawn("webhook server", |stop| async move {
            ingress::run(webhook_listener, parts, stop)
                .await
                .map_err(|error| Failure::io("the webhook server cannot go on", &error))
        });
        health.serving();
        Ok(Self {
            webhook_address,
            admin_address,
            metrics,
            health,
            journal,
            producer,
            server,
            relay,
            background,
            control,
            admin,
        })
    }
}

impl Bridge {
    /// Resolves with the reason when a part ends that should not.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            failure = self.server.failed() => failure,
            failure = self.relay.failed() => failure,
            failure = self.control.failed() => failure,
            failure = self.admin.failed() => failure,
            Some(ended) = self.background.join_next() => match ended {
                Ok(name) => Failure::bug(format!("{name} ended although nobody stopped it")),
                Err(error) => Failure::bug(format!("a background task broke off: {error}")),
            },
        }
    }

    /// Ends every part in the written order.
    ///
    /// # Errors
    /// When a part ends with a failure of its own, or the journal cannot be closed in order.
    pub async fn drain(self, config: &Config, shutdown: &Shutdown) -> Result<Exit, Failure> {
        let Self { health, journal, producer, server, relay, mut background, control, admin, .. } = self;
        health.draining();
        let deadline = Instant::now() + config.shutdown.timeout;
        let parts = async {
            // No delivery is half accepted: the server ends when its last answer is out.
            let served = server.end().await;
            journal.drain();
            served.and(relay.end().await)
        };
        // Past the deadline whatever runs is dropped with its task; what was accepted is on disk.
        let ended = tokio::select! {
            ended = parts => Some(ended),
            () = tokio::time::sleep_until(deadline) => None,
            () = shutdown.abort.cancelled() => None,
        };
        background.shutdown().await;
        if ended.is_some() {
            producer.flush(deadline - Instant::now()).await;
        }
        // Before the journal lets go of the directory: the next process makes its own socket there.
        control.end().await?;
        let pending = journal.status().pending_records;
        let closed =
            journal.close().await.map_err(|error| Failure::io("the journal did not close in order", &error));
        admin.end().await?;
        ended.unwrap_or(Ok(()))?;
        closed?;
        Ok(farewell(pending, shutdown))
    }
}

/// Says how the drain ended.
fn farewell(pending: u64, shutdown: &Shutdown) -> Exit {
    if pending == 0 {
        tracing::info!("drained: everything that was accepted is in Kafka");
        return Exit::Clean;
    }
    let cause =
        if shutdown.abort.is_cancelled() { "a second signal came" } else { "shutdown.timeout is over" };
    tracing::warn!(
        pending,
        "stopped with {pending} deliveries in the journal because {cause}; they go out after the next start"
    );
    Exit::Pending
}

/// Every connection takes a file descriptor, and a journal without one cannot roll.
pub(super) fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files cannot be raised: {error}");
    }
}

pub(super) async fn bind(address: SocketAddr, key: &str, config: &Config) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::io(&format!("cannot listen on {address} ({key})"), &error);
        // Mostly it is this very program with this very configuration that has the port.
        let disk = journal::disk::Real::default();
        match journal::scan(&config.journal.dir, &disk).ok().and_then(|scan| scan.lock_owner()) {
            Some(pid) => Failure {
                message: format!(
                    "{}; the journal {} is in use by the process with pid {pid}",
                    failure.message,
                    config.journal.dir.display()
                ),
                ..failure
            },
            None => failure,
        }
    })
}

pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::io("a listener has no address", &error))
}

/// Recovery reads the disk, so it has a thread of its own.
async fn open_journal(config: &Config, metrics: &Metrics) -> Result<journal::Opened, Failure> {
    let (config, metrics) = (config.journal.clone(), metrics.journal.clone());
    let dir = config.dir.display().to_string();
    let opened = tokio::task::spawn_blocking(move || {
        journal::open(&config, Arc::new(journal::disk::Real::default()), metrics)
    })
    .await
    .map_err(|error| Failure::bug(format!("opening the journal broke off: {error}")))?;
    opened.map_err(|error| Failure::io(&format!("cannot open the journal in {dir}"), &error))
}

/// The journal is open, so the socket in its directory is this process's.
fn open_control(config: &Config, parts: control::Parts) -> Result<Part, Failure> {
    let path = config.control_socket().map_err(|error| Failure::configuration(&error))?;
    let socket = Socket::bind(&path)
        .map_err(|error| Failure::io(&format!("cannot listen on {}", path.display()), &error))?;
    Ok(Part::spawn("control socket", |stop| async move {
        control::run(socket, parts, stop).await;
        Ok(())
    }))
}

/// Only the journal decides whether a delivery can be accepted; the others are there to be read.
fn vouch(health: &Health, journal: &journal::Handle, metrics: &Metrics) {
    let vouching = journal.clone();
    health.vouch("journal", move || vouching.is_ready().map_err(str::to_owned));
    let described = journal.clone();
    health.describe("journal", move || serde_json::to_value(described.status()).unwrap_or_default());
    let http = metrics.http.clone();
    health.describe("ingress", move || json!({ "connections": http.connections.get() }));
    let kafka = metrics.kafka.clone();
    health.describe("kafka", move || {
        json!({
            "connected_brokers": kafka.connected_brokers.get(),
            "queue_records": kafka.queue_records.get(),
            "queue_bytes": kafka.queue_bytes.get(),
        })
    });
}

/// What goes on beside the path of a delivery; none of it ever ends by itself.
fn background(
    config: &Config,
    names: &TopicNames,
    reconnect: Arc<Notify>,
    learned: watch::Sender<Capacities>,
    sealer: &Sealer,
    health: &Health,
    metrics: &Metrics,
) -> JoinSet<&'static str> {
    let mut background = JoinSet::new();
    if let Sealer::Seal(keys) = sealer {
        let (keys, files) = (keys.clone(), config.credentials.sealing_key_files.clone());
        background.spawn(watch_keys(keys, files, metrics.process.clone(), || {}));
    }
    background.spawn(watch_client_files(reconnect, config.kafka.secret_files(), metrics.process.clone()));
    let (seen, last_seen) = watch::channel(None);
    background.spawn(tell_capacities(last_seen.clone(), learned));
    health.describe("topics", move || describe_topics(last_seen.borrow().as_ref()));
    let (kafka, specs) = (config.kafka.clone(), names.written_by_ingress());
    let mode = config.topics.provision;
    background.spawn(async move {
        provision::run(kafka, specs, mode, seen, CancellationToken::new()).await;
        // All topics are there; there is nothing more to do.
        std::future::pending::<&'static str>().await
    });
    background
}

pub(super) async fn watch_keys(
    keys: KeyRing,
    files: Vec<PathBuf>,
    process: Process,
    reloaded: impl Fn(),
) -> &'static str {
    let (mut watched, _) = reload::Files::read(files.clone());
    loop {
        watched.changed().await;
        reload::record(SecretFile::SealingKey, &process, keys.reload(&files));
        reloaded();
    }
}

/// A certificate or password that was rotated is taken up by a new client, which the relay makes.
pub(super) async fn watch_client_files(
    reconnect: Arc<Notify>,
    files: Vec<PathBuf>,
    process: Process,
) -> &'static str {
    let (mut watched, _) = reload::Files::read(files);
    loop {
        let contents = watched.changed().await;
        let unreadable = contents.into_iter().find_map(Result::err);
        if unreadable.is_none() {
            reconnect.notify_one();
        }
        reload::record(SecretFile::Kafka, &process, unreadable.map_or(Ok(()), Err));
    }
}

/// Hands on what brokers have said of the topics.
async fn tell_capacities(
    mut seen: watch::Receiver<Option<Inspection>>,
    learned: watch::Sender<Capacities>,
) -> &'static str {
    while seen.changed().await.is_ok() {
        if let Some(inspection) = &*seen.borrow_and_update() {
            learned.send_replace(capacities(inspection));
        }
    }
    // Nobody looks any more, and what was said last holds.
    std::future::pending().await
}

/// What brokers have said of the topics.
pub(super) fn capacities(inspection: &Inspection) -> Capacities {
    let observed = &inspection.observed;
    let capacity = |topic: &String| match observed.message_bytes_max(topic) {
        Some(bytes) => Capacity::Bytes(usize::try_from(bytes).unwrap_or(usize::MAX)),
        None => Capacity::Any,
    };
    let topics = observed.partitions.keys().map(|topic| (topic.clone(), capacity(topic))).collect();
    Capacities { topics, others: Capacity::Unknown }
}

fn describe_topics(seen: Option<&Inspection>) -> Value {
    let Some(Inspection { plan, .. }) = seen else { return "not looked at yet".into() };
    let different = plan.topics.iter().filter(|topic| !topic.differences.is_empty());
    json!({ "expected": plan.topics.len(), "different": different.map(ToString::to_string).collect::<Vec<_>>() })
}
