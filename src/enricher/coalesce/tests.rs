//! The pending set, case by case.

mod model;

use super::*;
use crate::enricher::event::tests::record;

const WINDOW: Duration = Duration::from_millis(500);
const PARK_AFTER: Duration = Duration::from_secs(30);

pub(crate) fn round(event: Event) -> Round {
    Round::of(event, None, Instant::now())
}

fn event(discriminator: &str, id: &str, partition: i32, offset: i64) -> Event {
    let mut original = record(discriminator, &format!(r#"{{"Id":"{id}"}}"#), offset);
    original.origin.partition = partition;
    Event::read(original).unwrap()
}

fn customer(id: &str, offset: i64) -> Event {
    event("CustomerUpdated", id, 3, offset)
}

struct Desk {
    coalescer: Coalescer,
    now: Instant,
}

impl Desk {
    fn new(ids_max: usize) -> Self {
        let settings = Settings { window: WINDOW, park_after: PARK_AFTER, ids_max };
        Self { coalescer: Coalescer::new(settings), now: Instant::now() }
    }

    fn add(&mut self, id: &str, offset: i64) {
        self.coalescer.add(customer(id, offset), None, self.now);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn work(&mut self) -> Option<Work> {
        self.coalescer.next(self.now)
    }

    fn batch(&mut self) -> Batch {
        match self.work() {
            Some(Work::Fetch(batch)) => batch,
            other => panic!("{other:?}"),
        }
    }

    fn found(&mut self, batch: &Batch, id: &str) -> Option<Round> {
        let key = Key { group: batch.group.clone(), id: id.into() };
        self.coalescer.found(&key, batch.number, self.now)
    }

    fn again(&mut self, batch: &Batch, id: &str, attempt: Option<fetch::Round>) {
        let key = Key { group: batch.group.clone(), id: id.into() };
        match attempt {
            Some(_) => self.coalescer.again(&key, batch.number, self.now),
            None => self.coalescer.requeue(&key, batch.number),
        }
    }

    fn is_lone(&self, batch: &Batch, id: &str) -> bool {
        self.coalescer.is_lone(&Key { group: batch.group.clone(), id: id.into() })
    }

    fn set_apart(&mut self, batch: &Batch, id: &str) -> Option<Round> {
        let key = Key { group: batch.group.clone(), id: id.into() };
        self.coalescer.set_apart(&key, batch.number, self.now)
    }

    fn ended(&mut self, batch: &Batch, answered: bool) -> bool {
        self.coalescer.ended(batch, answered, self.now)
    }

    fn hold(&mut self, batch: &Batch, reason: HoldReason, wait: Option<Duration>) {
        let until = wait.map(|wait| self.now + wait);
        self.coalescer.hold(&batch.group, reason, until, self.now);
    }
}

fn ids(batch: &Batch) -> Vec<&str> {
    batch.ids.iter().map(|id| &**id).collect()
}

fn offsets(round: &Round) -> Vec<i64> {
    round.origins.iter().map(|origin| origin.offset).collect()
}

#[test]
fn a_hundred_events_of_one_entity_in_a_window_are_one_id_of_one_request() {
    let mut desk = Desk::new(1000);
    for offset in 0..100 {
        desk.add("a", offset);
    }
    assert!(desk.work().is_none(), "its window is open");
    assert_eq!(desk.coalescer.wake_at(), Some(desk.now + WINDOW));
    desk.wait(WINDOW);
    let batch = desk.batch();
    assert_eq!(ids(&batch), ["a"]);
    let round = desk.found(&batch, "a").unwrap();
    assert_eq!((round.events(), round.newest.original.origin.offset), (100, 99));
    assert_eq!(round.links.len(), round::LINKS_MAX);
    desk.ended(&batch, true);
    assert!(desk.coalescer.is_empty() && desk.coalescer.wake_at().is_none());
}

#[test]
fn what_is_due_soon_goes_with_what_is_due_now_up_to_what_a_request_takes() {
    let mut desk = Desk::new(3);
    for (at, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
        desk.add(id, at as i64);
        desk.wait(Duration::from_millis(100));
    }
    desk.wait(Duration::from_millis(100));
    let first = desk.batch();
    assert_eq!(ids(&first), ["a", "b", "c"]);
    assert!(desk.work().is_none());
    desk.wait(Duration::from_millis(300));
    assert_eq!(ids(&desk.batch()), ["d"]);
}

#[test]
fn an_event_during_its_fetch_asks_for_one_more_afterwards() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let first = desk.batch();
    desk.add("a", 1);
    desk.add("a", 2);
    desk.wait(WINDOW * 4);
    assert!(desk.work().is_none(), "no second fetch beside the first");
    assert_eq!(offsets(&desk.found(&first, "a").unwrap()), [0]);
    desk.ended(&first, true);
    let second = desk.batch();
    assert_eq!(offsets(&desk.found(&second, "a").unwrap()), [1, 2]);
}

#[test]
fn what_was_not_returned_is_asked_for_apart_from_what_is_new() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let first = desk.batch();
    desk.again(&first, "a", Some(fetch::Round::Again));
    desk.ended(&first, true);
    desk.add("b", 1);
    desk.wait(WINDOW);
    let second = desk.batch();
    assert_eq!((ids(&second), second.attempt), (vec!["a"], fetch::Round::Again));
    let third = desk.batch();
    assert_eq!((ids(&third), third.attempt), (vec!["b"], fetch::Round::First));
    // News while it is looked for once more: it has both attempts before it.
    desk.add("a", 2);
    desk.again(&second, "a", None);
    desk.ended(&second, true);
    let fourth = desk.batch();
    assert_eq!(fourth.attempt, fetch::Round::First);
    assert_eq!(desk.found(&fourth, "a").unwrap().events(), 2, "both count");
}

#[test]
fn a_bad_id_is_found_by_halves() {
    let mut desk = Desk::new(1000);
    for id in ["a", "b", "c", "d"] {
        desk.add(id, 0);
    }
    desk.wait(WINDOW);
    let all = desk.batch();
    desk.coalescer.apart(&all.group, all.number, &all.ids, desk.now);
    desk.ended(&all, true);
    let (one, other) = (desk.batch(), desk.batch());
    assert_eq!((ids(&one), ids(&other)), (vec!["a", "b"], vec!["c", "d"]));
    assert!(desk.found(&one, "a").is_some() && desk.found(&one, "b").is_some());
    desk.coalescer.apart(&other.group, other.number, &other.ids, desk.now);
    assert_eq!((ids(&desk.batch()), ids(&desk.batch())), (vec!["c"], vec!["d"]));
}

#[test]
fn requests_that_were_too_heavy_become_smaller_and_grow_again() {
    let mut desk = Desk::new(1000);
    for n in 0..8 {
        desk.add(&n.to_string(), n);
    }
    desk.wait(WINDOW);
    let heavy = desk.batch();
    desk.coalescer.too_heavy(&heavy.group, heavy.ids.len());
    heavy.ids.iter().for_each(|id| desk.again(&heavy, id, None));
    desk.ended(&heavy, false);
    let half = desk.batch();
    assert_eq!(half.ids.len(), 4);
    half.ids.iter().for_each(|id| assert!(desk.found(&half, id).is_some()));
    desk.ended(&half, true);
    for n in 8..20 {
        desk.add(&n.to_string(), n);
    }
    desk.wait(WINDOW);
    assert_eq!(desk.batch().ids.len(), 6, "between what was answered and what was not");
}

#[test]
fn what_had_no_answer_stays_before_what_came_after_it() {
    let mut desk = Desk::new(2);
    for (id, offset) in [("a", 0), ("b", 1), ("c", 2), ("d", 3)] {
        desk.add(id, offset);
        desk.wait(Duration::from_millis(1));
    }
    desk.wait(WINDOW);
    let first = desk.batch();
    desk.again(&first, "a", None);
    desk.again(&first, "b", None);
    desk.ended(&first, false);
    assert_eq!((ids(&desk.batch()), ids(&desk.batch())), (vec!["a", "b"], vec!["c", "d"]));
}

#[test]
fn an_id_that_fails_alone_is_asked_for_by_itself_and_given_up_in_time() {
    let mut desk = Desk::new(1000);
    desk.add("bad", 0);
    desk.add("good", 1);
    desk.wait(WINDOW);
    let both = desk.batch();
    both.ids.iter().for_each(|id| desk.again(&both, id, None));
    desk.ended(&both, false);
    let both = desk.batch();
    assert!(!desk.is_lone(&both, "bad"), "nothing was answered yet");
    desk.coalescer.apart(&both.group, both.number, &both.ids, desk.now);
    desk.ended(&both, false);
    let (one, other) = (desk.batch(), desk.batch());
    assert!(one.is_apart && other.is_apart && !both.is_apart);
    desk.wait(Duration::from_millis(1));
    let (bad, good) = if ids(&one) == ["bad"] { (one, other) } else { (other, one) };
    assert!(desk.found(&good, "good").is_some());
    desk.ended(&good, true);
    assert!(desk.is_lone(&bad, "bad"));
    let began = desk.now;
    let mut bad = bad;
    let mut asked = 1;
    loop {
        desk.add("good", 2);
        let given_up = desk.set_apart(&bad, "bad");
        desk.ended(&bad, false);
        if let Some(round) = given_up {
            assert_eq!(offsets(&round), [0]);
            break;
        }
        desk.wait(WINDOW);
        let good = desk.batch();
        assert_eq!(ids(&good), ["good"], "nobody has its company");
        assert!(desk.found(&good, "good").is_some());
        desk.ended(&good, true);
        let at = desk.coalescer.wake_at().expect("it is asked for again");
        desk.wait(at.saturating_duration_since(desk.now));
        bad = desk.batch();
        assert_eq!(ids(&bad), ["bad"]);
        asked += 1;
    }
    assert!(
        desk.now - began >= PARK_AFTER - WINDOW * 2 && asked <= 8,
        "{asked} times in {:?}",
        desk.now - began
    );
    assert_eq!(desk.coalescer.len(), 1, "only its company waits");
}

#[test]
fn what_is_known_to_fail_never_has_company() {
    let mut desk = Desk::new(1000);
    for id in ["a", "bad", "c"] {
        desk.add(id, 0);
    }
    desk.coalescer.keep_apart(&Key::of(&customer("bad", 0)), 17);
    desk.wait(WINDOW);
    let mut batches = [desk.batch(), desk.batch()];
    batches.sort_by_key(|batch| ids(batch).join(" "));
    assert_eq!(batches.each_ref().map(|batch| ids(batch).join(" ")), ["a c", "bad"]);
    let answers = [(0, "a"), (1, "bad")].map(|(at, id)| desk.found(&batches[at], id).unwrap().answers);
    assert_eq!(answers, [None, Some(17)], "what is parked up to there is answered, and nothing later");
}

/// Other batches of the lane are answered all the while, so that nothing holds it.
#[test]
fn ids_that_fail_together_are_suspected_whatever_becomes_of_others() {
    let mut desk = Desk::new(2);
    for id in ["bad", "company"] {
        desk.add(id, 0);
    }
    for times in 1..=3 {
        desk.wait(WINDOW);
        let batch = desk.batch();
        assert_eq!(desk.coalescer.suspect(&batch.group, batch.number, &batch.ids), times);
        batch.ids.iter().for_each(|id| desk.again(&batch, id, None));
        desk.ended(&batch, false);
        desk.add("other", 1);
        desk.wait(WINDOW);
        let (again, other) = (desk.batch(), desk.batch());
        assert_eq!((ids(&again), ids(&other)), (vec!["bad", "company"], vec!["other"]));
        again.ids.iter().for_each(|id| desk.again(&again, id, None));
        desk.ended(&again, false);
        assert!(desk.found(&other, "other").is_some());
        desk.ended(&other, true);
    }
    desk.add("new", 2);
    desk.wait(WINDOW);
    let [batch, new] = [desk.batch(), desk.batch()];
    let all = [batch.ids.clone(), new.ids.clone()].concat();
    assert_eq!(
        desk.coalescer.suspect(&batch.group, batch.number, &all),
        4,
        "those of another batch are not asked"
    );
}

#[test]
fn one_that_fails_in_an_answer_to_others_is_told_from_them() {
    let mut desk = Desk::new(1000);
    desk.add("bad", 0);
    for round in 0..3 {
        desk.add("good", 1 + round);
        desk.wait(WINDOW);
        let batch = desk.batch();
        assert!(desk.found(&batch, "good").is_some());
        desk.coalescer.answered_others(&batch.group, desk.now);
        assert_eq!(desk.is_lone(&batch, "bad"), round == 2);
        desk.again(&batch, "bad", None);
        desk.ended(&batch, false);
    }
}

#[test]
fn what_was_parked_last_is_asked_for_first() {
    let mut desk = Desk::new(1000);
    let park = |desk: &mut Desk, all: &[&str]| {
        all.iter().for_each(|id| desk.add(id, 0));
        desk.wait(PARK_AFTER);
        assert!(matches!(desk.work(), Some(Work::Park(rounds, _)) if rounds.len() == all.len()));
    };
    desk.add("first", 0);
    desk.wait(WINDOW);
    let batch = desk.batch();
    desk.hold(&batch, HoldReason::Unavailable, None);
    desk.again(&batch, "first", None);
    desk.ended(&batch, false);
    desk.wait(PARK_AFTER);
    assert!(matches!(desk.work(), Some(Work::Park(..))));
    park(&mut desk, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    park(&mut desk, &["good"]);
    desk.wait(PARK_AFTER);
    assert_eq!(ids(&desk.batch()), ["good"]);
}

#[test]
fn a_lane_without_credentials_waits_then_parks_and_is_released_by_news() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let batch = desk.batch();
    desk.hold(&batch, HoldReason::NoCredentials, None);
    desk.again(&batch, "a", None);
    desk.ended(&batch, false);
    assert!(desk.work().is_none());
    desk.wait(PARK_AFTER);
    let Some(Work::Park(rounds, HoldReason::NoCredentials)) = desk.work() else { panic!("not parked") };
    assert_eq!(rounds.iter().map(offsets).collect::<Vec<_>>(), [[0]]);
    // It is a stranger again, until somebody says that there is no token.
    desk.add("b", 1);
    desk.wait(WINDOW);
    let batch = desk.batch();
    desk.hold(&batch, HoldReason::NoCredentials, None);
    desk.again(&batch, "b", None);
    desk.ended(&batch, false);
    assert!(desk.work().is_none());
    desk.coalescer.release(|group| &*group.integration_id == "i", desk.now);
    assert_eq!(ids(&desk.batch()), ["b"]);
    desk.add("a", 2);
    desk.wait(WINDOW);
    assert_eq!(ids(&desk.batch()), ["a"]);
}

#[test]
fn a_refused_token_is_tried_with_one_id_and_an_answer_frees_the_lane() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.add("b", 1);
    desk.wait(WINDOW);
    let refused = desk.batch();
    desk.hold(&refused, HoldReason::Unauthorized, Some(Duration::from_secs(60)));
    refused.ids.iter().for_each(|id| desk.again(&refused, id, None));
    desk.ended(&refused, false);
    desk.wait(PARK_AFTER);
    assert!(matches!(desk.work(), Some(Work::Park(rounds, _)) if rounds.len() == 2));
    assert!(desk.work().is_none());
    desk.wait(PARK_AFTER);
    let probe = desk.batch();
    assert_eq!(probe.ids.len(), 1, "only one that was parked tells whether it works again");
    assert!(desk.ended(&probe, true), "what was parked can be taken up");
    assert!(!desk.ended(&probe, true));
}

#[test]
fn a_lane_that_is_held_holds_up_no_other() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let batch = desk.batch();
    desk.hold(&batch, HoldReason::Unavailable, None);
    desk.again(&batch, "a", None);
    desk.ended(&batch, false);
    desk.coalescer.add(event("PaymentUpdated", "p", 3, 1), None, desk.now);
    desk.wait(WINDOW);
    let kinds: Vec<_> = std::iter::from_fn(|| desk.work())
        .map(|work| match work {
            Work::Fetch(batch) => batch.group.entity,
            Work::Park(..) => panic!("too early"),
        })
        .collect();
    assert!(kinds.contains(&Entity::Payments));
}

#[test]
fn while_the_whole_api_is_away_no_lane_is_parked() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let batch = desk.batch();
    desk.hold(&batch, HoldReason::Unavailable, Some(Duration::from_secs(3600)));
    desk.again(&batch, "a", None);
    desk.ended(&batch, false);
    for _ in 0..10 {
        desk.wait(PARK_AFTER / 2);
        desk.coalescer.excuse(desk.now);
        assert!(!matches!(desk.work(), Some(Work::Park(..))));
    }
}

#[test]
fn a_batch_whose_partition_was_let_go_answers_nothing_even_when_it_came_back() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let gone = desk.batch();
    desk.coalescer.let_go(|origin| origin.partition == 3, desk.now);
    assert!(desk.coalescer.is_empty());
    desk.add("a", 0);
    desk.wait(WINDOW);
    let back = desk.batch();
    assert!(desk.found(&gone, "a").is_none(), "it may have read an older state");
    assert_eq!(offsets(&desk.found(&back, "a").unwrap()), [0]);
}

#[test]
fn who_waits_for_a_batch_that_was_let_go_is_fetched() {
    let mut desk = Desk::new(1000);
    desk.add("a", 0);
    desk.wait(WINDOW);
    let gone = desk.batch();
    desk.coalescer.add(event("CustomerUpdated", "a", 4, 1), None, desk.now);
    desk.coalescer.let_go(|origin| origin.partition == 3, desk.now);
    assert!(desk.found(&gone, "a").is_none());
    desk.ended(&gone, true);
    desk.wait(WINDOW);
    let batch = desk.batch();
    assert_eq!(offsets(&desk.found(&batch, "a").unwrap()), [1]);
}

#[test]
fn a_parked_event_that_was_answered_elsewhere_is_forgotten_unless_others_wait() {
    let mut desk = Desk::new(1000);
    desk.coalescer.add(customer("a", 0), Some(7), desk.now);
    desk.coalescer.add(customer("b", 0), Some(8), desk.now);
    desk.add("b", 9);
    let group = Group { integration_id: "i".into(), enterprise_id: "e".into(), entity: Entity::Customers };
    for id in ["a", "b"] {
        desk.coalescer.unparked(&Key { group: group.clone(), id: id.into() });
    }
    desk.wait(WINDOW);
    let batch = desk.batch();
    assert_eq!(ids(&batch), ["b"]);
    let round = desk.found(&batch, "b").unwrap();
    assert_eq!((offsets(&round), round.parked), (vec![9], Some(8)));
}
