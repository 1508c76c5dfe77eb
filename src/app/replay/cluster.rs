//! What the cluster has, asked once before anything is sent.
//!
//! So a command without Kafka says so within seconds, and a topic that is missing is told of at once,
//! where a producer would wait for it.

use tokio::runtime::Runtime;

use super::Fate;
use crate::{
    app::{Failure, ingress, topics},
    config::Config,
    kafka::{
        TopicNames,
        provision::{self, Inspection},
    },
    relay::capacity::Capacities,
};

/// What was found.
pub struct Cluster(Inspection);

impl Cluster {
    /// Asks for the topics that the ingress writes.
    ///
    /// # Errors
    /// When Kafka does not answer, or the settings are wrong.
    pub fn ask(config: &Config, names: &TopicNames, runtime: &Runtime) -> Result<Self, Failure> {
        let specs = names.written_by_ingress();
        let inspected = provision::inspect(&config.kafka, &specs);
        runtime.block_on(inspected).map(Self).map_err(topics::failure)
    }

    /// Why nothing can be sent to a topic, if that is so.
    #[must_use]
    pub fn refusal(&self, topic: &str) -> Option<Fate> {
        let is_there = self.0.observed.partitions.contains_key(topic);
        (!is_there)
            .then(|| Fate::Refused(format!("topic {topic} is missing: see topics plan, and topics apply")))
    }

    /// What brokers say of the topics.
    #[must_use]
    pub fn capacities(&self) -> Capacities {
        ingress::capacities(&self.0)
    }
}
