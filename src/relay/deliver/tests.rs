//! The machine against a model broker that refuses, loses, delays and goes away at random.

use super::*;
use crate::{
    kafka::{Placed, Refusal},
    relay::capacity::Capacity,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeSet;

mod world;

use world::*;

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
    assert!(world.deliver.open().held_bytes() <= TIGHT.held_bytes, "{}", world.deliver.open().held_bytes());
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
    assert!(world.deliver.take_notices().any(|notice| notice == given_up));
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
    assert_eq!((world.deliver.open().len(), world.leftovers.len()), (1, 0));
    world.topics.get_mut(DEAD_LETTERS).unwrap().is_away = false;
    world.now += Duration::from_secs(31);
    world.rounds(2);
    assert_eq!((world.deliver.open().len(), world.log_of(DEAD_LETTERS)), (0, 1));
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
    let own = dead.headers.iter().take(whole.headers.len());
    assert!(own.eq(whole.headers.iter()));
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
    world.deliver.client_up();
    world.settle();
    world.verify();
}

#[test]
fn a_record_that_the_client_will_not_take_is_judged_like_one_that_came_back() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[(0, Size::Small)]);
    world.accept(1, &[(0, Size::Small)]);
    let Some(Step::Send(first)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(first, Ok(()), world.now);
    let Some(Step::Send(second)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(second, Err(SendError::TooLarge), world.now);
    assert_eq!(world.deliver.next(world.now), None, "it waits until it is alone");
    world.deliver.report(Report { ticket: first, result: Ok(Placed { partition: 0, offset: 0 }) }, world.now);
    let Some(Step::Send(again)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(again, Err(SendError::TooLarge), world.now);
    let too_large = Notice::DeadLetter(metrics::DeadLetter::TooLarge);
    assert!(world.deliver.take_notices().any(|notice| notice == too_large));
}

#[test]
fn a_delivery_without_events_is_delivered_at_once() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[]);
    world.check();
    assert_eq!((world.passed.delivered, world.deliver.open().len()), (1, 0));
}

/// Hands everything to the client that may go now.
fn send_all(world: &mut World) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    while let Some(Step::Send(ticket)) = world.deliver.next(world.now) {
        world.deliver.sent(ticket, Ok(()), world.now);
        tickets.push(ticket);
    }
    tickets
}

#[test]
fn what_is_in_flight_on_a_narrow_topic_fits_into_one_of_its_batches() {
    const NARROW_BYTES: usize = 4000;
    let mut world = World::new(After::Refuses);
    let topics = [(format!("mews.events.{}", TOPICS[0]), Capacity::Bytes(NARROW_BYTES))].into();
    world.deliver.learn(Capacities { topics, others: Capacity::Any });
    world.accept(0, &[(0, Size::Small); 20]);
    let in_flight = send_all(&mut world);
    let bytes: usize = in_flight.iter().map(|ticket| world.deliver.record(*ticket).unwrap().size()).sum();
    assert!(in_flight.len() < 20 && bytes <= NARROW_BYTES, "{} records, {bytes} bytes", in_flight.len());
    let placed = Report { ticket: in_flight[0], result: Ok(Placed { partition: 0, offset: 0 }) };
    world.deliver.report(placed, world.now);
    let more = send_all(&mut world).len();
    assert_eq!(more, 1, "one of {} came back, so there is room for another", in_flight.len());
}

#[test]
fn records_go_one_at_a_time_until_a_broker_has_said_that_their_topic_is_there() {
    let mut world = World::new(After::Refuses);
    world.deliver.learn(Capacities::unknown());
    world.accept(0, &[(0, Size::Small), (0, Size::Small), (0, Size::Small)]);
    assert_eq!(send_all(&mut world).len(), 1);
    world.deliver.learn(Capacities::default());
    assert!(send_all(&mut world).is_empty(), "the first is still alone");
}

#[test]
fn a_delivery_that_is_given_up_holds_nothing_back_and_counts_as_discarded() {
    let mut world = World::new(After::Refuses);
    world.accept(0, &[(0, Size::Small), (1, Size::Small)]);
    world.accept(0, &[(0, Size::Small)]);
    // One record of the first delivery is in flight, and nothing else was sent.
    let Some(Step::Send(ticket)) = world.deliver.next(world.now) else { panic!("nothing to send") };
    world.deliver.sent(ticket, Ok(()), world.now);
    assert_eq!(world.deliver.discard(1, world.now), Some(2));
    let passed = world.deliver.take_passed().unwrap();
    assert_eq!((passed.through, passed.discarded), (1, 1), "it is not waited for what is in flight");
    assert_eq!(world.deliver.discard(1, world.now), None);
    world.deliver.report(Report { ticket, result: Err(Refusal::Lost) }, world.now);
    let rest = send_all(&mut world);
    assert_eq!(rest.len(), 1, "only the second delivery's is sent");
    world
        .deliver
        .report(Report { ticket: rest[0], result: Ok(Placed { partition: 0, offset: 0 }) }, world.now);
    let passed = world.deliver.take_passed().unwrap();
    assert_eq!((passed.through, passed.delivered), (2, 1));
}
