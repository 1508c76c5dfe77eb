//! How much a topic takes at once, as far as a broker has said.
//!
//! A broker refuses a batch as a whole, so on a topic that takes less than the client's batches one
//! large record would be refused together with small ones behind it, and be overtaken by others.
//! What is known beforehand cannot be overtaken: see `lane`.

use std::collections::HashMap;

/// What one topic takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capacity {
    /// Nobody has said, not even that the topic is there: one record at a time.
    Unknown,
    /// Whatever the client sends.
    #[default]
    Any,
    /// Batches up to so many bytes.
    Bytes(usize),
}

/// What all topics take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacities {
    /// Those that were asked about.
    pub topics: HashMap<String, Capacity>,
    /// All others.
    pub others: Capacity,
}

impl Capacities {
    /// Before any broker was asked.
    #[must_use]
    pub fn unknown() -> Self {
        Self { topics: HashMap::new(), others: Capacity::Unknown }
    }

    /// What a topic takes.
    #[must_use]
    pub fn of(&self, topic: &str) -> Capacity {
        self.topics.get(topic).copied().unwrap_or(self.others)
    }
}
