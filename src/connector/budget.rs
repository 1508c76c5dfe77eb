//! The request budget: how often each access token may be used (contract 3.4).
//!
//! ```text
//! acquire ─► waits in its token's window, its operation's queue ─► Permit ─ sent ─ answered ─ over
//! ```
//!
//! Guarantees: no window of Mews sees more requests of a token than `connector.requests_per_window`, and
//! [`window`] says why; operations take turns, and within one who came first goes first; a token that Mews
//! throttles is frozen for all its operations and no other token; a waiter that is dropped leaves nothing
//! behind. Tokens that were not used for a window are forgotten, and so start at half. The client asks it
//! before every request; it sends nothing itself and keeps fingerprints, not tokens.

pub mod window;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Fingerprint, Operation};
use crate::telemetry::metrics::{Connector as Metrics, connector::ThrottledBy};
pub use window::Limits;
use window::{Ticket, Turn, Window};

/// A longer freeze is not waited for here: its requests have something better to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long Mews wants to hear nothing of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen(pub Duration);

/// The budgets of all access tokens; a cheap handle.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    metrics: Metrics,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    known: HashMap<Fingerprint, Token>,
    next_ticket: Ticket,
    /// When those that are idle are next looked for.
    sweep_at: Instant,
}

#[derive(Debug)]
struct Token {
    window: Window,
    waiting: HashMap<Ticket, Arc<Notify>>,
}

impl Budget {
    /// Budgets that nothing was spent of.
    #[must_use]
    pub fn new(limits: Limits, metrics: Metrics) -> Self {
        let tokens = Tokens { known: HashMap::new(), next_ticket: 0, sweep_at: now() };
        Self(Arc::new(Inner { limits, metrics, tokens: Mutex::new(tokens) }))
    }

    /// Waits until a request with this token may be sent. Cancelled, it gives its place up. A waiter
    /// must be polled: those behind it wait for it to take its turn.
    pub async fn acquire(&self, token: Fingerprint, operation: Operation) -> Result<Permit, Frozen> {
        let asked = now();
        let mut waiter = self.enqueue(token, operation);
        let mut has_waited = false;
        loop {
            let until = match waiter.poll() {
                Turn::Granted => break,
                Turn::Wait(until) => until,
                Turn::Frozen(until) => match until.saturating_duration_since(now()) {
                    wait if wait > PATIENCE => return Err(Frozen(wait)),
                    _ => Some(until),
                },
            };
            if !has_waited {
                has_waited = true;
                self.0.metrics.throttled.of(ThrottledBy::Client).inc();
            }
            let due = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = waiter.notify.notified() => {}
            }
        }
        waiter.is_granted = true;
        self.0.metrics.rate_limit_wait.observe((now() - asked).as_secs_f64());
        Ok(Permit { budget: self.clone(), token, stage: Stage::Sent })
    }

    /// Sets what is measured only when somebody looks.
    pub fn observe(&self) {
        let now = now();
        let ratios =
            self.tokens().known.values_mut().map(|token| token.window.used_ratio(now)).fold(0.0, f64::max);
        self.0.metrics.rate_limit_used.set(ratios);
    }

    fn enqueue(&self, token: Fingerprint, operation: Operation) -> Waiter<'_> {
        let (limits, now, notify) = (self.0.limits, now(), Arc::new(Notify::new()));
        let mut tokens = self.tokens();
        tokens.sweep(limits.window, now);
        let ticket = tokens.next_ticket;
        tokens.next_ticket += 1;
        let known = tokens
            .known
            .entry(token)
            .or_insert_with(|| Token { window: Window::new(limits, now), waiting: HashMap::new() });
        if known.window.is_idle(now) {
            known.window = Window::new(limits, now);
        }
        known.window.ask(operation, ticket);
        known.waiting.insert(ticket, Arc::clone(&notify));
        drop(tokens);
        Waiter { budget: self, token, operation, ticket, notify, is_granted: false }
    }

    /// Changes the window of a token that is known to be there, and wakes whoever is next.
    fn change<T>(&self, token: Fingerprint, change: impl FnOnce(&mut Token) -> T) -> T {
        let mut tokens = self.tokens();
        let token = tokens.known.get_mut(&token).expect("a token in use is not idle, so it is not forgotten");
        let changed = change(token);
        if let Some(next) = token.window.next().and_then(|ticket| token.waiting.get(&ticket)) {
            next.notify_one();
        }
        changed
    }

    /// Nothing panics while it holds the lock, and if it did, the counts would at worst be too high.
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    /// Forgets idle tokens, once a window.
    fn sweep(&mut self, window: Duration, now: Instant) {
        if now >= self.sweep_at {
            self.sweep_at = now + window;
            self.known.retain(|_, token| !token.window.is_idle(now));
        }
    }
}

/// A place in a queue, given up when it is dropped.
struct Waiter<'a> {
    budget: &'a Budget,
    token: Fingerprint,
    operation: Operation,
    ticket: Ticket,
    notify: Arc<Notify>,
    is_granted: bool,
}

impl Waiter<'_> {
    fn poll(&mut self) -> Turn {
        let turn = self
            .budget
            .tokens()
            .known
            .get_mut(&self.token)
            .map(|token| token.window.poll(self.ticket, now()));
        turn.unwrap_or(Turn::Wait(None))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.budget.change(self.token, |token| {
            token.waiting.remove(&self.ticket);
            if !self.is_granted {
                token.window.leave(self.operation, self.ticket);
            }
        });
    }
}

/// Leave to send one request. Dropped without a word, the request counts as sent and unanswered.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    token: Fingerprint,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Sent,
    Answered,
    Unsent,
}

impl Permit {
    /// The head of the answer came.
    pub fn answered(&mut self) {
        self.ended(Stage::Answered, |window| window.answered(now()));
    }

    /// It was 429.
    pub fn throttled(&mut self, retry_after: Option<Duration>) {
        self.budget.0.metrics.throttled.of(ThrottledBy::Server).inc();
        self.ended(Stage::Answered, |window| window.throttled(retry_after, now()));
    }

    /// The request was never sent, so it does not count.
    pub fn unsent(mut self) {
        self.ended(Stage::Unsent, Window::unsent);
    }

    fn ended(&mut self, stage: Stage, end: impl FnOnce(&mut Window)) {
        if self.stage == Stage::Sent {
            self.stage = stage;
            self.budget.change(self.token, |token| end(&mut token.window));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.ended(Stage::Unsent, |window| window.lost(now()));
        self.budget.change(self.token, |token| token.window.close());
    }
}

/// The runtime's clock, so that a test that pauses it pauses the budget.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
