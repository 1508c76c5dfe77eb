//! What is sent, sent again and given up, case by case and against a model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    enricher::{
        coalesce,
        event::{Event, tests::record},
    },
    kafka::{Placed, TopicProblem},
    webhook::envelope::Headers,
};

const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const PLACED: Result<Placed, Refusal> = Ok(Placed { partition: 0, offset: 0 });

fn round(offset: i64) -> Round {
    coalesce::tests::round(Event::read(record("CustomerUpdated", r#"{"Id":"c"}"#, offset)).unwrap())
}

struct Desk {
    outbox: Outbox,
    now: Instant,
    /// What the client has.
    sent: Vec<(u64, String)>,
}

impl Desk {
    fn new() -> Self {
        Self { outbox: Outbox::new(GIVE_UP_AFTER), now: Instant::now(), sent: Vec::new() }
    }

    fn push(&mut self, topic: &str, key: &str, purpose: Purpose) {
        let record = Record {
            topic: topic.into(),
            key: key.to_owned().into(),
            partition: None,
            value: None,
            headers: Headers::default(),
        };
        self.outbox.push(record, purpose, self.now);
    }

    fn entity(&mut self, key: &str, offset: i64) {
        self.push("t", key, Purpose::Entity(round(offset)));
    }

    /// The keys that went out.
    fn send(&mut self) -> Vec<String> {
        let sent = &mut self.sent;
        let before = sent.len();
        let settled = self.outbox.send(self.now, |record, ticket| {
            sent.push((ticket, String::from_utf8_lossy(&record.key).into_owned()));
            Ok(())
        });
        assert!(settled.is_empty());
        self.sent[before..].iter().map(|(_, key)| key.clone()).collect()
    }

    /// Of the record that was sent first and has no report.
    fn report(&mut self, result: Result<Placed, Refusal>) -> Option<Settled> {
        let (ticket, _) = self.sent.remove(0);
        self.outbox.report(Report { ticket, result }, self.now)
    }
}

fn offsets(settled: Option<Settled>) -> Vec<i64> {
    match settled {
        Some(Settled::Taken(purpose)) => purpose.origins().iter().map(|origin| origin.offset).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_lost_is_sent_again_unless_something_newer_of_its_key_was_put_in() {
    let mut desk = Desk::new();
    desk.entity("a", 0);
    desk.entity("b", 1);
    assert_eq!(desk.send(), ["a", "b"]);
    desk.entity("a", 2);
    assert_eq!(offsets(desk.report(Err(Refusal::Lost))), [0], "the newer one stands for it");
    assert!(desk.report(Err(Refusal::Lost)).is_none());
    assert_eq!(desk.send(), ["a", "b"]);
    assert_eq!(offsets(desk.report(PLACED)), [2]);
    assert_eq!(offsets(desk.report(PLACED)), [1]);
    assert!(desk.outbox.is_empty() && desk.outbox.newest.is_empty());
}

#[test]
fn dead_letters_of_one_hotel_are_no_states_of_one_thing() {
    let mut desk = Desk::new();
    desk.push("dead", "hotel", Purpose::DeadLetter(round(0)));
    desk.push("dead", "hotel", Purpose::DeadLetter(round(1)));
    desk.send();
    assert!(desk.report(Err(Refusal::Lost)).is_none());
    assert!(desk.report(Err(Refusal::Lost)).is_none());
    assert_eq!(desk.send().len(), 2);
}

#[test]
fn a_topic_that_refuses_a_batch_gets_its_records_one_by_one() {
    let mut desk = Desk::new();
    desk.entity("a", 0);
    desk.entity("b", 1);
    desk.send();
    assert!(desk.report(Err(Refusal::TooLarge)).is_none());
    desk.entity("c", 2);
    desk.push("other", "x", Purpose::Unpark);
    assert_eq!(desk.send(), ["x"], "something is under way to the topic");
    assert!(desk.report(Err(Refusal::TooLarge)).is_none());
    assert!(offsets(desk.report(PLACED)).is_empty());
    assert_eq!(desk.send(), ["a"]);
    let Some(Settled::Refused { reason: DeadLetter::TooLarge, attempts: 2, detail, .. }) =
        desk.report(Err(Refusal::TooLarge))
    else {
        panic!("alone, it is the record")
    };
    assert_eq!(detail, "larger than the topic takes");
    assert_eq!(desk.send(), ["b"]);
    assert!(desk.report(Err(Refusal::Lost)).is_none());
    assert_eq!(desk.send(), ["b"]);
    assert_eq!(offsets(desk.report(PLACED)), [1]);
    assert_eq!(desk.send(), ["c"], "and then as before");
}

#[test]
fn a_topic_that_is_missing_is_tried_again_and_given_up_but_never_the_dead_letters() {
    let mut desk = Desk::new();
    desk.entity("a", 0);
    desk.push("dead", "hotel", Purpose::DeadLetter(round(1)));
    let missing = || Err(Refusal::TopicUnavailable(TopicProblem::Missing));
    desk.send();
    assert!(desk.report(missing()).is_none() && desk.report(missing()).is_none());
    assert!(desk.send().is_empty(), "not at once");
    desk.now += GIVE_UP_AFTER + TOPIC_WAIT;
    desk.send();
    assert!(desk.report(missing()).is_none(), "no other topic takes anything either");
    assert!(desk.report(missing()).is_none());
    desk.push("other", "x", Purpose::Unpark);
    assert_eq!(desk.send(), ["x"]);
    assert!(matches!(desk.report(PLACED), Some(Settled::Taken(Purpose::Unpark))));
    desk.now += TOPIC_WAIT;
    assert_eq!(desk.send(), ["a", "hotel"]);
    assert!(matches!(
        desk.report(missing()),
        Some(Settled::Refused { reason: DeadLetter::TopicUnavailable, .. })
    ));
    assert!(desk.report(missing()).is_none());
    assert_eq!(desk.outbox.wake_at(), Some(desk.now + TOPIC_WAIT));
}

#[test]
fn what_the_client_has_no_room_for_goes_first_next_time_and_what_it_never_takes_comes_back() {
    let mut desk = Desk::new();
    desk.entity("a", 0);
    desk.entity("b", 1);
    assert!(desk.outbox.send(desk.now, |_, _| Err(SendError::QueueFull)).is_empty());
    assert_eq!(desk.send(), ["a", "b"]);
    desk.entity("c", 2);
    let refused = desk.outbox.send(desk.now, |_, _| Err(SendError::TooLarge));
    assert!(matches!(&*refused, [Settled::Refused { reason: DeadLetter::TooLarge, attempts: 0, .. }]));
    assert!(
        desk.outbox.holds(|origin| origin.offset == 1) && !desk.outbox.holds(|origin| origin.offset == 2)
    );
}

#[test]
fn what_arrives_late_or_for_others_says_so_and_what_was_not_sent_is_not() {
    let mut desk = Desk::new();
    desk.entity("a", 0);
    desk.send();
    desk.now += LATE + Duration::from_millis(1);
    assert!(matches!(desk.report(PLACED), Some(Settled::Late { is_disowned: false, .. })));
    desk.entity("b", 1);
    desk.entity("c", 2);
    desk.send();
    desk.entity("d", 3);
    desk.outbox.disown(|_| true);
    assert!(matches!(desk.report(PLACED), Some(Settled::Late { is_disowned: true, .. })));
    assert_eq!(offsets(desk.report(Err(Refusal::Lost))), [2], "not sent again");
    let settled = desk.outbox.send(desk.now, |_, _| panic!("sent for others"));
    assert_eq!(settled.len(), 1);
    assert!(desk.outbox.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Push { key: u8, topic: u8 },
    Send { room: usize },
    Report(Answer),
    Wait,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Taken,
    Lost,
    TooLarge,
    Missing,
    Rejected,
}

/// What came back without being sent.
fn superseded(settled: Vec<Settled>, open: &mut BTreeMap<u64, (u8, u8)>) -> Result<(), TestCaseError> {
    for settled in settled {
        let ticket = u64::try_from(offsets(Some(settled))[0]).unwrap();
        let place = open.remove(&ticket);
        let newer = |(other, of): (&u64, &(u8, u8))| *other > ticket && Some(*of) == place;
        prop_assert!(place.is_some() && open.iter().any(newer), "nothing stands for {ticket}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn everything_is_settled_once_and_the_last_of_a_key_is_what_kafka_has(steps in prop::collection::vec(prop_oneof![
        4 => (0u8..3, 0u8..2).prop_map(|(key, topic)| Step::Push { key, topic }),
        4 => (0usize..5).prop_map(|room| Step::Send { room }),
        4 => prop_oneof![
            4 => Just(Answer::Taken), 2 => Just(Answer::Lost), 2 => Just(Answer::TooLarge),
            1 => Just(Answer::Missing), 1 => Just(Answer::Rejected),
        ].prop_map(Step::Report),
        1 => Just(Step::Wait),
    ], 0..120)) {
        let mut desk = Desk::new();
        let (mut open, mut refused, mut last) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut kafka: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let mut pushed = 0u64;
        let mut settle = |desk: &mut Desk, answer: Answer, open: &mut BTreeMap<u64, (u8, u8)>, refused: &mut Vec<u64>| {
            if desk.sent.is_empty() { return Ok(()) }
            let ticket = desk.sent[0].0;
            let place = open.get(&ticket).copied();
            let settled = desk.report(match answer {
                Answer::Taken => PLACED,
                Answer::Lost => Err(Refusal::Lost),
                Answer::TooLarge => Err(Refusal::TooLarge),
                Answer::Missing => Err(Refusal::TopicUnavailable(TopicProblem::Missing)),
                Answer::Rejected => Err(Refusal::Rejected("no".to_owned())),
            });
            prop_assert!(place.is_some(), "ticket {ticket} has been settled before");
            match settled {
                None => return Ok(()),
                Some(Settled::Taken(_) | Settled::Late { .. } | Settled::Parked { .. }) => {
                    if let (Answer::Taken, Some(place)) = (answer, place) { kafka.insert(place, ticket); }
                }
                Some(Settled::Refused { .. }) => refused.push(ticket),
            }
            open.remove(&ticket);
            Ok(())
        };
        for step in steps {
            match step {
                Step::Push { key, topic } => {
                    pushed += 1;
                    // The origin says which ticket it was.
                    let ticket = i64::try_from(pushed).unwrap();
                    desk.push(&topic.to_string(), &key.to_string(), Purpose::Entity(round(ticket)));
                    open.insert(pushed, (topic, key));
                    last.insert((topic, key), pushed);
                }
                Step::Send { room } => {
                    let Desk { outbox, now, sent } = &mut desk;
                    let room = sent.len() + room;
                    let settled = outbox.send(*now, |record, ticket| {
                        if sent.len() >= room { return Err(SendError::QueueFull) }
                        sent.push((ticket, String::from_utf8_lossy(&record.key).into_owned()));
                        Ok(())
                    });
                    superseded(settled, &mut open)?;
                }
                Step::Report(answer) => settle(&mut desk, answer, &mut open, &mut refused)?,
                Step::Wait => desk.now += TOPIC_WAIT,
            }
            prop_assert_eq!(desk.outbox.len(), open.len());
        }
        while !desk.outbox.is_empty() {
            desk.now += TOPIC_WAIT;
            let Desk { outbox, now, sent } = &mut desk;
            let settled = outbox.send(*now, |record, ticket| {
                sent.push((ticket, String::from_utf8_lossy(&record.key).into_owned()));
                Ok(())
            });
            superseded(settled, &mut open)?;
            while !desk.sent.is_empty() {
                settle(&mut desk, Answer::Taken, &mut open, &mut refused)?;
            }
        }
        prop_assert!(open.is_empty() && desk.outbox.newest.is_empty() && desk.outbox.in_flight.is_empty());
        for (place, ticket) in last {
            if !refused.contains(&ticket) {
                prop_assert_eq!(kafka.get(&place), Some(&ticket));
            }
        }
    }
}
