//! The enricher: from ids on event topics to full records on entity topics.
//!
//! ```text
//! event topics ─► consume ─► coalesce ─► fetch (Connector API) ─► publish ─► entity topics
//!                    ▲          │                                    │
//!                    │          └─► park, dead letters               │
//!                    └───────────── offsets ◄────────────────────────┘
//! ```
//!
//! Guarantees: an event's offset is committed only when its entity is published, parked, or in the
//! dead letters; ids that belong together are fetched together, and no two fetches of one id overlap;
//! what one integration is held up by never holds up another: it is parked, and taken up again when the
//! integration answers. Partition n of every event topic, and so all of a hotel, is on one instance, which
//! is what coalescing, the request budget and "latest wins" rest on. It owns nothing: its state is the
//! offsets of its group and `mews.parked`. `app` runs it; it never writes to an event topic.

pub mod coalesce;
pub mod config;
pub mod entity;
pub mod event;
pub mod fetch;
mod follow;
mod latest;
mod offsets;
mod outbox;
mod parked;
mod records;
mod shell;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc::UnboundedReceiver, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use config::Config;
pub use entity::Entity;
pub use shell::View;

use crate::{
    connector::Client,
    credentials::Store,
    kafka::{
        self, Producer, Report, TopicNames,
        group::{Group, Protocol, Settings},
    },
    telemetry::metrics,
};

/// What it is made of.
pub struct Parts {
    /// `[enricher]`
    pub config: Config,
    /// The topics, by their names.
    pub names: TopicNames,
    /// The Kafka client's settings, for the consumers.
    pub kafka: kafka::Config,
    /// After how long a topic that is missing or forbidden is given up.
    pub give_up_topic_after: Duration,
    /// Where records go.
    pub producer: Arc<Producer>,
    /// What became of them.
    pub reports: UnboundedReceiver<Report>,
    /// The Connector API.
    pub client: Client,
    /// What to ask it with.
    pub store: Store,
    /// Tells that secrets of the Kafka client have changed.
    pub renewed: watch::Receiver<()>,
    /// Where a person can see it.
    pub view: View,
    /// Its own metrics.
    pub metrics: metrics::Enricher,
    /// Those of the Connector API.
    pub connector_metrics: metrics::Connector,
    /// Those of dead letters.
    pub kafka_metrics: metrics::Kafka,
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The consumer cannot be made.
    #[error("consumer cannot be made")]
    Consumer(#[source] kafka::Error),
    /// A part ended that never ends by itself.
    #[error("{0} has ended")]
    Ended(&'static str),
}

/// Makes it a member of its group. It waits for Kafka for as long as that takes.
///
/// # Errors
/// When the consumer's settings are refused.
pub fn join(parts: &Parts) -> Result<(Group, tokio::sync::mpsc::Receiver<kafka::group::Happening>), Error> {
    let events = parts.names.used_by_enricher().into_iter().filter_map(|spec| {
        let discriminator = spec.logical.strip_prefix("events.")?;
        // Nothing can be fetched for the others, and nobody waits for their offsets.
        entity::spoken_of(discriminator).map(|_| spec.name)
    });
    let settings = Settings {
        group_id: parts.config.group_id.clone(),
        protocol: match parts.config.group_protocol {
            config::GroupProtocol::Auto => Protocol::Auto,
            config::GroupProtocol::Consumer => Protocol::Consumer,
            config::GroupProtocol::Classic => Protocol::Classic,
        },
        topics: events.collect(),
        replayed: vec![parts.names.parked()],
    };
    Group::start(&parts.kafka, settings, parts.metrics.clone()).map_err(Error::Consumer)
}

/// Works until it is told to stop; then it commits what is done and leaves the group.
///
/// # Errors
/// When one of its threads ends.
pub async fn run(
    mut parts: Parts,
    group: Group,
    happenings: tokio::sync::mpsc::Receiver<kafka::group::Happening>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let (none, empty) = tokio::sync::mpsc::unbounded_channel();
    drop(none);
    let reports = std::mem::replace(&mut parts.reports, empty);
    let follow = follow::Parts {
        kafka: parts.kafka.clone(),
        topic: parts.names.credentials(),
        store: parts.store.clone(),
        renewed: parts.renewed.clone(),
    };
    let (member, mut renewed) = (group.clone(), parts.renewed.clone());
    let _renewing = AbortOnDropHandle::new(tokio::spawn(async move {
        while renewed.changed().await.is_ok() {
            member.renew();
        }
    }));
    let mut follow = AbortOnDropHandle::new(tokio::spawn(follow::run(follow)));
    let shell = shell::Shell::new(parts, group, happenings, reports);
    tokio::select! {
        ended = shell.run(stop) => ended,
        _ = &mut follow => Err(Error::Ended("the reader of the credentials topic")),
    }
}
