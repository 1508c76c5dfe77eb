//! How many connections are served at once, and whose turn it is to go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use prometheus::IntGauge;

use super::activity::{Activity, FIRST_BYTE_WITHIN, Waiting};

/// The places of connections; a cheap handle.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    open: Mutex<Open>,
    waiting: Arc<Waiting>,
    gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Activity>>,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    number: u64,
    /// What the connection in this place is doing.
    pub activity: Arc<Activity>,
}

impl Slots {
    /// So many places.
    pub(super) fn new(max: usize, gauge: IntGauge) -> Self {
        let open = Mutex::new(Open::default());
        Self(Arc::new(Inner { max, open, waiting: Arc::default(), gauge }))
    }

    /// Waits for a place. While there is none, the longest idle connection is asked to close; one that
    /// gets a request in that moment serves it first. Only one may wait at a time.
    pub(super) async fn free(&self) -> Slot {
        loop {
            if let Some(slot) = self.take() {
                return slot;
            }
            // In this order: a connection that becomes idle after the look sees that somebody waits.
            self.0.waiting.begin();
            let _end = EndWaiting(&self.0.waiting);
            if let Some(slot) = self.take() {
                return slot;
            }
            self.ask_longest_idle();
            // New connections come of age without telling anybody.
            let _ = tokio::time::timeout(FIRST_BYTE_WITHIN, self.0.waiting.change()).await;
        }
    }

    fn take(&self) -> Option<Slot> {
        let mut open = self.open();
        if open.connections.len() >= self.0.max {
            return None;
        }
        let activity = Arc::new(Activity::new(Instant::now(), Arc::clone(&self.0.waiting)));
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, Arc::clone(&activity));
        self.0.gauge.set(i64::try_from(open.connections.len()).unwrap_or(i64::MAX));
        Some(Slot { slots: self.clone(), number, activity })
    }

    fn ask_longest_idle(&self) {
        let now = Instant::now();
        let open = self.open();
        let idle = open.connections.values().filter_map(|each| Some((each.idle_since(now)?, each)));
        if let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) {
            longest.ask_to_close();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open();
        open.connections.remove(&self.number);
        self.slots.0.gauge.set(i64::try_from(open.connections.len()).unwrap_or(i64::MAX));
        self.slots.0.waiting.tell();
    }
}

struct EndWaiting<'a>(&'a Waiting);

impl Drop for EndWaiting<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn slots(max: usize) -> Slots {
        Slots::new(max, IntGauge::new("open", "open").unwrap())
    }

    async fn asked(slot: &Slot) {
        let asked = tokio::time::timeout(Duration::from_secs(10), slot.activity.asked_to_close());
        asked.await.expect("it is asked to close");
    }

    #[tokio::test]
    async fn a_place_is_given_back_when_its_connection_ends() {
        let slots = slots(1);
        let first = slots.free().await;
        let mut second = std::pin::pin!(slots.free());
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut second).await.is_err());
        drop(first);
        second.await;
        assert!(slots.open().connections.is_empty() && slots.0.gauge.get() == 0);
    }

    #[tokio::test]
    async fn the_longest_idle_connection_is_asked_to_close_and_a_busy_one_is_not() {
        let slots = slots(3);
        let (busy, idle, later) = (slots.free().await, slots.free().await, slots.free().await);
        let _request = busy.activity.serve();
        idle.activity.multiplex(Instant::now());
        later.activity.multiplex(Instant::now() + Duration::from_millis(1));
        let waiter = tokio::spawn({
            let slots = slots.clone();
            async move { slots.free().await }
        });
        asked(&idle).await;
        assert!(later.activity.idle_since(Instant::now()).is_some(), "it may stay");
        drop(idle);
        waiter.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_becomes_idle_later_is_asked_then() {
        let slots = slots(1);
        let only = slots.free().await;
        let request = only.activity.serve();
        let waiter = tokio::spawn({
            let slots = slots.clone();
            async move { slots.free().await }
        });
        tokio::task::yield_now().await;
        drop(request);
        asked(&only).await;
        drop(only);
        waiter.await.unwrap();
    }
}
