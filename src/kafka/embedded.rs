//! A Kafka in memory, for the demo and for tests that want its faults.
//!
//! It is librdkafka's mock cluster: it speaks the real protocol on ephemeral ports of 127.0.0.1,
//! keeps about 5 MiB per partition, has no administration, no TLS and no SASL, knows no duplicates
//! of idempotent producers, and is gone when its last handle is. So it proves nothing about those.
//!
//! Guarantees: topics that it was given have the partitions they were given. Others it would make
//! with 4, but only for clients that ask for that, which those of the bridge never do.

use std::sync::Arc;

use rdkafka::{
    config::{ClientConfig, RDKafkaLogLevel},
    error::KafkaError,
    mocking::MockCluster,
    producer::{BaseProducer, DefaultProducerContext, Producer as _},
};

use super::topics::TopicSpec;

/// A handle on the cluster, which lives as long as the last of its clones.
#[derive(Clone)]
pub struct Embedded {
    /// The mock cluster belongs to this client, which can be shared between threads; the crate's
    /// own wrapper cannot.
    owner: Arc<BaseProducer>,
    bootstrap_servers: String,
}

/// Why there is no cluster, or not the topic.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka could not start it.
    #[error("the broker in memory cannot start")]
    Start(#[source] KafkaError),
    /// It did not take a topic.
    #[error("the broker in memory does not take topic {0}")]
    Topic(String, #[source] KafkaError),
}

impl Embedded {
    /// Starts that many brokers without topics.
    ///
    /// # Errors
    /// When librdkafka cannot start them.
    pub fn start(brokers: u8) -> Result<Self, Error> {
        let owner: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", "in-memory")
            .set("test.mock.num.brokers", brokers.to_string())
            // Nobody polls this client, so it must not queue up what it would like to say.
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()
            .map_err(Error::Start)?;
        let not_there = || Error::Start(KafkaError::MockCluster(rdkafka::error::RDKafkaErrorCode::Fail));
        let bootstrap_servers = owner.client().mock_cluster().ok_or_else(not_there)?.bootstrap_servers();
        Ok(Self { owner: Arc::new(owner), bootstrap_servers })
    }

    /// Brokers to ask first, `host:port` with commas between.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Makes topics, with one copy each: there is nothing that more would save.
    ///
    /// # Errors
    /// When the cluster does not take one of them; one that exists is such a case.
    pub fn create<'a>(&self, specs: impl IntoIterator<Item = &'a TopicSpec>) -> Result<(), Error> {
        specs.into_iter().try_for_each(|spec| {
            let failed = |error| Error::Topic(spec.name.to_string(), error);
            self.cluster().create_topic(&spec.name, spec.partitions, 1).map_err(failed)
        })
    }

    /// The cluster's own knobs: brokers down and up, errors and delays of requests.
    #[must_use]
    pub fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.owner.client().mock_cluster().expect("the client was made with a mock cluster, which it keeps")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::{names::TopicNames, topics};

    #[test]
    fn every_topic_has_its_partitions() {
        let broker = Embedded::start(1).unwrap();
        let names = TopicNames::new(&topics::Config { partitions: 3, ..Default::default() }, 1).unwrap();
        broker.create(names.all()).unwrap();
        let client: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
        let metadata = client.client().fetch_metadata(None, Duration::from_secs(10)).unwrap();
        assert_eq!(metadata.topics().len(), names.all().count());
        assert!(metadata.topics().iter().all(|topic| topic.partitions().len() == 3));
    }
}
