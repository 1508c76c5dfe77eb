//! How long to wait before the next try: doubling, bounded, spread by chance.

use std::time::Duration;

/// An endless iterator of waits.
///
/// Each wait is drawn from the upper half of a span that doubles up to a bound, so that many
/// clients of one broken thing do not come back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    span: Duration,
    max: Duration,
}

impl Backoff {
    /// Begins with waits of up to `first`, and never waits longer than `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { span: first, max }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let span = self.span.min(self.max);
        self.span = (span * 2).min(self.max);
        // Without randomness from the system the full wait is as good.
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        Some(span / 2 + (span / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_differ() {
        let bounds = [1, 2, 4, 8, 10, 10].map(Duration::from_secs);
        for _ in 0..100 {
            let waits = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
            for (wait, bound) in waits.zip(bounds) {
                assert!(wait >= bound / 2 && wait <= bound, "{wait:?} of {bound:?}");
            }
        }
    }
}
