//! Waiting for a topic that a broker says is not to be had.
//!
//! The tries grow rarer, up to one in half a minute. Only answers count towards giving up: a
//! cluster that is silent says nothing about the topic, so after a silence the time begins again.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// First and longest wait before the topic is tried again.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Longest time between two answers of a cluster that is alive: three times the longest wait and
/// the 30 s that a client takes to say that a topic is missing (reference: Kafka, "Faults").
const SILENCE_MAX: Duration = Duration::from_secs(180);

/// Since when, and when to try again.
#[derive(Debug)]
pub struct Hold {
    since: Instant,
    answered: Instant,
    next_try: Instant,
    backoff: Backoff,
}

impl Hold {
    /// Begins with an answer that came now.
    #[must_use]
    pub fn begin(now: Instant) -> Self {
        let mut backoff = Backoff::new(WAITS.0, WAITS.1);
        let next_try = now + backoff.next().unwrap_or(WAITS.1);
        Self { since: now, answered: now, next_try, backoff }
    }

    /// A try was answered in the same way.
    pub fn answered_again(&mut self, now: Instant) {
        if now.duration_since(self.answered) > SILENCE_MAX {
            self.since = now;
        }
        self.answered = now;
        self.next_try = now + self.backoff.next().unwrap_or(WAITS.1);
    }

    /// When to try again.
    #[must_use]
    pub const fn next_try(&self) -> Instant {
        self.next_try
    }

    /// Whether a record that is there since then is given up: only on an answer that came just now.
    #[must_use]
    pub fn gives_up(&self, there_since: Instant, after: Duration, now: Instant) -> bool {
        self.answered == now && now.duration_since(self.since.max(there_since)) >= after
    }
}
