//! Hash tables of what this process makes many of: ids, tickets, topics.
//!
//! Foldhash is seeded anew in each process and several times as fast as the standard library's SipHash,
//! which a record would meet some twenty times on its way. Keys that strangers choose stay with the latter;
//! these are chosen by who has passed authentication.

use std::collections;

use foldhash::fast::RandomState;

/// A map; made by `default`.
pub type HashMap<K, V> = collections::HashMap<K, V, RandomState>;
/// A set; made by `default`.
pub type HashSet<K> = collections::HashSet<K, RandomState>;
