//! How many bytes of bodies may be in memory: a cheap refusal early beats a late time-out.
//!
//! A body that says its length is refused before a byte of it is read; one that does not is counted as
//! it comes. What a request holds goes back when it is answered or given up, whichever way it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes that are still free; a cheap handle.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicU64>);

/// Bytes that one request holds.
#[derive(Debug)]
pub(super) struct Reservation {
    bytes: u64,
    budget: Budget,
}

/// There is no room for so many bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes bytes, all or none.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, Full> {
        let mut reservation = Reservation { bytes: 0, budget: self.clone() };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }
}

impl Reservation {
    /// Takes what is missing to so many bytes; what it holds stays its own when there is no room.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Full> {
        let missing = bytes.saturating_sub(self.bytes);
        // Relaxed: the number guards no other memory.
        self.budget
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(missing))
            .map_err(|_| Full)?;
        self.bytes += missing;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_held_and_what_is_free_is_always_the_whole(
            steps in prop::collection::vec((0usize..4, 0u64..60), 0..40)
        ) {
            let budget = Budget::new(100);
            let mut held: [Option<Reservation>; 4] = [const { None }; 4];
            for (at, bytes) in steps {
                match &mut held[at] {
                    empty @ None => *empty = budget.reserve(bytes).ok(),
                    Some(reservation) if bytes % 2 == 0 => { let _ = reservation.grow_to(bytes); }
                    some => *some = None,
                }
                let sum: u64 = held.iter().flatten().map(|each| each.bytes).sum();
                prop_assert_eq!(sum + budget.0.load(Ordering::Relaxed), 100);
            }
        }
    }

    #[test]
    fn all_or_none() {
        let budget = Budget::new(10);
        let mut first = budget.reserve(6).unwrap();
        assert!(budget.reserve(5).is_err());
        let second = budget.reserve(4).unwrap();
        assert_eq!(first.grow_to(7), Err(Full));
        drop(second);
        assert_eq!(first.grow_to(7), Ok(()));
    }
}
