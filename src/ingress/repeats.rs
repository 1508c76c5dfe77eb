//! Remembers bodies that could not be read, so that a re-send of the same bytes is not kept again.
//!
//! Mews re-sends what was answered 400 twice, the same bytes, minutes apart. The memory is bounded and
//! does not outlive the process: a second copy in the quarantine does no harm.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use super::recent::Recent;

/// How long a body is remembered, longer than all tries of one delivery take.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Bodies that are remembered, some 150 bytes each.
const BODIES_MAX: usize = 8_192;

/// Digests of bodies that are in the quarantine.
#[derive(Debug)]
pub(super) struct Repeats(Mutex<Recent<[u8; 32], ()>>);

/// The digest of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Digests a body.
    pub(super) fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl Repeats {
    /// Remembers nothing yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Recent::new(HOUR, BODIES_MAX)))
    }

    /// Whether the body was kept within the last hour.
    pub(super) fn knows(&self, body: Fingerprint, now: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).holds(&body.0, now)
    }

    /// Remembers a body. Called only once it is durable: what was not kept must be taken when it comes again.
    pub(super) fn remember(&self, body: Fingerprint, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).see(body.0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_known_for_an_hour() {
        let repeats = Repeats::new();
        let start = Instant::now();
        let (body, other) = (Fingerprint::of(b"{"), Fingerprint::of(b"{ "));
        assert!(!repeats.knows(body, start));
        repeats.remember(body, start);
        assert!(repeats.knows(body, start + HOUR / 2));
        assert!(!repeats.knows(other, start));
        assert!(!repeats.knows(body, start + HOUR));
    }
}
