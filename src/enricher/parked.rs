//! What is known of the events on `mews.parked`: whose they are, since when, and why.
//!
//! The events themselves stay on the topic, which is read again when they can be fetched; here is only
//! what says that it should be. Bounded: past the bound events are still parked, and still taken up
//! with the others of their partition, but not counted. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{coalesce::HoldReason, entity::Entity, event::Event};
use crate::telemetry::family::Label as _;

/// Parked events that are known one by one.
const KNOWN_MAX: usize = 500_000;

/// One parked event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// On which partition, and where on it.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Of which hotel.
    pub enterprise_id: Arc<str>,
    /// Whose.
    pub integration_id: Arc<str>,
    /// What kind.
    pub entity: Entity,
    /// Since when.
    pub since: SystemTime,
    /// Why.
    pub reason: HoldReason,
}

impl Parked {
    /// An event that is on its partition's parked topic.
    #[must_use]
    pub fn of(event: &Event, offset: i64, since: SystemTime, reason: HoldReason) -> Self {
        Self {
            partition: event.original.origin.partition,
            offset,
            enterprise_id: Arc::clone(&event.enterprise_id),
            integration_id: Arc::clone(&event.integration_id),
            entity: event.entity,
            since,
            reason,
        }
    }

    fn is_unfetchable(&self) -> bool {
        self.reason == HoldReason::Unfetchable
    }
}

/// Events of one integration and kind that are parked, by partition.
type Places = BTreeMap<i32, usize>;

/// The parked events of the assigned partitions.
#[derive(Debug, Default)]
pub struct Book {
    events: HashMap<u64, Parked>,
    places: HashMap<(Arc<str>, Entity), Places>,
    /// How many of them Mews does not return though it returns others.
    unfetchable: usize,
}

impl Book {
    /// A record of the topic was read.
    pub fn enter(&mut self, key: &[u8], parked: Parked) {
        self.strike(key);
        if self.events.len() < KNOWN_MAX {
            let places = self.places.entry((Arc::clone(&parked.integration_id), parked.entity)).or_default();
            *places.entry(parked.partition).or_default() += 1;
            self.unfetchable += usize::from(parked.is_unfetchable());
            self.events.insert(digest(key), parked);
        }
    }

    /// Its tombstone was. Says whose it was.
    pub fn strike(&mut self, key: &[u8]) -> Option<Parked> {
        let parked = self.events.remove(&digest(key))?;
        self.unfetchable -= usize::from(parked.is_unfetchable());
        let lane = (Arc::clone(&parked.integration_id), parked.entity);
        if let Some(places) = self.places.get_mut(&lane)
            && let Some(count) = places.get_mut(&parked.partition)
        {
            *count -= 1;
            if *count == 0 {
                places.remove(&parked.partition);
            }
            if places.is_empty() {
                self.places.remove(&lane);
            }
        }
        Some(parked)
    }

    /// Whether nothing was parked under this key after an offset.
    #[must_use]
    pub fn is_last(&self, key: &[u8], offset: i64) -> bool {
        self.events.get(&digest(key)).is_none_or(|parked| parked.offset <= offset)
    }

    /// Partitions were let go.
    pub fn let_go(&mut self, partitions: &BTreeSet<i32>) {
        self.events.retain(|_, parked| !partitions.contains(&parked.partition));
        self.unfetchable = self.events.values().filter(|parked| parked.is_unfetchable()).count();
        self.places.retain(|_, places| {
            places.retain(|partition, _| !partitions.contains(partition));
            !places.is_empty()
        });
    }

    /// On which partitions an integration has events, of one kind or of any.
    #[must_use]
    pub fn partitions_of(&self, integration_id: &str, entity: Option<Entity>) -> BTreeSet<i32> {
        let kinds = Entity::ALL.iter().filter(|each| entity.is_none_or(|entity| entity == **each));
        let places = kinds.filter_map(|kind| self.places.get(&(integration_id.into(), *kind)));
        places.flat_map(|places| places.keys().copied()).collect()
    }

    /// On which partitions a hotel has events.
    #[must_use]
    pub fn partitions_of_enterprise(&self, enterprise_id: &str) -> BTreeSet<i32> {
        let own = self.events.values().filter(|parked| &*parked.enterprise_id == enterprise_id);
        own.map(|parked| parked.partition).collect()
    }

    /// Whether Mews did not return what this key stands for while it returned others.
    #[must_use]
    pub fn is_unfetchable(&self, key: &[u8]) -> bool {
        self.events.get(&digest(key)).is_some_and(Parked::is_unfetchable)
    }

    /// Whether there is any of that kind.
    #[must_use]
    pub fn has_unfetchable(&self) -> bool {
        self.unfetchable > 0
    }

    /// On which partitions there are.
    #[must_use]
    pub fn partitions_of_unfetchable(&self) -> BTreeSet<i32> {
        self.events.values().filter(|each| each.is_unfetchable()).map(|each| each.partition).collect()
    }

    /// On which partitions events have been longer than a time.
    #[must_use]
    pub fn overdue(&self, limit: Duration, now: SystemTime) -> BTreeSet<i32> {
        let overdue = self.events.values().filter(|parked| is_overdue(parked.since, limit, now));
        overdue.map(|parked| parked.partition).collect()
    }

    /// How many there are for each reason.
    #[must_use]
    pub fn count(&self) -> Vec<(HoldReason, usize)> {
        let count = |reason| self.events.values().filter(|parked| parked.reason == reason).count();
        HoldReason::ALL.iter().map(|reason| (*reason, count(*reason))).collect()
    }

    /// How many each integration has that has any.
    #[must_use]
    pub fn counts(&self) -> HashMap<Arc<str>, usize> {
        let mut counts = HashMap::default();
        for ((integration_id, _), places) in &self.places {
            *counts.entry(Arc::clone(integration_id)).or_default() += places.values().sum::<usize>();
        }
        counts
    }

    /// Since when the oldest is parked.
    #[must_use]
    pub fn oldest(&self) -> Option<SystemTime> {
        self.events.values().map(|parked| parked.since).min()
    }
}

/// Whether an event has been parked for longer than it may.
#[must_use]
pub fn is_overdue(since: SystemTime, limit: Duration, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|parked| parked >= limit)
}

fn digest(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(partition: i32, offset: i64, integration: &str, second: u64) -> Parked {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let (integration_id, entity) = (integration.into(), Entity::Customers);
        let enterprise_id = "e".into();
        Parked {
            partition,
            offset,
            enterprise_id,
            integration_id,
            entity,
            since,
            reason: HoldReason::Unauthorized,
        }
    }

    #[test]
    fn it_knows_where_to_look_for_whom_and_what_has_waited_too_long() {
        let mut book = Book::default();
        book.enter(b"a", parked(1, 0, "i", 10));
        book.enter(b"b", parked(2, 0, "i", 20));
        book.enter(b"c", parked(2, 1, "j", 30));
        assert_eq!(book.partitions_of("i", None), BTreeSet::from([1, 2]));
        assert_eq!(book.partitions_of("i", Some(Entity::Customers)), BTreeSet::from([1, 2]));
        assert_eq!(book.partitions_of("i", Some(Entity::Payments)), BTreeSet::new());
        assert_eq!(book.partitions_of_enterprise("e"), BTreeSet::from([1, 2]));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
        assert_eq!(book.overdue(Duration::from_secs(15), now), BTreeSet::from([1]));
        book.enter(b"a", parked(1, 4, "i", 10));
        assert_eq!((book.count()[1], book.counts()["i"]), ((HoldReason::Unauthorized, 3), 2));
        assert!(book.is_last(b"a", 4) && !book.is_last(b"a", 3) && book.is_last(b"x", 0));
        assert_eq!(book.strike(b"a"), Some(parked(1, 4, "i", 10)));
        assert_eq!(book.partitions_of("i", None), BTreeSet::from([2]));
        book.let_go(&BTreeSet::from([2]));
        assert_eq!((book.oldest(), book.counts().len(), book.places.len()), (None, 0, 0));
    }
}
