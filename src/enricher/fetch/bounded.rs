//! A map that is full at some size: what was not used for longest makes room.

use std::{collections::HashMap, hash::Hash};

/// Hotels, or tokens, of which something is remembered. One instance seldom serves as many.
pub const HOTELS_MAX: usize = 10_000;

/// A map of at most so many entries.
#[derive(Debug)]
pub struct Bounded<K, V> {
    /// With the number of their latest use.
    entries: HashMap<K, (u64, V)>,
    uses: u64,
    max: usize,
}

impl<K: Clone + Eq + Hash, V: Default> Bounded<K, V> {
    pub fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), uses: 0, max }
    }

    /// What is there, or the default, which then is there.
    pub fn entry(&mut self, key: &K) -> &mut V {
        // A full map is searched through, and only for a key that is new.
        if self.entries.len() >= self.max && !self.entries.contains_key(key) {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        self.uses += 1;
        let entry = self.entries.entry(key.clone()).or_default();
        entry.0 = self.uses;
        &mut entry.1
    }

    /// What is there.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

impl<K: Clone + Eq + Hash, V: Default> Default for Bounded<K, V> {
    fn default() -> Self {
        Self::new(HOTELS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut bounded = Bounded::new(2);
        *bounded.entry(&1) = "a";
        *bounded.entry(&2) = "b";
        bounded.entry(&1);
        *bounded.entry(&3) = "c";
        assert_eq!((bounded.get(&1), bounded.get(&2), bounded.get(&3)), (Some(&"a"), None, Some(&"c")));
        bounded.remove(&3);
        assert_eq!(bounded.get(&3), None);
        assert_eq!(*bounded.entry(&1), "a");
    }
}
