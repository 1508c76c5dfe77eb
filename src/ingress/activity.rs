//! What a connection is doing, and when it has been doing it for too long.
//!
//! ```text
//!         first byte        head complete
//! Fresh ─────────────► Head ─────────────► Serving ─── last answer ──► Idle
//!   └─ head_timeout      └─ head_timeout      ▲ no limit here: body and      │ └─ idle_timeout
//!                        ▲                    │ append have their own        │
//!                        └── first byte (HTTP/1) ────────────────────────────┘
//! ```
//!
//! On HTTP/2 bytes come between requests too (pings, windows), so they begin no head there; a head that
//! stalls keeps its sender from answering pings, which ends the connection as well.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A new connection is not called idle before this: its request may be on the way, or here and not read yet.
pub(super) const FIRST_BYTE_WITHIN: Duration = Duration::from_millis(250);

/// One connection's state, shared between its socket, its requests and whoever needs its place.
#[derive(Debug)]
pub(super) struct Activity {
    phase: Mutex<Phase>,
    unread: AtomicBool,
    /// Set once somebody needs the place.
    unwanted: AtomicBool,
    asked: Notify,
    /// Told when the connection becomes idle while somebody waits for a place.
    waiting: Arc<Waiting>,
}

/// Somebody who waits for a place.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    now: AtomicBool,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Fresh { since: Instant },
    Head { since: Instant },
    Serving { requests: usize },
    Idle { since: Instant },
}

/// How long a connection may be in a phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To the end of a head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
}

/// What has taken too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A head, or the first byte of all.
    Head,
    /// The next request.
    Idle,
}

/// A request that is being served; the connection is not idle before it is dropped.
#[derive(Debug)]
pub(super) struct Serving(Arc<Activity>);

impl Activity {
    /// A connection that was just opened.
    pub(super) fn new(now: Instant, waiting: Arc<Waiting>) -> Self {
        Self {
            phase: Mutex::new(Phase::Fresh { since: now }),
            unread: AtomicBool::new(false),
            unwanted: AtomicBool::new(false),
            asked: Notify::new(),
            waiting,
        }
    }

    fn step(&self, step: impl FnOnce(Phase) -> Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = step(*phase);
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came in. A connection's first head counts from its opening, every other from its first byte.
    pub(super) fn bytes_came(&self, now: Instant) {
        self.step(|phase| match phase {
            Phase::Fresh { since } => Phase::Head { since },
            Phase::Idle { .. } => Phase::Head { since: now },
            same @ (Phase::Head { .. } | Phase::Serving { .. }) => same,
        });
    }

    /// It is HTTP/2: there are no more heads to wait for than requests.
    pub(super) fn multiplex(&self, now: Instant) {
        self.step(|phase| match phase {
            Phase::Fresh { .. } | Phase::Head { .. } => Phase::Idle { since: now },
            same @ (Phase::Serving { .. } | Phase::Idle { .. }) => same,
        });
    }

    /// A head is complete.
    pub(super) fn serve(self: &Arc<Self>) -> Serving {
        self.step(|phase| match phase {
            Phase::Serving { requests } => Phase::Serving { requests: requests + 1 },
            Phase::Fresh { .. } | Phase::Head { .. } | Phase::Idle { .. } => Phase::Serving { requests: 1 },
        });
        Serving(Arc::clone(self))
    }

    fn served(&self, now: Instant) {
        self.step(|phase| match phase {
            Phase::Serving { requests } if requests > 1 => Phase::Serving { requests: requests - 1 },
            _ => Phase::Idle { since: now },
        });
        // After the phase is set: the one who waits looks after setting this.
        if self.waiting.now.load(Ordering::SeqCst) {
            self.waiting.changed.notify_one();
        }
    }

    /// When the connection should be looked at again if nothing happens; `None` while it serves.
    pub(super) fn deadline(&self, patience: Patience) -> Option<(Instant, Overdue)> {
        match self.phase() {
            Phase::Fresh { since } | Phase::Head { since } => Some((since + patience.head, Overdue::Head)),
            Phase::Idle { since } => Some((since + patience.idle, Overdue::Idle)),
            Phase::Serving { .. } => None,
        }
    }

    /// Since when it could be closed without harm; `None` when it could not, or was asked already.
    pub(super) fn idle_since(&self, now: Instant) -> Option<Instant> {
        let since = match self.phase() {
            Phase::Idle { since } => since,
            Phase::Fresh { since } if now.duration_since(since) >= FIRST_BYTE_WITHIN => since,
            Phase::Fresh { .. } | Phase::Head { .. } | Phase::Serving { .. } => return None,
        };
        (!self.unwanted.load(Ordering::Relaxed)).then_some(since)
    }

    /// Asks the connection to close when it next can.
    pub(super) fn ask_to_close(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
        self.asked.notify_one();
    }

    /// Waits until somebody asks.
    pub(super) async fn asked_to_close(&self) {
        self.asked.notified().await;
    }

    /// Notes that a request was answered although its body is still coming.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether a body is still coming that nobody wants.
    pub(super) fn has_left_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.served(Instant::now());
    }
}

impl Waiting {
    /// From now on, changes are told.
    pub(super) fn begin(&self) {
        self.now.store(true, Ordering::SeqCst);
    }

    /// No longer.
    pub(super) fn end(&self) {
        self.now.store(false, Ordering::SeqCst);
    }

    /// A connection has ended or become idle.
    pub(super) fn tell(&self) {
        self.changed.notify_one();
    }

    /// Waits for the next change, or takes the one that was told since the last wait.
    pub(super) async fn change(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(5), idle: Duration::from_secs(75) };

    fn after(start: Instant, activity: &Activity) -> Option<(u64, Overdue)> {
        activity.deadline(PATIENCE).map(|(at, what)| ((at - start).as_secs(), what))
    }

    #[test]
    fn the_first_head_counts_from_the_opening_and_the_next_from_its_first_byte() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let activity = Arc::new(Activity::new(start, Arc::default()));
        assert_eq!(after(start, &activity), Some((5, Overdue::Head)));
        activity.bytes_came(at(3));
        assert_eq!(after(start, &activity), Some((5, Overdue::Head)));
        std::mem::forget(activity.serve());
        activity.bytes_came(at(9));
        assert_eq!(after(start, &activity), None);
        activity.served(at(10));
        assert_eq!(after(start, &activity), Some((85, Overdue::Idle)));
        activity.bytes_came(at(20));
        activity.bytes_came(at(24));
        assert_eq!(after(start, &activity), Some((25, Overdue::Head)));
    }

    #[test]
    fn only_a_connection_without_a_request_is_idle() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, Arc::default()));
        assert_eq!(activity.idle_since(start), None, "its first byte may be on the way");
        let start = start + FIRST_BYTE_WITHIN;
        assert!(activity.idle_since(start).is_some());
        activity.multiplex(start);
        let (first, second) = (activity.serve(), activity.serve());
        drop(first);
        assert_eq!(activity.idle_since(start), None);
        drop(second);
        assert!(activity.idle_since(start).is_some());
        activity.ask_to_close();
        assert_eq!(activity.idle_since(start), None, "it is not asked twice");
    }
}
