//! The window against the server that it must never overrun, in made-up time.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { requests: 198, window: Duration::from_secs(30), open: 10_000 };
/// What Mews allows in any 30 s (contract 3.4).
const ALLOWED: usize = 200;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One request of a run: when it was sent, and when it reached the server.
#[derive(Clone, Copy, Debug)]
struct Request {
    operation: Operation,
    sent: Duration,
    arrived: Duration,
}

/// How a request fares: milliseconds to the server and back, and whether its answer is lost.
#[derive(Clone, Copy, Debug)]
struct Fate {
    there: u64,
    back: u64,
    is_lost: bool,
}

/// Sends the backlog as fast as the window lets it, for so long.
fn run(limits: Limits, backlog: &[(Operation, usize)], fates: &[Fate], length: Duration) -> Vec<Request> {
    let start = Instant::now();
    let mut window = Window::new(limits, start);
    let mut operations = Vec::new();
    for (operation, count) in backlog {
        for _ in 0..*count {
            window.ask(*operation, operations.len() as Ticket);
            operations.push(*operation);
        }
    }
    let mut now = Duration::ZERO;
    let mut under_way = BinaryHeap::new();
    let mut requests: Vec<Request> = Vec::new();
    while now < length {
        while let Some(Reverse((answered, is_lost))) = under_way.peek().copied()
            && answered <= now
        {
            under_way.pop();
            if is_lost {
                window.lost(start + now);
            } else {
                window.answered(start + now);
            }
            window.close();
        }
        let Some(ticket) = window.next() else { break };
        match window.poll(ticket, start + now) {
            Turn::Granted => {
                let fate = fates[requests.len() % fates.len()];
                let answered = now + ms(fate.there + fate.back);
                let operation = operations[ticket as usize];
                requests.push(Request { operation, sent: now, arrived: now + ms(fate.there) });
                under_way.push(Reverse((answered, fate.is_lost)));
            }
            Turn::Frozen(_) => panic!("nobody has frozen it"),
            Turn::Wait(until) => {
                let until = until.map(|until| until - start);
                let next = under_way.peek().map(|Reverse((answered, _))| *answered);
                now = until.into_iter().chain(next).min().expect("something is always going to happen");
            }
        }
    }
    requests
}

/// The most requests that any window of the server holds; its windows are closed at both ends.
fn most_in_a_window(requests: &[Request], window: Duration) -> usize {
    let mut arrivals: Vec<_> = requests.iter().map(|request| request.arrived).collect();
    arrivals.sort();
    let mut from = 0;
    let mut most = 0;
    for (at, arrived) in arrivals.iter().enumerate() {
        while arrivals[from] + window < *arrived {
            from += 1;
        }
        most = most.max(at - from + 1);
    }
    most
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let delay = || prop_oneof![Just(0u64), 0u64..50, 0u64..2_000, 0u64..30_000];
    (delay(), delay(), prop::bool::weighted(0.05)).prop_map(|(there, back, is_lost)| Fate {
        there,
        back,
        is_lost,
    })
}

proptest! {
    #[test]
    fn no_window_of_the_server_holds_more_than_is_allowed(
        fates in prop::collection::vec(any_fate(), 1..60), requests in 2usize..30, open in 1usize..40,
    ) {
        let limits = Limits { requests, open, ..LIMITS };
        let sent = run(limits, &[(Operation::Customers, 400)], &fates, ms(100_000_000));
        prop_assert!(most_in_a_window(&sent, limits.window) <= requests);
        prop_assert_eq!(sent.len(), 400, "it goes on after the first window");
    }

    #[test]
    fn no_operation_waits_for_the_backlog_of_another(
        fates in prop::collection::vec(any_fate(), 1..20), counts in prop::collection::vec(1usize..60, 2..12),
    ) {
        let limits = Limits { requests: 20, ..LIMITS };
        let backlog: Vec<_> = Operation::ALL.iter().copied().zip(counts).collect();
        let sent = run(limits, &backlog, &fates, ms(100_000_000));
        prop_assert_eq!(sent.len(), backlog.iter().map(|(_, count)| count).sum::<usize>());
        // While an operation waits, none is served twice before it is served once.
        for (operation, count) in &backlog {
            let turns: Vec<_> = (0..sent.len()).filter(|at| sent[*at].operation == *operation).collect();
            prop_assert_eq!(turns.len(), *count);
            prop_assert!(turns.windows(2).all(|pair| pair[1] - pair[0] <= backlog.len()));
            prop_assert!(turns[0] < backlog.len());
        }
    }
}

#[test]
fn a_backlog_uses_nearly_all_that_mews_allows() {
    let fates: Vec<_> =
        (0..37).map(|n| Fate { there: 40 + n * 3, back: 60 + n * 4, is_lost: false }).collect();
    let length = ms(3_600_000);
    let sent = run(LIMITS, &[(Operation::Reservations, 100_000)], &fates, length);
    // The first window is a half one.
    let after: Vec<_> = sent.iter().copied().filter(|request| request.sent >= ms(60_000)).collect();
    let allowed = ALLOWED as f64 * (3600.0 - 60.0) / 30.0;
    let share = after.len() as f64 / allowed;
    println!(
        "share of 200 per 30 s: {share:.3}, most in a window: {}",
        most_in_a_window(&sent, LIMITS.window)
    );
    assert!(share >= 0.95, "{share}");
    assert!(most_in_a_window(&sent, LIMITS.window) <= LIMITS.requests);
}

#[test]
fn a_token_starts_at_half_bit_by_bit_and_is_whole_a_window_later() {
    let fates = [Fate { there: 0, back: 0, is_lost: false }];
    let sent = run(LIMITS, &[(Operation::Payments, 300)], &fates, ms(40_000));
    let by = |time| sent.iter().filter(|request| request.sent <= time).count();
    assert_eq!((by(Duration::ZERO), by(ms(15_016)), by(ms(30_029))), (33, 66, 98));
    // Then what was sent at once counts no more, and the rest still does.
    assert_eq!(by(ms(30_030)), 33 + 198);
}

/// Each owner has a backlog, spends what it is given at once, and is gone when the next one comes.
#[test]
fn four_owners_in_one_window_stay_within_the_limit_together() {
    let fates = [Fate { there: 0, back: 100, is_lost: false }];
    for pauses in [[0, 0, 0], [1, 1, 1], [2_000, 3_000, 25_000], [10_000, 10_000, 10_000], [29_000, 1, 1]] {
        let (mut begin, mut all) = (Duration::ZERO, Vec::new());
        for pause in pauses.into_iter().chain([100_000]) {
            let sent = run(LIMITS, &[(Operation::Payments, 1_000)], &fates, ms(pause));
            all.extend(sent.into_iter().map(|each| Request { arrived: begin + each.arrived, ..each }));
            begin += ms(pause);
        }
        assert!(most_in_a_window(&all, LIMITS.window) <= LIMITS.requests, "{pauses:?}");
    }
}

fn granted(window: &mut Window, ticket: Ticket, now: Instant) -> bool {
    window.ask(Operation::Services, ticket);
    let turn = window.poll(ticket, now);
    window.leave(Operation::Services, ticket);
    turn == Turn::Granted
}

#[test]
fn retry_after_freezes_the_whole_token() {
    let start = Instant::now();
    let mut window = Window::new(LIMITS, start);
    assert!(granted(&mut window, 0, start));
    assert!(granted(&mut window, 1, start));
    window.throttled(Some(ms(5_000)), start);
    // A shorter wait does not shorten the one that runs.
    window.throttled(Some(ms(1_000)), start);
    window.ask(Operation::Customers, 2);
    assert_eq!(window.poll(2, start + ms(4_999)), Turn::Frozen(start + ms(5_000)));
    assert_eq!(window.poll(2, start + ms(5_000)), Turn::Granted);
}

#[test]
fn without_retry_after_each_freeze_is_longer_until_an_answer_is_good() {
    let mut now = Instant::now();
    let mut window = Window::new(LIMITS, now);
    let mut freeze = |window: &mut Window| {
        assert!(granted(window, 0, now));
        window.throttled(None, now);
        window.ask(Operation::Customers, 1);
        let Turn::Frozen(until) = window.poll(1, now) else { panic!("not frozen") };
        window.leave(Operation::Customers, 1);
        let wait = until - now;
        now = until;
        wait
    };
    for bound in [1_000, 2_000, 4_000, 8_000] {
        let wait = freeze(&mut window);
        assert!(wait >= ms(bound / 2) && wait <= ms(bound), "{wait:?} of {bound}");
    }
    window.unanswered += 1;
    window.answered(Instant::now());
    assert!(freeze(&mut window) <= ms(1_000));
}

#[test]
fn a_request_that_was_never_sent_does_not_count_and_a_lost_one_counts_twice_as_long() {
    let start = Instant::now();
    let mut window = Window::new(Limits { requests: 2, ..LIMITS }, start);
    assert!(granted(&mut window, 0, start));
    window.unsent();
    window.close();
    assert!(granted(&mut window, 1, start), "half of two is one");
    window.lost(start);
    window.close();
    assert!(!window.is_idle(start + ms(60_059)));
    assert!(window.is_idle(start + ms(60_060)));
}

#[test]
fn what_is_under_way_is_bounded() {
    let start = Instant::now();
    let mut window = Window::new(Limits { open: 1, ..LIMITS }, start);
    assert!(granted(&mut window, 0, start));
    window.answered(start);
    assert!(!granted(&mut window, 1, start), "its answer is still being read");
    window.close();
    assert!(granted(&mut window, 1, start));
}
