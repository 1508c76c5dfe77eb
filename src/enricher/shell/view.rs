//! What the enricher shows a person under `/state`: per integration what waits and why. No secret.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use super::*;
use crate::{
    credentials::Store,
    enricher::{
        coalesce::HoldReason,
        parked::{Waiting, Whose},
    },
    telemetry::{family::Label as _, metrics::connector::IntegrationState},
};

/// Strangers that are shown one by one: nobody has told of them but their events, so there may be any number.
const STRANGERS_MAX: usize = 100;

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
    waits: BTreeMap<Whose, Waits>,
}

/// What waits of one hotel for one integration.
#[derive(Default)]
struct Waits {
    held: Vec<Held>,
    parked: Option<Waiting>,
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
            let waits = self.of(&each.integration_id);
            json!({
                "integration": each.integration_id,
                "alias": each.alias,
                "enterprise": each.enterprise_id,
                "state": format!("{:?}", each.state).to_lowercase(),
                "has_token": each.access_token.is_some(),
                "held": waits.iter().flat_map(|waits| waits.held.iter().map(Held::shown)).collect::<Vec<_>>(),
                "parked": waits.iter().map(|waits| waits.parked()).sum::<usize>(),
                "parked_since": time(waits.iter().filter_map(|waits| waits.parked_since()).min()),
            })
        });
        let known: BTreeSet<&str> = integrations.iter().map(|each| &*each.integration_id).collect();
        let mut strangers: Vec<_> = self.waits.iter().filter(|((id, _), _)| !known.contains(&**id)).collect();
        strangers.sort_by_key(|(_, waits)| Reverse(waits.parked()));
        json!({
            "protocol": self.protocol,
            "assigned_partitions": self.assigned_partitions,
            "paused_partitions": self.paused_partitions,
            "pending_events": self.pending_events,
            "pending_entities": self.pending_entities,
            "unpublished_records": self.unpublished_records,
            "requests": self.requests,
            "integrations": shown.collect::<Vec<_>>(),
            "without_credentials": strangers.iter().take(STRANGERS_MAX).map(stranger).collect::<Vec<_>>(),
            "without_credentials_more": strangers.len().saturating_sub(STRANGERS_MAX),
        })
    }

    /// What waits for an integration, hotel by hotel.
    fn of(&self, integration_id: &str) -> Vec<&Waits> {
        let first: Whose = (integration_id.into(), "".into());
        let own = self.waits.range(first..).take_while(|((id, _), _)| **id == *integration_id);
        own.map(|(_, waits)| waits).collect()
    }
}

/// An integration that only its events speak of, with one of its hotels.
fn stranger(((integration_id, enterprise_id), waits): &(&Whose, &Waits)) -> Value {
    json!({
        "integration": &**integration_id,
        "enterprise": &**enterprise_id,
        "held": waits.held.iter().map(Held::shown).collect::<Vec<_>>(),
        "parked": waits.parked(),
        "parked_since": time(waits.parked_since()),
    })
}

fn time(at: Option<SystemTime>) -> Option<String> {
    at.map(|at| humantime::format_rfc3339_seconds(at).to_string())
}

impl Waits {
    fn parked(&self) -> usize {
        self.parked.map_or(0, |waiting| waiting.count)
    }

    fn parked_since(&self) -> Option<SystemTime> {
        self.parked.map(|waiting| waiting.since)
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
    pub(super) fn show(&mut self) {
        let mut waits: BTreeMap<Whose, Waits> = BTreeMap::new();
        for (group, hold) in self.coalescer.held() {
            let (entity, reason, since) = (group.entity, hold.reason, hold.since);
            let whose = (Arc::clone(&group.integration_id), Arc::clone(&group.enterprise_id));
            waits.entry(whose).or_default().held.push(Held { entity, reason, since });
        }
        for (whose, waiting) in self.book.waiting() {
            waits.entry(whose).or_default().parked = Some(waiting);
        }
        self.count_strangers(waits.keys().map(|(integration_id, _)| &**integration_id).collect());
        self.parts.view.set(Look {
            protocol: self.group.protocol(),
            assigned_partitions: self.flow.assigned.len(),
            paused_partitions: self.paused(),
            pending_events: self.offsets.pending(),
            pending_entities: self.coalescer.len(),
            unpublished_records: self.outbox.len(),
            requests: self.fetches.len(),
            waits,
        });
    }

    /// The store counts those that it knows.
    fn count_strangers(&mut self, waiting: BTreeSet<&str>) {
        let strangers = waiting.into_iter().filter(|id| self.parts.store.get(id).is_none()).count();
        let strangers = i64::try_from(strangers).unwrap_or(i64::MAX);
        let unknown = self.parts.connector_metrics.integrations.of(IntegrationState::Unknown);
        unknown.add(strangers - std::mem::replace(&mut self.strangers, strangers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credentials::Config,
        telemetry::metrics::{Metrics, Names},
    };

    /// A look at parked events: whose, and how many.
    fn look(parked: impl IntoIterator<Item = (String, usize)>) -> Look {
        let since = SystemTime::UNIX_EPOCH;
        let waits = parked.into_iter().map(|(integration, count)| {
            let parked = Some(Waiting { count, since });
            ((integration.into(), "hotel".into()), Waits { held: Vec::new(), parked })
        });
        Look {
            protocol: None,
            assigned_partitions: 1,
            paused_partitions: 0,
            pending_events: 0,
            pending_entities: 0,
            unpublished_records: 0,
            requests: 0,
            waits: waits.collect(),
        }
    }

    #[test]
    fn who_has_no_credentials_is_shown_with_what_is_parked_and_not_without_end() {
        let shown =
            look((1..=STRANGERS_MAX + 5).map(|count| (format!("stranger-{count}"), count))).shown(&[]);
        let strangers = shown["without_credentials"].as_array().unwrap();
        assert_eq!((strangers.len(), &shown["without_credentials_more"]), (STRANGERS_MAX, &json!(5)));
        let most = json!({
            "integration": format!("stranger-{}", STRANGERS_MAX + 5), "enterprise": "hotel", "held": [],
            "parked": STRANGERS_MAX + 5, "parked_since": "1970-01-01T00:00:00Z",
        });
        assert_eq!(strangers[0], most);
    }

    #[test]
    fn who_is_known_is_shown_once_with_all_hotels() {
        let store = Store::load(&Config::default(), None, Metrics::new(&Names::default()).connector).unwrap();
        store.apply("i", Some(br#"{"IntegrationId":"i"}"#));
        let mut look = look([("i".to_owned(), 2), ("ij".to_owned(), 9)]);
        let parked = Some(Waiting { count: 3, since: SystemTime::UNIX_EPOCH + Duration::from_secs(1) });
        look.waits.insert(("i".into(), "other".into()), Waits { held: Vec::new(), parked });
        let shown = look.shown(&store.all());
        let known = &shown["integrations"][0];
        assert_eq!((&known["parked"], &known["parked_since"]), (&json!(5), &json!("1970-01-01T00:00:00Z")));
        assert_eq!(shown["without_credentials"].as_array().unwrap().len(), 1);
    }
}
