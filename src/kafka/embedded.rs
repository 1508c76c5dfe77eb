//! The broker in memory, for the demo and for injecting errors: librdkafka's own mock cluster.
//!
//! It listens on loopback only, keeps about 5 MiB a partition, and is gone with its handle. It has
//! no administration: topics are made here when it starts. What it promises is not what a real
//! broker promises, so nothing is proven by it that rests on one.

use std::sync::Arc;

use rdkafka::{
    config::ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, DefaultProducerContext, Producer as _},
};

use super::{Error, topics::TopicSpec};

/// A running broker; it ends when the last clone goes.
#[derive(Clone)]
pub struct Embedded(Arc<BaseProducer>);

impl Embedded {
    /// Starts one with these topics.
    ///
    /// # Errors
    /// When librdkafka cannot open its ports.
    pub fn start(topics: &[TopicSpec]) -> Result<Self, Error> {
        // A producer that is never used owns the cluster: the crate's handle cannot leave its thread.
        let owner: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", "replaced by the mock cluster's")
            .set("test.mock.num.brokers", "1")
            .create()
            .map_err(Error::client)?;
        let embedded = Self(Arc::new(owner));
        for topic in topics {
            embedded
                .with(|cluster| cluster.create_topic(&topic.name, topic.partitions, 1))
                .map_err(Error::client)?;
        }
        Ok(embedded)
    }

    /// Where it listens, `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.with(|cluster| cluster.bootstrap_servers())
    }

    /// Does something to the cluster: injects errors, takes a broker down.
    pub fn with<T>(&self, act: impl FnOnce(&MockCluster<'_, DefaultProducerContext>) -> T) -> T {
        let cluster = self.0.client().mock_cluster();
        act(&cluster.expect("the owner was made with a mock cluster"))
    }
}
