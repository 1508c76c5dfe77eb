//! How far one reading of a replayed partition has come.
//!
//! Its end is asked for when it begins. It is over when a record up to there was handed over; or, where
//! the last offsets hold no record, when librdkafka has fetched past them and nothing more is waiting.

use std::time::{Duration, SystemTime};

/// Statistics carry whole seconds; older ones may speak of the former reading.
const STALE: Duration = Duration::from_secs(2);

pub(super) struct Replay {
    begun_at: SystemTime,
    next: i64,
    end: Option<i64>,
    is_fetched: bool,
    is_told: bool,
}

impl Replay {
    pub(super) const fn begin(now: SystemTime) -> Self {
        Self { begun_at: now, next: 0, end: None, is_fetched: false, is_told: false }
    }

    /// Whether its end has to be asked for.
    pub(super) const fn wants_end(&self) -> bool {
        self.end.is_none()
    }

    /// The partition holds offsets below `end`.
    pub(super) fn ends(&mut self, end: i64) {
        self.end = Some(end);
    }

    /// A record is handed over.
    pub(super) fn passed(&mut self, offset: i64) {
        self.next = self.next.max(offset + 1);
    }

    /// Statistics of `at` say from where is fetched next.
    pub(super) fn fetched(&mut self, next: i64, at: SystemTime) {
        let is_of_this = at >= self.begun_at + STALE;
        self.is_fetched = is_of_this && self.end.is_some_and(|end| next >= end);
    }

    /// Nothing that was fetched waits any more.
    pub(super) fn idle(&mut self) {
        if let (true, Some(end)) = (self.is_fetched, self.end) {
            self.next = self.next.max(end);
        }
    }

    /// Whether it is over; says so once.
    pub(super) fn is_over(&mut self) -> bool {
        let is_over = self.end.is_some_and(|end| self.next >= end);
        is_over && !std::mem::replace(&mut self.is_told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_with_the_record_before_the_end_and_only_once() {
        let mut replay = Replay::begin(SystemTime::UNIX_EPOCH);
        replay.passed(8);
        assert!(replay.wants_end() && !replay.is_over());
        replay.ends(10);
        assert!(!replay.wants_end() && !replay.is_over());
        replay.passed(9);
        assert!(replay.is_over());
        replay.passed(10);
        assert!(!replay.is_over());
    }

    #[test]
    fn a_partition_that_never_held_a_record_is_over_at_once() {
        let mut replay = Replay::begin(SystemTime::UNIX_EPOCH);
        replay.ends(0);
        assert!(replay.is_over());
    }

    #[test]
    fn offsets_without_records_are_passed_when_fetched_and_nothing_waits() {
        let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let mut replay = Replay::begin(begun);
        replay.ends(10);
        replay.fetched(10, begun);
        replay.idle();
        assert!(!replay.is_over(), "that was the former reading");
        replay.fetched(10, begun + STALE);
        assert!(!replay.is_over());
        replay.idle();
        assert!(replay.is_over());
    }
}
