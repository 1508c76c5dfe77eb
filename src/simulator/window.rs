//! The request limit of one access token (contract 3.4): so many requests in any span of so long.
//!
//! Mews says that the window slides and is anchored to the first request of a burst: a request counts
//! from when it came until the window's length later, so that the first one of a burst is the first to
//! make room. What is refused does not count. The clock is an argument.

use std::{collections::VecDeque, time::Duration};

use super::utc::Utc;

/// Mews's limit, in demo and production alike.
pub const REQUESTS_MAX: usize = 200;
/// Mews's window.
pub const LENGTH: Duration = Duration::from_secs(30);

/// The requests that still count.
#[derive(Debug, Default)]
pub struct Window {
    taken: VecDeque<Utc>,
}

impl Window {
    /// Takes a request.
    ///
    /// # Errors
    /// How long until there is room, when there is none.
    pub fn take(&mut self, most: usize, length: Duration, now: Utc) -> Result<(), Duration> {
        while self.taken.front().is_some_and(|first| first.plus(length) <= now) {
            self.taken.pop_front();
        }
        if self.taken.len() < most {
            self.taken.push_back(now);
            return Ok(());
        }
        // Room comes when only `most - 1` are left; a limit of none has no such time.
        let leaves = self.taken.len().checked_sub(most).and_then(|at| self.taken.get(at));
        Err(leaves.map_or(length, |first| first.plus(length).since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> Utc {
        Utc::parse("2026-11-01T12:00:00Z").unwrap()
    }

    #[test]
    fn the_first_of_a_burst_makes_room_when_the_window_has_passed() {
        let mut window = Window::default();
        for n in 0..200 {
            assert_eq!(window.take(REQUESTS_MAX, LENGTH, start().plus_ms(n * 100)), Ok(()));
        }
        let late = start().plus_ms(29_900);
        assert_eq!(window.take(REQUESTS_MAX, LENGTH, late), Err(Duration::from_millis(100)));
        assert_eq!(window.take(REQUESTS_MAX, LENGTH, late.plus_ms(100)), Ok(()));
        assert_eq!(window.take(REQUESTS_MAX, LENGTH, late.plus_ms(100)), Err(Duration::from_millis(100)));
    }

    proptest! {
        /// The model remembers everything and counts anew each time.
        #[test]
        fn no_span_of_the_window_holds_more_than_the_limit(
            most in 0usize..6,
            steps in prop::collection::vec(0i64..40, 1..200),
        ) {
            let length = Duration::from_millis(60);
            let (mut window, mut model, mut now) = (Window::default(), Vec::<Utc>::new(), start());
            for step in steps {
                now = now.plus_ms(step);
                let counting = model.iter().filter(|at| at.plus(length) > now).count();
                let taken = window.take(most, length, now);
                prop_assert_eq!(taken.is_ok(), counting < most);
                match taken {
                    Ok(()) => model.push(now),
                    // After the wait, and not before, there is room.
                    Err(wait) if most > 0 => {
                        let free = |at: Utc| model.iter().filter(|then| then.plus(length) > at).count() < most;
                        prop_assert!(free(now.plus(wait)) && !free(now.plus(wait).plus_ms(-1)));
                    }
                    Err(_) => {}
                }
            }
        }
    }
}
