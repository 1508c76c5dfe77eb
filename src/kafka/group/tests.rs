//! On the broker in memory, which speaks both protocols; `tests/kafka/group.rs` has the real one.
//!
//! In the new protocol its groups are settled at once. In the classic one a group begins 3 s after its first
//! member has come, and any other member waits out most of the session timeout.

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::*;
use crate::{
    kafka::embedded::Embedded,
    telemetry::metrics::{Metrics, Names},
};

const WITHIN: Duration = Duration::from_secs(20);

struct Kafka {
    broker: Embedded,
    producer: BaseProducer,
}

impl Kafka {
    /// A broker with `events` and `parked`.
    fn start(partitions: i32) -> Self {
        let broker = Embedded::start(1).unwrap();
        for name in ["events", "parked"] {
            broker.cluster().create_topic(name, partitions, 1).unwrap();
        }
        let producer =
            ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
        Self { broker, producer }
    }

    fn write(&self, topic: &str, partition: i32, records: usize) {
        for n in 0..records {
            let value = n.to_string();
            let mut record = BaseRecord::<(), _>::to(topic).partition(partition).payload(&value);
            while let Err((_, full)) = self.producer.send(record) {
                self.producer.poll(Duration::from_millis(10));
                record = full;
            }
        }
        self.producer.flush(WITHIN).unwrap();
    }

    fn member(&self, protocol: Protocol) -> Member {
        let metrics = Metrics::new(&Names::default());
        let mut config =
            Config { bootstrap_servers: self.broker.bootstrap_servers().to_owned(), ..Config::default() };
        if protocol == Protocol::Classic {
            config.properties.set("session.timeout.ms", "2500");
            config.properties.set("heartbeat.interval.ms", "200");
        }
        let settings = Settings {
            group_id: "test".to_owned(),
            protocol,
            topics: vec!["events".into()],
            replayed: vec!["parked".into()],
        };
        let (group, happenings) = Group::start(&config, settings, metrics.enricher.clone()).unwrap();
        Member { group, happenings, metrics }
    }
}

struct Member {
    group: Group,
    happenings: Receiver<Happening>,
    metrics: Metrics,
}

impl Member {
    async fn next(&mut self) -> Happening {
        let next = tokio::time::timeout(WITHIN, self.happenings.recv()).await;
        next.expect("something happens in time").expect("the thread lives")
    }

    async fn assigned(&mut self) -> Vec<Place> {
        match self.next().await {
            Happening::Assigned(places) => places,
            other => panic!("{other:?}"),
        }
    }

    /// The offsets read of a topic, until there are so many.
    async fn read(&mut self, topic: &str, records: usize) -> Vec<i64> {
        let mut offsets = Vec::new();
        while offsets.len() < records {
            if let Happening::Records(batch) = self.next().await {
                offsets.extend(batch.iter().filter(|each| &*each.topic == topic).map(|each| each.offset));
            }
        }
        offsets
    }

    /// Reads until a replay is over, and gives its records' offsets.
    async fn replay(&mut self) -> Vec<i64> {
        let mut offsets = Vec::new();
        loop {
            match self.next().await {
                Happening::Records(batch) => {
                    let parked = batch.iter().filter(|each| &*each.topic == "parked");
                    offsets.extend(parked.map(|each| each.offset));
                }
                Happening::ReplayedToEnd(place) => {
                    assert_eq!(place, at("parked", 0));
                    return offsets;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Ends, and answers what is asked back with these offsets.
    async fn end(mut self, offsets: Vec<(Place, i64)>) {
        let ending = tokio::spawn(self.group.end());
        while let Some(happening) = self.happenings.recv().await {
            if let Happening::Revoked { release, .. } = happening {
                release.with(offsets.clone());
            }
        }
        ending.await.unwrap();
    }
}

fn at(topic: &str, partition: i32) -> Place {
    Place { topic: topic.into(), partition }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_broker_that_has_the_new_protocol_is_spoken_to_in_it() {
    let kafka = Kafka::start(1);
    let mut member = kafka.member(Protocol::Auto);
    assert_eq!((member.group.protocol(), member.group.consuming().is_err()), (None, true));
    assert_eq!(member.assigned().await.len(), 2);
    assert_eq!(member.group.protocol(), Some("consumer"));
    assert_eq!(member.group.consuming(), Ok(()));
    member.end(vec![]).await;
}

#[tokio::test]
async fn what_a_release_says_is_where_the_next_member_begins() {
    let kafka = Kafka::start(1);
    kafka.write("events", 0, 10);
    let mut first = kafka.member(Protocol::Classic);
    first.assigned().await;
    assert_eq!(first.read("events", 10).await, (0..10).collect::<Vec<_>>());
    first.group.commit(vec![(at("events", 0), 2)]);
    first.end(vec![(at("events", 0), 4), (at("parked", 0), 1)]).await;
    let mut second = kafka.member(Protocol::Classic);
    second.assigned().await;
    assert_eq!(second.read("events", 6).await, (4..10).collect::<Vec<_>>());
    second.end(vec![]).await;
}

#[tokio::test]
async fn a_commit_counts_without_a_release() {
    let kafka = Kafka::start(1);
    kafka.write("events", 0, 10);
    let mut first = kafka.member(Protocol::Consumer);
    first.assigned().await;
    first.read("events", 10).await;
    first.group.commit(vec![(at("events", 0), 3), (at("events", 7), 1)]);
    let commits = first.metrics.enricher.commits.clone();
    until("the commit is answered", || commits.of(metrics::enricher::Commit::Ok).get() == 1).await;
    // As a process that dies: nobody is asked.
    drop(first);
    let mut second = kafka.member(Protocol::Consumer);
    second.assigned().await;
    assert_eq!(second.read("events", 7).await, (3..10).collect::<Vec<_>>());
    second.end(vec![]).await;
}

#[tokio::test]
async fn a_replayed_topic_is_read_from_its_beginning_as_often_as_asked() {
    let kafka = Kafka::start(1);
    kafka.write("parked", 0, 5);
    let mut member = kafka.member(Protocol::Consumer);
    member.assigned().await;
    assert_eq!(member.replay().await, [0, 1, 2, 3, 4]);
    kafka.write("parked", 0, 1);
    assert_eq!(member.read("parked", 1).await, [5]);
    member.group.rewind(vec![at("parked", 0), at("events", 0)]);
    assert_eq!(member.replay().await, [0, 1, 2, 3, 4, 5]);
    member.group.pause(vec![at("parked", 0)]);
    member.group.rewind(vec![at("parked", 0)]);
    member.group.resume(vec![at("parked", 0)]);
    assert_eq!(member.replay().await, [0, 1, 2, 3, 4, 5]);
    member.end(vec![]).await;
}

#[tokio::test]
async fn an_empty_replayed_topic_is_at_its_end() {
    let kafka = Kafka::start(1);
    let mut member = kafka.member(Protocol::Consumer);
    member.assigned().await;
    assert!(member.replay().await.is_empty());
    member.end(vec![]).await;
}

#[tokio::test]
async fn a_paused_partition_stays_paused_while_the_channel_fills_and_empties() {
    let kafka = Kafka::start(2);
    let mut member = kafka.member(Protocol::Consumer);
    member.assigned().await;
    member.group.pause(vec![at("events", 1)]);
    kafka.write("events", 1, 5);
    let records = RECORDS * (BATCHES_MAX + 4);
    kafka.write("events", 0, records);
    until("the channel is full", || member.happenings.len() == BATCHES_MAX).await;
    let mut offsets = Vec::new();
    while offsets.len() < records {
        if let Happening::Records(batch) = member.next().await {
            assert!(batch.iter().all(|each| each.partition == 0));
            offsets.extend(batch.iter().map(|each| each.offset));
        }
    }
    assert!(offsets.iter().enumerate().all(|(at, offset)| at as i64 == *offset), "each once, in order");
    member.group.resume(vec![at("events", 1)]);
    assert_eq!(member.read("events", 5).await, [0, 1, 2, 3, 4]);
    member.end(vec![]).await;
}

/// As many as are handed over at once.
const RECORDS: usize = 500;

#[tokio::test]
async fn who_does_not_read_stays_a_member() {
    let kafka = Kafka::start(1);
    let records = RECORDS * (BATCHES_MAX + 4);
    kafka.write("events", 0, records);
    let mut lazy = kafka.member(Protocol::Consumer);
    until("the channel is full", || lazy.happenings.len() == BATCHES_MAX).await;
    let polled_at = lazy.group.polled_at();
    until("the thread comes round", || lazy.group.polled_at() > polled_at).await;
    assert_eq!(lazy.group.consuming(), Ok(()));
    assert_eq!(lazy.read("events", records).await, (0..records as i64).collect::<Vec<_>>());
    lazy.end(vec![]).await;
}

#[tokio::test]
async fn a_renewed_member_gives_back_and_reads_on_with_another_client() {
    let kafka = Kafka::start(1);
    kafka.write("events", 0, 4);
    let mut member = kafka.member(Protocol::Classic);
    member.assigned().await;
    member.read("events", 4).await;
    member.group.renew();
    loop {
        match member.next().await {
            Happening::Revoked { release, .. } => {
                release.with(vec![(at("events", 0), 3)]);
                break;
            }
            Happening::ReplayedToEnd(_) => {}
            other => panic!("{other:?}"),
        }
    }
    member.assigned().await;
    assert_eq!(member.read("events", 1).await, [3]);
    member.end(vec![]).await;
}

#[tokio::test]
async fn a_member_that_dropped_its_receiver_ends() {
    let kafka = Kafka::start(1);
    let mut member = kafka.member(Protocol::Consumer);
    member.assigned().await;
    drop(member.happenings);
    member.group.end().await;
}

#[test]
fn settings_that_no_client_can_have_are_told_at_once() {
    let mut config = Config::default();
    config.properties.set("session.timeout.ms", "10000");
    let settings =
        |protocol| Settings { group_id: "test".to_owned(), protocol, topics: vec![], replayed: vec![] };
    let refused = |protocol| {
        let metrics = Metrics::new(&Names::default()).enricher;
        Group::start(&config, settings(protocol), metrics).err().map(|error| error.to_string())
    };
    assert!(refused(Protocol::Consumer).is_some_and(|why| why.contains("session.timeout.ms")));
    assert_eq!((refused(Protocol::Classic), refused(Protocol::Auto)), (None, None));
}
