//! A member of a consumer group, in both protocols: who reads what, what is committed, and what it lives through.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice::from_ref,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mews_bridge::{
    kafka::{
        Config,
        embedded::Embedded,
        group::{Group, Happening, Place, Protocol, Settings},
    },
    telemetry::metrics::{Metrics, Names, enricher::Commit},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tokio::{sync::mpsc::Receiver, task::JoinHandle, time::timeout};

use crate::{
    cluster::{Cluster, unique_prefix},
    reader,
};

const BOTH: [Protocol; 2] = [Protocol::Consumer, Protocol::Classic];
const CLIENT: &str = "the settings are right";
const TAKEN: &str = "Kafka takes records";
const SEEN: &str = "no owner panics while it is held";
const WITHIN: Duration = Duration::from_secs(40);
/// How soon others get what a member leaves behind: a heartbeat or two of 500 ms, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Topics and a group that no other test has.
struct Scene {
    bootstrap: String,
    prefix: String,
    protocol: Protocol,
    properties: Vec<(&'static str, &'static str)>,
}

impl Scene {
    fn new(bootstrap: String, protocol: Protocol) -> Self {
        Self { bootstrap, prefix: unique_prefix("group"), protocol, properties: Vec::new() }
    }

    fn with(mut self, key: &'static str, value: &'static str) -> Self {
        self.properties.push((key, value));
        self
    }

    fn topic(&self, name: &str) -> Arc<str> {
        format!("{}.{name}", self.prefix).into()
    }

    fn create(&self, name: &str, partitions: i32) {
        reader::shared().create(&self.bootstrap, &self.topic(name), partitions, &[]);
    }

    fn create_all(&self, names: &[&str], partitions: i32) {
        names.iter().for_each(|name| self.create(name, partitions));
    }

    fn at(&self, name: &str, partition: i32) -> Place {
        Place { topic: self.topic(name), partition }
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.bootstrap).set("group.id", &self.prefix);
        client
    }

    fn write(&self, name: &str, partition: i32, records: usize) {
        let producer: BaseProducer = self.client().create().expect(CLIENT);
        for n in 0..records {
            send(&producer, &self.topic(name), partition, n);
        }
        producer.flush(WITHIN).expect(TAKEN);
    }

    /// What the group has committed.
    fn committed(&self, place: &Place) -> Option<i64> {
        let consumer: BaseConsumer = self.client().create().expect(CLIENT);
        let mut list = TopicPartitionList::new();
        list.add_partition(&place.topic, place.partition);
        let list = consumer.committed_offsets(list, WITHIN).expect("Kafka says what is committed");
        match list.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    /// Commits as a client that is no member.
    fn commit(&self, place: &Place, offset: i64) {
        let consumer: BaseConsumer = self.client().create().expect(CLIENT);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(offset)).expect(CLIENT);
        consumer.commit(&list, CommitMode::Sync).expect("the group has no member");
    }

    /// How many records a partition has got.
    fn written(&self, place: &Place) -> i64 {
        let consumer: BaseConsumer = self.client().create().expect(CLIENT);
        consumer.fetch_watermarks(&place.topic, place.partition, WITHIN).expect("Kafka says what is there").1
    }

    /// A member that reads topics on, and replays others.
    fn member(&self, topics: &[&str], replayed: &[&str]) -> Member {
        let mut config = Config { bootstrap_servers: self.bootstrap.clone(), ..Config::default() };
        for (key, value) in &self.properties {
            config.properties.set(key, *value);
        }
        let names = |names: &[&str]| names.iter().map(|name| self.topic(name)).collect();
        let settings = Settings {
            group_id: self.prefix.clone(),
            protocol: self.protocol,
            topics: names(topics),
            replayed: names(replayed),
        };
        let metrics = Metrics::new(&Names::default());
        let (group, happenings) = Group::start(&config, settings, metrics.enricher.clone()).expect(CLIENT);
        Member { group, happenings, metrics }
    }

    /// A member whose owner takes in all and gives all back as asked.
    fn diligent(&self, topics: &[&str]) -> Diligent {
        Diligent::new(self.member(topics, &[]))
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, n: usize) {
    let value = n.to_string();
    let mut record = BaseRecord::<(), _>::to(topic).partition(partition).payload(&value);
    while let Err((_, full)) = producer.send(record) {
        producer.poll(Duration::from_millis(10));
        record = full;
    }
}

struct Member {
    group: Group,
    happenings: Receiver<Happening>,
    metrics: Metrics,
}

impl Member {
    async fn next(&mut self) -> Happening {
        let next = timeout(WITHIN, self.happenings.recv()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing happens: {:?}", self.group.consuming()));
        next.expect("the thread lives")
    }

    async fn assigned(&mut self) -> Vec<Place> {
        loop {
            match self.next().await {
                Happening::Assigned(places) => return places,
                Happening::Records(_) | Happening::ReplayedToEnd(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next offsets of a place, so many.
    async fn read(&mut self, of: &Place, records: usize) -> Vec<i64> {
        let mut offsets = Vec::new();
        while offsets.len() < records {
            match self.next().await {
                Happening::Records(batch) => {
                    let wanted = batch.iter().filter(|each| each.place() == *of);
                    offsets.extend(wanted.map(|each| each.offset));
                }
                Happening::ReplayedToEnd(_) => {}
                other => panic!("{other:?}"),
            }
        }
        offsets
    }

    /// The offsets of a place up to where its replay ends.
    async fn replay(&mut self, of: &Place) -> Vec<i64> {
        let mut offsets = Vec::new();
        loop {
            match self.next().await {
                Happening::Records(batch) => {
                    let wanted = batch.iter().filter(|each| each.place() == *of);
                    offsets.extend(wanted.map(|each| each.offset));
                }
                Happening::ReplayedToEnd(place) if place == *of => return offsets,
                Happening::ReplayedToEnd(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Ends, and gives all back with these offsets.
    async fn end(self, offsets: Vec<(Place, i64)>) {
        let Self { group, mut happenings, metrics: _ } = self;
        let ending = tokio::spawn(group.end());
        while let Some(happening) = happenings.recv().await {
            if let Happening::Revoked { release, .. } = happening {
                release.with(offsets.clone());
            }
        }
        ending.await.expect("ending does not panic");
    }
}

#[derive(Default)]
struct Seen {
    /// What is this member's, and from where it would be read on.
    own: BTreeMap<Place, Option<i64>>,
    records: Vec<(Place, i64)>,
}

struct Diligent {
    group: Group,
    seen: Arc<Mutex<Seen>>,
    owner: JoinHandle<()>,
}

impl Diligent {
    fn new(member: Member) -> Self {
        let Member { group, mut happenings, metrics: _ } = member;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let own = Arc::clone(&seen);
        let owner = tokio::spawn(async move {
            while let Some(happening) = happenings.recv().await {
                own.lock().expect(SEEN).happened(happening);
            }
        });
        Self { group, seen, owner }
    }

    fn own(&self) -> BTreeSet<Place> {
        self.seen.lock().expect(SEEN).own.keys().cloned().collect()
    }

    fn records(&self) -> Vec<(Place, i64)> {
        assert!(!self.owner.is_finished(), "the owner of a member met what should not be");
        self.seen.lock().expect(SEEN).records.clone()
    }

    /// Ends, and gives all records that were read.
    async fn end(self) -> Vec<(Place, i64)> {
        self.group.end().await;
        self.owner.await.expect("the owner met nothing that should not be");
        let seen = Arc::into_inner(self.seen).expect("the owner has ended");
        seen.into_inner().expect(SEEN).records
    }
}

impl Seen {
    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Assigned(places) => {
                for place in places {
                    assert!(self.own.insert(place.clone(), None).is_none(), "{place:?} was there already");
                }
            }
            Happening::Records(records) => {
                for record in records {
                    let next = self.own.get_mut(&record.place());
                    *next.expect("records are of what is assigned") = Some(record.offset + 1);
                    self.records.push((record.place(), record.offset));
                }
            }
            Happening::Revoked { places, release } => {
                let next = places.iter().filter_map(|place| Some((place.clone(), self.own.remove(place)??)));
                release.with(next.collect());
            }
            Happening::Lost(places) => panic!("{places:?} were lost"),
            Happening::ReplayedToEnd(place) => panic!("{place:?} is not replayed"),
        }
    }
}

/// Looks until something holds.
async fn until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Each member has so many partitions of each topic, and the same of every topic.
async fn until_shared(scene: &Scene, members: &[&Diligent], partitions: usize) {
    let of = |member: &Diligent, topic: &str| -> BTreeSet<i32> {
        let topic = scene.topic(topic);
        member.own().iter().filter(|place| place.topic == topic).map(|place| place.partition).collect()
    };
    until("the partitions are dealt", WITHIN, || {
        members.iter().all(|member| {
            let (a, b) = (of(member, "a"), of(member, "b"));
            a.len() == partitions && a == b && member.group.consuming().is_ok()
        })
    })
    .await;
}

/// Writes to all partitions of both topics until it is stopped.
fn load(scene: &Scene, partitions: i32) -> impl FnOnce() + use<> {
    let producer: BaseProducer = scene.client().create().expect(CLIENT);
    let topics = [scene.topic("a"), scene.topic("b")];
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        for n in 0.. {
            for topic in &topics {
                (0..partitions).for_each(|partition| send(&producer, topic, partition, n));
            }
            producer.poll(Duration::ZERO);
            if stopped.recv_timeout(Duration::from_millis(20)).is_ok() {
                break;
            }
        }
        producer.flush(WITHIN).expect(TAKEN);
    });
    move || {
        stop.send(()).expect("the writer waits for it");
        writer.join().expect("all is written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_come_and_go_under_load_share_by_range_and_read_each_record_once() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create_all(&["a", "b"], 6);
        let stop = load(&scene, 6);
        let first = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&first], 6).await;
        let second = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&first, &second], 3).await;
        let third = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&first, &second, &third], 2).await;
        let mut read = first.end().await;
        until_shared(&scene, &[&second, &third], 3).await;
        read.extend(second.end().await);
        until_shared(&scene, &[&third], 6).await;
        stop();
        let places: Vec<_> = ["a", "b"].iter().flat_map(|topic| (0..6).map(|n| scene.at(topic, n))).collect();
        let written: usize = places.iter().map(|place| usize::try_from(scene.written(place)).unwrap()).sum();
        let before = read.len();
        until("all is read", WITHIN, || before + third.records().len() >= written).await;
        read.extend(third.end().await);
        let different: BTreeSet<_> = read.iter().collect();
        assert_eq!((read.len(), different.len()), (written, written), "{protocol:?}");
        for place in &places {
            let next = read.iter().filter(|(of, _)| of == place).map(|(_, offset)| offset + 1).max();
            assert_eq!(scene.committed(place), next, "{protocol:?} {place:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_but_what_the_owner_says() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create("a", 1);
        scene.write("a", 0, 10);
        let place = scene.at("a", 0);
        let mut member = scene.member(&["a"], &[]);
        member.assigned().await;
        assert_eq!(member.read(&place, 10).await, (0..10).collect::<Vec<_>>());
        member.end(vec![]).await;
        assert_eq!(scene.committed(&place), None);
        let mut member = scene.member(&["a"], &[]);
        member.assigned().await;
        assert_eq!(member.read(&place, 10).await, (0..10).collect::<Vec<_>>());
        let commits = member.metrics.enricher.commits.clone();
        for (commit, offset) in [(1, 3), (2, 4)] {
            member.group.commit(vec![(place.clone(), offset), (scene.at("a", 7), 1)]);
            until("the commit is answered", AT_ONCE, || commits.of(Commit::Ok).get() == commit).await;
            assert_eq!(scene.committed(&place), Some(offset));
        }
        member.end(vec![(place.clone(), 6)]).await;
        assert_eq!(scene.committed(&place), Some(6));
        let mut member = scene.member(&["a"], &[]);
        member.assigned().await;
        assert_eq!(member.read(&place, 4).await, [6, 7, 8, 9]);
        assert_eq!(commits.of(Commit::Error).get(), 0);
        member.end(vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_stays_a_member_and_holds_nobody_up_for_long() {
    for protocol in BOTH {
        let mut scene =
            Scene::new(Cluster::shared().bootstrap(), protocol).with("max.poll.interval.ms", "7000");
        if protocol == Protocol::Classic {
            scene = scene.with("session.timeout.ms", "6000");
        }
        scene.create("a", 2);
        // More than the channel holds.
        scene.write("a", 0, 150_000);
        scene.write("a", 1, 10);
        let mut lazy = scene.member(&["a"], &[]);
        until("the channel is full", WITHIN, || lazy.happenings.len() == lazy.happenings.max_capacity())
            .await;
        let full = Instant::now();
        until("its thread polls on", WITHIN, || lazy.group.polled_at() > full + Duration::from_secs(8)).await;
        assert_eq!(lazy.group.consuming(), Ok(()));
        // It is asked back for what it was told, does not answer, and nothing is committed.
        let joined = Instant::now();
        let mut second = scene.member(&["a"], &[]);
        let taken = second.assigned().await;
        assert_eq!(taken.len(), 1, "{protocol:?}");
        assert!(joined.elapsed() > Duration::from_secs(4), "{protocol:?}: it was not asked");
        assert!(joined.elapsed() < Duration::from_secs(15), "{protocol:?}: took {:?}", joined.elapsed());
        assert_eq!(second.read(&taken[0], 10).await[..10], (0..10).collect::<Vec<_>>());
        let mut told = BTreeSet::new();
        let (mut revoked, mut back) = (Vec::new(), Vec::new());
        let expected = if protocol == Protocol::Classic { 1 } else { 0 };
        while revoked.is_empty() || back.len() < expected {
            match lazy.next().await {
                Happening::Assigned(places) if revoked.is_empty() => told.extend(places),
                Happening::Assigned(places) => back.extend(places),
                Happening::Records(batch) if !revoked.is_empty() => {
                    assert!(!batch.iter().any(|record| taken.contains(&record.place())));
                }
                Happening::Records(_) | Happening::ReplayedToEnd(_) => {}
                Happening::Revoked { places, .. } => revoked = places,
                Happening::Lost(places) => panic!("{protocol:?}: {places:?} were lost"),
            }
        }
        assert_eq!((told.len(), back.len()), (2, expected), "{protocol:?}");
        assert!(revoked.contains(&taken[0]), "{protocol:?}");
        assert_eq!(lazy.group.consuming(), Ok(()));
        if let Some(place) = back.first() {
            let records = scene.written(place).min(10);
            let read = lazy.read(place, usize::try_from(records).unwrap()).await;
            assert_eq!(read[..usize::try_from(records).unwrap()], (0..records).collect::<Vec<_>>());
        }
        tokio::join!(lazy.end(vec![]), second.end(vec![]));
        assert_eq!(scene.committed(&taken[0]), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_kept_until_the_owner_gives_leave() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create("a", 1);
        scene.write("a", 0, 10);
        let place = scene.at("a", 0);
        let mut first = scene.member(&["a"], &[]);
        first.assigned().await;
        first.read(&place, 10).await;
        let ending = tokio::spawn(first.group.clone().end());
        let mut second = scene.member(&["a"], &[]);
        let Happening::Revoked { places, release } = first.next().await else { panic!("it is asked back") };
        assert_eq!(places, from_ref(&place));
        // What the owner says meanwhile counts, and the other one waits.
        first.group.commit(vec![(place.clone(), 5)]);
        let asked = Instant::now();
        let waits = timeout(Duration::from_secs(2), second.happenings.recv()).await;
        assert!(waits.is_err(), "{protocol:?}: {waits:?}");
        assert!(first.group.polled_at() > asked + Duration::from_secs(1), "{protocol:?}: it is not polled");
        drop(release);
        let released = Instant::now();
        assert_eq!(second.assigned().await, from_ref(&place));
        assert!(released.elapsed() < AT_ONCE, "{protocol:?}: took {:?}", released.elapsed());
        assert_eq!(second.read(&place, 5).await, [5, 6, 7, 8, 9]);
        ending.await.unwrap();
        second.end(vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_topic_is_read_from_its_beginning_and_never_committed() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create_all(&["a", "parked", "empty"], 1);
        let place = scene.at("parked", 0);
        scene.write("parked", 0, 5);
        let mut member = scene.member(&["a"], &["parked"]);
        assert_eq!(member.assigned().await.len(), 2);
        assert_eq!(member.replay(&place).await, [0, 1, 2, 3, 4], "{protocol:?}");
        // The last offset holds no record but the mark of a transaction.
        let producer: BaseProducer = scene.client().set("transactional.id", &scene.prefix).create().unwrap();
        producer.init_transactions(WITHIN).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, &place.topic, 0, 5);
        producer.commit_transaction(WITHIN).unwrap();
        assert_eq!(member.read(&place, 1).await, [5]);
        for _ in 0..3 {
            member.group.rewind(vec![place.clone(), scene.at("a", 0)]);
            assert_eq!(member.replay(&place).await, [0, 1, 2, 3, 4, 5], "{protocol:?}");
        }
        member.group.commit(vec![(place.clone(), 3), (scene.at("a", 0), 0)]);
        member.end(vec![(place.clone(), 4)]).await;
        assert_eq!(scene.committed(&place), None);
        // Not even what somebody else has committed there counts.
        scene.commit(&place, 3);
        let mut member = scene.member(&["a"], &["parked", "empty"]);
        assert_eq!(member.assigned().await.len(), 3);
        assert_eq!(member.replay(&place).await, [0, 1, 2, 3, 4, 5], "{protocol:?}");
        member.end(vec![(place.clone(), 4)]).await;
        assert_eq!(scene.committed(&place), Some(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_missing_at_start_are_found_when_they_are_made() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create("a", 2);
        let mut member = scene.member(&["a", "b"], &["parked"]);
        assert_eq!(member.assigned().await, [scene.at("a", 0), scene.at("a", 1)]);
        until("it is settled", WITHIN, || member.group.consuming().is_ok()).await;
        let made = Instant::now();
        scene.create_all(&["b", "parked"], 2);
        scene.write("b", 1, 3);
        let mut own = BTreeSet::from([scene.at("a", 0), scene.at("a", 1)]);
        while own.len() < 6 {
            match member.next().await {
                Happening::Assigned(places) => own.extend(places),
                Happening::Revoked { places, .. } => own.retain(|place| !places.contains(place)),
                Happening::Records(_) | Happening::ReplayedToEnd(_) => {}
                Happening::Lost(places) => panic!("{places:?}"),
            }
        }
        assert!(made.elapsed() < Duration::from_secs(12), "{protocol:?}: took {:?}", made.elapsed());
        assert_eq!(member.read(&scene.at("b", 1), 3).await, [0, 1, 2]);
        member.end(vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_with_the_assignment_that_it_was_of() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create("a", 2);
        let mut first = scene.member(&["a"], &[]);
        let own = first.assigned().await;
        assert_eq!(own.len(), 2);
        first.group.pause(own.clone());
        let second = scene.diligent(&["a"]);
        until("it takes half", WITHIN, || {
            while let Ok(Happening::Revoked { release, .. }) = first.happenings.try_recv() {
                release.with(vec![]);
            }
            second.own().len() == 1
        })
        .await;
        let moved = second.own().pop_first().unwrap();
        scene.write("a", moved.partition, 3);
        until("it flows there", WITHIN, || second.records().len() == 3).await;
        second.end().await;
        let mut back = false;
        while !back {
            match first.next().await {
                Happening::Assigned(places) => back = places.contains(&moved),
                Happening::Revoked { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        scene.write("a", moved.partition, 2);
        assert_eq!(first.read(&moved, 2).await, [3, 4], "{protocol:?}");
        first.end(vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_keeps_the_place_and_a_needless_resume_too() {
    let scene = Scene::new(Cluster::shared().bootstrap(), Protocol::Consumer);
    scene.create("a", 1);
    let place = scene.at("a", 0);
    let mut member = scene.member(&["a"], &[]);
    member.assigned().await;
    for round in 0..5 {
        scene.write("a", 0, 10);
        member.group.resume(vec![place.clone()]);
        let first = round * 10;
        assert_eq!(member.read(&place, 10).await, (first..first + 10).collect::<Vec<_>>());
        member.group.pause(vec![place.clone()]);
        member.group.pause(vec![place.clone()]);
        member.group.resume(vec![place.clone()]);
        member.group.resume(vec![place.clone()]);
    }
    member.end(vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_leaves_at_once() {
    for protocol in BOTH {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create_all(&["a", "b"], 4);
        let first = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&first], 4).await;
        let second = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&first, &second], 2).await;
        let told = Instant::now();
        first.end().await;
        until_shared(&scene, &[&second], 4).await;
        assert!(told.elapsed() < AT_ONCE, "{protocol:?}: took {:?}", told.elapsed());
        second.end().await;
        let told = Instant::now();
        let third = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&third], 4).await;
        assert!(told.elapsed() < AT_ONCE, "{protocol:?}: took {:?}", told.elapsed());
        // As an owner that is dropped: nobody can be asked.
        let Diligent { group, owner, .. } = third;
        owner.abort();
        drop(group);
        let told = Instant::now();
        let fourth = scene.diligent(&["a", "b"]);
        until_shared(&scene, &[&fourth], 4).await;
        assert!(told.elapsed() < AT_ONCE, "{protocol:?}: took {:?}", told.elapsed());
        fourth.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_protocol_is_spoken_where_there_is_one() {
    let scene = Scene::new(Cluster::shared().bootstrap(), Protocol::Auto)
        // Refused in the new protocol if it were asked for by name.
        .with("session.timeout.ms", "10000");
    scene.create("a", 1);
    let mut member = scene.member(&["a"], &[]);
    assert_eq!(member.group.protocol(), None);
    member.assigned().await;
    assert_eq!(member.group.protocol(), Some("consumer"));
    member.end(vec![]).await;
    for (protocol, name) in [(Protocol::Consumer, "consumer"), (Protocol::Classic, "classic")] {
        let scene = Scene::new(Cluster::shared().bootstrap(), protocol);
        scene.create("a", 1);
        let mut member = scene.member(&["a"], &[]);
        member.assigned().await;
        assert_eq!(member.group.protocol(), Some(name));
        member.end(vec![]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_the_new_protocol_is_spoken_to_in_the_classic_one() {
    let settings =
        BTreeMap::from([("group.coordinator.rebalance.protocols".to_owned(), "classic".to_owned())]);
    let cluster = Cluster::start(1, &[], &settings, &[]);
    let scene = Scene::new(cluster.bootstrap(), Protocol::Auto);
    scene.create("a", 1);
    scene.write("a", 0, 1);
    let mut member = scene.member(&["a"], &[]);
    member.assigned().await;
    assert_eq!(member.group.protocol(), Some("classic"));
    assert_eq!(member.group.consuming(), Ok(()));
    assert_eq!(member.read(&scene.at("a", 0), 1).await, [0]);
    member.end(vec![]).await;
    // Who asks for it by name waits for it, and says so.
    let scene = Scene { protocol: Protocol::Consumer, ..scene };
    let member = scene.member(&["a"], &[]);
    let refused = || member.group.consuming().is_err_and(|why| why.contains("ConsumerGroupHeartbeat"));
    until("it says why", WITHIN, refused).await;
    member.end(vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_killed_is_waited_for() {
    let cluster = Cluster::start_private(1);
    let scenes = BOTH.map(|protocol| Scene::new(cluster.bootstrap(), protocol));
    let mut members = Vec::new();
    for scene in &scenes {
        scene.create("a", 2);
        scene.write("a", 0, 5);
        let member = scene.diligent(&["a"]);
        until("it reads", WITHIN, || member.records().len() == 5).await;
        member.group.commit(vec![(scene.at("a", 0), 5)]);
        until("it is committed", WITHIN, || scene.committed(&scene.at("a", 0)) == Some(5)).await;
        members.push(member);
    }
    cluster.kill(1);
    cluster.start_again(1);
    for (scene, member) in scenes.iter().zip(&members) {
        scene.write("a", 0, 5);
        scene.write("a", 1, 5);
        let read = || member.records().into_iter().collect::<BTreeSet<_>>().len();
        until("it reads on", WITHIN, || read() == 15).await;
        until("it is settled", WITHIN, || member.group.consuming().is_ok()).await;
        member.group.commit(vec![(scene.at("a", 0), 10)]);
        until("it is committed", WITHIN, || scene.committed(&scene.at("a", 0)) == Some(10)).await;
    }
    cluster.kill(1);
    for member in members {
        let told = Instant::now();
        member.group.end().await;
        assert!(told.elapsed() < Duration::from_secs(13), "took {:?}", told.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_thrown_out_hears_of_it_and_comes_back() {
    let cluster = Cluster::start_private(1);
    let scene = Scene::new(cluster.bootstrap(), Protocol::Classic)
        .with("session.timeout.ms", "6000")
        .with("heartbeat.interval.ms", "500");
    scene.create("a", 1);
    scene.write("a", 0, 5);
    let place = scene.at("a", 0);
    let mut member = scene.member(&["a"], &[]);
    member.assigned().await;
    member.read(&place, 5).await;
    cluster.freeze(1);
    let Happening::Lost(places) = member.next().await else { panic!("it was lost") };
    assert_eq!(places, from_ref(&place));
    assert!(member.group.consuming().is_err());
    assert_eq!(member.metrics.enricher.assigned_partitions.get(), 0);
    member.group.commit(vec![(place.clone(), 5)]);
    cluster.thaw(1);
    assert_eq!(member.assigned().await, from_ref(&place));
    assert_eq!(member.read(&place, 5).await, [0, 1, 2, 3, 4], "nothing was committed of what was lost");
    member.end(vec![]).await;
}

/// As when the access lists are mended after the member has come. The broker in memory can be told to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_offset_was_refused_once_is_read_all_the_same() {
    let broker = Embedded::start(1).unwrap();
    let scene = Scene::new(broker.bootstrap_servers().to_owned(), Protocol::Consumer);
    broker.cluster().create_topic(&scene.topic("a"), 1, 1).unwrap();
    scene.write("a", 0, 3);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    broker.cluster().request_errors(RDKafkaApiKey::OffsetFetch, &[refused]);
    let place = scene.at("a", 0);
    let mut member = scene.member(&["a"], &[]);
    assert_eq!(member.assigned().await, from_ref(&place));
    let Happening::Lost(places) = member.next().await else { panic!("it is given up") };
    assert_eq!(places, from_ref(&place));
    assert_eq!(member.assigned().await, from_ref(&place));
    assert_eq!(member.read(&place, 3).await, [0, 1, 2]);
    member.end(vec![]).await;
}
