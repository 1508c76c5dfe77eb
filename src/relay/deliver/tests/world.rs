//! A journal, a client and a broker as values, and what may happen to them.

use crate::{
    kafka::{Placed, Refusal, TopicProblem, topics},
    relay::{deliver::*, fan_out::fan_out},
    webhook::{Content as Kind, Delivery, Discriminators},
};
use bytes::Bytes;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};
use uuid::Uuid;

pub(super) const TOPICS: [&str; 3] = ["CustomerAdded", "ResourceUpdated", "PaymentUpdated"];
pub(super) const DEAD_LETTERS: &str = "mews.dead-letters";
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
pub(super) const BATCH_BYTES_MAX: usize = 4096;
/// Above it no topic of events takes anything; the dead letters take what is under the second.
pub(super) const TOPIC_BYTES_MAX: usize = 20_000;
pub(super) const DEAD_LETTER_BYTES_MAX: usize = 50_000;
pub(super) const TIGHT: Bounds = Bounds { held_bytes: 20_000, items: 400, span: 200, news: 10 };

/// What kind of event is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
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
pub(super) enum Turn {
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
}

pub(super) fn any_turn() -> impl Strategy<Value = Turn> {
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
    ]
}

/// What a broker does with what follows a refused batch on its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It is lost as well, up to what the client had not sent yet.
    Refuses,
    /// It may be taken.
    Takes,
}

/// One event that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64);

#[derive(Default)]
pub(super) struct Topic {
    pub(super) is_away: bool,
    pub(super) bytes_max: usize,
    pub(super) in_flight: [VecDeque<(Ticket, Record)>; 2],
    pub(super) refusing: [bool; 2],
    pub(super) log: Vec<(Bytes, Id)>,
}

pub(super) struct World {
    pub(super) deliver: Deliver,
    pub(super) now: Instant,
    pub(super) after: After,
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) journal: Vec<Bytes>,
    pub(super) read: usize,
    pub(super) sizes: BTreeMap<Id, (usize, u8, Size)>,
    pub(super) leftovers: BTreeSet<Id>,
    pub(super) passed: Completed,
    pub(super) told: u64,
    pub(super) ever_away: bool,
    pub(super) ever_small: bool,
}

pub(super) fn id_of(record: &Record) -> Id {
    let value: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    Id(value["Value"]["n"].as_u64().unwrap())
}

pub(super) fn poisoned(record: &Record) -> bool {
    record.value.as_ref().unwrap().windows(6).any(|window| window == b"poison")
}

impl World {
    pub(super) fn new(after: After) -> Self {
        let limits = Limits { batch_bytes_max: BATCH_BYTES_MAX, give_up_after: Some(GIVE_UP_AFTER) };
        let names = TOPICS.map(|name| format!("mews.events.{name}"));
        let topic = |bytes_max| Topic { bytes_max, ..Topic::default() };
        let mut topics: BTreeMap<_, _> =
            names.into_iter().map(|name| (name, topic(TOPIC_BYTES_MAX))).collect();
        topics.insert(DEAD_LETTERS.into(), topic(DEAD_LETTER_BYTES_MAX));
        Self {
            deliver: Deliver::new(
                TopicNames::new(&topics::Config::default(), 8 << 20).unwrap(),
                limits,
                TIGHT,
            ),
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
        }
    }

    pub(super) fn topic(&mut self, index: usize) -> &mut Topic {
        self.topics.values_mut().nth(index).unwrap()
    }

    pub(super) fn turn(&mut self, turn: Turn) {
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
        }
        self.check();
    }

    pub(super) fn accept(&mut self, hotel: u8, events: &[(usize, Size)]) {
        let mut elements = Vec::new();
        let mut entities = Vec::new();
        for (topic, size) in events {
            let n = self.sizes.len() as u64;
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
            first_index: 0,
            body: body.into(),
        };
        self.journal.push(delivery.encode());
        self.read();
    }

    pub(super) fn read(&mut self) {
        while self.read < self.journal.len() && self.deliver.has_room() {
            let fan_out = fan_out(&self.journal[self.read], &Discriminators::default());
            self.read += 1;
            let sequence = self.read as Sequence;
            self.deliver.admit(
                sequence,
                Location { segment: 1, offset: sequence, length: 0 },
                fan_out,
                self.now,
            );
        }
    }

    /// Hands the client records until it has enough; says whether anything was done.
    pub(super) fn send(&mut self, mut records: usize) -> bool {
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

    pub(super) fn answer(&mut self, topic: usize, partition: usize, batch: usize) -> bool {
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

    pub(super) fn lose(&mut self, kept: usize) {
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
        self.deliver.client_up();
    }

    /// The books are right at any moment.
    pub(super) fn check(&mut self) {
        let deliver = &self.deliver;
        let items = deliver.lanes.iter().flat_map(Lane::items);
        let loaded: BTreeSet<_> = items
            .chain(&deliver.leftovers)
            .filter(|item| item.content.is_some())
            .map(|item| item.delivery)
            .collect();
        let bytes: usize = loaded.iter().map(|delivery| deliver.open.get(*delivery).unwrap().bytes).sum();
        assert_eq!(bytes, deliver.open().held_bytes(), "held bytes are those of what is loaded");
        let largest = deliver.open.largest();
        assert!(bytes <= TIGHT.held_bytes + largest * (1 + deliver.lanes.len()), "{bytes} bytes are held");
        if let Some(passed) = self.deliver.take_passed() {
            let deliveries = passed.delivered + passed.dead_lettered;
            assert_eq!(passed.through, self.told + deliveries, "every delivery is counted once");
            self.told = passed.through;
            self.passed.delivered += passed.delivered;
            self.passed.dead_lettered += passed.dead_lettered;
        }
    }

    /// Everything is well from now on, until nothing is left to do.
    pub(super) fn settle(&mut self) {
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
            if self.deliver.open().is_empty() && self.read == self.journal.len() {
                return;
            }
            self.now = self
                .deliver
                .wake_at()
                .expect("something is pending, so there is a time to wake")
                .max(self.now);
        }
        panic!("not settled: {} pending", self.deliver.open().len());
    }

    pub(super) fn verify(&self) {
        let dead: BTreeSet<_> = self.topics[DEAD_LETTERS].log.iter().map(|(_, id)| id.clone()).collect();
        for (id, (topic, _, size)) in &self.sizes {
            let log = &self.topics[&format!("mews.events.{}", TOPICS[*topic])].log;
            let arrived = log.iter().any(|(_, each)| each == id);
            let aside = dead.contains(id) || self.leftovers.contains(id);
            assert!(arrived || aside, "{id:?} is lost");
            match size {
                Size::Huge | Size::Endless | Size::Poison => assert!(!arrived, "{id:?} is never taken"),
                Size::Small => assert!(self.ever_away || !aside, "{id:?} is aside"),
                Size::Big | Size::BigEntity => {
                    assert!(self.ever_away || self.ever_small || !aside, "{id:?} is aside");
                }
            }
        }
        assert_eq!(self.passed.delivered + self.passed.dead_lettered, self.journal.len() as u64);
        assert_eq!(self.deliver.open().held_bytes(), 0);
    }

    /// The events of a key on a topic in the order in which `pick` sees them.
    pub(super) fn assert_order(&self, occurrence: impl Fn(&[(Bytes, Id)]) -> Vec<(Bytes, Id)>, what: &str) {
        let dead: BTreeSet<_> = self.topics[DEAD_LETTERS].log.iter().map(|(_, id)| id.clone()).collect();
        for name in TOPICS {
            // What went aside after its report was lost is not sent again behind what it had overtaken.
            let aside = |id: &Id| self.leftovers.contains(id) || dead.contains(id);
            let log = self.topics[&format!("mews.events.{name}")].log.iter();
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

impl World {
    /// A world in which one topic is away, and its lane has just learnt it.
    pub(super) fn with_a_topic_away() -> Self {
        let mut world = Self::new(After::Refuses);
        world.ever_away = true;
        world.topic(1).is_away = true;
        world.accept(0, &[(0, Size::Small), (1, Size::Small)]);
        world.rounds(1);
        world
    }

    /// Sends and answers all there is, some times.
    pub(super) fn rounds(&mut self, rounds: usize) {
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

    pub(super) fn log_of(&self, topic: &str) -> usize {
        self.topics[topic].log.len()
    }
}
