//! From ids to records: one strategy a kind, because the operations are not alike (contract 1.3, 4).
//!
//! ```text
//!                 ┌ plain by id: resources, resource blocks, payments
//!  Batch ─► fetch ┼ customers      with the chain of the hotel      ◄─ enterprises/getAll, known 1 h
//!                 ├ service orders reservations, then what else sells ◄─┐
//!                 ├ products       among the services of the hotel    ◄─┴ services/getAll, known 10 min
//!                 └ messages       by threads, which are swept first
//! ```
//!
//! Guarantees: every id of a batch is in exactly one of found, missing and failed; what was found before an
//! error is found. Nothing is asked twice here: whoever calls decides by the error whether to wait, to
//! halve or to bisect. Between rounds only ids of services, chains and threads are kept, each set bounded,
//! never a record. The enricher's pump calls it; it knows neither Kafka nor offsets.

mod account;
mod ask;
mod bounded;
mod customers;
mod known;
mod messages;
mod service_orders;
mod services;
mod span;
mod threads;

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::entity::Entity;
use crate::{
    connector::{Client, Error, Operation, Request, operation::IDS_PER_REQUEST_MAX},
    secret::Secret,
    telemetry::metrics,
};
use account::Account;
use ask::{Ask, Memory, Stopped};

/// Turns ids into records; a cheap handle.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    client: Client,
    metrics: metrics::Connector,
    memory: Memory,
}

/// Ids of one integration, one hotel and one kind.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose token it is.
    pub integration_id: Arc<str>,
    /// The hotel that the events spoke of.
    pub enterprise_id: Arc<str>,
    /// What to ask with.
    pub token: Secret,
    /// What the ids are ids of.
    pub entity: Entity,
    /// What is asked for; more than [`IDS_PER_REQUEST_MAX`] are asked for in several requests.
    pub wanted: Vec<Wanted>,
    /// How hard to look.
    pub round: Round,
}

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// For the first time.
    First,
    /// Once more after `enricher.recheck_after`: what is missing now is missing for good.
    Again,
}

/// One id that is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// In any spelling.
    pub id: Arc<str>,
    /// The thread of a message, where an event said it.
    pub thread_id: Option<Box<str>>,
    /// When the bridge accepted the newest event about it.
    pub said_at: SystemTime,
}

/// What a round brought: every wanted id is in exactly one of these.
#[derive(Debug)]
pub struct Fetched {
    /// At most one for each wanted id.
    pub found: Vec<Found>,
    /// Asked for, and not in the answer.
    pub missing: Vec<Arc<str>>,
    /// Those that could not be asked for, or not to the end.
    pub failed: Option<Failed>,
    /// When the round began: no record is older than that.
    pub fetched_at: SystemTime,
}

/// A record that was asked for.
#[derive(Clone)]
pub struct Found {
    /// As it was asked for.
    pub id: Arc<str>,
    /// `UpdatedUtc`, where the kind has it (contract 4.9).
    pub updated: Option<SystemTime>,
    /// The record, byte for byte. It may keep the whole answer in memory.
    pub bytes: Bytes,
    /// Which operation returned it.
    pub operation: Operation,
}

/// Ids that could not be asked for, and why.
#[derive(Debug)]
pub struct Failed {
    /// As they were asked for.
    pub ids: Vec<Arc<str>>,
    /// Which operation failed; it may be one that the strategy needs beforehand.
    pub operation: Operation,
    /// What can be done about it.
    pub error: Error,
}

impl Fetcher {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(client: Client, metrics: metrics::Connector) -> Self {
        Self(Arc::new(Inner { client, metrics, memory: Memory::default() }))
    }

    /// One round. Cancel-safe: dropped, it forgets what this round has found, and a request under way counts.
    pub async fn fetch(&self, batch: Batch) -> Fetched {
        let mut fetched =
            Fetched { found: Vec::new(), missing: Vec::new(), failed: None, fetched_at: SystemTime::now() };
        let mut ask = Ask::new(&self.0.client, &self.0.memory, &batch);
        for wanted in batch.wanted.chunks(IDS_PER_REQUEST_MAX) {
            let mut account = Account::new(wanted);
            if let Some(failed) = &mut fetched.failed {
                // What stopped one request is not tried with the next: the caller knows when.
                failed.ids.extend(account.settle().open);
                continue;
            }
            ask.begin();
            let strategy = Box::pin(strategy(&mut ask, wanted, batch.round, &mut account)).await;
            let settled = account.settle();
            fetched.found.extend(settled.found);
            match strategy {
                Ok(()) => fetched.missing.extend(settled.open),
                // All were there before it broke off.
                Err(_) if settled.open.is_empty() => {}
                Err(Stopped { operation, error }) => {
                    fetched.failed = Some(Failed { ids: settled.open, operation, error });
                }
            }
        }
        if batch.round == Round::Again {
            self.0.metrics.missing_entities.of(batch.entity).inc_by(fetched.missing.len() as u64);
        }
        fetched
    }

    /// Whether the token works at all, by the cheapest question there is (contract 3.3).
    ///
    /// # Errors
    /// [`Error`] says what can be done.
    pub async fn probe(&self, token: &Secret) -> Result<(), Error> {
        self.0.client.call(token, &Request::configuration()).await.map(drop)
    }

    /// As if so much time had passed since everything was learned.
    #[cfg(test)]
    fn pass(&self, time: std::time::Duration) {
        self.0.memory.clock.pass(time);
    }
}

async fn strategy(
    ask: &mut Ask<'_>,
    wanted: &[Wanted],
    round: Round,
    account: &mut Account,
) -> Result<(), Stopped> {
    let (hotel, ids) = (ask.enterprise_id, account.open());
    match ask.entity {
        Entity::Reservations => service_orders::fetch(ask, account).await,
        Entity::Resources => ask.collect(Request::resources(hotel, &ids), account).await,
        Entity::Messages => messages::fetch(ask, wanted, round, account).await,
        Entity::ResourceBlocks => ask.collect(Request::resource_blocks(hotel, &ids), account).await,
        Entity::Customers => customers::fetch(ask, account).await,
        Entity::Payments => ask.collect(Request::payments(hotel, &ids), account).await,
        Entity::Products => {
            let products = |services: &[&str], ids: &[Arc<str>]| Request::products(hotel, services, ids);
            services::fetch_among(ask, products, account).await
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

/// Says nothing of what is in it: records hold personal data.
impl fmt::Debug for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Found")
            .field("id", &self.id)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
