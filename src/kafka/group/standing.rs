//! How a membership stands, for whoever asks while its thread works.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A thread that did not come round for so long was not merely busy: releases and commits take less.
const STANDSTILL: Duration = Duration::from_secs(10);
/// After a standstill, how long the overdue heartbeat and its answer may take.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Standing(Mutex<Inner>);

struct Inner {
    polled_at: Instant,
    came_round: Instant,
    held_until: Option<Instant>,
    protocol: Option<&'static str>,
    is_settled: bool,
    complaint: String,
}

impl Standing {
    pub(super) const fn new(now: Instant) -> Self {
        Self(Mutex::new(Inner {
            polled_at: now,
            came_round: now,
            held_until: None,
            protocol: None,
            is_settled: false,
            complaint: String::new(),
        }))
    }

    /// The thread came round.
    pub(super) fn came_round(&self, now: Instant) {
        let mut inner = self.inner();
        if now.saturating_duration_since(inner.came_round) > STANDSTILL {
            inner.held_until = Some(now + HEARD_WITHIN);
        }
        inner.came_round = now;
        if inner.held_until.is_none_or(|until| now >= until) {
            inner.held_until = None;
            inner.polled_at = now;
        }
    }

    /// The member is one, or not any more.
    pub(super) fn settled(&self, is_settled: bool, protocol: &'static str) {
        let mut inner = self.inner();
        inner.is_settled = is_settled;
        if is_settled {
            inner.protocol = Some(protocol);
            inner.complaint.clear();
        }
    }

    /// What the client last said was wrong.
    pub(super) fn complain(&self, complaint: &str) {
        complaint.clone_into(&mut self.inner().complaint);
    }

    pub(super) fn protocol(&self) -> Option<&'static str> {
        self.inner().protocol
    }

    pub(super) fn polled_at(&self) -> Instant {
        self.inner().polled_at
    }

    pub(super) fn consuming(&self) -> Result<(), String> {
        let inner = self.inner();
        match (inner.is_settled, inner.complaint.as_str()) {
            (true, _) => Ok(()),
            (false, "") => Err("not a member of the consumer group".to_owned()),
            (false, complaint) => Err(format!("not a member of the consumer group: {complaint}")),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_standstill_there_is_time_to_hear_of_it() {
        let start = Instant::now();
        let standing = Standing::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        for (now, polled_at) in [(5, 5), (60, 5), (61, 5), (62, 62), (63, 63)] {
            standing.came_round(at(now));
            assert_eq!(standing.polled_at(), at(polled_at));
        }
    }

    #[test]
    fn who_is_not_settled_says_why() {
        let standing = Standing::new(Instant::now());
        assert!(standing.consuming().is_err() && standing.protocol().is_none());
        standing.complain("refused");
        assert!(standing.consuming().is_err_and(|why| why.ends_with(": refused")));
        standing.settled(true, "classic");
        assert_eq!((standing.consuming(), standing.protocol()), (Ok(()), Some("classic")));
        standing.settled(false, "classic");
        assert!(standing.consuming().is_err());
    }
}
