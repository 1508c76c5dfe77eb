//! One access token's requests of the last window, and who waits for the next. Pure: `now` is given.
//!
//! ```text
//!   sent            answered                     forgotten
//!    ├── under way ────┤──────── one window ────────┤      the request counts all this while
//!          ▲ it reached Mews somewhere in here
//! ```
//!
//! Mews counts a request when it arrives, which the bridge cannot see: somewhere between sending and the
//! answer. A window of Mews that ends at `t` holds only requests that were sent before `t` and answered
//! after `t` less one window, and each of those counts here at `t`. So whatever the delays on the way, no
//! window of Mews ever holds more requests than are allowed here; clocks need not agree, only run alike,
//! for which a thousandth is added.
//!
//! A request that was given up without an answer may still arrive: it counts for two windows. What is left
//! below the documented 200 (contract 3.4) is for those that arrive later still.
//!
//! A token that this instance has not used for a window starts at half, and has a third of that half at
//! once and the rest bit by bit over the window: the former owner may just have spent the other half. Four
//! owners that follow each other within one window stay within the limit together, if the first of them was
//! new as well. Behind one that spent all of it the new owner may be throttled, and waits.
//!
//! The cost is the time of one request per window: with answers in 0.3 s, 198 requests every 30.33 s,
//! 0.98 of what Mews allows; in 1 s, 0.96.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{backoff::Backoff, connector::Operation, telemetry::family::Label as _};

/// First and longest wait after a 429 without `Retry-After` (contract 3.4: sometimes it is missing).
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What every access token may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may count at any time; at least 2.
    pub requests: usize,
    /// How long a request counts after its answer.
    pub window: Duration,
    /// Requests that may be under way at a time.
    pub open: usize,
}

/// A waiter: the order of tickets says nothing, each is used once.
pub type Ticket = u64;

/// What a waiter is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send now.
    Granted,
    /// Mews has said that nothing is to be sent until then.
    Frozen(Instant),
    /// Ask again then, or when told to; never before somebody says so if there is no time.
    Wait(Option<Instant>),
}

/// The budget of one access token.
#[derive(Debug)]
pub struct Window {
    limits: Limits,
    /// Until then only half may be used: whoever had this token before may have just spent the rest.
    half_until: Instant,
    /// Sent, not answered.
    unanswered: usize,
    /// When each request that was answered or given up stops counting, soonest first.
    ends: VecDeque<Instant>,
    /// Sent and not over: of some the answer is still being read.
    open: usize,
    /// Nothing is sent until then, because Mews said 429.
    frozen_until: Option<Instant>,
    /// How long the next freeze is, if Mews does not say; gone with the first good answer.
    backoff: Option<Backoff>,
    /// Who waits, by operation, in the order in which they came.
    queues: Vec<VecDeque<Ticket>>,
    /// The operation whose turn it is next.
    turn: usize,
}

impl Window {
    /// Of a token that this instance has not used for a whole window: it starts at half, bit by bit.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            half_until: now + counts_for(limits.window),
            unanswered: 0,
            ends: VecDeque::new(),
            open: 0,
            frozen_until: None,
            backoff: None,
            queues: vec![VecDeque::new(); Operation::ALL.len()],
            turn: 0,
        }
    }

    /// Whether nothing is known of it that a new one would not know.
    pub fn is_idle(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.open == 0
            && self.used() == 0
            && self.frozen_until.is_none()
            && self.queues.iter().all(VecDeque::is_empty)
    }

    /// Takes a place behind the others that wait for the same operation.
    pub fn ask(&mut self, operation: Operation, ticket: Ticket) {
        self.queues[place(operation)].push_back(ticket);
    }

    /// Gives the place up.
    pub fn leave(&mut self, operation: Operation, ticket: Ticket) {
        self.queues[place(operation)].retain(|each| *each != ticket);
    }

    /// Whose turn it is next: operations take turns, so that none waits for the backlog of another.
    #[must_use]
    pub fn next(&self) -> Option<Ticket> {
        self.next_queue().and_then(|at| self.queues[at].front().copied())
    }

    fn next_queue(&self) -> Option<usize> {
        let count = self.queues.len();
        (0..count).map(|step| (self.turn + step) % count).find(|at| !self.queues[*at].is_empty())
    }

    /// Lets a waiter go if it is its turn and there is room.
    pub fn poll(&mut self, ticket: Ticket, now: Instant) -> Turn {
        self.forget(now);
        let Some(at) = self.next_queue().filter(|at| self.queues[*at].front() == Some(&ticket)) else {
            return Turn::Wait(None);
        };
        if let Some(until) = self.frozen_until {
            return Turn::Frozen(until);
        }
        if self.open >= self.limits.open {
            return Turn::Wait(None);
        }
        let (allowed, more_at) = self.allowed(now);
        if self.used() < allowed {
            self.queues[at].pop_front();
            self.turn = at + 1;
            self.unanswered += 1;
            self.open += 1;
            return Turn::Granted;
        }
        let room_at = self.ends.get(self.used() - allowed).copied();
        Turn::Wait(room_at.into_iter().chain(more_at).min())
    }

    /// Requests that may count now, and when more may, if that is only a matter of time.
    fn allowed(&self, now: Instant) -> (usize, Option<Instant>) {
        if now >= self.half_until {
            return (self.limits.requests, None);
        }
        let whole = counts_for(self.limits.window);
        let half = self.limits.requests / 2;
        let at_once = half.div_ceil(3);
        let spread = (half - at_once) as u128;
        let elapsed = whole.saturating_sub(self.half_until - now);
        let given = spread * elapsed.as_nanos() / whole.as_nanos();
        let left = ((given + 1) * whole.as_nanos()).checked_div(spread).map(|next| {
            // The next one is given when its share of the window has passed, not a nanosecond before.
            Duration::from_nanos_u128(next + 1).saturating_sub(elapsed)
        });
        let more_at = left.map_or(self.half_until, |left| (now + left).min(self.half_until));
        (at_once + usize::try_from(given).unwrap_or(half), Some(more_at))
    }

    /// The head of an answer came.
    pub fn answered(&mut self, now: Instant) {
        self.backoff = None;
        self.arrived(now);
    }

    /// The answer was 429: the whole token is frozen, for as long as Mews asks or else longer each time.
    /// Several that were under way together are one time.
    pub fn throttled(&mut self, retry_after: Option<Duration>, now: Instant) {
        self.arrived(now);
        self.forget(now);
        let said = retry_after.filter(|wait| !wait.is_zero());
        if said.is_none() && self.frozen_until.is_some() {
            return;
        }
        let backoff = self.backoff.get_or_insert(Backoff::new(WAITS.0, WAITS.1));
        let wait = said.or_else(|| backoff.next()).unwrap_or(WAITS.1);
        self.frozen_until = self.frozen_until.max(Some(now + wait));
    }

    /// There will be no answer, but the request may have been sent.
    pub fn lost(&mut self, now: Instant) {
        self.unanswered -= 1;
        self.counts_until(now + counts_for(self.limits.window) * 2);
    }

    /// The request was never sent.
    pub fn unsent(&mut self) {
        self.unanswered -= 1;
    }

    /// The request is over, whatever became of it.
    pub fn close(&mut self) {
        self.open -= 1;
    }

    /// Requests that count now, of those allowed.
    pub fn used_ratio(&mut self, now: Instant) -> f64 {
        self.forget(now);
        self.used() as f64 / self.limits.requests as f64
    }

    fn used(&self) -> usize {
        self.unanswered + self.ends.len()
    }

    fn arrived(&mut self, now: Instant) {
        self.unanswered -= 1;
        self.counts_until(now + counts_for(self.limits.window));
    }

    fn counts_until(&mut self, end: Instant) {
        let at = self.ends.partition_point(|each| *each <= end);
        self.ends.insert(at, end);
    }

    fn forget(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|end| *end <= now) {
            self.ends.pop_front();
        }
        self.frozen_until = self.frozen_until.filter(|until| *until > now);
    }
}

/// A thousandth more than the window, so that it is none too short by Mews's clock: a clock that is being
/// set runs wrong by half of that at most.
fn counts_for(window: Duration) -> Duration {
    window + window / 1000
}

fn place(operation: Operation) -> usize {
    Operation::ALL.iter().position(|each| *each == operation).expect("ALL lists every operation")
}

#[cfg(test)]
mod tests;
