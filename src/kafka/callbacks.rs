//! What librdkafka tells a producer, on the client's own thread: reports, errors, statistics.
//!
//! Guarantees: nothing here blocks but the request for an OAuth token, which has a time limit; a
//! log line is written when something changed, not each time it is said.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::{
    ClientContext, Message as _,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::ProducerContext,
};

use super::{
    ledger::Ledger,
    link::{Change, Link, Statistics},
    oauth,
    producer::Placed,
    refusal::{self, Refusal},
};
use crate::telemetry::{
    family::Label as _,
    metrics::{self, Class, Mechanism, ProduceError},
};

/// The context of one producer instance; cheap to clone.
#[derive(Clone)]
pub(super) struct Callbacks(Arc<Shared>);

struct Shared {
    ledger: Arc<Ledger>,
    metrics: metrics::Kafka,
    link: Mutex<Link>,
    tokens: Option<oauth::Tokens>,
    mechanism: Mechanism,
}

impl Callbacks {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        metrics: metrics::Kafka,
        tokens: Option<oauth::Tokens>,
        mechanism: Mechanism,
    ) -> Self {
        Self(Arc::new(Shared { ledger, metrics, link: Mutex::new(Link::default()), tokens, mechanism }))
    }

    /// Reports a ticket and counts it, unless it was reported before.
    pub(super) fn settle(&self, ticket: u64, result: Result<Placed, Code>) {
        let metrics = &self.0.metrics;
        let refused = result.map_err(|code| (code, Refusal::of(code)));
        let report = refused.clone().map_err(|(_, refusal)| refusal);
        let Some(pending) = self.0.ledger.settle(ticket, report) else { return };
        metrics.produce_duration.of(pending.class).observe(pending.sent_at.elapsed().as_secs_f64());
        let produced =
            |outcome| metrics.produced_records.with_label_values(&[&*pending.topic, outcome]).inc();
        match refused {
            Ok(_) => {
                produced("ok");
                metrics.produced_bytes.with_label_values(&[&*pending.topic]).inc_by(pending.bytes);
            }
            Err((code, refusal)) => {
                metrics.produce_errors.of(pending.class, refusal::label(code)).inc();
                // What is lost will be sent again: Kafka has not refused it.
                if refusal != Refusal::Lost {
                    produced("error");
                }
            }
        }
    }

    /// The instance is over: what its gauges said holds no more.
    pub(super) fn ended(&self) {
        let metrics = &self.0.metrics;
        for gauge in [&metrics.queue_records, &metrics.queue_bytes, &metrics.connected_brokers] {
            gauge.set(0);
        }
    }

    fn with_link<T>(&self, act: impl FnOnce(&mut Link) -> T) -> T {
        act(&mut self.0.link.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fatal(&self, reason: &str) {
        let lost = self.0.ledger.close();
        self.ended();
        tracing::error!(reason, lost, "the Kafka client met a fatal error and has to be made anew");
    }
}

impl ClientContext for Callbacks {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        if self.with_link(|link| link.is_echo(code, reason)) {
            return;
        }
        let kind = refusal::label(code);
        // librdkafka sums up many times a second while somebody waits; the broker's own error counts.
        if code != Code::AllBrokersDown {
            // It speaks of no record, so of no class; most records are raw.
            self.0.metrics.produce_errors.of(Class::Raw, kind).inc();
        }
        match kind {
            ProduceError::Auth => self.0.metrics.auth_failures.of(self.0.mechanism).inc(),
            ProduceError::Fatal => return self.fatal(reason),
            _ => {}
        }
        if let Some(change) = self.with_link(|link| link.error(code, reason)) {
            tell(&change, kind);
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if self.0.ledger.is_closed() {
            return;
        }
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            tracing::warn!("the statistics of the Kafka client cannot be read");
            return;
        };
        let brokers = statistics.connected();
        self.0.metrics.queue_records.set(statistics.msg_cnt);
        self.0.metrics.queue_bytes.set(statistics.msg_size);
        self.0.metrics.connected_brokers.set(i64::try_from(brokers).unwrap_or(i64::MAX));
        if let Some(change) = self.with_link(|link| link.connected(brokers)) {
            tell(&change, ProduceError::Transport);
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth::answer(self.0.tokens.as_ref())
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = match result {
            // librdkafka has concluded it from what came after it, and may be wrong: a partition that
            // knows nothing of a producer takes a second batch without the first (KIP-360).
            Ok(message) if message.offset() < 0 => Err(Code::OutOfOrderSequenceNumber),
            Ok(message) => Ok(Placed { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
        };
        self.settle(ticket as u64, result);
    }
}

fn tell(change: &Change, kind: ProduceError) {
    let error = kind.value();
    match change {
        Change::Up(brokers) => tracing::info!(brokers, "connected to Kafka"),
        Change::Down(reason) => tracing::warn!(error, reason, "no Kafka broker can be reached any more"),
        Change::Trouble(reason) => tracing::warn!(error, reason, "Kafka cannot be reached"),
    }
}

/// Hands a line of librdkafka on. What it says of connections and requests it says every time,
/// and the error callback tells it better.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let repeated = matches!(facility, "FAIL" | "ERROR" | "REQTMOUT" | "MAXREQTMOUT");
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning
            if !repeated =>
        {
            tracing::warn!(facility, "librdkafka: {message}");
        }
        _ => tracing::debug!(facility, "librdkafka: {message}"),
    }
}
