//! How many ids a lane's requests carry, where Mews finds some too heavy (contract 3.3: 408 and 413).
//!
//! ```text
//! 1000 ─ too heavy ─► half ─ answered ─► between the largest that was answered and the smallest that was not
//!   ▲                                                     │ close enough: stays, for a hundred answers
//!   └──────── answered ◄─ a little more, then ever more ◄─┘
//! ```
//!
//! Mews does not say what it finds too heavy, and it changes with the hour, so it is searched for. Most
//! requests are then nearly as large as they may be, and few are in vain.

use crate::connector::operation::IDS_PER_REQUEST_MAX;

/// The part by which a request may be smaller than the one that was too heavy before the search ends, and
/// by which the next one is larger when it begins anew.
const STEP: usize = 16;

/// Requests that are answered before more is tried again: several are under way and in vain when it is.
const CONTENT: u32 = 128;

/// The size of the next request.
#[derive(Debug)]
pub(super) struct Size {
    ids: usize,
    /// The largest that was answered.
    good: usize,
    /// The smallest that was too heavy.
    heavy: Option<usize>,
    /// What is added next, while nothing is known to be too heavy.
    step: usize,
    /// Answers since the search came to its end.
    content: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { ids: IDS_PER_REQUEST_MAX, good: 0, heavy: None, step: 0, content: 0 }
    }
}

impl Size {
    /// At most so many ids.
    pub(super) fn ids(&self) -> usize {
        self.ids
    }

    /// Mews found so many too heavy. One that was under way together with another says nothing new.
    pub(super) fn too_heavy(&mut self, ids: usize) {
        if self.heavy.is_some_and(|heavy| heavy <= ids) {
            return;
        }
        self.heavy = Some(ids);
        self.good = if self.good < ids { self.good } else { 0 };
        self.ids = (ids / 2).max(1);
        self.content = 0;
    }

    /// So many had no answer in time, which may have another reason.
    pub(super) fn unanswered(&mut self, ids: usize) {
        let ids = (ids / 2).max(1).min(self.ids);
        *self = Self { ids, step: step(ids), ..Self::default() };
    }

    /// Whether it is as large as Mews allows, so that there is nothing to remember.
    pub(super) fn is_whole(&self) -> bool {
        self.ids == IDS_PER_REQUEST_MAX
    }

    /// So many were answered. Fewer than would have been possible say nothing of what is too heavy.
    pub(super) fn answered(&mut self, ids: usize) {
        let Some(heavy) = self.heavy else { return self.grow() };
        if ids < self.ids {
            return;
        }
        self.good = self.good.max(ids);
        if self.good >= heavy || self.content == CONTENT {
            (self.heavy, self.step) = (None, step(self.good));
            self.grow();
        } else if heavy - self.good > step(heavy) {
            self.ids = if self.ids < self.good { self.good } else { self.good.midpoint(heavy) };
        } else {
            self.ids = self.good;
            self.content += 1;
        }
    }

    fn grow(&mut self) {
        self.ids += self.step;
        self.step *= 2;
        if self.ids >= IDS_PER_REQUEST_MAX {
            *self = Self::default();
        }
    }
}

fn step(ids: usize) -> usize {
    (ids / STEP).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Sends so many full requests, several at a time, to a server that finds more than `limit` too heavy.
    /// What was answered, in ids, and what was in vain, in requests.
    fn run(size: &mut Size, limit: usize, requests: usize, under_way: usize) -> (usize, usize) {
        let mut sent = VecDeque::new();
        let (mut answered, mut in_vain) = (0, 0);
        for _ in 0..requests {
            sent.push_back(size.ids());
            if sent.len() == under_way {
                let ids = sent.pop_front().expect("one was just added");
                if ids > limit {
                    in_vain += 1;
                    size.too_heavy(ids);
                } else {
                    answered += ids;
                    size.answered(ids);
                }
            }
        }
        (answered, in_vain)
    }

    proptest! {
        #[test]
        fn nearly_all_that_is_possible_is_asked_for(limit in 1usize..2000, under_way in 1usize..5) {
            let mut size = Size::default();
            // It takes ten halves to come down to one.
            run(&mut size, limit, 100, under_way);
            let (answered, in_vain) = run(&mut size, limit, 1000, under_way);
            let possible = limit.min(IDS_PER_REQUEST_MAX) * 1000;
            prop_assert!(answered * 100 >= possible * 85, "{answered} of {possible}, {in_vain} in vain");
            prop_assert!(in_vain <= 80, "{in_vain}");
        }

        #[test]
        fn what_was_too_heavy_for_a_while_is_forgotten(
            limits in prop::collection::vec(1usize..1000, 1..6), under_way in 1usize..5,
        ) {
            let mut size = Size::default();
            for limit in limits {
                run(&mut size, limit, 50, under_way);
                prop_assert!((1..=IDS_PER_REQUEST_MAX).contains(&size.ids()));
            }
            run(&mut size, IDS_PER_REQUEST_MAX, 200, under_way);
            prop_assert_eq!(size.ids(), IDS_PER_REQUEST_MAX);
        }

        #[test]
        fn after_silence_it_is_whole_again_soon(silences in 1usize..30) {
            let mut size = Size::default();
            for _ in 0..silences {
                size.unanswered(size.ids());
            }
            let (_, in_vain) = run(&mut size, IDS_PER_REQUEST_MAX, 12, 1);
            prop_assert_eq!((size.ids(), in_vain), (IDS_PER_REQUEST_MAX, 0));
        }
    }

    #[test]
    fn one_that_is_too_heavy_is_halved_once_however_many_were_under_way() {
        let mut size = Size::default();
        (0..4).for_each(|_| size.too_heavy(1000));
        assert_eq!(size.ids(), 500);
        size.too_heavy(500);
        size.too_heavy(1);
        assert_eq!(size.ids(), 1);
    }

    #[test]
    fn every_answer_after_silence_counts() {
        let mut size = Size::default();
        size.unanswered(1);
        assert_eq!((size.ids(), size.is_whole()), (1, false));
        (0..10).for_each(|_| size.answered(1));
        assert!(size.is_whole());
    }

    #[test]
    fn small_requests_say_nothing_of_large_ones() {
        let mut size = Size::default();
        size.too_heavy(1000);
        (0..1000).for_each(|_| size.answered(499));
        assert_eq!(size.ids(), 500);
        size.answered(500);
        assert_eq!(size.ids(), 750);
    }
}
