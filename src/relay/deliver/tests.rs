//! The machine against a model broker that refuses, loses, delays and goes away at random.

use super::*;
use crate::{
    kafka::{Placed, Refusal, TopicProblem},
    relay::fan_out::fan_out,
    webhook::{Content as Kind, Delivery, Discriminators},
};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The names that the defaults give.
fn topic_names() -> TopicNames {
    TopicNames::new(&crate::kafka::topics::Config::default(), 8 << 20).unwrap()
}

const TOPICS: [&str; 3] = ["CustomerAdded", "ResourceUpdated", "PaymentUpdated"];
const DEAD_LETTERS: &str = "mews.dead-letters";
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const BATCH_BYTES_MAX: usize = 4096;
/// Above it no topic of events takes anything; the dead letters take what is under the second.
const TOPIC_BYTES_MAX: usize = 20_000;
const DEAD_LETTER_BYTES_MAX: usize = 50_000;
const BOUNDS: Bounds = Bounds { held_bytes: 20_000, items: 400, span: 200, news: 10 };

/// What kind of event is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    /// Too large for a shared batch.
    Big,
    /// Too large for its topic with its entity only.
    BigEntity,
    /// Too large for its topic.
    Huge,
    /// Too large for the dead letters as well.
    Endless,
    /// The broker says no.
    Poison,
}

#[derive(Clone, Debug)]
enum Turn {
    /// A delivery of one hotel with these events.
    Accept(u8, Vec<(usize, Size)>),
    /// The client takes at most so many records.
    Send(usize),
    /// A topic's partition answers for a batch of so many records.
    Answer {
        topic: usize,
        partition: usize,
        batch: usize,
    },
    /// The client ends; of what was in flight on each partition so many records are in the topic.
    Lose(usize),
    /// A topic comes or goes.
    Toggle(usize),
    /// From now on, a batch of a topic may be this large.
    Shrink(usize, usize),
    Pass(Duration),
    /// An operator gives up a delivery that is open, if there is one.
    Discard(prop::sample::Index),
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let size = prop_oneof![
        12 => Just(Size::Small), 2 => Just(Size::Big), 2 => Just(Size::BigEntity),
        1 => Just(Size::Huge), 1 => Just(Size::Endless), 1 => Just(Size::Poison),
    ];
    prop_oneof![
        6 => (0u8..3, prop::collection::vec((0usize..3, size), 0..5)).prop_map(|(hotel, events)| Turn::Accept(hotel, events)),
        6 => (1usize..20).prop_map(Turn::Send),
        12 => (0usize..4, 0usize..2, 1usize..6)
            .prop_map(|(topic, partition, batch)| Turn::Answer { topic, partition, batch }),
        1 => (0usize..4).prop_map(Turn::Lose),
        1 => (0usize..4).prop_map(Turn::Toggle),
        1 => (0usize..3, prop::sample::select(vec![1_500usize, 3_000, TOPIC_BYTES_MAX]))
            .prop_map(|(topic, bytes)| Turn::Shrink(topic, bytes)),
        4 => (0u64..50_000).prop_map(|millis| Turn::Pass(Duration::from_millis(millis))),
        1 => Just(Turn::Pass(Duration::from_secs(200))),
        1 => any::<prop::sample::Index>().prop_map(Turn::Discard),
    ]
}

/// What a broker does with what follows a refused batch on its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It is lost as well, up to what the client had not sent yet.
    Refuses,
    /// It may be taken.
    Takes,
}

/// One event that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64);

#[derive(Default)]
struct Topic {
    is_away: bool,
    bytes_max: usize,
    in_flight: [VecDeque<(Ticket, Record)>; 2],
    refusing: [bool; 2],
    log: Vec<(Bytes, Id)>,
}

struct World {
    deliver: Deliver,
    now: Instant,
    after: After,
    topics: BTreeMap<String, Topic>,
    journal: Vec<Bytes>,
    read: usize,
    sizes: BTreeMap<Id, (usize, u8, Size)>,
    leftovers: BTreeSet<Id>,
    passed: Completed,
    told: u64,
    ever_away: bool,
    ever_small: bool,
    /// Events of each delivery.
    events: Vec<Vec<Id>>,
    /// Events of deliveries that were given up.
    given_up: BTreeSet<Id>,
    /// Those of them that were never with the client.
    withheld: BTreeSet<Id>,
}

fn id_of(record: &Record) -> Id {
    let value: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    Id(value["Value"]["n"].as_u64().unwrap())
}

fn poisoned(record: &Record) -> bool {
    record.value.as_ref().unwrap().windows(6).any(|window| window == b"poison")
}

impl World {
    fn new(after: After) -> Self {
        let limits = Limits { batch_bytes_max: BATCH_BYTES_MAX, give_up_after: Some(GIVE_UP_AFTER) };
        let names = TOPICS.map(|name| format!("mews.events.{name}"));
        let topic = |bytes_max| Topic { bytes_max, ..Topic::default() };
        let mut topics: BTreeMap<_, _> =
            names.into_iter().map(|name| (name, topic(TOPIC_BYTES_MAX))).collect();
        topics.insert(DEAD_LETTERS.into(), topic(DEAD_LETTER_BYTES_MAX));
        Self {
            deliver: Deliver::new(topic_names(), limits, BOUNDS),
            now: Instant::now(),
            after,
            topics,
            journal: Vec::new(),
            read: 0,
            sizes: BTreeMap::new(),
            leftovers: BTreeSet::new(),
            passed: Completed::default(),
            told: 0,
            ever_away: false,
            ever_small: false,
            events: Vec::new(),
            given_up: BTreeSet::new(),
            withheld: BTreeSet::new(),
        }
    }

    fn topic(&mut self, index: usize) -> &mut Topic {
        self.topics.values_mut().nth(index).unwrap()
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Accept(hotel, events) => self.accept(hotel, &events),
            Turn::Send(records) => drop(self.send(records)),
            Turn::Answer { topic, partition, batch } => drop(self.answer(topic, partition, batch)),
            Turn::Lose(kept) => self.lose(kept),
            Turn::Toggle(topic) => {
                self.topic(topic).is_away ^= true;
                self.ever_away = true;
            }
            Turn::Shrink(topic, bytes) => {
                // The dead letters are first in the order of names.
                self.topic(topic + 1).bytes_max = bytes;
                self.ever_small = true;
            }
            Turn::Pass(time) => self.now += time,
            Turn::Discard(which) => {
                let mut open: Vec<_> = self.deliver.open.keys().copied().collect();
                open.sort_unstable();
                if !open.is_empty() {
                    self.discard(*which.get(&open));
                }
            }
        }
        self.check();
    }

    fn accept(&mut self, hotel: u8, events: &[(usize, Size)]) {
        let mut elements = Vec::new();
        let mut entities = Vec::new();
        self.events.push(Vec::new());
        for (topic, size) in events {
            let n = self.sizes.len() as u64;
            self.events.last_mut().unwrap().push(Id(n));
            self.sizes.insert(Id(n), (*topic, hotel, *size));
            let pad = match size {
                Size::Small | Size::BigEntity => String::new(),
                Size::Big => "x".repeat(BATCH_BYTES_MAX),
                Size::Huge => "x".repeat(TOPIC_BYTES_MAX),
                Size::Endless => "x".repeat(DEAD_LETTER_BYTES_MAX),
                Size::Poison => "poison".into(),
            };
            if *size == Size::BigEntity {
                let pad = "y".repeat(TOPIC_BYTES_MAX);
                entities.push(format!(r#"{{"Id":"e{n}","pad":"{pad}"}}"#));
            }
            elements.push(format!(
                r#"{{"Discriminator":"{}","Value":{{"Id":"e{n}","n":{n},"pad":"{pad}"}}}}"#,
                TOPICS[*topic]
            ));
        }
        let entities = entities.join(",");
        let body = format!(
            r#"{{"EnterpriseId":"hotel-{hotel}","IntegrationId":"i","Events":[{}],"Entities":{{"Customers":[{entities}],"Resources":[{entities}],"Payments":[{entities}]}}}}"#,
            elements.join(",")
        );
        let delivery = Delivery {
            id: Uuid::from_u128(self.journal.len() as u128),
            accepted_at: SystemTime::UNIX_EPOCH,
            content: Kind::General,
            traceparent: String::new(),
            body: body.into(),
        };
        self.journal.push(delivery.encode());
        self.read();
    }

    fn discard(&mut self, sequence: Sequence) {
        self.deliver.discard(sequence, self.now).expect("it is open");
        assert_eq!(self.deliver.discard(sequence, self.now), None, "it is open no longer");
        let events = &self.events[sequence as usize - 1];
        let sent = |topic: &Topic, id: &Id| {
            topic.log.iter().any(|(_, each)| each == id)
                || topic.in_flight.iter().flatten().any(|(_, record)| id_of(record) == *id)
        };
        let sent =
            |id: &&Id| self.leftovers.contains(*id) || self.topics.values().any(|topic| sent(topic, id));
        self.withheld.extend(events.iter().filter(|id| !sent(id)).cloned());
        self.given_up.extend(events.iter().cloned());
        self.read();
    }

    fn read(&mut self) {
        while self.read < self.journal.len() && self.deliver.has_room() {
            let fan_out = fan_out(&self.journal[self.read], &Discriminators::default());
            self.read += 1;
            let sequence = self.read as Sequence;
            self.deliver.admit(
                sequence,
                Location { segment: 1, offset: sequence, length: 0 },
                &fan_out,
                self.now,
            );
        }
    }

    /// Hands the client records until it has enough; says whether anything was done.
    fn send(&mut self, mut records: usize) -> bool {
        let mut did = false;
        while let Some(step) = self.deliver.next(self.now) {
            did = true;
            match step {
                Step::Load(ticket, sequence, _) => {
                    let fan_out = fan_out(&self.journal[sequence as usize - 1], &Discriminators::default());
                    assert!(self.deliver.loaded(ticket, &fan_out) > 0);
                }
                Step::Send(ticket) if records == 0 => {
                    self.deliver.sent(ticket, Err(SendError::QueueFull), self.now);
                    break;
                }
                Step::Send(ticket) => {
                    records -= 1;
                    let record = self.deliver.record(ticket).unwrap();
                    assert!(record.headers.iter().filter(|(name, _)| *name == "ce_id").count() == 1);
                    let partition = usize::from(record.key.last().unwrap() % 2);
                    let topic = self.topics.get_mut(&*record.topic).unwrap();
                    topic.in_flight[partition].push_back((ticket, record));
                    self.deliver.sent(ticket, Ok(()), self.now);
                }
            }
        }
        while let Some(record) = self.deliver.leftover() {
            self.leftovers.insert(id_of(&record));
            self.deliver.kept();
            did = true;
        }
        did
    }

    fn answer(&mut self, topic: usize, partition: usize, batch: usize) -> bool {
        let after = self.after;
        let topic = self.topic(topic);
        let batch = batch.min(topic.in_flight[partition].len());
        let batch: Vec<_> = topic.in_flight[partition].drain(..batch).collect();
        let bytes: usize = batch.iter().map(|(_, record)| record.size()).sum();
        let refusal = |record: &Record| {
            if topic.refusing[partition] {
                Some(Refusal::Lost)
            } else if topic.is_away {
                Some(Refusal::TopicUnavailable(TopicProblem::Missing))
            } else if bytes > topic.bytes_max {
                Some(Refusal::TooLarge)
            } else if batch.iter().any(|(_, record)| poisoned(record)) && &*record.topic != DEAD_LETTERS {
                Some(if poisoned(record) { Refusal::Rejected("InvalidRecord".into()) } else { Refusal::Lost })
            } else {
                None
            }
        };
        let answers: Vec<_> = batch.iter().map(|(ticket, record)| (*ticket, refusal(record))).collect();
        let mut refused = false;
        for ((_, record), (_, refusal)) in batch.iter().zip(&answers) {
            match refusal {
                None => topic.log.push((record.key.clone(), id_of(record))),
                Some(_) => refused = true,
            }
        }
        topic.refusing[partition] =
            after == After::Refuses && refused && !topic.in_flight[partition].is_empty();
        let did = !answers.is_empty();
        for (ticket, refusal) in answers {
            let result = refusal.map_or(Ok(Placed { partition: 0, offset: 0 }), Err);
            self.deliver.report(Report { ticket, result }, self.now);
        }
        self.read();
        did
    }

    fn lose(&mut self, kept: usize) {
        let mut lost = Vec::new();
        for topic in self.topics.values_mut() {
            for (partition, refusing) in topic.in_flight.iter_mut().zip(&mut topic.refusing) {
                for (at, (ticket, record)) in partition.drain(..).enumerate() {
                    let fits = !topic.is_away && !*refusing && record.size() <= topic.bytes_max;
                    if at < kept && fits && !poisoned(&record) {
                        topic.log.push((record.key.clone(), id_of(&record)));
                    }
                    lost.push(ticket);
                }
                *refusing = false;
            }
        }
        // Not in order: reports of different brokers are not.
        lost.sort_by_key(|ticket| ticket.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for ticket in lost {
            self.deliver.report(Report { ticket, result: Err(Refusal::Lost) }, self.now);
        }
        self.deliver.client_restarted();
    }

    /// The books are right at any moment.
    fn check(&mut self) {
        let deliver = &self.deliver;
        let items = deliver.lanes.iter().flat_map(|lane| (lane.first()..).map_while(|at| lane.get(at)));
        let loaded: BTreeSet<_> = items
            .chain(&deliver.leftovers)
            .filter(|item| item.content.is_some())
            .map(|item| item.delivery)
            .collect();
        let bytes: usize = loaded.iter().map(|delivery| deliver.open[delivery].bytes).sum();
        assert_eq!(bytes, deliver.held_bytes(), "held bytes are those of what is loaded");
        let largest = deliver.open.values().map(|open| open.bytes).max().unwrap_or(0);
        assert!(bytes <= BOUNDS.held_bytes + largest * (1 + deliver.lanes.len()), "{bytes} bytes are held");
        if let Some(passed) = self.deliver.take_passed() {
            let deliveries = passed.delivered + passed.dead_lettered + passed.discarded;
            assert_eq!(passed.through, self.told + deliveries, "every delivery is counted once");
            self.told = passed.through;
            self.passed.delivered += passed.delivered;
            self.passed.dead_lettered += passed.dead_lettered;
            self.passed.discarded += passed.discarded;
        }
    }

    /// Everything is well from now on, until nothing is left to do.
    fn settle(&mut self) {
        for topic in self.topics.values_mut() {
            topic.is_away = false;
        }
        for topic in 1..4 {
            self.topic(topic).bytes_max = TOPIC_BYTES_MAX;
        }
        for _ in 0..100_000 {
            self.read();
            let mut did = self.send(usize::MAX);
            for topic in 0..4 {
                for partition in 0..2 {
                    did |= self.answer(topic, partition, 3);
                }
            }
            self.check();
            if did {
                continue;
            }
            if self.deliver.pending() == 0 && self.read == self.journal.len() {
                return;
            }
            self.now = self
                .deliver
                .wake_at()
                .expect("something is pending, so there is a time to wake")
                .max(self.now);
        }
        panic!("not settled: {} pending", self.deliver.pending());
    }

    fn verify(&self) {
        let dead: BTreeSet<_> = self.topics[DEAD_LETTERS].log.iter().map(|(_, id)| id.clone()).collect();
        for (id, (topic, _, size)) in &self.sizes {
            let log = &self.topics[&format!("mews.events.{}", TOPICS[*topic])].log;
            let arrived = log.iter().any(|(_, each)| each == id);
            let aside = dead.contains(id) || self.leftovers.contains(id);
            assert!(arrived || aside || self.given_up.contains(id), "{id:?} is lost");
            assert!(
                !((arrived || aside) && self.withheld.contains(id)),
                "{id:?} was given up before it was sent"
            );
            match size {
                Size::Huge | Size::Endless | Size::Poison => assert!(!arrived, "{id:?} is never taken"),
                Size::Small => assert!(self.ever_away || !aside, "{id:?} is aside"),
                Size::Big | Size::BigEntity => {
                    assert!(self.ever_away || self.ever_small || !aside, "{id:?} is aside");
                }
            }
        }
        let Completed { delivered, dead_lettered, discarded, .. } = self.passed;
        assert_eq!(delivered + dead_lettered + discarded, self.journal.len() as u64);
        assert_eq!(self.deliver.held_bytes(), 0);
    }

    /// The events of a key on a topic in the order in which `pick` sees them.
    fn assert_order(&self, occurrence: impl Fn(&[(Bytes, Id)]) -> Vec<(Bytes, Id)>, what: &str) {
        let dead: BTreeSet<_> = self.topics[DEAD_LETTERS].log.iter().map(|(_, id)| id.clone()).collect();
        for name in TOPICS {
            let log = self.topics[&format!("mews.events.{name}")].log.iter();
            // What was given up, or went to the dead letters after its report was lost, is not sent
            // again behind what it had overtaken.
            let aside =
                |id: &Id| self.given_up.contains(id) || self.leftovers.contains(id) || dead.contains(id);
            let log: Vec<_> = log.filter(|(_, id)| !aside(id)).cloned().collect();
            let mut last: BTreeMap<Bytes, Id> = BTreeMap::new();
            for (key, id) in occurrence(&log) {
                if let Some(before) = last.insert(key, id.clone()) {
                    assert!(before < id, "{what}: {before:?} stands before {id:?} in {log:?}");
                }
            }
        }
    }
}

fn first_occurrences(log: &[(Bytes, Id)]) -> Vec<(Bytes, Id)> {
    let mut seen = BTreeSet::new();
    log.iter().filter(|(_, id)| seen.insert(id.clone())).cloned().collect()
}

fn last_occurrences(log: &[(Bytes, Id)]) -> Vec<(Bytes, Id)> {
    let mut reversed: Vec<_> = log.to_vec();
    reversed.reverse();
    let mut last = first_occurrences(&reversed);
    last.reverse();
    last
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_order_is_kept(
        turns in prop::collection::vec(any_turn(), 0..120),
        after in prop::sample::select(vec![After::Refuses, After::Takes]),
    ) {
        let mut world = World::new(after);
        for turn in turns {
            world.turn(turn);
        }
        world.settle();
        world.verify();
        world.assert_order(last_occurrences, "last occurrences");
        if after == After::Refuses {
            world.assert_order(first_occurrences, "first occurrences");
        }
    }
}

impl World {
    /// A world in which one topic is away, and its lane has just learnt it.
    fn with_a_topic_away() -> Self {
        let mut world = Self::new(After::Refuses);
        world.ever_away = true;
        world.topic(1).is_away = true;
        world.accept(0, &[(0, Size::Small), (1, Size::Small)]);
        world.rounds(1);
        world
    }

    /// Sends and answers all there is, some times.
    fn rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.send(usize::MAX);
            for topic in 0..4 {
                for partition in 0..2 {
                    self.answer(topic, partition, usize::MAX);
                }
            }
            self.check();
        }
    }

    fn log_of(&self, topic: &str) -> usize {
        self.topics[topic].log.len()
    }
}

#[test]
fn a_held_lane_does_not_hold_the_others_nor_fill_the_memory() {
    let mut world = World::with_a_topic_away();
    for _ in 0..100 {
        world.accept(0, &[(0, Size::Small), (1, Size::Big)]);
        world.rounds(2);
    }
    assert_eq!(world.topics.keys().nth(1).unwrap(), "mews.events.CustomerAdded");
    assert_eq!(world.log_of("mews.events.ResourceUpdated"), 101);
    assert_eq!(world.log_of("mews.events.CustomerAdded"), 0);
    assert!(world.deliver.held_bytes() <= BOUNDS.held_bytes, "{}", world.deliver.held_bytes());
    assert_eq!(world.deliver.take_passed(), None);
    world.settle();
    assert_eq!(world.log_of("mews.events.CustomerAdded"), 101);
    world.assert_order(|log| log.to_vec(), "read back");
}

#[test]
fn a_topic_is_given_up_only_while_brokers_answer() {
    let mut world = World::with_a_topic_away();
    // Silence: the record that probes gets no answer for an hour.
    world.now += Duration::from_secs(40);
    world.send(usize::MAX);
    world.now += Duration::from_secs(3600);
    world.rounds(1);
    assert_eq!(world.log_of(DEAD_LETTERS), 0, "an hour of silence says nothing");
    for _ in 0..3 {
        world.now += Duration::from_secs(31);
        world.rounds(2);
    }
    assert_eq!(world.log_of(DEAD_LETTERS), 1);
    world.accept(0, &[(0, Size::Small)]);
    world.now += Duration::from_secs(31);
    world.rounds(2);
    assert_eq!(world.log_of(DEAD_LETTERS), 1, "a newer record waits for as long");
    let given_up = Notice::GivenUp("mews.events.CustomerAdded".into(), 1);
    assert!(world.deliver.take_notices().contains(&given_up));
}

#[test]
fn dead_letters_wait_for_their_topic_as_long_as_it_takes() {
    let mut world = World::new(After::Refuses);
    world.topics.get_mut(DEAD_LETTERS).unwrap().is_away = true;
    world.accept(0, &[(0, Size::Poison)]);
    for _ in 0..100 {
        world.now += Duration::from_secs(31);
        world.rounds(1);
    }
    assert_eq!((world.deliver.pending(), world.leftovers.len()), (1, 0));
    world.topics.get_mut(DEAD_LETTERS).unwrap().is_away = false;
    world.now += Duration::from_secs(31);
    world.rounds(2);
    assert_eq!((world.deliver.pending(), world.log_of(DEAD_LETTERS)), (0, 1));
    assert_eq!(world.passed.dead_lettered, 1);
}

/// What a lane sends when its only record is refused, once or twice, as it deserves.
fn sent_after(size: Size, refusals: &[Refusal]) -> Record {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[(0, size)]);
    for refusal in refusals {
        let Some(Step::Send(ticket)) = world.deliver.next(world.now) else { panic!("nothing to send") };
        world.deliver.sent(ticket, Ok(()), world.now);
        world.deliver.report(Report { ticket, result: Err(refusal.clone()) }, world.now);
    }
    let Some(Step::Send(ticket)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.record(ticket).unwrap()
}

fn headers(record: &Record, prefix: &str) -> Vec<String> {
    let headers = record.headers.iter().filter(|(name, _)| name.starts_with(prefix));
    headers.map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn an_event_that_is_too_large_goes_without_its_entity_and_says_so() {
    let whole = sent_after(Size::BigEntity, &[]);
    assert!(whole.size() > TOPIC_BYTES_MAX && headers(&whole, "entity_omitted").is_empty());
    let without = sent_after(Size::BigEntity, &[Refusal::TooLarge]);
    assert_eq!(headers(&without, "entity_omitted"), ["entity_omitted=true"]);
    assert!(without.size() < BATCH_BYTES_MAX && without.topic == whole.topic);
    let dead = sent_after(Size::BigEntity, &[Refusal::TooLarge, Refusal::TooLarge, Refusal::TooLarge]);
    assert_eq!((dead.value, dead.key), (whole.value, whole.key), "a dead letter is the record as it was");
    assert_eq!(&dead.headers[..whole.headers.len()], whole.headers);
}

#[test]
fn a_dead_letter_says_why_and_where_from_and_how_often() {
    let dead = sent_after(Size::Big, &[Refusal::Lost, Refusal::Rejected("PolicyViolation".into())]);
    assert_eq!(&*dead.topic, DEAD_LETTERS);
    assert_eq!(
        headers(&dead, "dead_letter"),
        [
            "dead_letter_reason=rejected",
            "dead_letter_detail=PolicyViolation",
            "dead_letter_stage=relay",
            "dead_letter_topic=mews.events.CustomerAdded",
            "dead_letter_partition=-1",
            "dead_letter_offset=-1",
            "dead_letter_attempts=2",
        ]
    );
}

#[test]
fn a_payload_that_cannot_be_read_is_a_dead_letter_with_its_bytes() {
    let mut world = World::new(After::Refuses);
    world.journal.push(Bytes::from_static(b"\x09from tomorrow"));
    world.read();
    let Some(Step::Send(ticket)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    let record = world.deliver.record(ticket).unwrap();
    assert_eq!(record.value.as_deref(), Some(&b"\x09from tomorrow"[..]));
    assert_eq!(headers(&record, "dead_letter_reason"), ["dead_letter_reason=undecodable"]);
    assert_eq!(headers(&record, "content-type"), ["content-type=application/octet-stream"]);
}

#[test]
fn nothing_is_sent_while_the_client_is_down() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[(0, Size::Small), (1, Size::Small)]);
    let Some(Step::Send(ticket)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(ticket, Err(SendError::Down), world.now);
    assert_eq!((world.deliver.next(world.now), world.deliver.wake_at()), (None, None));
    world.deliver.client_restarted();
    world.settle();
    world.verify();
}

#[test]
fn a_record_that_the_client_will_not_take_is_judged_like_one_that_came_back() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[(0, Size::Small), (0, Size::Small)]);
    let Some(Step::Send(first)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(first, Ok(()), world.now);
    let Some(Step::Send(second)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(second, Err(SendError::TooLarge), world.now);
    assert_eq!(world.deliver.next(world.now), None, "it waits until it is alone");
    world.deliver.report(Report { ticket: first, result: Ok(Placed { partition: 0, offset: 0 }) }, world.now);
    let Some(Step::Send(again)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(again, Err(SendError::TooLarge), world.now);
    assert!(world.deliver.take_notices().contains(&Notice::DeadLetter(metrics::DeadLetter::TooLarge)));
}

#[test]
fn a_delivery_without_events_is_delivered_at_once() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[]);
    world.check();
    assert_eq!((world.passed.delivered, world.deliver.pending()), (1, 0));
}

#[test]
fn a_delivery_that_is_given_up_holds_nothing_back_and_counts_as_discarded() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[(0, Size::Small), (1, Size::Small)]);
    world.accept(0, &[(0, Size::Small)]);
    // One record of the first delivery is in flight, and nothing else was sent.
    world.send(1);
    assert_eq!(world.deliver.discard(1, world.now), Some(2));
    let passed = world.deliver.take_passed().unwrap();
    assert_eq!((passed.through, passed.discarded), (1, 1), "it is not waited for what is in flight");
    assert_eq!(world.deliver.discard(1, world.now), None);
    world.told = 1;
    world.passed.discarded = 1;
    world.given_up.extend([Id(0), Id(1)]);
    world.settle();
    let logs = ["mews.events.CustomerAdded", "mews.events.ResourceUpdated"].map(|topic| world.log_of(topic));
    assert_eq!((logs.iter().sum::<usize>(), world.passed.delivered), (2, 1), "one was in flight");
    world.verify();
}

#[test]
fn a_given_up_delivery_among_those_that_were_set_aside_is_passed_over() {
    let mut world = World::with_a_topic_away();
    for _ in 0..10 {
        world.accept(0, &[(0, Size::Big)]);
        world.rounds(2);
    }
    let mut open: Vec<_> = world.deliver.open.keys().copied().collect();
    open.sort_unstable();
    for sequence in [open[0], open[4], open[5], open[open.len() - 1]] {
        world.discard(sequence);
        world.check();
    }
    world.settle();
    world.verify();
    assert_eq!(world.passed.discarded, 4);
}
