//! Holds requests back while the whole Connector API is away, and says so.
//!
//! Guarantees: [`circuit`] says when it opens, and that one hotel's trouble does not open it for others;
//! one request at a time probes whether the API is back; whoever waits is told when there is a chance. The
//! client asks it before every request; the enricher pauses consumption while [`Breaker::is_open`], and
//! goes on after [`Breaker::chance`]. It never sends a request of its own.

pub mod circuit;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::Fingerprint;
use crate::telemetry::metrics::{Connector as Metrics, connector::Circuit as State};
use circuit::{Circuit, Outcome, Verdict};

/// The breaker; a cheap handle.
#[derive(Clone, Debug)]
pub struct Breaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    circuit: Mutex<Circuit>,
    changed: Notify,
    metrics: Metrics,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner { circuit: Mutex::default(), changed: Notify::new(), metrics }))
    }

    /// Whether the API is away and its next probe is not due.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.circuit().state(now()) == State::Open
    }

    /// Whether it is closed, open, or trying.
    #[must_use]
    pub fn state(&self) -> State {
        self.circuit().state(now())
    }

    /// Waits until a request has a chance of being sent: at once while it is closed. Since somebody must
    /// send the probe, it ends for everybody who waits when one is due.
    pub async fn chance(&self) {
        loop {
            let changed = self.0.changed.notified();
            let chance_at = self.circuit().chance_at(now());
            match chance_at {
                Some(at) if at <= now() => return,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Leave to send a request, or how long to wait before asking again.
    pub(super) fn admit(&self, token: Fingerprint) -> Result<Pass, Duration> {
        let now = now();
        match self.circuit().admit(token, now) {
            Verdict::Refuse(until) => Err(until.saturating_duration_since(now)),
            verdict => Ok(Pass { breaker: self.clone(), token, verdict, outcome: Outcome::Unknown }),
        }
    }

    /// Sets what is measured only when somebody looks: it becomes half open by itself.
    pub fn observe(&self) {
        self.0.metrics.circuit.only(self.circuit().state(now()));
    }

    fn ended(&self, token: Fingerprint, verdict: Verdict, outcome: Outcome) {
        let now = now();
        let mut circuit = self.circuit();
        let before = circuit.state(now);
        circuit.ended(token, verdict, outcome, now);
        let after = circuit.state(now);
        drop(circuit);
        match (before, after) {
            (State::Closed, State::Open) => {
                tracing::warn!("the Connector API is away, requests are held back until it answers again");
            }
            (State::Open | State::HalfOpen, State::Closed) => {
                tracing::info!("the Connector API answers again");
            }
            _ => {}
        }
        if before != State::Closed || after != State::Closed {
            self.observe();
            self.0.changed.notify_waiters();
        }
    }

    /// Nothing panics while it holds the lock.
    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.0.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to send one request. Dropped, it says how that ended; unsaid, nothing is concluded.
#[derive(Debug)]
pub(super) struct Pass {
    breaker: Breaker,
    token: Fingerprint,
    verdict: Verdict,
    outcome: Outcome,
}

impl Pass {
    /// Says how the request ended.
    pub(super) fn ended(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.breaker.ended(self.token, self.verdict, self.outcome);
    }
}

/// The runtime's clock, so that a test that pauses it pauses the breaker.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        secret::Secret,
        telemetry::metrics::{Metrics as All, Names},
    };

    #[tokio::test]
    async fn whoever_waits_goes_on_when_it_closes() {
        let metrics = All::new(&Names::default()).connector;
        let breaker = Breaker::new(metrics.clone());
        let token = Fingerprint::of(&Secret::new("one".to_owned()));
        breaker.chance().await;
        let late = breaker.admit(token).unwrap();
        for _ in 0..circuit::FAILURES_MIN {
            breaker.admit(token).unwrap().ended(Outcome::Unreachable);
        }
        assert!(breaker.is_open());
        assert!(breaker.admit(token).unwrap_err() <= circuit::WAITS.0);
        assert_eq!(metrics.circuit.of(State::Open).get(), 1);
        let waiting = {
            let breaker = breaker.clone();
            tokio::spawn(async move { breaker.chance().await })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        late.ended(Outcome::Answered);
        waiting.await.unwrap();
        assert!(!breaker.is_open());
        assert_eq!((metrics.circuit.of(State::Open).get(), metrics.circuit.of(State::Closed).get()), (0, 1));
    }
}
