//! Which keys a topic has taken a record of, and which it was asked to take the first of.
//!
//! A partition that knows nothing of a producer takes whatever sequence comes first: should the first
//! batch be lost on its way and the second arrive, the client must send the first behind it (the broker
//! accepts any first sequence since KIP-360). So of each key one record goes ahead, and the others wait
//! until it has arrived; from then on the partition refuses what is out of sequence. Pure.

use crate::hash::HashSet;

/// Keys that are remembered; past it, all are strangers again.
const KNOWN_MAX: usize = 100_000;

/// The keys of one topic, since the client last lost something.
#[derive(Debug, Default)]
pub struct Acquaintance {
    known: HashSet<u64>,
    /// The first record of these is in flight.
    introduced: HashSet<u64>,
}

impl Acquaintance {
    /// Whether a record of the key may be in flight beside others.
    #[must_use]
    pub fn admits(&self, key: u64) -> bool {
        self.introduced.is_empty() || !self.introduced.contains(&key)
    }

    /// A record of the key is in flight.
    pub fn sent(&mut self, key: u64) {
        if !self.known.contains(&key) {
            self.introduced.insert(key);
        }
    }

    /// It has arrived.
    pub fn arrived(&mut self, key: u64) {
        // Once all are known, this is asked for every record.
        if !self.introduced.is_empty() && self.introduced.remove(&key) {
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(key);
        }
    }

    /// It has come back. Where one was lost, nobody is known: the client may have become another.
    pub fn came_back(&mut self, key: u64, is_lost: bool) {
        self.introduced.remove(&key);
        if is_lost {
            self.known.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_ahead_and_the_others_wait_for_it() {
        let mut keys = Acquaintance::default();
        assert!(keys.admits(1));
        keys.sent(1);
        assert!(!keys.admits(1) && keys.admits(2));
        keys.arrived(1);
        keys.sent(1);
        assert!(keys.admits(1));
    }

    #[test]
    fn after_a_loss_all_are_strangers() {
        let mut keys = Acquaintance::default();
        keys.sent(1);
        keys.arrived(1);
        keys.sent(2);
        keys.came_back(2, false);
        keys.sent(1);
        assert!(keys.admits(1) && keys.admits(2));
        keys.came_back(1, true);
        keys.sent(1);
        assert!(!keys.admits(1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut keys = Acquaintance::default();
        for key in 0..=KNOWN_MAX as u64 {
            keys.sent(key);
            keys.arrived(key);
        }
        assert_eq!((keys.known.len(), keys.introduced.len()), (1, 0));
    }
}
