//! Whether the process is alive and ready, and what each part has to say about itself.
//!
//! Readiness is held back until start-up ends, falls for good when draining begins, and in between
//! is the answer of every part that was asked to vouch for it. Only parts that decide whether a
//! delivery can be accepted do so: the journal, never Kafka and never Mews.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

/// Says whether its part is ready, and if not, why.
type Ready = Box<dyn Fn() -> Result<(), String> + Send + Sync>;
/// Describes its part for a person; holds no secret.
type State = Box<dyn Fn() -> Value + Send + Sync>;

/// The health of the process. Clones share it.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    phase: Phase,
    ready: Vec<(&'static str, Ready)>,
    states: Vec<(&'static str, State)>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Serving,
    Draining,
}

impl Health {
    /// From now on the part is asked whether it is ready.
    pub fn vouch(&self, part: &'static str, ready: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.inner().ready.push((part, Box::new(ready)));
    }

    /// From now on the part is part of [`Self::state`].
    pub fn describe(&self, part: &'static str, state: impl Fn() -> Value + Send + Sync + 'static) {
        self.inner().states.push((part, Box::new(state)));
    }

    /// Start-up has ended.
    pub fn serving(&self) {
        self.inner().phase = Phase::Serving;
    }

    /// No delivery is accepted any more.
    pub fn draining(&self) {
        self.inner().phase = Phase::Draining;
    }

    /// Whether deliveries can be accepted.
    ///
    /// # Errors
    /// Every reason why not, a line each.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let inner = self.inner();
        match inner.phase {
            Phase::Starting => return Err(vec!["starting".to_owned()]),
            Phase::Draining => return Err(vec!["draining".to_owned()]),
            Phase::Serving => {}
        }
        let refusals =
            inner.ready.iter().filter_map(|(part, ready)| ready().err().map(|why| format!("{part}: {why}")));
        let refusals: Vec<_> = refusals.collect();
        if refusals.is_empty() { Ok(()) } else { Err(refusals) }
    }

    /// What every part says of itself, for a person.
    #[must_use]
    pub fn state(&self) -> Value {
        let ready = match self.ready() {
            Ok(()) => Value::from(true),
            Err(reasons) => reasons.into(),
        };
        let inner = self.inner();
        let parts = inner.states.iter().map(|(part, state)| ((*part).to_owned(), state()));
        Value::Object(Map::from_iter([("ready".to_owned(), ready)].into_iter().chain(parts)))
    }

    /// A panicked part leaves nothing half-done here, so what it left is still good.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_the_start_and_falls_with_the_drain() {
        let health = Health::default();
        assert_eq!(health.ready(), Err(vec!["starting".to_owned()]));
        health.serving();
        assert_eq!(health.ready(), Ok(()));
        health.draining();
        assert_eq!(health.ready(), Err(vec!["draining".to_owned()]));
    }

    #[test]
    fn every_part_can_hold_readiness_back() {
        let health = Health::default();
        health.vouch("journal", || Err("full".to_owned()));
        health.vouch("other", || Ok(()));
        health.serving();
        assert_eq!(health.ready(), Err(vec!["journal: full".to_owned()]));
        assert_eq!(health.state()["ready"][0], "journal: full");
    }
}
