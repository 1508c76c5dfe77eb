//! What the enricher shows a person under `/state`: per integration what waits and why. No secret.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::*;
use crate::telemetry::family::Label as _;

/// The last look at it; clones share it.
#[derive(Clone, Debug, Default)]
pub struct View(Arc<Mutex<Value>>);

impl View {
    /// As it was a second ago at most.
    #[must_use]
    pub fn get(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, value: Value) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl Shell {
    pub(super) fn show(&self, now: Instant) {
        let mut held: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (group, hold) in self.coalescer.held() {
            held.entry(&group.integration_id).or_default().push(json!({
                "entity": group.entity.value(),
                "reason": hold.reason.value(),
                "for_seconds": now.duration_since(hold.since).as_secs(),
            }));
        }
        let integrations = self.parts.store.all();
        let shown = integrations.iter().map(|each| {
            json!({
                "integration": each.integration_id,
                "alias": each.alias,
                "enterprise": each.enterprise_id,
                "state": format!("{:?}", each.state).to_lowercase(),
                "has_token": each.access_token.is_some(),
                "held": held.get(&*each.integration_id),
                "parked": self.book.count_of(&each.integration_id),
            })
        });
        let unknown = held.keys().filter(|id| integrations.iter().all(|each| each.integration_id != **id));
        self.parts.view.set(json!({
            "protocol": self.group.protocol(),
            "assigned_partitions": self.flow.assigned.len(),
            "paused_partitions": self.paused(),
            "pending_events": self.offsets.pending(),
            "pending_entities": self.coalescer.len(),
            "unpublished_records": self.outbox.len(),
            "requests": self.fetches.len(),
            "integrations": shown.collect::<Vec<_>>(),
            "without_credentials": unknown.collect::<Vec<_>>(),
        }));
    }
}
