//! Kafka: settings, topics, the producer, provisioning, and a broker in memory.
//!
//! ```text
//! settings ◄ properties, security, oauth     what clients are told
//!    │      ◄ promises                       and must not be told
//!    ▼
//! producer ─ callbacks ─ ledger, refusal, link      records out, one report each
//! consumer                                          records in, for an owner without a group
//! group                                             records in, for a member of a group
//! topics ─ names                                    what topics there are
//! provision ─ plan, admin                           sees to it that they are
//! browse                                            a topic as it is now, for a person
//! embedded                                          a cluster for demo and tests
//! ```
//!
//! Guarantees: what is accepted here is delivered in order or reported, exactly once, as not
//! delivered; keys are placed as the Java client places them. The relay and the enricher send
//! through it; it knows no delivery, no event and no entity.

mod admin;
pub mod browse;
mod callbacks;
pub mod consumer;
pub mod embedded;
pub mod group;
mod ledger;
mod link;
pub mod names;
pub mod oauth;
pub mod plan;
pub mod producer;
mod promises;
pub mod properties;
pub mod provision;
pub mod record;
pub mod refusal;
pub mod security;
pub mod settings;
pub mod topics;

use rdkafka::error::KafkaError;

pub use consumer::Consumer;
pub use group::Group;
pub use names::TopicNames;
pub use producer::{Placed, Producer, Refusal, Report, SendError, TopicProblem};
pub use record::Record;
pub use settings::{Config, ConfigError};

/// Why a client does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings have to be mended.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// librdkafka cannot make a client of them: a certificate that is none, for example.
    #[error("Kafka client cannot be made: {0}")]
    Client(String),
}

impl Error {
    /// Leaves the value of a property out, which the crate's own text repeats.
    fn client(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, _, key, _) => Self::Client(format!("property {key} is refused")),
            KafkaError::ClientCreation(reason) => Self::Client(reason),
            other => Self::Client(other.to_string()),
        }
    }
}
