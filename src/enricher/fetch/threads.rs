//! Threads that were seen before: should a new message not make its thread newer, which is documented
//! nowhere (contract 4.3), it is found in one of these.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ask::Hotel, bounded::Bounded};

/// Threads of one hotel. They fit into one request.
const THREADS_MAX: usize = 1000;
/// Hotels with threads: few write messages, and each may keep a hundred kilobytes.
const HOTELS_MAX: usize = 500;

/// Of each hotel the newest.
#[derive(Debug)]
pub struct Threads(Mutex<Bounded<Hotel, Vec<Arc<str>>>>);

impl Default for Threads {
    fn default() -> Self {
        Self(Mutex::new(Bounded::new(HOTELS_MAX)))
    }
}

impl Threads {
    /// Those of a hotel, newest first.
    pub fn of(&self, hotel: &Hotel) -> Vec<Arc<str>> {
        self.lock().get(hotel).cloned().unwrap_or_default()
    }

    /// These are newer than those before.
    pub fn remember(&self, hotel: &Hotel, newest_first: &[Arc<str>]) {
        if newest_first.is_empty() {
            return;
        }
        let mut all = self.lock();
        let threads = all.entry(hotel);
        let new: HashSet<_> = newest_first.iter().collect();
        let old = threads.iter().filter(|id| !new.contains(id));
        *threads = newest_first.iter().chain(old).take(THREADS_MAX).cloned().collect();
    }

    /// Mews does not know one of them any more.
    pub fn forget(&self, hotel: &Hotel) {
        self.lock().remove(hotel);
    }

    fn lock(&self) -> MutexGuard<'_, Bounded<Hotel, Vec<Arc<str>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_newest_stay() {
        let (threads, hotel) = (Threads::default(), Hotel::new(&Secret::new("token".to_owned()), "hotel"));
        let ids = |range: std::ops::Range<usize>| range.map(|n| n.to_string().into()).collect::<Vec<_>>();
        threads.remember(&hotel, &ids(500..1500));
        threads.remember(&hotel, &ids(400..600));
        threads.remember(&hotel, &[]);
        assert_eq!(threads.of(&hotel), [ids(400..600), ids(600..1400)].concat());
        threads.forget(&hotel);
        assert!(threads.of(&hotel).is_empty());
    }
}
