//! What is known of the events on `mews.parked`: whose they are, since when, and why.
//!
//! The events themselves stay on the topic, which is read again when they can be fetched, or have been
//! there too long; here is only what says that it should be. An event is too late only if it is known from
//! a former reading, which has come to its end: while the partition is read for the first time, what has
//! long been answered comes before its tombstone. Bounded: past the bound events are still parked, and
//! still taken up with the others of their partition, but neither counted nor too late until there is
//! room. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{coalesce::HoldReason, entity::Entity, event::Event};
use crate::{hash, telemetry::family::Label as _};

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

/// Whose an event is: of which integration, and of which hotel.
pub type Whose = (Arc<str>, Arc<str>);

/// What one integration has parked of one hotel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Events, each of another entity.
    pub count: usize,
    /// Since when the oldest.
    pub since: SystemTime,
}

/// What is known of one key.
#[derive(Debug)]
struct Known {
    parked: Parked,
    /// It is being fetched or buried: a tombstone or a later record of its key is still to come.
    is_in_work: bool,
}

/// Events of one integration and kind that are parked, by partition.
type Places = BTreeMap<i32, usize>;

/// The parked events of the assigned partitions.
#[derive(Debug, Default)]
pub struct Book {
    events: HashMap<u64, Known>,
    places: HashMap<(Arc<str>, Entity), Places>,
    /// How many of them Mews does not return though it returns others.
    unfetchable: usize,
}

impl Book {
    /// A record of the topic was read, or written. It says nothing new where it or a later one is known.
    pub fn enter(&mut self, key: &[u8], parked: Parked) {
        if self.events.get(&digest(key)).is_some_and(|known| known.parked.offset >= parked.offset) {
            return;
        }
        self.remove(key);
        if self.events.len() < KNOWN_MAX {
            let places = self.places.entry((Arc::clone(&parked.integration_id), parked.entity)).or_default();
            *places.entry(parked.partition).or_default() += 1;
            self.unfetchable += usize::from(parked.is_unfetchable());
            self.events.insert(digest(key), Known { parked, is_in_work: false });
        }
    }

    /// A tombstone was read. Says whose it was, if it is behind what is known.
    pub fn strike(&mut self, key: &[u8], offset: i64) -> Option<Parked> {
        let known = self.events.get(&digest(key))?;
        if known.parked.offset < offset { self.remove(key) } else { None }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Parked> {
        let Known { parked, .. } = self.events.remove(&digest(key))?;
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
        self.events.get(&digest(key)).is_none_or(|known| known.parked.offset <= offset)
    }

    /// What stands at an offset is to be fetched or buried now. Gives whether nothing speaks against it: it is
    /// in work already, or not known to be the last of its key.
    pub fn take(&mut self, key: &[u8], offset: i64) -> bool {
        let known = self.events.get_mut(&digest(key)).filter(|known| known.parked.offset == offset);
        known.is_some_and(|known| !std::mem::replace(&mut known.is_in_work, true))
    }

    /// What was taken was in vain, and stays where it is.
    pub fn put_back(&mut self, key: &[u8]) {
        if let Some(known) = self.events.get_mut(&digest(key)) {
            known.is_in_work = false;
        }
    }

    /// Partitions were let go.
    pub fn let_go(&mut self, partitions: &BTreeSet<i32>) {
        self.events.retain(|_, known| !partitions.contains(&known.parked.partition));
        self.unfetchable = self.all().filter(|parked| parked.is_unfetchable()).count();
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
        let own = self.all().filter(|parked| &*parked.enterprise_id == enterprise_id);
        own.map(|parked| parked.partition).collect()
    }

    /// Where the key is parked because Mews did not return what it stands for while it returned others.
    #[must_use]
    pub fn unfetchable(&self, key: &[u8]) -> Option<i64> {
        let known = self.events.get(&digest(key)).filter(|known| known.parked.is_unfetchable());
        known.map(|known| known.parked.offset)
    }

    /// Whether there is any of that kind.
    #[must_use]
    pub fn has_unfetchable(&self) -> bool {
        self.unfetchable > 0
    }

    /// On which partitions there are.
    #[must_use]
    pub fn partitions_of_unfetchable(&self) -> BTreeSet<i32> {
        self.all().filter(|parked| parked.is_unfetchable()).map(|parked| parked.partition).collect()
    }

    /// On which partitions events have been longer than a time and are not in work.
    #[must_use]
    pub fn overdue(&self, limit: Duration, now: SystemTime) -> BTreeSet<i32> {
        let is_left = |known: &&Known| !known.is_in_work && is_overdue(known.parked.since, limit, now);
        self.events.values().filter(is_left).map(|known| known.parked.partition).collect()
    }

    /// How many there are for each reason.
    #[must_use]
    pub fn count(&self) -> Vec<(HoldReason, usize)> {
        let count = |reason| self.all().filter(|parked| parked.reason == reason).count();
        HoldReason::ALL.iter().map(|reason| (*reason, count(*reason))).collect()
    }

    /// Who has any, and how many since when.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<Whose, Waiting> {
        // Borrowed, for there may be many of few.
        let mut waiting: hash::HashMap<(&Arc<str>, &Arc<str>), Waiting> = hash::HashMap::default();
        for Parked { integration_id, enterprise_id, since, .. } in self.all() {
            let own = Waiting { count: 0, since: *since };
            let own = waiting.entry((integration_id, enterprise_id)).or_insert(own);
            *own = Waiting { count: own.count + 1, since: own.since.min(*since) };
        }
        waiting.into_iter().map(|((one, other), own)| ((Arc::clone(one), Arc::clone(other)), own)).collect()
    }

    /// Since when the oldest is parked.
    #[must_use]
    pub fn oldest(&self) -> Option<SystemTime> {
        self.all().map(|parked| parked.since).min()
    }

    fn all(&self) -> impl Iterator<Item = &Parked> {
        self.events.values().map(|known| &known.parked)
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
        assert_eq!(book.count()[1], (HoldReason::Unauthorized, 3));
        let since = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let waiting = |count, second| Waiting { count, since: since(second) };
        let of = |integration: &str| (integration.into(), "e".into());
        assert_eq!(book.waiting(), [(of("i"), waiting(2, 10)), (of("j"), waiting(1, 30))].into());
        assert!(book.is_last(b"a", 4) && !book.is_last(b"a", 3) && book.is_last(b"x", 0));
        assert_eq!((book.strike(b"a", 2), book.strike(b"x", 2)), (None, None));
        assert_eq!(book.strike(b"a", 5), Some(parked(1, 4, "i", 10)));
        assert_eq!(book.partitions_of("i", None), BTreeSet::from([2]));
        book.let_go(&BTreeSet::from([2]));
        assert_eq!((book.oldest(), book.waiting().len(), book.places.len()), (None, 0, 0));
    }

    /// A partition as it is read from its beginning, all of it being too old: what is buried of it.
    fn read(book: &mut Book, partition: &[&str]) -> Vec<i64> {
        let mut buried = Vec::new();
        for (offset, record) in (0..).zip(partition) {
            match record.strip_prefix('-') {
                Some(key) => drop(book.strike(key.as_bytes(), offset)),
                None if book.take(record.as_bytes(), offset) => buried.push(offset),
                None => book.enter(record.as_bytes(), parked(1, offset, "i", 10)),
            }
        }
        buried
    }

    #[test]
    fn only_what_no_later_record_answers_is_too_late_and_only_once() {
        let mut book = Book::default();
        let overdue = |book: &Book| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
            !book.overdue(Duration::from_secs(15), now).is_empty()
        };
        let mut partition = vec!["a", "b", "-a", "c", "-b", "b", "-c"];
        assert_eq!(read(&mut book, &partition), [0; 0], "what answers them may come behind them");
        assert!(overdue(&book));
        assert_eq!(read(&mut book, &partition), [5]);
        assert!(!overdue(&book));
        assert_eq!(read(&mut book, &partition), [0; 0], "its tombstone is on its way");
        partition.push("-b");
        assert_eq!(read(&mut book, &partition), [0; 0]);
        assert_eq!((read(&mut book, &partition), book.oldest()), (vec![], None));
        partition.push("b");
        assert_eq!((read(&mut book, &partition), read(&mut book, &partition)), (vec![], vec![8]));
    }
}
