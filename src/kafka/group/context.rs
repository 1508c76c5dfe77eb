//! What librdkafka tells a member while it is polled. It is noted, and acted upon after the poll.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    types::RDKafkaRespErr,
};

use super::{standing::Standing, statistics::GroupStatistics};
use crate::{
    kafka::{
        callbacks,
        link::{Change, Link, Statistics},
        oauth::{self, Tokens},
        refusal,
    },
    telemetry::{
        family::Counters,
        metrics::{ProduceError, enricher::Commit},
    },
};

/// Complaints that are remembered, so that each is told once.
const COMPLAINTS_MAX: usize = 64;

/// The context of one client.
pub(super) struct Context {
    tokens: Option<Tokens>,
    standing: Arc<Standing>,
    commits: Counters<Commit>,
    noted: Mutex<Noted>,
    is_closing: AtomicBool,
}

/// What was told since it was last asked for.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) rebalances: Vec<Rebalanced>,
    pub(super) statistics: Option<GroupStatistics>,
    /// With what the client says of each.
    pub(super) errors: Vec<(KafkaError, String)>,
    link: Link,
    told: BTreeSet<String>,
}

/// What a rebalance wants; librdkafka waits until it is done.
pub(super) enum Rebalanced {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

impl Context {
    pub(super) fn new(tokens: Option<Tokens>, standing: Arc<Standing>, commits: Counters<Commit>) -> Self {
        Self { tokens, standing, commits, noted: Mutex::default(), is_closing: AtomicBool::new(false) }
    }

    /// What was told since the last call.
    pub(super) fn take(&self) -> Noted {
        self.with_noted(|noted| Noted {
            rebalances: std::mem::take(&mut noted.rebalances),
            statistics: noted.statistics.take(),
            errors: std::mem::take(&mut noted.errors),
            ..Noted::default()
        })
    }

    /// Tells of an error that is not fatal, once.
    pub(super) fn complain(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        self.standing.complain(reason);
        let of_connection = matches!(refusal::label(code), ProduceError::Transport | ProduceError::Timeout);
        let is_news = self.with_noted(|noted| {
            let is_change = noted.link.error(code, reason).is_some();
            let is_new = !of_connection
                && code != Code::AllBrokersDown
                && noted.told.len() < COMPLAINTS_MAX
                && noted.told.insert(reason.to_owned());
            is_change || is_new
        });
        if is_news {
            tracing::warn!(reason, "the consumer group cannot be read as it should");
        } else {
            tracing::debug!(%error, reason, "consumer group");
        }
    }

    /// From now on nobody waits for anything: partitions are given back as asked.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    fn with_noted<T>(&self, act: impl FnOnce(&mut Noted) -> T) -> T {
        act(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes partitions, as the protocol does it.
pub(super) fn assign(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(list),
    }
}

/// Gives partitions back, as the protocol does it.
pub(super) fn unassign(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        callbacks::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Whether it is fatal its code does not say: the thread asks, and decides.
        self.with_noted(|noted| noted.errors.push((error, reason.to_owned())));
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let brokers = serde_json::from_slice::<Statistics>(statistics);
        let (Ok(brokers), Ok(group)) = (brokers, serde_json::from_slice::<GroupStatistics>(statistics))
        else {
            tracing::warn!("the statistics of the consumer group's client cannot be read");
            return;
        };
        let change = self.with_noted(|noted| {
            if group.is_settled() {
                noted.told.clear();
            }
            noted.statistics = Some(group);
            noted.link.connected(brokers.connected())
        });
        match change {
            Some(Change::Up(brokers)) => tracing::info!(brokers, "the consumer group is connected to Kafka"),
            Some(Change::Down(reason) | Change::Trouble(reason)) => {
                tracing::warn!(reason, "the consumer group can reach no Kafka broker any more");
            }
            None => {}
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth::answer(self.tokens.as_ref())
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.is_closing.load(Ordering::Relaxed) {
            // Nobody is left who could be told of a failure.
            let _ = unassign(consumer, list);
            return;
        }
        let list = list.clone();
        let rebalanced = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalanced::Assign(list)
        } else {
            Rebalanced::Revoke(list)
        };
        self.with_noted(|noted| noted.rebalances.push(rebalanced));
    }

    fn commit_callback(&self, result: KafkaResult<()>, list: &TopicPartitionList) {
        let of_each = || list.elements().iter().try_for_each(|element| element.error());
        match result.and_then(|()| of_each()) {
            Ok(()) => self.commits.of(Commit::Ok).inc(),
            Err(error) => {
                self.commits.of(Commit::Error).inc();
                tracing::warn!(%error, "offsets could not be committed; those still assigned are tried again");
            }
        }
    }
}
