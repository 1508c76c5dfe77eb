//! What is to be told, and when: events wait by integration and hotel until the queue is read (contract 1.5).
//!
//! No I/O, no clock. All that waits for one integration and hotel goes out together, the first event's
//! delay after it, in messages of at most so many events.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use super::{utc::Utc, webhook::Event};

/// Whose events wait together: an integration and a hotel, by their places.
pub type Queue = (usize, u32);

/// Everything that waits.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: HashMap<Queue, Vec<Event>>,
    due: BTreeSet<(Utc, Queue)>,
    /// Integration webhooks, which wait for nothing.
    at_once: VecDeque<(usize, String)>,
}

/// What one message is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Parcel {
    /// The events of a General webhook.
    Events(Queue, Vec<Event>),
    /// The body of an Integration webhook, and the integration's place.
    Integration(usize, String),
}

impl Outbox {
    /// An event that is told after the delay, or with those that wait already.
    pub fn add(&mut self, queue: Queue, event: Event, delay: Duration, now: Utc) {
        let events = self.waiting.entry(queue).or_default();
        if events.is_empty() {
            self.due.insert((now.plus(delay), queue));
        }
        events.push(event);
    }

    /// An Integration webhook.
    pub fn add_integration(&mut self, integration: usize, body: String) {
        self.at_once.push_back((integration, body));
    }

    /// Everything that is due by then, in messages of at most so many events.
    pub fn take(&mut self, until: Due, events_per_message: usize) -> Vec<Parcel> {
        let mut parcels: Vec<_> = self
            .at_once
            .drain(..)
            .map(|(integration, body)| Parcel::Integration(integration, body))
            .collect();
        while let Some((due, queue)) = self.due.first().copied() {
            if matches!(until, Due::By(now) if now < due) {
                break;
            }
            self.due.pop_first();
            let events = self.waiting.remove(&queue).unwrap_or_default();
            parcels
                .extend(events.chunks(events_per_message).map(|some| Parcel::Events(queue, some.to_vec())));
        }
        parcels
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Utc> {
        self.due.first().map(|(due, _)| *due)
    }
}

/// How much is taken.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    By(Utc),
    /// All, due or not.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::kind::Kind;
    use uuid::Uuid;

    fn event(n: u128) -> Event {
        Event { discriminator: "ResourceUpdated", kind: Kind::Resource, id: Uuid::from_u128(n) }
    }

    #[test]
    fn events_wait_together_and_roll_over() {
        let now = Utc::parse("2026-11-01T12:00:00Z").unwrap();
        let mut outbox = Outbox::default();
        for n in 0..5 {
            let delay = Duration::from_secs(60);
            outbox.add((0, 0), event(n), delay, now.plus_ms(i64::try_from(n).unwrap() * 1000));
        }
        outbox.add((1, 0), event(9), Duration::from_secs(10), now);
        assert_eq!(outbox.next_due(), Some(now.plus_ms(10_000)));
        assert_eq!(outbox.take(Due::By(now.plus_ms(9_999)), 2), []);
        assert_eq!(outbox.take(Due::By(now.plus_ms(10_000)), 2), [Parcel::Events((1, 0), vec![event(9)])]);
        let rest = outbox.take(Due::By(now.plus_ms(60_000)), 2);
        let events = |from: u128, to: u128| Parcel::Events((0, 0), (from..to).map(event).collect());
        assert_eq!(rest, [events(0, 2), events(2, 4), events(4, 5)]);
        assert_eq!((outbox.next_due(), outbox.take(Due::All, 2).len()), (None, 0));
    }

    #[test]
    fn integration_webhooks_wait_for_nothing() {
        let now = Utc::parse("2026-11-01T12:00:00Z").unwrap();
        let mut outbox = Outbox::default();
        outbox.add((0, 0), event(1), Duration::from_secs(60), now);
        outbox.add_integration(3, "{}".to_owned());
        assert_eq!(outbox.take(Due::By(now), 10), [Parcel::Integration(3, "{}".to_owned())]);
        assert_eq!(outbox.take(Due::All, 10).len(), 1);
    }
}
