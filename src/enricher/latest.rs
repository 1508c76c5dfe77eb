//! Latest wins: which state of an entity this instance has published last.
//!
//! `UpdatedUtc` has seconds in Mews's samples, so two states can share it: then the bytes decide
//! (contract 4.9). Bounded: what was published longest ago is forgotten first, and then any state is
//! news. Pure.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::SystemTime,
};

use super::entity::Entity;
use crate::hash::HashMap;

/// Entities that are remembered.
const REMEMBERED_MAX: usize = 200_000;

/// What was published of each entity.
#[derive(Debug, Default)]
pub struct Latest {
    states: HashMap<(Entity, Arc<str>), State>,
    order: VecDeque<(Entity, Arc<str>, u64)>,
    published: u64,
}

#[derive(Clone, Copy, Debug)]
struct State {
    updated: Option<SystemTime>,
    digest: u64,
    number: u64,
}

/// A state beside the one that was published last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is newer, or nothing is known.
    New,
    /// It is the same.
    Same,
    /// It is older.
    Old,
}

impl Latest {
    /// What a state is.
    #[must_use]
    pub fn compare(&self, entity: Entity, id: &Arc<str>, updated: Option<SystemTime>, bytes: &[u8]) -> News {
        match self.states.get(&(entity, Arc::clone(id))) {
            Some(last) if digest(bytes) == last.digest => News::Same,
            // Without a time of its own, a record differs or it does not.
            Some(State { updated: Some(last), .. }) if updated.is_some_and(|updated| updated < *last) => {
                News::Old
            }
            Some(_) | None => News::New,
        }
    }

    /// Whether a state is news; then it is what was published.
    pub fn admits(
        &mut self,
        entity: Entity,
        id: &Arc<str>,
        updated: Option<SystemTime>,
        bytes: &[u8],
    ) -> bool {
        let is_new = self.compare(entity, id, updated, bytes) == News::New;
        if is_new {
            self.remember(entity, id, updated, digest(bytes));
        }
        is_new
    }

    /// The entity is gone, or nobody knows how it is: any state is news.
    pub fn forget(&mut self, entity: Entity, id: &Arc<str>) {
        self.states.remove(&(entity, Arc::clone(id)));
    }

    /// Everything is news.
    pub fn clear(&mut self) {
        self.states.clear();
        self.order.clear();
    }

    fn remember(&mut self, entity: Entity, id: &Arc<str>, updated: Option<SystemTime>, digest: u64) {
        self.published += 1;
        let number = self.published;
        self.states.insert((entity, Arc::clone(id)), State { updated, digest, number });
        self.order.push_back((entity, Arc::clone(id), number));
        while self.order.len() > REMEMBERED_MAX
            && let Some((entity, id, number)) = self.order.pop_front()
        {
            let key = (entity, id);
            if self.states.get(&key).is_some_and(|state| state.number == number) {
                self.states.remove(&key);
            }
        }
    }
}

/// Of this process only: never stored.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(second: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second))
    }

    #[test]
    fn only_what_is_newer_or_different_at_the_same_time_is_published() {
        let (mut latest, id) = (Latest::default(), Arc::from("r"));
        let mut admits =
            |updated, bytes: &str| latest.admits(Entity::Reservations, &id, updated, bytes.as_bytes());
        assert!(admits(at(5), "a"));
        assert!(!admits(at(5), "a"), "the same");
        assert!(!admits(at(4), "b"), "older");
        assert!(admits(at(5), "b"), "another state of the same second");
        assert!(admits(at(6), "a"));
    }

    #[test]
    fn kinds_and_ids_are_apart_and_what_is_forgotten_is_news() {
        let (mut latest, id, other) = (Latest::default(), Arc::from("x"), Arc::from("y"));
        assert!(latest.admits(Entity::Customers, &id, at(1), b"a"));
        assert!(latest.admits(Entity::Payments, &id, at(1), b"a"));
        assert!(latest.admits(Entity::Customers, &other, at(1), b"a"));
        latest.forget(Entity::Customers, &id);
        assert!(latest.admits(Entity::Customers, &id, at(0), b"a"));
    }

    #[test]
    fn a_record_without_a_time_is_published_when_it_differs() {
        let (mut latest, id) = (Latest::default(), Arc::from("m"));
        assert!(latest.admits(Entity::Messages, &id, None, b"a"));
        assert!(!latest.admits(Entity::Messages, &id, None, b"a"));
        assert!(latest.admits(Entity::Messages, &id, None, b"b"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut latest = Latest::default();
        for n in 0..REMEMBERED_MAX + 10 {
            latest.admits(Entity::Payments, &n.to_string().into(), at(1), b"a");
        }
        assert_eq!((latest.states.len(), latest.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(latest.admits(Entity::Payments, &"0".into(), at(1), b"a"));
    }
}
