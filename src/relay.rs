//! Relay: takes accepted deliveries from the journal and brings their records to Kafka.
//!
//! ```text
//!  journal::Reader ── fan_out ──► deliver: one lane a topic ──► kafka::Producer
//!        ▲   ▲                      │    ▲                           │
//!        │   └── refetch ◄──────────┘    └───────── reports ◄────────┘
//!        │                          ├──► credentials: merge ──► mews.credentials
//!        │                          └──► leftovers: what not even the dead letters take
//!        └── complete ◄── cursor ◄── settled
//! ```
//!
//! Guarantees: a delivery is completed in the journal only when every record it owes is
//! acknowledged by Kafka, dead-lettered and that acknowledged, or kept in a file; on a topic the
//! records of a key keep the order in which they were accepted; a topic that is not to be had does
//! not hold back the others; memory is bounded, and at the bound the journal is not read. The app
//! runs it; it never answers Mews, never reads a secret, and never gives up an accepted delivery
//! unless an operator asks it to by name.

pub mod leftovers;

mod acquaintance;
pub mod capacity;
mod credentials;
mod cursor;
mod dead_letter;
mod deliver;
pub mod discard;
mod draft;
mod fan_out;
mod hold;
mod item;
mod lane;
mod notice;
mod open;
mod shell;
mod value;
mod verdict;
mod view;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{
    Notify,
    mpsc::{Receiver, UnboundedReceiver},
    watch,
};
use tokio_util::sync::CancellationToken;

use capacity::Capacities;
use discard::Discard;

use crate::{
    journal,
    kafka::{self, Producer, Report, TopicNames},
    telemetry::metrics,
    webhook::Discriminators,
};

/// What the relay works with.
pub struct Parts {
    /// Gives deliveries in the order in which they were accepted.
    pub reader: journal::Reader,
    /// Is told how far they are delivered.
    pub journal: journal::Handle,
    /// Takes records.
    pub producer: Arc<Producer>,
    /// What the producer reports.
    pub reports: UnboundedReceiver<Report>,
    /// Deliveries that an operator gives up.
    pub discards: Receiver<Discard>,
    /// How topics are called.
    pub names: TopicNames,
    /// Which discriminators have a topic.
    pub discriminators: Discriminators,
    /// Settings of the consumer that reads `mews.credentials`.
    pub consumer: kafka::Config,
    /// `kafka.give_up_topic_after`.
    pub give_up_topic_after: Duration,
    /// When the oldest pending delivery was accepted.
    pub journal_metrics: metrics::Journal,
    /// Latency and dead letters.
    pub kafka_metrics: metrics::Kafka,
    /// [`leftovers::DIR`] in the journal's directory.
    pub leftovers_dir: PathBuf,
    /// What brokers have said of the topics.
    pub capacities: watch::Receiver<Capacities>,
    /// Asks for a new client, as after a change of the files that its settings name. Only the relay
    /// may restart the producer: it has to know before anything is sent to the new client.
    pub reconnect: Arc<Notify>,
    /// Ends the relay at once; what is not delivered stays in the journal.
    pub abandon: CancellationToken,
}

/// How the relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The journal is drained.
    Drained,
    /// It was abandoned with so many deliveries read and not completed.
    Abandoned {
        /// Those deliveries; the journal may hold more that were not read.
        pending: usize,
    },
}

/// Why the relay cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be read.
    #[error("journal cannot be read")]
    Journal(#[from] journal::ReadError),
    /// What was read back is not what had been put aside.
    #[error("delivery {0} is not what it was when it was first read")]
    Changed(journal::Sequence),
    /// A part of the relay ended that never should.
    #[error("the relay's {0} ended unasked")]
    Ended(&'static str),
}

/// Relays until `shutdown` is asked for and the journal is drained, or until it is abandoned.
///
/// Ask the journal to drain first. How long to wait is the caller's to decide. Dropping the future
/// loses nothing: what was not completed is delivered after the next start.
///
/// # Errors
/// When the journal cannot be read, or something is broken.
pub async fn run(parts: Parts, shutdown: CancellationToken) -> Result<Outcome, Error> {
    shell::Shell::new(parts).run(shutdown).await
}

/// The topics of the records that a payload of the journal owes, in their order.
#[must_use]
pub fn topics(payload: &Bytes, discriminators: &Discriminators, names: &TopicNames) -> Vec<Arc<str>> {
    let owed = fan_out::fan_out(payload, discriminators);
    owed.drafts.iter().chain(&owed.news).map(|draft| draft.topic(names)).collect()
}

#[cfg(test)]
mod tests;
