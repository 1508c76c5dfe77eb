//! Counts failed tokens by source address, so that guessing is slowed and says so.
//!
//! Behind a proxy every sender has one address. So only failures are counted, a right token is never
//! asked about here, and the answer to the limit is another status, not a closed door.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::recent::Recent;

/// The span over which failures are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Addresses that are remembered, some 100 bytes each. A flood from more of them forgets the oldest.
const ADDRESSES_MAX: usize = 16_384;

/// Failed tokens of the last minute.
#[derive(Debug)]
pub(super) struct Failures {
    per_minute: u32,
    counts: Mutex<Recent<IpAddr, u32>>,
}

/// What a failed token is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// One of the few that are allowed.
    Within,
    /// One too many; counting starts again after this time.
    Over(Duration),
}

impl Failures {
    /// Allows so many in a minute.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, counts: Mutex::new(Recent::new(MINUTE, ADDRESSES_MAX)) }
    }

    /// Counts a failed token.
    pub(super) fn count(&self, peer: IpAddr, now: Instant) -> Failure {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, left) = counts.see(source(peer), now);
        *count = count.saturating_add(1);
        if *count > self.per_minute { Failure::Over(left) } else { Failure::Within }
    }
}

/// One sender as far as addresses tell: a host has a whole /64 of IPv6 to itself.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_too_many_is_told_when_to_come_again() {
        let failures = Failures::new(2);
        let peer = "192.0.2.1".parse().unwrap();
        let start = Instant::now();
        let after = |seconds| failures.count(peer, start + Duration::from_secs(seconds));
        assert_eq!(after(0), Failure::Within);
        assert_eq!(after(10), Failure::Within);
        assert_eq!(after(15), Failure::Over(Duration::from_secs(45)));
        assert_eq!(after(60), Failure::Within);
    }

    #[test]
    fn a_sender_is_an_ipv4_address_or_an_ipv6_network() {
        let failures = Failures::new(1);
        let now = Instant::now();
        let count = |peer: &str| failures.count(peer.parse().unwrap(), now);
        assert_eq!(count("192.0.2.1"), Failure::Within);
        assert_eq!(count("::ffff:192.0.2.1"), Failure::Over(MINUTE));
        assert_eq!(count("192.0.2.2"), Failure::Within);
        assert_eq!(count("2001:db8::1"), Failure::Within);
        assert_eq!(count("2001:db8::ffff:1"), Failure::Over(MINUTE));
        assert_eq!(count("2001:db8:0:1::1"), Failure::Within);
    }
}
