//! The figures that the demo shows, as the metrics have them at one moment.

use std::time::Duration;

use prometheus::{IntGauge, core::Collector as _};

use crate::{
    config::Config,
    enricher::entity,
    kafka::{TopicNames, topics::TopicSpec},
    telemetry::{
        family::Label,
        metrics::{
            Disposition, Metrics, Outcome, Webhook,
            connector::{Code, Entity, Operation, ThrottledBy},
            enricher::{EventOutcome, HoldReason},
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
    /// Events that were ever parked; one may be several times.
    pub ever_parked: u64,
    /// Keys that are parked.
    pub parked: u64,
    /// Events that the consumer group has not committed, as it said a second ago.
    pub not_committed: u64,
    /// Requests to the Connector API, however they ended.
    pub calls: u64,
    /// Of these, answered 429.
    pub throttled: u64,
    /// Share of its budget that the busiest access token has used, from 0 to 1.
    pub budget_used: f64,
    /// Requests that an access token has, and in which time.
    pub budget: (usize, Duration),
}

/// Where the figures are read.
#[derive(Clone)]
pub struct Meter {
    metrics: Metrics,
    /// Topics that are written to.
    topics: Vec<TopicSpec>,
    prefix: String,
    budget: (usize, Duration),
}

impl Meter {
    /// Over the metrics of the process.
    pub fn new(metrics: Metrics, topics: &TopicNames, config: &Config) -> Self {
        Self {
            metrics,
            topics: topics.all().cloned().collect(),
            prefix: config.topics.prefix.clone(),
            budget: (config.connector.requests_per_window, config.connector.window),
        }
    }

    /// How things stand now.
    pub fn read(&self) -> Figures {
        let Self { metrics, .. } = self;
        let mut figures = Figures {
            prefix: self.prefix.clone(),
            delivered: metrics.journal.completed.of(Disposition::Delivered).get(),
            pending: whole(&metrics.journal.pending_records),
            enriched: events(metrics, |outcome| outcome != EventOutcome::Parked),
            ever_parked: events(metrics, |outcome| outcome == EventOutcome::Parked),
            parked: HoldReason::ALL.iter().map(|why| whole(metrics.enricher.parked_records.of(*why))).sum(),
            not_committed: not_committed(metrics),
            calls: calls(metrics),
            throttled: metrics.connector.throttled.of(ThrottledBy::Server).get(),
            budget_used: metrics.connector.rate_limit_used.get(),
            budget: self.budget,
            ..Figures::default()
        };
        for webhook in Webhook::ALL {
            for outcome in Outcome::ALL {
                *match outcome {
                    Outcome::Accepted => &mut figures.accepted,
                    Outcome::Quarantined => &mut figures.quarantined,
                    _ => &mut figures.refused,
                } += metrics.webhook.deliveries.of(*webhook, *outcome).get();
            }
        }
        for TopicSpec { name, logical, .. } in &self.topics {
            let count = metrics.kafka.produced_records.with_label_values(&[&**name, "ok"]).get();
            if let Some(discriminator) = logical.strip_prefix("events.") {
                if entity::spoken_of(discriminator).is_some() {
                    figures.to_enrich += count;
                }
                figures.events.push((discriminator.to_owned(), count));
            } else if let Some(entity) = logical.strip_prefix("entities.") {
                figures.entities.push((entity.to_owned(), count));
            } else {
                figures.others.push((logical.clone(), count));
            }
        }
        figures
    }
}

impl Figures {
    /// Events on topics that are not done with. Counting tells exactly, but for what was parked: it is read
    /// again, and shares the fetch of what came meanwhile.
    pub fn not_enriched(&self) -> u64 {
        match self.ever_parked {
            0 => self.to_enrich.saturating_sub(self.enriched),
            _ => self.not_committed + self.parked,
        }
    }

    /// Requests that were not made: without coalescing, every event that is done with is one request.
    /// The requests that only some kinds need (the threads of messages, the services of products) count
    /// as made, so this is what was really saved.
    pub fn saved(&self) -> u64 {
        self.enriched.saturating_sub(self.calls)
    }

    /// Requests that the busiest access token has used of its budget.
    pub fn used(&self) -> u64 {
        (self.budget_used * self.budget.0 as f64).round() as u64
    }
}

fn calls(metrics: &Metrics) -> u64 {
    let of = |operation| Code::ALL.iter().map(move |code| (operation, *code));
    let all = Operation::ALL.iter().flat_map(|operation| of(*operation));
    all.map(|(operation, code)| metrics.connector.requests.of(operation, code).get()).sum()
}

fn events(metrics: &Metrics, counts: impl Fn(EventOutcome) -> bool) -> u64 {
    let of = |entity| EventOutcome::ALL.iter().map(move |outcome| (entity, *outcome));
    let all = Entity::ALL.iter().flat_map(|entity| of(*entity)).filter(|(_, outcome)| counts(*outcome));
    all.map(|(entity, outcome)| metrics.enricher.events.of(entity, outcome).get()).sum()
}

fn not_committed(metrics: &Metrics) -> u64 {
    let families = metrics.enricher.lag.collect();
    let partitions = families.iter().flat_map(|family| family.get_metric());
    partitions.map(|partition| partition.get_gauge().get_value()).sum::<f64>() as u64
}

fn whole(gauge: &IntGauge) -> u64 {
    gauge.get().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Names;

    #[test]
    fn every_request_counts_and_what_is_parked_is_not_done_with() {
        let config = Config::default();
        let names = config.topic_names().unwrap();
        let metrics = Metrics::new(&Names::default());
        for (topic, records) in [("CustomerAdded", 6), ("PaymentUpdated", 4), ("Invented", 100)] {
            let topic = names.events(topic);
            metrics.kafka.produced_records.with_label_values(&[&*topic, "ok"]).inc_by(records);
        }
        let outcome = |outcome| metrics.enricher.events.of(Entity::Customers, outcome);
        outcome(EventOutcome::Enriched).inc_by(3);
        outcome(EventOutcome::Coalesced).inc_by(5);
        metrics.connector.requests.of(Operation::Customers, Code::Ok).inc_by(2);
        metrics.connector.requests.of(Operation::Services, Code::Timeout).inc();
        metrics.connector.rate_limit_used.set(0.1);
        let meter = Meter::new(metrics.clone(), &names, &config);
        let figures = meter.read();
        assert_eq!((figures.to_enrich, figures.not_enriched()), (10, 2));
        assert_eq!((figures.calls, figures.saved(), figures.used()), (3, 5, 20));

        outcome(EventOutcome::Parked).inc();
        metrics.enricher.parked_records.of(HoldReason::Unauthorized).set(1);
        for partition in ["0", "1"] {
            metrics.enricher.lag.with_label_values(&["mews.events.CustomerAdded", partition]).set(2);
        }
        assert_eq!(meter.read().not_enriched(), 5);
    }
}
