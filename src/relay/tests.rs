//! The relay as a whole, between a journal on disk and the in-memory broker of librdkafka.

use super::*;
use crate::{
    journal::disk::Real,
    kafka::{embedded::Embedded, topics},
    telemetry::metrics::{DeadLetter, Metrics, Names, Stage},
    webhook::{Content as Kind, Delivery},
};
use bytes::Bytes;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::Headers as _,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};
use tokio::{sync::mpsc::unbounded_channel, task::JoinHandle};
use uuid::Uuid;

const PARTITIONS: i32 = 3;

/// A broker in memory with all topics; it is gone with the last of its clones.
#[derive(Clone)]
struct Broker {
    embedded: Embedded,
    names: TopicNames,
}

impl Broker {
    fn start() -> Self {
        let config = topics::Config { partitions: PARTITIONS, ..topics::Config::default() };
        let names = TopicNames::new(&config, 8 << 20).unwrap();
        let embedded = Embedded::start(1).unwrap();
        embedded.create(names.all()).unwrap();
        Self { embedded, names }
    }

    /// The next requests to write are refused.
    fn refuse(&self, codes: &[RDKafkaRespErr]) {
        self.embedded.cluster().request_errors(RDKafkaApiKey::Produce, codes);
    }

    /// Everything a topic holds; of one key in order.
    fn records(&self, topic: &str) -> Vec<Seen> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.embedded.bootstrap_servers())
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
    abandon: CancellationToken,
    reconnect: Arc<Notify>,
    relay: JoinHandle<Result<Outcome, Error>>,
    leftovers: PathBuf,
    next_id: u128,
}

impl Bench {
    fn start(broker: &Broker, dir: &tempfile::TempDir, first_id: u128) -> Self {
        let metrics = Metrics::new(&Names::default());
        let config = journal::Config { dir: dir.path().join("journal"), ..journal::Config::default() };
        let opened = journal::open(&config, Arc::new(Real::default()), metrics.journal.clone()).unwrap();
        let leftovers = config.dir.join(leftovers::DIR);
        let config = kafka::Config {
            bootstrap_servers: broker.embedded.bootstrap_servers().to_owned(),
            ..kafka::Config::default()
        };
        let (to_reports, reports) = unbounded_channel();
        let (shutdown, abandon) = (CancellationToken::new(), CancellationToken::new());
        let reconnect = Arc::new(Notify::new());
        let parts = Parts {
            reader: opened.reader,
            journal: opened.handle.clone(),
            producer: Arc::new(Producer::start(&config, metrics.kafka.clone(), to_reports).unwrap()),
            reports,
            names: broker.names.clone(),
            discriminators: Discriminators::default(),
            consumer: config.clone(),
            give_up_topic_after: config.give_up_topic_after,
            journal_metrics: metrics.journal.clone(),
            kafka_metrics: metrics.kafka.clone(),
            leftovers_dir: leftovers.clone(),
            discards: discard::channel().1,
            capacities: watch::channel(Capacities::default()).1,
            reconnect: reconnect.clone(),
            abandon: abandon.clone(),
        };
        let relay = tokio::spawn(run(parts, shutdown.clone()));
        let (broker, journal) = (broker.clone(), opened.handle);
        Self { broker, journal, metrics, shutdown, abandon, reconnect, relay, leftovers, next_id: first_id }
    }

    async fn accept(&mut self, content: Kind, body: &str) {
        self.next_id += 1;
        let delivery = Delivery {
            id: Uuid::from_u128(self.next_id),
            // Of the id, so that the same delivery is the same at any time.
            accepted_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.next_id as u64),
            content,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            first_index: 0,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        self.journal.append(delivery.encode()).await.unwrap();
    }

    async fn accept_event(&mut self, n: usize, pad: &str) {
        let body = format!(
            r#"{{"EnterpriseId":"e","IntegrationId":"i","Events":[{{"Discriminator":"CustomerAdded","Value":{{"Id":"c","n":{n},"pad":"{pad}"}}}}]}}"#
        );
        self.accept(Kind::General, &body).await;
    }

    async fn drain(&mut self) -> Outcome {
        self.journal.drain();
        self.shutdown.cancel();
        self.end().await
    }

    async fn end(&mut self) -> Outcome {
        let relay = tokio::time::timeout(Duration::from_secs(60), &mut self.relay);
        relay.await.expect("ended in time").unwrap().unwrap()
    }

    fn values(&self, topic: &str) -> Vec<String> {
        self.broker.records(topic).into_iter().map(|seen| seen.value).collect()
    }

    /// The numbers of the events in their topic.
    fn numbers(&self) -> Vec<u64> {
        let number = |value: &String| {
            let value: serde_json::Value = serde_json::from_str(value).unwrap();
            value["Value"]["n"].as_u64().unwrap()
        };
        self.values("mews.events.CustomerAdded").iter().map(number).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_delivery_is_in_its_topics_when_the_journal_is_drained() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(&Broker::start(), &dir, 0);
    let events = r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[
        {"Discriminator":"CustomerAdded","Value":{ "Id":"c" }},
        {"Discriminator":"Invented","Value":[1]}, {"Discriminator":"CustomerAdded","Value":{}}]}"#;
    bench.accept(Kind::General, events).await;
    let created = r#"{"Action":"IntegrationCreated","Data":{"Enterprise":{"Id":"e"},"Integration":{"Id":"i"},"AccessToken":{"Sealed":"QQ=="}}}"#;
    bench.accept(Kind::Integration, created).await;
    let odd = Kind::Quarantined { reason: "unknown_shape".into(), detail: "odd".into() };
    bench.accept(odd, r#"{"odd":1}"#).await;

    assert_eq!(bench.drain().await, Outcome::Drained);

    assert_eq!(
        bench.values("mews.events.CustomerAdded"),
        [r#"{"EnterpriseId":"e","IntegrationId":"i","Discriminator":"CustomerAdded","Value":{ "Id":"c" }}"#]
    );
    assert_eq!(bench.values("mews.events.unrecognized").len(), 1);
    assert_eq!(bench.values("mews.quarantine").len(), 2);
    assert_eq!(
        bench.values("mews.integrations.IntegrationCreated"),
        [created.replace(r#"{"Sealed":"QQ=="}"#, r#"{"Sealed":true}"#)]
    );
    let credentials = &bench.broker.records("mews.credentials")[0];
    assert_eq!(credentials.key, "i");
    assert!(credentials.value.contains(r#""AccessToken":{"Sealed":"QQ=="}"#));
    assert_eq!(credentials.headers["ce_type"], "com.mews.integration.IntegrationCreated");
    assert_eq!(bench.metrics.kafka.raw_latency.get_sample_count(), 5);
    assert_eq!(bench.metrics.journal.oldest_pending.get(), 0.0);
    let status = bench.journal.status();
    assert_eq!((status.delivered, status.pending_records, status.unaccounted), (3, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_may_mend_lose_nothing_and_keep_the_order() {
    use RDKafkaRespErr::*;
    let (broker, dir) = (Broker::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&broker, &dir, 0);
    broker.refuse(&[
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_NO_ERROR,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    ]);
    for n in 0..100 {
        bench.accept_event(n, "").await;
    }
    assert_eq!(bench.drain().await, Outcome::Drained);
    let mut last = bench.numbers();
    // What was sent again counts where it stands last.
    last.reverse();
    let mut seen = std::collections::BTreeSet::new();
    last.retain(|n| seen.insert(*n));
    last.reverse();
    assert_eq!(last, (0..100).collect::<Vec<_>>());
    assert_eq!(bench.values("mews.dead-letters").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_not_even_the_dead_letters_take_is_in_a_file_before_it_completes() {
    let (broker, dir) = (Broker::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&broker, &dir, 0);
    broker.refuse(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2]);
    let pad = "x".repeat(600_000);
    bench.accept_event(1, &pad).await;
    while bench.metrics.kafka.dead_letters.of(Stage::Relay, DeadLetter::TooLarge).get() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.drain().await, Outcome::Drained);
    let kept: Vec<_> = leftovers::list(&bench.leftovers)
        .unwrap()
        .iter()
        .map(|path| leftovers::read(path).unwrap())
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].header("dead_letter_reason"), Some("too_large"));
    assert_eq!(kept[0].header("dead_letter_topic"), Some("mews.events.CustomerAdded"));
    assert_eq!((bench.numbers().len(), bench.values("mews.dead-letters").len()), (0, 0));
    assert_eq!(bench.journal.status().dead_lettered, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_abandoned_is_delivered_after_the_next_start() {
    let (broker, dir) = (Broker::start(), tempfile::tempdir().unwrap());
    broker.embedded.cluster().broker_down(-1).unwrap();
    let mut bench = Bench::start(&broker, &dir, 0);
    for n in 0..20 {
        bench.accept_event(n, "").await;
    }
    bench.abandon.cancel();
    let Outcome::Abandoned { .. } = bench.end().await else { panic!("drained without a broker") };
    bench.journal.clone().close().await.unwrap();
    drop(bench);

    broker.embedded.cluster().broker_up(-1).unwrap();
    let mut bench = Bench::start(&broker, &dir, 0);
    assert_eq!(bench.drain().await, Outcome::Drained);
    assert_eq!(bench.numbers(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_leave_a_last_record_that_holds_what_both_know() {
    let broker = Broker::start();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut benches = [Bench::start(&broker, &dirs[0], 0), Bench::start(&broker, &dirs[1], 1000)];
    let webhook = |n: usize, action: &str, more: &str| {
        format!(r#"{{"Action":"{action}","Data":{{"Integration":{{"Id":"i{n}"}}{more}}}}}"#)
    };
    for n in 0..5 {
        let created = webhook(n, "IntegrationCreated", r#","AccessToken":{"Sealed":"QQ=="}"#);
        benches[n % 2].accept(Kind::Integration, &created).await;
        benches[(n + 1) % 2].accept(Kind::Integration, &webhook(n, "IntegrationDisabled", "")).await;
    }
    let [a, b] = &mut benches;
    assert_eq!(tokio::join!(a.drain(), b.drain()), (Outcome::Drained, Outcome::Drained));
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for seen in broker.records("mews.credentials") {
        last.insert(seen.key, seen.value);
    }
    assert_eq!(last.len(), 5);
    for (integration, value) in last {
        assert!(value.contains("Sealed") && value.contains("StateUtc"), "{integration}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_that_the_topic_holds_already_are_not_written_again() {
    let broker = Broker::start();
    let disabled = r#"{"Action":"IntegrationDisabled","Data":{"Integration":{"Id":"i"}}}"#;
    // The same delivery twice, as after a crash before the cursor was saved.
    for _ in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench::start(&broker, &dir, 7);
        bench.accept(Kind::Integration, disabled).await;
        assert_eq!(bench.drain().await, Outcome::Drained);
    }
    assert_eq!(broker.records("mews.integrations.IntegrationDisabled").len(), 2);
    assert_eq!(broker.records("mews.credentials").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_sends_what_the_former_one_held_and_keeps_the_order() {
    let (broker, dir) = (Broker::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&broker, &dir, 0);
    for n in 0..300 {
        bench.accept_event(n, "").await;
        if n % 100 == 50 {
            bench.reconnect.notify_one();
        }
    }
    assert_eq!(bench.drain().await, Outcome::Drained);
    let mut seen = std::collections::BTreeSet::new();
    let mut first = bench.numbers();
    first.retain(|n| seen.insert(*n));
    assert_eq!(first, (0..300).collect::<Vec<_>>());
}
