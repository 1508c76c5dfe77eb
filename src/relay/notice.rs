//! What the machine says has happened, for metrics and the log.
//!
//! A lane's change is one line; a record is never one.

use std::{sync::Arc, time::SystemTime};

use super::verdict::Change;
use crate::telemetry::metrics::{self, Stage};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A record of a delivery accepted then is in its topic.
    Acknowledged(SystemTime),
    /// A record became a dead letter.
    DeadLetter(metrics::DeadLetter),
    /// A lane's flow changed; so many records wait on it.
    Lane(Arc<str>, Change, usize),
    /// So many records were given up because their topic is not to be had.
    GivenUp(Arc<str>, usize),
}

impl Notice {
    /// Counts or logs it.
    pub fn publish(&self, metrics: &metrics::Kafka) {
        match self {
            Self::Acknowledged(accepted_at) => {
                metrics.raw_latency.observe(accepted_at.elapsed().unwrap_or_default().as_secs_f64());
            }
            Self::DeadLetter(reason) => metrics.dead_letters.of(Stage::Relay, *reason).inc(),
            Self::Lane(topic, change, waiting) => log(topic, change, *waiting),
            Self::GivenUp(topic, records) => tracing::error!(
                %topic, records,
                "topic was not to be had for too long, its oldest records became dead letters"
            ),
        }
    }
}

fn log(topic: &str, change: &Change, waiting: usize) {
    match change {
        Change::Held(problem) => tracing::warn!(
            topic,
            ?problem,
            waiting,
            "topic is not to be had, its records wait and the others flow on"
        ),
        Change::Flowing => tracing::info!(topic, waiting, "topic flows again"),
        Change::OneAtATime(span) => tracing::warn!(
            topic,
            waiting,
            seconds = span.as_secs(),
            "topic takes smaller batches than it is sent, one record at a time for a while"
        ),
    }
}
