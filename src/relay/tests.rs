//! The relay as a whole, between a journal on disk and the in-memory broker of librdkafka.

use super::*;
use crate::{
    telemetry::metrics::{Metrics, Names},
    webhook::{Content as Kind, Delivery},
};
use bytes::Bytes;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
    producer::{DefaultProducerContext, ThreadedProducer},
};
use std::collections::BTreeMap;
use uuid::Uuid;

const PARTITIONS: i32 = 3;
const ALL: [&str; 6] = [
    "mews.events.CustomerAdded",
    "mews.events.unrecognized",
    "mews.integrations.IntegrationCreated",
    "mews.credentials",
    "mews.quarantine",
    "mews.dead-letters",
];

/// A broker in memory; it is gone with this value.
struct Broker {
    owner: ThreadedProducer<DefaultProducerContext>,
    bootstrap: String,
}

impl Broker {
    fn start() -> Self {
        let owner: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", "replaced")
            .set("test.mock.num.brokers", "1")
            .create()
            .unwrap();
        let bootstrap = Self::mock(&owner, |mock| {
            for topic in ALL {
                mock.create_topic(topic, PARTITIONS, 1).unwrap();
            }
            mock.bootstrap_servers()
        });
        Self { owner, bootstrap }
    }

    fn mock<T>(
        owner: &ThreadedProducer<DefaultProducerContext>,
        ask: impl FnOnce(&rdkafka::mocking::MockCluster<'_, DefaultProducerContext>) -> T,
    ) -> T {
        use rdkafka::producer::Producer as _;
        ask(&owner.client().mock_cluster().unwrap())
    }

    fn with<T>(
        &self,
        ask: impl FnOnce(&rdkafka::mocking::MockCluster<'_, DefaultProducerContext>) -> T,
    ) -> T {
        Self::mock(&self.owner, ask)
    }

    /// Everything a topic holds; of one key in order.
    fn records(&self, topic: &str) -> Vec<Seen> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "test")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        let mut owed = 0;
        for partition in 0..PARTITIONS {
            let (_, end) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10)).unwrap();
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            owed += usize::try_from(end).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(20);
        while seen.len() < owed {
            assert!(Instant::now() < deadline, "{} of {owed} records of {topic}", seen.len());
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                seen.push(Seen::of(&message.unwrap()));
            }
        }
        seen
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    key: String,
    value: String,
    headers: BTreeMap<String, String>,
}

impl Seen {
    fn of(message: &rdkafka::message::BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = message.headers().unwrap().iter();
        Self {
            key: text(message.key().unwrap()),
            value: text(message.payload().unwrap_or_default()),
            headers: headers
                .map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default())))
                .collect(),
        }
    }
}

/// A relay at work between a journal and a broker.
struct Bench {
    broker: Broker,
    journal: journal::Handle,
    metrics: Metrics,
    shutdown: CancellationToken,
    relay: JoinHandle<Result<Outcome, Error>>,
    dir: tempfile::TempDir,
    next_id: u128,
}

impl Bench {
    fn start() -> Self {
        Self::start_with(Duration::from_secs(600))
    }

    fn start_with(give_up_topic_after: Duration) -> Self {
        let (broker, dir) = (Broker::start(), tempfile::tempdir().unwrap());
        let metrics = Metrics::new(&Names::default());
        let opened = {
            let config = journal::Config { dir: dir.path().join("journal"), ..journal::Config::default() };
            journal::open(&config, Arc::new(journal::disk::Real), metrics.journal.clone()).unwrap()
        };
        let config =
            kafka::Config { bootstrap_servers: broker.bootstrap.clone(), ..kafka::Config::default() };
        let (to_reports, reports) = unbounded_channel();
        let (_, discards) = discard::channel();
        let parts = Parts {
            reader: opened.reader,
            journal: opened.handle.clone(),
            producer: Arc::new(Producer::start(&config, metrics.kafka.clone(), to_reports).unwrap()),
            reports,
            discards,
            names: TopicNames::new(&kafka::topics::Config::default(), 8 << 20).unwrap(),
            discriminators: Discriminators::default(),
            consumer: config.consumer().unwrap(),
            give_up_topic_after,
            journal_metrics: metrics.journal.clone(),
            kafka_metrics: metrics.kafka.clone(),
            leftovers_dir: dir.path().join("journal").join(leftovers::DIR),
            abandon: CancellationToken::new(),
        };
        let shutdown = CancellationToken::new();
        let relay = tokio::spawn(run(parts, shutdown.clone()));
        Self { broker, journal: opened.handle, metrics, shutdown, relay, dir, next_id: 0 }
    }

    async fn accept(&mut self, content: Kind, body: &str) {
        self.next_id += 1;
        let delivery = Delivery {
            id: Uuid::from_u128(self.next_id),
            accepted_at: SystemTime::now(),
            content,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        self.journal.append(delivery.encode()).await.unwrap();
    }

    async fn drain(&mut self) -> Outcome {
        self.journal.drain();
        self.shutdown.cancel();
        let relay = tokio::time::timeout(Duration::from_secs(30), &mut self.relay);
        relay.await.expect("drained in time").unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_delivery_is_in_its_topics_when_the_journal_is_drained() {
    let mut bench = Bench::start();
    let events = r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[
        {"Discriminator":"CustomerAdded","Value":{ "Id":"c" }},
        {"Discriminator":"Invented","Value":[1]}, {"Discriminator":"CustomerAdded","Value":{}}]}"#;
    bench.accept(Kind::General, events).await;
    let created = r#"{"Action":"IntegrationCreated","Data":{"Enterprise":{"Id":"e"},"Integration":{"Id":"i"},"AccessToken":{"Sealed":"QQ=="}}}"#;
    bench.accept(Kind::Integration, created).await;
    let odd = Kind::Quarantined { reason: "unknown_shape".into(), detail: "odd".into() };
    bench.accept(odd, r#"{"odd":1}"#).await;

    assert_eq!(bench.drain().await, Outcome::Drained);

    let values = |topic: &str| -> Vec<String> {
        bench.broker.records(topic).into_iter().map(|seen| seen.value).collect()
    };
    assert_eq!(
        values("mews.events.CustomerAdded"),
        [r#"{"EnterpriseId":"e","IntegrationId":"i","Discriminator":"CustomerAdded","Value":{ "Id":"c" }}"#]
    );
    assert_eq!(values("mews.events.unrecognized").len(), 1);
    assert_eq!(values("mews.quarantine").len(), 2);
    assert_eq!(
        values("mews.integrations.IntegrationCreated"),
        [created.replace(r#"{"Sealed":"QQ=="}"#, r#"{"Sealed":true}"#)]
    );
    let credentials = &bench.broker.records("mews.credentials")[0];
    assert_eq!(credentials.key, "i");
    assert!(credentials.value.contains(r#""AccessToken":{"Sealed":"QQ=="}"#));
    assert_eq!(credentials.headers["ce_type"], "com.mews.integration.IntegrationCreated");
    assert_eq!(bench.metrics.kafka.raw_latency.get_sample_count(), 5);
    assert_eq!(bench.metrics.journal.oldest_pending.get(), 0.0);
}
