//! What the enricher shows a person under `/state`: per integration what waits and why. No secret.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use super::*;
use crate::{credentials::Store, enricher::coalesce::HoldReason, telemetry::family::Label as _};

/// The last look at it; clones share it.
#[derive(Clone)]
pub struct View {
    store: Store,
    look: Arc<Mutex<Option<Arc<Look>>>>,
}

/// What was seen, before it is put into words: that is done only when somebody asks.
struct Look {
    protocol: Option<&'static str>,
    assigned_partitions: usize,
    paused_partitions: usize,
    pending_events: usize,
    pending_entities: usize,
    unpublished_records: usize,
    requests: usize,
    /// By integration.
    held: BTreeMap<Arc<str>, Vec<Held>>,
    parked: HashMap<Arc<str>, usize>,
}

struct Held {
    entity: entity::Entity,
    reason: HoldReason,
    since: Instant,
}

impl View {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, look: Arc::default() }
    }

    /// As it was a second ago at most; null before anything was seen.
    #[must_use]
    pub fn get(&self) -> Value {
        // Not held while it is put into words, for which the enricher would have to wait.
        let look = self.look.lock().unwrap_or_else(PoisonError::into_inner).clone();
        look.map_or(Value::Null, |look| look.shown(&self.store.all()))
    }

    fn set(&self, look: Look) {
        let former = self.look.lock().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(look));
        drop(former);
    }
}

impl Look {
    fn shown(&self, integrations: &[Arc<Integration>]) -> Value {
        let shown = integrations.iter().map(|each| {
            json!({
                "integration": each.integration_id,
                "alias": each.alias,
                "enterprise": each.enterprise_id,
                "state": format!("{:?}", each.state).to_lowercase(),
                "has_token": each.access_token.is_some(),
                "held": self.held.get(&*each.integration_id).map(|held| held.iter().map(Held::shown).collect::<Vec<_>>()),
                "parked": self.parked.get(&*each.integration_id).copied().unwrap_or_default(),
            })
        });
        let known: BTreeSet<&str> = integrations.iter().map(|each| &*each.integration_id).collect();
        let unknown = self.held.keys().filter(|id| !known.contains(&***id));
        json!({
            "protocol": self.protocol,
            "assigned_partitions": self.assigned_partitions,
            "paused_partitions": self.paused_partitions,
            "pending_events": self.pending_events,
            "pending_entities": self.pending_entities,
            "unpublished_records": self.unpublished_records,
            "requests": self.requests,
            "integrations": shown.collect::<Vec<_>>(),
            "without_credentials": unknown.map(|id| &**id).collect::<Vec<_>>(),
        })
    }
}

impl Held {
    fn shown(&self) -> Value {
        json!({
            "entity": self.entity.value(),
            "reason": self.reason.value(),
            "for_seconds": self.since.elapsed().as_secs(),
        })
    }
}

impl Shell {
    pub(super) fn show(&self) {
        let mut held: BTreeMap<Arc<str>, Vec<Held>> = BTreeMap::new();
        for (group, hold) in self.coalescer.held() {
            let (entity, reason, since) = (group.entity, hold.reason, hold.since);
            held.entry(Arc::clone(&group.integration_id)).or_default().push(Held { entity, reason, since });
        }
        self.parts.view.set(Look {
            protocol: self.group.protocol(),
            assigned_partitions: self.flow.assigned.len(),
            paused_partitions: self.paused(),
            pending_events: self.offsets.pending(),
            pending_entities: self.coalescer.len(),
            unpublished_records: self.outbox.len(),
            requests: self.fetches.len(),
            held,
            parked: self.book.counts(),
        });
    }
}
