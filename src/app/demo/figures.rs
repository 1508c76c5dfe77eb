//! The figures that the demo shows, as the metrics have them at one moment.

use crate::{
    config::Config,
    enricher::entity,
    kafka::TopicNames,
    telemetry::{
        family::Label,
        metrics::{
            Disposition, Metrics, Outcome, Webhook,
            connector::{Code, Entity, Operation, ThrottledBy},
            enricher::EventOutcome,
        },
    },
};

/// A name and how many there are of it.
pub type Count = (String, u64);

/// How things stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// What all topics begin with.
    pub prefix: String,
    /// Deliveries that were accepted.
    pub accepted: u64,
    /// Deliveries that were kept in quarantine.
    pub quarantined: u64,
    /// Deliveries that were refused.
    pub refused: u64,
    /// Deliveries that left the journal for Kafka.
    pub delivered: u64,
    /// Deliveries that wait in the journal.
    pub pending: u64,
    /// Records on the event topics, by discriminator.
    pub events: Vec<Count>,
    /// Records on the other topics that the ingress writes, by the name without prefix.
    pub others: Vec<Count>,
    /// Records on the entity topics.
    pub entities: Vec<Count>,
    /// Events that can be enriched.
    pub to_enrich: u64,
    /// Of these, events that are done with: their entity is published, gone, refused or in the dead
    /// letters, or they share the fetch of another event.
    pub enriched: u64,
    /// Requests to the Connector API, however they ended.
    pub calls: u64,
    /// Of these, answered 429.
    pub throttled: u64,
    /// Share of its budget that the busiest access token has used, from 0 to 1.
    pub budget_used: f64,
    /// Requests that the budget of an access token has.
    pub budget: usize,
}

impl Figures {
    /// Reads them.
    pub fn read(metrics: &Metrics, names: &TopicNames, config: &Config) -> Self {
        let records = |topic: &str| metrics.kafka.produced_records.with_label_values(&[topic, "ok"]).get();
        let mut figures = Self {
            prefix: config.topics.prefix.clone(),
            delivered: metrics.journal.completed.of(Disposition::Delivered).get(),
            pending: metrics.journal.pending_records.get().try_into().unwrap_or(0),
            calls: calls(metrics),
            throttled: metrics.connector.throttled.of(ThrottledBy::Server).get(),
            enriched: enriched(metrics),
            budget_used: metrics.connector.rate_limit_used.get(),
            budget: config.connector.requests_per_window,
            ..Self::default()
        };
        for webhook in Webhook::ALL {
            for outcome in Outcome::ALL {
                let count = metrics.webhook.deliveries.of(*webhook, *outcome).get();
                *match outcome {
                    Outcome::Accepted => &mut figures.accepted,
                    Outcome::Quarantined => &mut figures.quarantined,
                    _ => &mut figures.refused,
                } += count;
            }
        }
        for spec in names.all() {
            let count = records(&spec.name);
            let logical = spec.logical.as_str();
            if let Some(discriminator) = logical.strip_prefix("events.") {
                if entity::spoken_of(discriminator).is_some() {
                    figures.to_enrich += count;
                }
                figures.events.push((discriminator.to_owned(), count));
            } else if let Some(entity) = logical.strip_prefix("entities.") {
                figures.entities.push((entity.to_owned(), count));
            } else {
                figures.others.push((logical.to_owned(), count));
            }
        }
        figures
    }

    /// Events on topics that are not done with.
    pub fn not_enriched(&self) -> u64 {
        self.to_enrich.saturating_sub(self.enriched)
    }

    /// Requests that were not made: without coalescing, every event that is done with is one request.
    /// The requests that only some kinds need (the threads of messages, the services of products) count
    /// as made, so this is what was really saved.
    pub fn saved(&self) -> u64 {
        self.enriched.saturating_sub(self.calls)
    }

    /// Requests that the busiest access token has used of its budget.
    pub fn used(&self) -> u64 {
        (self.budget_used * self.budget as f64).round() as u64
    }
}

fn calls(metrics: &Metrics) -> u64 {
    let of = |operation| Code::ALL.iter().map(move |code| (operation, *code));
    let all = Operation::ALL.iter().flat_map(|operation| of(*operation));
    all.map(|(operation, code)| metrics.connector.requests.of(operation, code).get()).sum()
}

/// What is parked will be asked for again, so it is not done with.
fn enriched(metrics: &Metrics) -> u64 {
    let of = |entity| EventOutcome::ALL.iter().map(move |outcome| (entity, *outcome));
    let all = Entity::ALL.iter().flat_map(|entity| of(*entity));
    all.filter(|(_, outcome)| *outcome != EventOutcome::Parked)
        .map(|(entity, outcome)| metrics.enricher.events.of(entity, outcome).get())
        .sum()
}
