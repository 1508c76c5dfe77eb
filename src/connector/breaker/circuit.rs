//! When the whole API is away, told apart from one hotel's trouble. Pure: `now` is given.
//!
//! ```text
//!            enough fail, none succeeds                    its wait is over
//!  closed ───────────────────────────────► open ───────────────────────────► half open
//!    ▲ ▲                                     ▲                                 │   │
//!    │ └──────── any answer below 500 ───────┼─────────────────────────────────┘   │
//!    └── any answer below 500 ───────────────┴──── its one probe fails ────────────┘
//! ```
//!
//! *Enough* is [`FAILURES_MIN`] requests in a row, whoever made them, and one of these two:
//!
//! - no connection could be made, which says nothing about any hotel;
//! - they came from at least half of the access tokens that had an answer or a failure in the last
//!   [`MEMORY`], or from [`TOKENS_MAX`] of them. So a hotel that Mews answers with 5xx, or too late, opens
//!   it only if it is the only one there is: a hotel that works either answers in between, or is among
//!   those that were heard of. One that was silent for longer still gets through when it comes back: while
//!   fewer than [`TOKENS_MAX`] tokens have failed, a token that has not failed since may always probe.
//!
//! Any answer below 500 is one of a platform that works: 401 is about a token, 429 about its use.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::{backoff::Backoff, connector::Fingerprint, telemetry::metrics::connector::Circuit as State};

/// Failures in a row before anything is concluded.
pub const FAILURES_MIN: u32 = 5;
/// Access tokens that are as good as all of them.
pub const TOKENS_MAX: usize = 10;
/// How long a token is remembered after it was last heard of.
pub const MEMORY: Duration = Duration::from_secs(3600);
/// First and longest wait before a probe.
pub const WAITS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// How a request ended, as far as the platform is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer below 500.
    Answered,
    /// 5xx, no answer in time, or a broken connection.
    Failed,
    /// No connection could be made.
    Unreachable,
    /// Nobody waited for the end.
    Unknown,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Pass,
    /// Yes, and the others wait for how it ends.
    Probe,
    /// No; come back then.
    Refuse(Instant),
}

/// The circuit.
#[derive(Debug, Default)]
pub struct Circuit {
    /// Who was heard of, and when last.
    heard: HashMap<Fingerprint, Instant>,
    /// When those that were not heard of for long are next forgotten.
    forget_at: Option<Instant>,
    failures: u32,
    /// How many of them were failures to connect.
    unreachable: u32,
    /// Whose they were; at most [`TOKENS_MAX`].
    failed: HashSet<Fingerprint>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    waits: Backoff,
    is_probing: bool,
}

impl Circuit {
    /// Whether it is closed, open, or due for a probe.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        match &self.open {
            None => State::Closed,
            Some(open) if now < open.until => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// When a request has a chance again; `None` while a probe is under way, which will say.
    #[must_use]
    pub fn chance_at(&self, now: Instant) -> Option<Instant> {
        match &self.open {
            None => Some(now),
            Some(open) if open.is_probing => None,
            Some(open) => Some(open.until),
        }
    }

    /// Judges a request that is about to be sent.
    pub fn admit(&mut self, token: Fingerprint, now: Instant) -> Verdict {
        let is_news = self.failed.len() < TOKENS_MAX && !self.failed.contains(&token);
        let Some(open) = &mut self.open else { return Verdict::Pass };
        if open.is_probing {
            return Verdict::Refuse(open.until.max(now + WAITS.0 / 2));
        }
        if now < open.until && !is_news {
            return Verdict::Refuse(open.until);
        }
        open.is_probing = true;
        Verdict::Probe
    }

    /// Takes note of how an admitted request ended.
    pub fn ended(&mut self, token: Fingerprint, verdict: Verdict, outcome: Outcome, now: Instant) {
        if let (Verdict::Probe, Some(open)) = (verdict, &mut self.open) {
            open.is_probing = false;
        }
        match outcome {
            Outcome::Unknown => return,
            Outcome::Answered => {
                self.open = None;
                self.failures = 0;
                self.unreachable = 0;
                self.failed.clear();
            }
            Outcome::Failed | Outcome::Unreachable => self.failed(token, verdict, outcome, now),
        }
        self.heard.insert(token, now);
        if self.forget_at.is_none_or(|at| now >= at) {
            self.forget(now);
        }
    }

    fn forget(&mut self, now: Instant) {
        self.heard.retain(|_, heard| now.duration_since(*heard) < MEMORY);
        self.forget_at = Some(now + MEMORY);
    }

    fn failed(&mut self, token: Fingerprint, verdict: Verdict, outcome: Outcome, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if outcome == Outcome::Unreachable {
            self.unreachable = self.unreachable.saturating_add(1);
        }
        if self.failed.len() < TOKENS_MAX {
            self.failed.insert(token);
        }
        if self.open.is_none() && self.is_enough(token, now) {
            let mut waits = Backoff::new(WAITS.0, WAITS.1);
            let until = now + waits.next().unwrap_or(WAITS.1);
            self.open = Some(Open { until, waits, is_probing: false });
        } else if let (Verdict::Probe, Some(open)) = (verdict, &mut self.open) {
            open.until = now + open.waits.next().unwrap_or(WAITS.1);
        }
    }

    fn is_enough(&mut self, token: Fingerprint, now: Instant) -> bool {
        if self.failures < FAILURES_MIN {
            return false;
        }
        self.heard.insert(token, now);
        self.forget(now);
        let needed = self.heard.len().div_ceil(2).min(TOKENS_MAX);
        self.unreachable >= FAILURES_MIN || self.failed.len() >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn token(n: usize) -> Fingerprint {
        Fingerprint::of(&Secret::new(n.to_string()))
    }

    /// One request that is admitted and ends at once.
    fn one(circuit: &mut Circuit, n: usize, outcome: Outcome, now: Instant) -> Verdict {
        let verdict = circuit.admit(token(n), now);
        if !matches!(verdict, Verdict::Refuse(_)) {
            circuit.ended(token(n), verdict, outcome, now);
        }
        verdict
    }

    fn open_by(tokens: std::ops::Range<usize>, outcome: Outcome, now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for n in tokens.cycle().take(100) {
            one(&mut circuit, n, outcome, now);
            if circuit.state(now) == State::Open {
                return circuit;
            }
        }
        panic!("it did not open")
    }

    #[test]
    fn one_hotel_among_others_does_not_open_it() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for n in 0..3 {
            one(&mut circuit, n, Outcome::Answered, now);
        }
        for second in 0..1_000 {
            assert_eq!(
                one(&mut circuit, 0, Outcome::Failed, now + Duration::from_secs(second)),
                Verdict::Pass
            );
        }
        // The second of four is half of those that were heard of.
        one(&mut circuit, 1, Outcome::Failed, now + Duration::from_secs(1_000));
        assert_eq!(circuit.state(now + Duration::from_secs(1_000)), State::Open);
    }

    #[test]
    fn an_answer_in_between_keeps_it_closed() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..100 {
            for n in 0..4 {
                one(&mut circuit, n, Outcome::Failed, now);
            }
            one(&mut circuit, 9, Outcome::Answered, now);
        }
        assert_eq!(circuit.state(now), State::Closed);
    }

    #[test]
    fn ten_of_a_thousand_are_as_good_as_all() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for n in 0..1_000 {
            one(&mut circuit, n, Outcome::Answered, now);
        }
        for n in 0..9 {
            one(&mut circuit, n, Outcome::Failed, now);
        }
        assert_eq!(circuit.state(now), State::Closed);
        one(&mut circuit, 9, Outcome::Failed, now);
        assert_eq!(circuit.state(now), State::Open);
        assert!(matches!(circuit.admit(token(500), now), Verdict::Refuse(_)));
    }

    #[test]
    fn failures_to_connect_open_it_whoever_made_them() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for n in 0..1_000 {
            one(&mut circuit, n, Outcome::Answered, now);
        }
        for _ in 0..FAILURES_MIN {
            one(&mut circuit, 0, Outcome::Unreachable, now);
        }
        assert_eq!(circuit.state(now), State::Open);
    }

    #[test]
    fn one_probe_at_a_time_and_a_failed_one_makes_the_wait_longer() {
        let mut now = Instant::now();
        let mut circuit = open_by(0..10, Outcome::Failed, now);
        for bound in [2, 4, 8, 16, 30, 30].map(Duration::from_secs) {
            let Verdict::Refuse(until) = circuit.admit(token(0), now) else { panic!("not open") };
            assert!(until - now >= bound / 2 && until - now <= bound, "{:?} of {bound:?}", until - now);
            assert_eq!(circuit.chance_at(now), Some(until));
            now = until;
            assert_eq!(circuit.state(now), State::HalfOpen);
            assert_eq!(circuit.admit(token(0), now), Verdict::Probe);
            assert!(matches!(circuit.admit(token(1), now), Verdict::Refuse(_)));
            assert_eq!(circuit.chance_at(now), None);
            circuit.ended(token(0), Verdict::Probe, Outcome::Failed, now);
        }
    }

    #[test]
    fn any_answer_closes_it_and_a_probe_nobody_waited_for_is_made_again() {
        let now = Instant::now();
        let mut circuit = open_by(0..10, Outcome::Failed, now);
        let later = now + WAITS.0;
        assert_eq!(one(&mut circuit, 3, Outcome::Unknown, later), Verdict::Probe);
        assert_eq!(one(&mut circuit, 3, Outcome::Answered, later), Verdict::Probe);
        assert_eq!((circuit.state(later), circuit.admit(token(0), later)), (State::Closed, Verdict::Pass));
    }

    #[test]
    fn a_hotel_that_comes_back_after_long_is_not_held_up_by_one_that_fails() {
        let now = Instant::now();
        let mut circuit = open_by(0..1, Outcome::Failed, now);
        assert!(matches!(circuit.admit(token(0), now), Verdict::Refuse(_)));
        assert_eq!(one(&mut circuit, 7, Outcome::Answered, now), Verdict::Probe);
        assert_eq!(circuit.state(now), State::Closed);
    }

    #[test]
    fn tokens_are_forgotten() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for n in 0..1_000 {
            one(&mut circuit, n, Outcome::Answered, now);
        }
        one(&mut circuit, 0, Outcome::Answered, now + MEMORY * 2);
        assert_eq!(circuit.heard.len(), 1);
    }
}
