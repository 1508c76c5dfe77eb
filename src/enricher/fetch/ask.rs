//! What every strategy asks with, and what the fetcher remembers for the next round.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Batch, account::Account, bounded::Bounded, customers::Chains, known::Known, threads::Threads};
use crate::{
    connector::{Answer, Client, Error, Fingerprint, Operation, Record, Request},
    enricher::entity::Entity,
    secret::Secret,
    webhook::id,
};

/// Requests for 1000 ids. Only a search for messages that are not to be seen comes near.
const REQUESTS_MAX: usize = 100;
/// Pages of a list that is looked up: 20 000 services or hotels.
const LIST_PAGES_MAX: usize = 20;

/// One hotel as one token sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hotel {
    pub token: Fingerprint,
    /// In the one spelling of ids.
    pub enterprise_id: Box<str>,
}

impl Hotel {
    pub fn new(token: &Secret, enterprise_id: &str) -> Self {
        Self { token: Fingerprint::of(token), enterprise_id: id::normal(enterprise_id).into() }
    }
}

/// What is kept between rounds.
#[derive(Debug, Default)]
pub struct Memory {
    pub services: Known<Hotel, Vec<String>>,
    /// None: it is not permitted to ask for them.
    pub chains: Known<Fingerprint, Option<Chains>>,
    pub threads: Threads,
    denials: Mutex<Bounded<Hotel, Option<Instant>>>,
    pub clock: Clock,
}

impl Memory {
    /// Since when hotels do not permit the second operation of service orders.
    pub fn denials(&self) -> MutexGuard<'_, Bounded<Hotel, Option<Instant>>> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ages are measured with; tests put it forward.
#[derive(Debug, Default)]
pub struct Clock {
    #[cfg(test)]
    ahead: Mutex<std::time::Duration>,
}

impl Clock {
    #[cfg(not(test))]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    #[cfg(test)]
    pub fn now(&self) -> Instant {
        Instant::now() + *self.ahead.lock().expect("nobody panics with it")
    }

    #[cfg(test)]
    pub fn pass(&self, time: std::time::Duration) {
        *self.ahead.lock().expect("nobody panics with it") += time;
    }
}

/// A strategy's way to Mews, for one round.
#[derive(Debug)]
pub struct Ask<'a> {
    client: &'a Client,
    token: &'a Secret,
    pub memory: &'a Memory,
    pub hotel: Hotel,
    pub integration_id: &'a str,
    pub enterprise_id: &'a str,
    pub entity: Entity,
    requests: usize,
}

/// Why a strategy did not come to its end.
#[derive(Debug)]
pub struct Stopped {
    pub operation: Operation,
    pub error: Error,
}

impl<'a> Ask<'a> {
    pub fn new(client: &'a Client, memory: &'a Memory, batch: &'a Batch) -> Self {
        Self {
            client,
            token: &batch.token,
            memory,
            hotel: Hotel::new(&batch.token, &batch.enterprise_id),
            integration_id: &batch.integration_id,
            enterprise_id: &batch.enterprise_id,
            entity: batch.entity,
            requests: 0,
        }
    }

    /// Turns to other ids.
    pub fn begin(&mut self) {
        self.requests = 0;
    }

    /// One request.
    pub async fn call(&mut self, request: &Request) -> Result<Answer, Stopped> {
        self.requests += 1;
        let answer = self.client.call(self.token, request).await;
        answer.map_err(|error| Stopped { operation: request.operation(), error })
    }

    /// A request and its further pages, until all that is wanted was found.
    pub async fn collect(&mut self, request: Request, account: &mut Account) -> Result<(), Stopped> {
        let mut next = Some(request);
        while let Some(request) = next.take_if(|_| !account.is_settled() && !self.is_spent()) {
            let answer = self.call(&request).await?;
            account.take(request.operation(), &answer.records);
            next = request.next_page(&answer);
        }
        Ok(())
    }

    /// A whole list, whatever has been asked before.
    pub async fn list(&mut self, request: Request) -> Result<Vec<Record>, Stopped> {
        let (mut records, mut next) = (Vec::new(), Some(request));
        for _ in 0..LIST_PAGES_MAX {
            let Some(request) = next.take() else { break };
            let mut answer = self.call(&request).await?;
            records.append(&mut answer.records);
            next = request.next_page(&answer);
        }
        Ok(records)
    }

    /// Whether enough was asked for these ids.
    pub fn is_spent(&self) -> bool {
        self.requests >= REQUESTS_MAX
    }
}
