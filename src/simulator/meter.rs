//! What each access token has asked for: tests hold a client's budget against it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{utc::Utc, window::Window};

/// The requests of one access token, and its limit.
#[derive(Debug)]
pub struct Meter {
    pub integration: Uuid,
    pub window: Window,
    requests: u64,
    throttled: u64,
    operations: BTreeMap<&'static str, Operation>,
    statuses: BTreeMap<u16, u64>,
    /// When requests came and who sent them, those refused as well, as far back as the window reaches.
    recent: VecDeque<(Utc, String)>,
    highest: usize,
}

/// Requests of one operation.
#[derive(Debug, Default)]
struct Operation {
    requests: u64,
    /// Ids they asked for, all together.
    ids: u64,
}

impl Meter {
    pub fn new(integration: Uuid) -> Self {
        Self {
            integration,
            window: Window::default(),
            requests: 0,
            throttled: 0,
            operations: BTreeMap::new(),
            statuses: BTreeMap::new(),
            recent: VecDeque::new(),
            highest: 0,
        }
    }

    /// Counts a request when it comes; `client` is what its `Client` says.
    pub fn came(&mut self, operation: &'static str, client: &str, length: Duration, now: Utc) {
        self.requests += 1;
        self.operations.entry(operation).or_default().requests += 1;
        while self.recent.front().is_some_and(|(at, _)| at.plus(length) <= now) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, client.to_owned()));
        self.highest = self.highest.max(self.recent.len());
    }

    /// Counts the ids of a request that could be understood.
    pub fn asked_for(&mut self, operation: &'static str, ids: usize) {
        self.operations.entry(operation).or_default().ids += ids as u64;
    }

    /// Counts an answer.
    pub fn answered(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
        self.throttled += u64::from(status == 429);
    }

    /// For a person or a test.
    pub fn report(&self, access_token: &str) -> Value {
        let operations: BTreeMap<_, _> = self
            .operations
            .iter()
            .map(|(name, of)| (*name, json!({ "Requests": of.requests, "Ids": of.ids })))
            .collect();
        let clients: BTreeSet<_> = self.recent.iter().map(|(_, client)| client).collect();
        let statuses: BTreeMap<_, _> =
            self.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect();
        json!({
            "IntegrationId": self.integration,
            "AccessToken": access_token,
            "Requests": self.requests,
            "HighestInWindow": self.highest,
            "LatestClients": clients,
            "Throttled": self.throttled,
            "Operations": operations,
            "Statuses": statuses,
        })
    }
}
