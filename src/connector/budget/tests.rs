//! The budget with real waiters; what it counts is tested beside the window.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    secret::Secret,
    telemetry::metrics::{Metrics as All, Names},
};

fn budget(requests: usize, window: Duration, open: usize) -> Budget {
    Budget::new(Limits { requests, window, open }, All::new(&Names::default()).connector)
}

fn token(name: &str) -> Fingerprint {
    Fingerprint::of(&Secret::new(name.to_owned()))
}

const LONG: Duration = Duration::from_secs(3600);
const A: Operation = Operation::Customers;
const B: Operation = Operation::Payments;

/// Whether a permit is to be had without waiting.
async fn at_once(budget: &Budget, name: &str, operation: Operation) -> Option<Permit> {
    tokio::select! {
        biased;
        permit = budget.acquire(token(name), operation) => permit.ok(),
        () = std::future::ready(()) => None,
    }
}

#[tokio::test]
async fn tokens_do_not_share_a_budget() {
    let budget = budget(12, LONG, 10);
    for _ in 0..2 {
        at_once(&budget, "one", A).await.unwrap().answered();
    }
    assert!(at_once(&budget, "one", A).await.is_none(), "a third of the half of twelve is spent");
    assert!(at_once(&budget, "two", A).await.is_some());
    budget.observe();
    assert!((budget.0.metrics.rate_limit_used.get() - 2.0 / 12.0).abs() < 1e-9);
    assert_eq!(budget.0.metrics.throttled.of(ThrottledBy::Client).get(), 1);
}

#[tokio::test]
async fn a_waiter_that_is_dropped_leaves_nothing_behind() {
    let budget = budget(2, LONG, 1);
    let first = at_once(&budget, "one", A).await.unwrap();
    for _ in 0..10 {
        assert!(at_once(&budget, "one", A).await.is_none());
    }
    let nobody = |token: &Token| token.waiting.is_empty() && token.window.next().is_none();
    assert!(budget.tokens().known.values().all(nobody));
    first.unsent();
    assert!(at_once(&budget, "one", A).await.is_some(), "nobody is in front");
}

#[tokio::test]
async fn the_next_is_woken_when_one_is_over_and_when_the_first_in_line_leaves() {
    let budget = budget(100, LONG, 1);
    let first = at_once(&budget, "one", A).await.unwrap();
    let wait = |operation| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.acquire(token("one"), operation).await })
    };
    let (second, third) = (wait(A), wait(A));
    tokio::task::yield_now().await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    drop(first);
    drop(third.await.unwrap());
}

#[tokio::test]
async fn operations_take_turns() {
    let budget = budget(1000, LONG, 1);
    let first = at_once(&budget, "one", A).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (name, operation) in [("a1", A), ("a2", A), ("a3", A), ("b1", B), ("b2", B)] {
        let (waiting, order) = (budget.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let permit = waiting.acquire(token("one"), operation).await;
            order.lock().unwrap().push(name);
            drop(permit);
        }));
        // Each is in line before the next comes.
        tokio::task::yield_now().await;
    }
    drop(first);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["b1", "a1", "b2", "a2", "a3"]);
}

#[tokio::test]
async fn waiters_go_on_when_the_window_has_moved_and_idle_tokens_are_forgotten() {
    let window = Duration::from_millis(20);
    let budget = budget(4, window, 100);
    let sent = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let (budget, sent) = (budget.clone(), Arc::clone(&sent));
        tasks.push(tokio::spawn(async move {
            let mut permit = budget.acquire(token("one"), A).await.unwrap();
            permit.answered();
            sent.fetch_add(1, Ordering::Relaxed);
        }));
    }
    let began = Instant::now();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(sent.load(Ordering::Relaxed), 20);
    // Half a budget, then whole ones: 2, 4, 4, 4, 4, 2.
    assert!(began.elapsed() >= window * 5, "{:?}", began.elapsed());
    tokio::time::sleep(window * 2).await;
    drop(at_once(&budget, "two", A).await);
    assert_eq!(budget.tokens().known.len(), 1, "only the one that was just used");
}

#[tokio::test]
async fn who_waits_for_a_token_that_is_frozen_for_long_is_told_so() {
    let budget = budget(100, LONG, 100);
    let mut permit = at_once(&budget, "one", A).await.unwrap();
    let waiting = budget.clone();
    permit.throttled(Some(LONG));
    let Err(Frozen(wait)) = waiting.acquire(token("one"), B).await else { panic!("it is frozen") };
    assert!(wait > PATIENCE && wait <= LONG);
    assert!(at_once(&budget, "two", B).await.is_some());
}

#[tokio::test]
async fn a_throttled_token_waits_and_another_does_not() {
    let budget = budget(100, LONG, 100);
    let mut permit = at_once(&budget, "one", A).await.unwrap();
    permit.throttled(Some(Duration::from_millis(30)));
    drop(permit);
    assert!(at_once(&budget, "one", B).await.is_none());
    assert!(at_once(&budget, "two", B).await.is_some());
    let began = Instant::now();
    drop(budget.acquire(token("one"), B).await);
    assert!(began.elapsed() >= Duration::from_millis(20), "{:?}", began.elapsed());
    assert_eq!(budget.0.metrics.throttled.of(ThrottledBy::Server).get(), 1);
}
