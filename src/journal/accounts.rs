//! The books: what came in, what left, and what is still here. Pure.
//!
//! Appended + found at start = delivered + dead-lettered + discarded + pending, at all times. Pending is
//! not what the other figures leave over: it is counted from sequences (the last one, the watermark, and
//! those between them that do not exist), so that a delivery that left without being reported, was
//! reported twice, or was damaged after it had been counted shows as a difference.

use std::{collections::VecDeque, ops::RangeInclusive};

use super::{Completed, Sequence};

/// The books of one opened journal.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Deliveries appended since the start.
    pub appended: u64,
    /// Deliveries that were pending when the journal was opened.
    pub found: u64,
    /// Deliveries that Kafka has.
    pub delivered: u64,
    /// Deliveries of which a record became a dead letter.
    pub dead_lettered: u64,
    /// Deliveries that an operator gave up.
    pub discarded: u64,
    last: Sequence,
    through: Sequence,
    /// Numbers above the watermark under which there is nothing, lowest first.
    missing: VecDeque<RangeInclusive<Sequence>>,
    pending_bytes: u64,
    /// Sizes of what the reader handed out and the watermark has not passed; the relay bounds it.
    handed_out: VecDeque<(Sequence, u32)>,
}

impl Accounts {
    /// Opens the books: everything up to `through` has left, and up to `last` the `missing` ones were
    /// not found.
    #[must_use]
    pub fn new(
        through: Sequence,
        last: Sequence,
        missing: impl IntoIterator<Item = RangeInclusive<Sequence>>,
        found: u64,
        found_bytes: u64,
    ) -> Self {
        let missing = missing.into_iter().collect();
        let mut accounts =
            Self { found, last, through, missing, pending_bytes: found_bytes, ..Self::default() };
        accounts.pass_missing();
        accounts
    }

    /// Number of the newest record.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Everything up to here has left.
    #[must_use]
    pub fn through(&self) -> Sequence {
        self.through
    }

    /// Deliveries that are in the journal and have not left.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let missing: u64 = self.missing.iter().map(|range| range.end() - range.start() + 1).sum();
        (self.last - self.through).saturating_sub(missing)
    }

    /// Bytes of those deliveries.
    #[must_use]
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// 0, or the books do not balance: more came in than left and is pending, or less if negative.
    #[must_use]
    pub fn unaccounted(&self) -> i64 {
        let came = i128::from(self.appended) + i128::from(self.found);
        let left = i128::from(self.delivered) + i128::from(self.dead_lettered) + i128::from(self.discarded);
        i64::try_from(came - left - i128::from(self.pending())).unwrap_or(i64::MAX)
    }

    /// Records were appended; they have the numbers that follow the last one.
    pub fn append(&mut self, records: u64, bytes: u64) {
        self.appended += records;
        self.last += records;
        self.pending_bytes += bytes;
    }

    /// The reader handed a record out.
    pub fn hand_out(&mut self, sequence: Sequence, bytes: u32) {
        self.handed_out.push_back((sequence, bytes));
    }

    /// The watermark moved, and this is how deliveries left. It never moves back, nor past the end.
    pub fn complete(&mut self, completed: Completed) {
        self.delivered += completed.delivered;
        self.dead_lettered += completed.dead_lettered;
        self.discarded += completed.discarded;
        self.through = self.through.max(completed.through.min(self.last));
        self.pass_missing();
        while self.handed_out.front().is_some_and(|(sequence, _)| *sequence <= self.through) {
            let bytes = self.handed_out.pop_front().map_or(0, |(_, bytes)| bytes);
            self.pending_bytes = self.pending_bytes.saturating_sub(bytes.into());
        }
    }

    /// Records that were counted as pending cannot be read any more. They are pending no longer and did
    /// not leave: from here on the books do not balance, as they must not.
    pub fn lose(&mut self, lost: RangeInclusive<Sequence>, bytes: u64) {
        let mut new = Vec::new();
        let mut from = (*lost.start()).max(self.through + 1);
        for known in &self.missing {
            if *known.start() > from {
                new.push(from..=(known.start() - 1).min(*lost.end()));
            }
            from = from.max(known.end() + 1);
            if from > *lost.end() {
                break;
            }
        }
        new.push(from..=*lost.end());
        new.retain(|range| !range.is_empty());
        if new.is_empty() {
            return;
        }
        self.missing.extend(new);
        self.missing.make_contiguous().sort_by_key(|range| *range.start());
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        self.pass_missing();
    }

    /// The watermark cannot stop before a number under which there is nothing.
    fn pass_missing(&mut self) {
        while self.missing.front().is_some_and(|range| *range.start() <= self.through + 1) {
            let end = self.missing.pop_front().map_or(0, |range| *range.end());
            self.through = self.through.max(end);
        }
        if self.through >= self.last {
            self.pending_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delivered(through: Sequence, delivered: u64) -> Completed {
        Completed { through, delivered, dead_lettered: 0, discarded: 0 }
    }

    #[test]
    fn a_delivery_that_left_unreported_or_twice_shows() {
        let mut accounts = Accounts::new(0, 0, [], 0, 0);
        accounts.append(3, 30);
        accounts.complete(delivered(2, 1));
        assert_eq!((accounts.pending(), accounts.unaccounted()), (1, 1));
        accounts.complete(delivered(3, 3));
        assert_eq!((accounts.pending(), accounts.unaccounted()), (0, -1));
    }

    #[test]
    fn what_was_damaged_after_it_was_counted_shows_and_blocks_nothing() {
        let mut accounts = Accounts::new(0, 4, [], 4, 40);
        accounts.lose(2..=3, 20);
        accounts.lose(2..=3, 20);
        assert_eq!((accounts.pending(), accounts.pending_bytes(), accounts.unaccounted()), (2, 20, 2));
        accounts.complete(delivered(1, 1));
        assert_eq!((accounts.through(), accounts.pending(), accounts.unaccounted()), (3, 1, 2));
        accounts.complete(delivered(4, 1));
        assert_eq!((accounts.pending(), accounts.unaccounted()), (0, 2));
    }

    #[test]
    fn a_loss_is_counted_once_however_it_overlaps_what_is_missing() {
        let mut accounts = Accounts::new(0, 20, [4..=5, 9..=9], 17, 17);
        accounts.lose(3..=10, 5);
        assert_eq!((accounts.pending(), accounts.unaccounted()), (12, 5));
        accounts.lose(1..=12, 4);
        assert_eq!((accounts.through(), accounts.pending(), accounts.unaccounted()), (12, 8, 9));
    }

    #[test]
    fn the_watermark_passes_numbers_that_were_not_found() {
        let mut accounts = Accounts::new(0, 9, [1..=2, 5..=6, 9..=9], 4, 4);
        assert_eq!((accounts.through(), accounts.pending(), accounts.unaccounted()), (2, 4, 0));
        accounts.complete(delivered(4, 2));
        assert_eq!((accounts.through(), accounts.pending(), accounts.unaccounted()), (6, 2, 0));
        accounts.complete(delivered(8, 2));
        assert_eq!((accounts.through(), accounts.pending(), accounts.unaccounted()), (9, 0, 0));
    }

    proptest! {
        /// Each record is present or missing; each step completes some of those that are present.
        #[test]
        fn the_books_balance(present in prop::collection::vec(any::<bool>(), 0..40), steps in prop::collection::vec((0u64..6, 0u64..6), 0..30)) {
            let found = present.iter().filter(|present| **present).count() as u64;
            let missing = (1u64..).zip(&present).filter(|(_, present)| !**present).map(|(at, _)| at..=at);
            let mut accounts = Accounts::new(0, present.len() as u64, missing, found, found * 7);
            let mut left: VecDeque<_> = (1u64..).zip(&present).filter(|(_, present)| **present).map(|(at, _)| at).collect();
            for sequence in &left {
                accounts.hand_out(*sequence, 7);
            }
            for (appended, completed) in steps {
                for sequence in accounts.last() + 1..=accounts.last() + appended {
                    left.push_back(sequence);
                    accounts.hand_out(sequence, 7);
                }
                accounts.append(appended, appended * 7);
                let done: Vec<_> = left.drain(..(completed as usize).min(left.len())).collect();
                if let Some(through) = done.last() {
                    accounts.complete(delivered(*through, done.len() as u64));
                }
                prop_assert_eq!(accounts.pending(), left.len() as u64);
                prop_assert_eq!(accounts.pending_bytes(), left.len() as u64 * 7);
                prop_assert_eq!(accounts.unaccounted(), 0);
            }
        }
    }
}
