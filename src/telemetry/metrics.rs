//! The inventory: every metric of the process, as a documented field of the part that writes it.
//!
//! A new metric goes here, into the struct of its part, and only if a panel or an alert will use
//! it. Label values are enums; the few that the configuration bounds (topics, discriminators, token
//! aliases) are created at start as well. There is no label for a hotel, an integration, a key or
//! an error text. Times are seconds, sizes bytes.

pub mod connector;
pub mod enricher;

use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use super::family::{Counters, Counters2, Gauges, Histograms, Label, Maker, Seconds, label};
pub use connector::Connector;
pub use enricher::Enricher;

const ACK_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const FSYNC_BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
const PRODUCE_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
const LATENCY_BUCKETS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0];
const SIZE_BUCKETS: [f64; 8] = [256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
const COUNT_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

label!(/// What served a request.
Handler, "handler" {
    WebhookGeneral = "webhook_general", WebhookIntegration = "webhook_integration", Webhook = "webhook",
    Admin = "admin", Health = "health", Metrics = "metrics", Other = "other",
});
label!(/// What a delivery is; `unknown` when it was refused before it was read.
Webhook, "webhook" { General = "general", Integration = "integration", Unknown = "unknown" });
label!(/// How a delivery ended.
Outcome, "outcome" {
    Accepted = "accepted", Quarantined = "quarantined", RejectedAuth = "rejected_auth",
    RejectedRate = "rejected_rate", RejectedRoute = "rejected_route", RejectedTooLarge = "rejected_too_large",
    RejectedEncoding = "rejected_encoding", TimedOut = "timed_out", Shed = "shed",
    JournalError = "journal_error", ClientAbort = "client_abort",
});
label!(/// How an append ended.
Append, "outcome" { Ok = "ok", Full = "full", IoError = "io_error" });
label!(/// How a delivery left the journal.
Disposition, "disposition" { Delivered = "delivered", DeadLettered = "dead_lettered", Discarded = "discarded" });
label!(/// What became of a delivery that was found at start.
Recovered, "result" { Replayed = "replayed", AlreadyCompleted = "already_completed" });
label!(/// What was wrong with bytes of the journal.
Corrupt, "reason" { Checksum = "checksum", TornTail = "torn_tail", UnknownVersion = "unknown_version" });
label!(/// What the journal is doing; exactly one is 1.
JournalState, "state" {
    Recovering = "recovering", Open = "open", Draining = "draining", Drained = "drained", Full = "full",
    ReadOnly = "read_only", Failed = "failed",
});
label!(/// What kind of record was produced.
Class, "class" { Raw = "raw", Entity = "entity", Dlq = "dlq" });
label!(/// Why producing failed.
ProduceError, "error" {
    Timeout = "timeout", Transport = "transport", Auth = "auth", Authorization = "authorization",
    NotEnoughReplicas = "not_enough_replicas", UnknownTopic = "unknown_topic", TooLarge = "too_large",
    Fenced = "fenced", Fatal = "fatal", Other = "other",
});
label!(/// How a client proves itself to a broker.
Mechanism, "mechanism" {
    Plain = "PLAIN", Scram256 = "SCRAM-SHA-256", Scram512 = "SCRAM-SHA-512", OauthBearer = "OAUTHBEARER",
    Other = "other",
});
label!(/// Where a record was when it became a dead letter.
Stage, "stage" { Relay = "relay", Enrich = "enrich", Publish = "publish" });
label!(/// Why a record became a dead letter.
DeadLetter, "reason" {
    TooLarge = "too_large", TopicUnavailable = "topic_unavailable", Rejected = "rejected",
    NotReturned = "not_returned", NotVisible = "not_visible", NoCredentials = "no_credentials",
    Unauthorized = "unauthorized", BadRequest = "bad_request", ParkedTooLong = "parked_too_long",
    Undecodable = "undecodable",
});
label!(/// A secret, or what one is trusted by, that is read from a file and read again when it changes.
SecretFile, "secret" {
    WebhookToken = "webhook_token", SealingKey = "sealing_key", ClientToken = "client_token",
    Credentials = "credentials", Kafka = "kafka", ConnectorCa = "connector_ca",
});
label!(/// How reading a secret again ended.
Reload, "outcome" { Ok = "ok", Error = "error" });
label!(/// Severity of a log line.
Level, "level" { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" });

/// All metrics of the process, and the registry that exposes them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Requests of both servers.
    pub http: Http,
    /// Deliveries, as Mews sees them.
    pub webhook: Deliveries,
    /// The journal.
    pub journal: Journal,
    /// The producer, and what became dead letters.
    pub kafka: Kafka,
    /// The Connector API and the integrations that use it.
    pub connector: Connector,
    /// The enricher.
    pub enricher: Enricher,
    /// The process itself.
    pub process: Process,
    registry: Registry,
}

/// Label values that the configuration bounds.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Topics that this process writes to.
    pub topics: Vec<String>,
    /// Discriminators that have a topic of their own.
    pub discriminators: Vec<String>,
    /// Aliases of webhook tokens, never the tokens.
    pub token_aliases: Vec<String>,
    /// `ingress`, `enricher` or `demo`.
    pub role: String,
}

/// The label value for a discriminator outside the configured list.
pub const UNRECOGNIZED: &str = "unknown";

/// Requests of the ingress and the admin server.
#[derive(Clone, Debug)]
pub struct Http {
    /// Requests answered, by handler and status code.
    pub requests: IntCounterVec,
    /// From the head of a request to its answer.
    pub duration: Histograms<Handler>,
    /// Requests being served now.
    pub in_flight: Gauges<Handler>,
    /// Connections that are open on the ingress port.
    pub connections: IntGauge,
}

/// What the ingress did with deliveries.
#[derive(Clone, Debug)]
pub struct Deliveries {
    /// Deliveries by kind and how they ended.
    pub deliveries: Counters2<Webhook, Outcome>,
    /// From the head of an authenticated request to its answer.
    pub ack_duration: Histograms<Webhook>,
    /// Bodies that were read to their end.
    pub body_size: Histograms<Webhook>,
    /// Events by discriminator; all outside the configured list are `unknown`.
    pub events: IntCounterVec,
    /// Events in one General delivery.
    pub events_per_delivery: Histogram,
    /// When a delivery was last accepted, or the ingress began; nothing where there is no ingress.
    pub last_accepted: Seconds<Webhook>,
    /// Deliveries that came by the route of the other kind.
    pub route_mismatches: IntCounter,
    /// When each configured token last let a request in, 0 before the first.
    pub token_last_used: GaugeVec,
}

/// The journal. Records are deliveries.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Appends by how they ended.
    pub appends: Counters<Append>,
    /// From asking for an append to its answer.
    pub append_duration: Histogram,
    /// One `fdatasync` of a group commit.
    pub fsync_duration: Histogram,
    /// Deliveries that shared one commit.
    pub fsync_batch: Histogram,
    /// Deliveries that are in the journal and not completed.
    pub pending_records: IntGauge,
    /// Bytes of those deliveries.
    pub pending_bytes: IntGauge,
    /// Segment files.
    pub segments: IntGauge,
    /// When the oldest pending delivery was appended or found, 0 when there is none.
    pub oldest_pending: Gauge,
    /// Deliveries that left, by how.
    pub completed: Counters<Disposition>,
    /// Appended and found at start, less completed and pending: anything but 0 is a loss or a bug.
    pub unaccounted: IntGauge,
    /// Disk that the segments take.
    pub size: IntGauge,
    /// Disk that they may take.
    pub capacity: IntGauge,
    /// Free space of the file system under the journal.
    pub fs_avail: IntGauge,
    /// Size of that file system.
    pub fs_size: IntGauge,
    /// Deliveries found at start.
    pub recovered: Counters<Recovered>,
    /// Damage found, at start or when read.
    pub corrupt: Counters<Corrupt>,
    /// How long the last recovery took.
    pub recovery_duration: Gauge,
    /// What the journal is doing.
    pub state: Gauges<JournalState>,
}

/// The Kafka producer and the dead letters.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Records that Kafka took (`ok`) or refused (`error`), by topic.
    pub produced_records: IntCounterVec,
    /// Key and value bytes that Kafka took, by topic.
    pub produced_bytes: IntCounterVec,
    /// From handing a record to the client to its delivery report.
    pub produce_duration: Histograms<Class>,
    /// Errors that delivery reports and the client's error callback brought.
    pub produce_errors: Counters2<Class, ProduceError>,
    /// Records in the client's queue.
    pub queue_records: IntGauge,
    /// Bytes in the client's queue.
    pub queue_bytes: IntGauge,
    /// Bytes that may be in the client's queue.
    pub queue_limit_bytes: IntGauge,
    /// Brokers that the client is connected to.
    pub connected_brokers: IntGauge,
    /// Refused authentications, by what was used.
    pub auth_failures: Counters<Mechanism>,
    /// When the OAuth token in use ends, 0 without one.
    pub oauth_token_expiry: Gauge,
    /// Records that became dead letters.
    pub dead_letters: Counters2<Stage, DeadLetter>,
    /// From accepting a delivery to Kafka's acknowledgement of a record of it.
    pub raw_latency: Histogram,
}

/// The process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Secret files read again.
    pub secret_reloads: Counters2<SecretFile, Reload>,
    /// Whether the last reading of a secret's files worked.
    pub secret_reload_ok: Gauges<SecretFile>,
    /// Whether the process is ready.
    pub ready: IntGauge,
    /// Worker threads of the runtime.
    pub runtime_workers: IntGauge,
    /// Tasks alive in the runtime.
    pub runtime_tasks: IntGauge,
    /// Log lines written.
    pub log_events: Counters<Level>,
}

impl Metrics {
    /// Makes and registers every family, with zeros for all label values that are known.
    #[must_use]
    pub fn new(names: &Names) -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let metrics = Self {
            http: Http::new(&make),
            webhook: Deliveries::new(&make, names),
            journal: Journal::new(&make),
            kafka: Kafka::new(&make, names),
            connector: Connector::new(&make),
            enricher: Enricher::new(&make),
            process: Process::new(&make),
            registry: registry.clone(),
        };
        let build = make.counters_by_name("build_info", "Always 1.", &["version", "revision", "role"]);
        let revision = option_env!("MEWS_BRIDGE_REVISION").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision, &names.role]).inc();
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("no other family begins with process_");
        metrics
    }

    /// The text exposition format, version 0.0.4.
    #[must_use]
    pub fn expose(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("families of this inventory are valid")
    }
}

impl Http {
    fn new(make: &Maker<'_>) -> Self {
        Self {
            requests: make.counters_by_name(
                "http_requests_total",
                "Requests answered, by handler and status code.",
                &["handler", "code"],
            ),
            duration: make.histograms(
                "http_request_duration_seconds",
                "From the head of a request to its answer.",
                &ACK_BUCKETS,
            ),
            in_flight: make.gauges("http_requests_in_flight", "Requests being served now."),
            connections: make.gauge("http_connections", "Connections open on the ingress port."),
        }
    }
}

impl Deliveries {
    /// The ingress listens from now on: silence counts from here, so that one that never hears anything is
    /// noticed as well. What is `unknown` is never accepted.
    pub fn begin(&self, now: f64) {
        self.last_accepted.of(Webhook::General).set(now);
        self.last_accepted.of(Webhook::Integration).set(now);
    }

    fn new(make: &Maker<'_>, names: &Names) -> Self {
        let deliveries = Self {
            deliveries: make.counters2("webhook_deliveries_total", "Deliveries by kind and how they ended."),
            ack_duration: make.histograms(
                "webhook_ack_duration_seconds",
                "From the head of an authenticated request to its answer; Mews gives up after 5.",
                &ACK_BUCKETS,
            ),
            body_size: make.histograms("webhook_body_size_bytes", "Bodies read to their end.", &SIZE_BUCKETS),
            events: make.counters_by_name(
                "webhook_events_total",
                "Events accepted, by discriminator.",
                &["discriminator"],
            ),
            events_per_delivery: make.histogram(
                "webhook_events_per_delivery",
                "Events in one General delivery.",
                &COUNT_BUCKETS,
            ),
            last_accepted: make.seconds_by(
                "webhook_last_accepted_timestamp_seconds",
                "When a delivery was last accepted; before the first, when this ingress began to listen.",
            ),
            route_mismatches: make.counter(
                "webhook_route_mismatches_total",
                "Deliveries that came by the route of the other kind.",
            ),
            token_last_used: make.seconds_by_name(
                "webhook_token_last_used_timestamp_seconds",
                "When each configured token last let a request in; 0 before the first.",
                &["token"],
            ),
        };
        for name in names.discriminators.iter().map(String::as_str).chain([UNRECOGNIZED]) {
            let _ = deliveries.events.with_label_values(&[name]);
        }
        for alias in &names.token_aliases {
            let _ = deliveries.token_last_used.with_label_values(&[alias]);
        }
        deliveries
    }
}

impl Journal {
    fn new(make: &Maker<'_>) -> Self {
        Self {
            appends: make.counters("journal_appends_total", "Appends by how they ended."),
            append_duration: make.histogram(
                "journal_append_duration_seconds",
                "From asking for an append to its answer.",
                &FSYNC_BUCKETS,
            ),
            fsync_duration: make.histogram(
                "journal_fsync_duration_seconds",
                "One fdatasync of a group commit.",
                &FSYNC_BUCKETS,
            ),
            fsync_batch: make.histogram(
                "journal_fsync_batch_records",
                "Deliveries that shared one commit.",
                &COUNT_BUCKETS,
            ),
            pending_records: make
                .gauge("journal_pending_records", "Deliveries in the journal that are not completed."),
            pending_bytes: make.gauge("journal_pending_bytes", "Bytes of the pending deliveries."),
            segments: make.gauge("journal_segments", "Segment files."),
            oldest_pending: make.seconds(
                "journal_oldest_pending_timestamp_seconds",
                "When the oldest pending delivery was accepted; 0 when there is none.",
            ),
            completed: make
                .counters("journal_completed_records_total", "Deliveries that left the journal, by how."),
            unaccounted: make.gauge(
                "journal_unaccounted_records",
                "Appended and found at start, less completed and pending; must be 0.",
            ),
            size: make.gauge("journal_size_bytes", "Disk that the journal's segments take."),
            capacity: make.gauge("journal_capacity_bytes", "Disk that the journal's segments may take."),
            fs_avail: make
                .gauge("journal_fs_avail_bytes", "Free space of the file system under the journal."),
            fs_size: make.gauge("journal_fs_size_bytes", "Size of the file system under the journal."),
            recovered: make.counters("journal_recovered_records_total", "Deliveries found at start."),
            corrupt: make.counters("journal_corrupt_records_total", "Damage found in the journal."),
            recovery_duration: make
                .seconds("journal_recovery_duration_seconds", "How long the last recovery took."),
            state: make.gauges("journal_state", "What the journal is doing; one is 1."),
        }
    }
}

impl Kafka {
    fn new(make: &Maker<'_>, names: &Names) -> Self {
        let kafka = Self {
            produced_records: make.counters_by_name(
                "kafka_produced_records_total",
                "Records that Kafka took (ok) or refused (error).",
                &["topic", "outcome"],
            ),
            produced_bytes: make.counters_by_name(
                "kafka_produced_bytes_total",
                "Key and value bytes that Kafka took.",
                &["topic"],
            ),
            produce_duration: make.histograms(
                "kafka_produce_duration_seconds",
                "From handing a record to the client to its delivery report.",
                &PRODUCE_BUCKETS,
            ),
            produce_errors: make.counters2("kafka_produce_errors_total", "Errors of the Kafka producer."),
            queue_records: make.gauge("kafka_queue_records", "Records in the producer's queue."),
            queue_bytes: make.gauge("kafka_queue_bytes", "Bytes in the producer's queue."),
            queue_limit_bytes: make
                .gauge("kafka_queue_limit_bytes", "Bytes that may be in the producer's queue."),
            connected_brokers: make.gauge("kafka_connected_brokers", "Brokers the producer is connected to."),
            auth_failures: make
                .counters("kafka_auth_failures_total", "Authentications that a broker refused."),
            oauth_token_expiry: make.seconds(
                "kafka_oauth_token_expiry_timestamp_seconds",
                "When the OAuth token in use ends; 0 without one.",
            ),
            dead_letters: make.counters2("dlq_records_total", "Records that became dead letters."),
            raw_latency: make.histogram(
                "raw_latency_seconds",
                "From accepting a delivery to Kafka's acknowledgement of a record of it.",
                &LATENCY_BUCKETS,
            ),
        };
        kafka.expect(names.topics.iter().map(String::as_str));
        kafka
    }

    /// Topics that are written to as well: they have their zeros from now on.
    pub fn expect<'a>(&self, topics: impl IntoIterator<Item = &'a str>) {
        for topic in topics {
            for outcome in ["ok", "error"] {
                let _ = self.produced_records.with_label_values(&[topic, outcome]);
            }
            let _ = self.produced_bytes.with_label_values(&[topic]);
        }
    }
}

impl Process {
    fn new(make: &Maker<'_>) -> Self {
        let secret_reload_ok = make.gauges(
            "secret_last_reload_successful",
            "Whether the last reading of a secret's files worked; 1 too for one that has none.",
        );
        <SecretFile as Label>::ALL.iter().for_each(|secret| secret_reload_ok.of(*secret).set(1));
        Self {
            secret_reloads: make
                .counters2("secret_reloads_total", "Secret files read again, by how it ended."),
            secret_reload_ok,
            ready: make.gauge("ready", "Whether the process is ready."),
            runtime_workers: make.gauge("runtime_workers", "Worker threads of the runtime."),
            runtime_tasks: make.gauge("runtime_alive_tasks", "Tasks alive in the runtime."),
            log_events: make.counters("log_events_total", "Log lines written, by level."),
        }
    }
}

impl Process {
    /// Sets what is measured only when somebody looks.
    pub fn observe(&self, is_ready: bool) {
        self.ready.set(i64::from(is_ready));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            self.runtime_workers.set(count(runtime.metrics().num_workers()));
            self.runtime_tasks.set(count(runtime.metrics().num_alive_tasks()));
        }
    }
}

#[cfg(test)]
mod tests;
