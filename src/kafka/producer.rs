//! The producer: one idempotent librdkafka client behind tickets.
//!
//! ```text
//! send(record, ticket) ─► ledger ─► librdkafka ─► broker
//!                           │ ◄──── delivery report (the client's own thread)
//!                           ▼
//!              Report { ticket, placed | refusal }          exactly one per accepted ticket
//! ```
//!
//! Guarantees: records of one partition are written in the order of `send`, through retries and
//! broker failover, for as long as one instance lives; nothing is given up for time. When an
//! instance ends (fatal error, [`Producer::restart`], drop) what it had not reported is reported
//! as [`Refusal::Lost`], and nothing of it comes later. The relay and the enricher's publisher
//! send through it; it never decides what becomes of a refused record.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer},
};
use tokio::sync::mpsc::UnboundedSender;

pub use super::refusal::{Refusal, TopicProblem};
use super::{
    Error,
    callbacks::Callbacks,
    ledger::{Ledger, Pending},
    record::Record,
    settings::{Config, Limits},
};
use crate::telemetry::metrics::{self, Class};

/// Where Kafka put a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// What became of the record of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The ticket that [`Producer::send`] was given.
    pub ticket: u64,
    /// Where it is, or why not.
    pub result: Result<Placed, Refusal>,
}

/// Why a record was not taken; its ticket gets no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no room until reports have come.
    #[error("producer queue is full")]
    QueueFull,
    /// It would not fit even into an empty queue, or not into librdkafka's largest request.
    #[error("record is larger than the client can ever send")]
    TooLarge,
    /// There is no living instance; nothing is taken until [`Producer::restart`] has worked.
    #[error("producer is down")]
    Down,
}

/// How long [`Producer::restart`] waits for the former instance to let go of its connections.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);

// A ticket travels through librdkafka in the place of a pointer.
const _: () = assert!(usize::BITS >= u64::BITS);

/// Sends records and reports what became of them; share it in an `Arc`.
pub struct Producer {
    config: Config,
    limits: Limits,
    metrics: metrics::Kafka,
    reports: UnboundedSender<Report>,
    /// None while there is no instance: between two of them, or after a restart that failed.
    current: RwLock<Option<Arc<Instance>>>,
    restarting: Mutex<()>,
}

struct Instance {
    client: ThreadedProducer<Callbacks>,
    ledger: Arc<Ledger>,
    callbacks: Callbacks,
}

impl Producer {
    /// Makes a producer and its first instance. It does not wait for a connection.
    ///
    /// # Errors
    /// When the settings are wrong, a file of theirs cannot be read, or librdkafka refuses them.
    pub fn start(
        config: &Config,
        metrics: metrics::Kafka,
        reports: UnboundedSender<Report>,
    ) -> Result<Self, Error> {
        let limits = config.limits()?;
        metrics.queue_limit_bytes.set(i64::try_from(limits.queue_bytes).unwrap_or(i64::MAX));
        let first = Instance::start(config, &metrics, &reports)?;
        Ok(Self {
            config: config.clone(),
            limits,
            metrics,
            reports,
            current: RwLock::new(Some(Arc::new(first))),
            restarting: Mutex::new(()),
        })
    }

    /// Hands a record to the client. `ticket` must differ from all others that are on their way.
    ///
    /// # Errors
    /// When the record was not taken. An accepted ticket gets exactly one [`Report`].
    pub fn send(&self, record: &Record, ticket: u64) -> Result<(), SendError> {
        let instance = self.current().ok_or(SendError::Down)?;
        if record.size() > self.limits.queue_bytes {
            return Err(SendError::TooLarge);
        }
        instance.send(record, ticket)
    }

    /// Ends the instance, reports what was on its way as [`Refusal::Lost`], and makes another,
    /// reading the files of the settings again. Blocks for up to some seconds, until the former
    /// connections are closed: whatever is sent again must not be overtaken by its former self.
    ///
    /// # Errors
    /// When there can be no new instance. The producer is down then, and this can be called again.
    pub fn restart(&self) -> Result<(), Error> {
        let _alone = self.restarting.lock().unwrap_or_else(PoisonError::into_inner);
        self.end();
        let next = Instance::start(&self.config, &self.metrics, &self.reports)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(next));
        Ok(())
    }

    /// Whether nothing is taken until [`Self::restart`] has worked.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.current().is_none_or(|instance| instance.ledger.is_closed())
    }

    /// Waits until all that was taken is reported, or the time is over.
    pub async fn flush(&self, within: Duration) {
        let Some(instance) = self.current() else { return };
        let flush = move || instance.client.flush(within);
        // A time-out leaves the tickets open, and their owner knows which ones.
        let _ = tokio::task::spawn_blocking(flush).await;
    }

    /// Bytes that librdkafka puts into one batch; a larger record travels in a batch of its own.
    #[must_use]
    pub fn batch_bytes_max(&self) -> usize {
        self.limits.batch_bytes
    }

    fn current(&self) -> Option<Arc<Instance>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&self) {
        let former = self.current.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(former) = former else { return };
        let lost = former.ledger.close();
        former.callbacks.ended();
        // Destroying a client can wait for its broker threads, so it gets a thread and a limit.
        let (done, gone) = mpsc::channel();
        std::thread::spawn(move || {
            former.client.purge(PurgeConfig::default().queue().inflight());
            drop(former);
            let _ = done.send(());
        });
        if gone.recv_timeout(LET_GO_WITHIN).is_err() {
            tracing::warn!(lost, "the former Kafka client is slow to let go of its connections");
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Instance {
    fn start(
        config: &Config,
        metrics: &metrics::Kafka,
        reports: &UnboundedSender<Report>,
    ) -> Result<Self, Error> {
        let ledger = Arc::new(Ledger::new(reports.clone()));
        let callbacks = Callbacks::new(
            Arc::clone(&ledger),
            metrics.clone(),
            config.tokens(Some(metrics))?,
            config.mechanism(),
        );
        let client = config.producer()?.create_with_context(callbacks.clone()).map_err(Error::client)?;
        Ok(Self { client, ledger, callbacks })
    }

    fn send(&self, record: &Record, ticket: u64) -> Result<(), SendError> {
        let value_bytes = record.value.as_ref().map_or(0, bytes::Bytes::len);
        let pending = Pending {
            topic: Arc::clone(&record.topic),
            class: class(record),
            bytes: (record.key.len() + value_bytes) as u64,
            sent_at: Instant::now(),
        };
        self.ledger.enter(ticket, pending).map_err(|_| SendError::Down)?;
        let opaque = usize::try_from(ticket).expect("a pointer has at least 64 bits, asserted above");
        let mut message = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&record.topic, opaque)
            .key(&record.key)
            .headers(headers(record));
        message.payload = record.value.as_deref();
        message.partition = record.partition;
        match self.client.send(message) {
            Ok(()) => Ok(()),
            Err((error, _)) => self.not_taken(ticket, &error),
        }
    }

    /// What the client says at once. Of the topic or the record it is reported like any other
    /// refusal; of the client itself it is the caller's to know.
    fn not_taken(&self, ticket: u64, error: &KafkaError) -> Result<(), SendError> {
        let refused = match error.rdkafka_error_code() {
            Some(Code::QueueFull) => SendError::QueueFull,
            Some(Code::MessageSizeTooLarge) => SendError::TooLarge,
            Some(code) if Refusal::of(code) != Refusal::Lost => {
                self.callbacks.settle(ticket, Err(code));
                return Ok(());
            }
            Some(_) | None => SendError::Down,
        };
        let withdrawn = self.ledger.withdraw(ticket).is_some();
        if refused == SendError::Down {
            self.ledger.close();
        }
        // Closed meanwhile: the ticket was reported as lost, so it counts as taken.
        if withdrawn { Err(refused) } else { Ok(()) }
    }
}

fn headers(record: &Record) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    record
        .headers
        .iter()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// The kind of a record, as its headers say it: a topic may be called anything.
fn class(record: &Record) -> Class {
    let mut class = Class::Raw;
    for (name, value) in record.headers.iter() {
        match name {
            "dead_letter_reason" => return Class::Dlq,
            "ce_type" if value.starts_with("com.mews.entity.") => class = Class::Entity,
            _ => {}
        }
    }
    class
}

#[cfg(test)]
mod tests;
