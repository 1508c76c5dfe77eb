//! A simulator in which nothing happens by itself, and a fetcher for its hotels.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::{
    connector::{self, ClientToken},
    simulator::{Config, Simulator},
    telemetry::metrics::{Metrics, Names},
};

pub struct World {
    pub simulator: Simulator,
    pub fetcher: Fetcher,
    pub metrics: metrics::Connector,
    http: reqwest::Client,
}

/// What is so, of one entity.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Truth {
    pub enterprise_id: String,
    pub kind: String,
    pub id: String,
    pub state: String,
    pub record: Box<RawValue>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(mut config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        config.knobs.frozen = true;
        config.knobs.rate_limit = usize::MAX;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let simulator = Simulator::start(&config, listener, CancellationToken::new()).unwrap();
        let metrics = Metrics::new(&Names::default()).connector;
        let settings = connector::Config {
            platform_address: simulator.platform.clone(),
            requests_per_window: 10_000,
            ..connector::Config::default()
        };
        let client_token = ClientToken::of(Secret::new(simulator.client_token.clone()));
        let client = Client::new(&settings, client_token, metrics.clone()).unwrap();
        let fetcher = Fetcher::new(client, metrics.clone());
        Self { simulator, fetcher, metrics, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// A round of ids for the integration at this place, which is of this hotel.
    pub async fn fetch_as(&self, at: usize, hotel: &str, entity: Entity, wanted: Vec<Wanted>) -> Fetched {
        self.round(at, hotel, entity, wanted, Round::First).await
    }

    pub async fn round(
        &self,
        at: usize,
        hotel: &str,
        entity: Entity,
        wanted: Vec<Wanted>,
        round: Round,
    ) -> Fetched {
        let connection = &self.simulator.connections()[at];
        let asked: HashSet<_> = wanted.iter().map(|wanted| wanted.id.clone()).collect();
        let fetched = self
            .fetcher
            .fetch(Batch {
                integration_id: connection.integration_id.to_string().into(),
                enterprise_id: hotel.into(),
                token: Secret::new(connection.access_token.clone()),
                entity,
                wanted,
                round,
            })
            .await;
        let mut ends: Vec<_> = fetched.found.iter().map(|found| found.id.clone()).collect();
        ends.extend(fetched.missing.iter().cloned());
        ends.extend(fetched.failed.iter().flat_map(|failed| failed.ids.iter().cloned()));
        assert_eq!(ends.len(), asked.len(), "every id is in one place: {fetched:?}");
        assert_eq!(ends.into_iter().collect::<HashSet<_>>(), asked);
        fetched
    }

    /// A round for the first hotel.
    pub async fn fetch(&self, entity: Entity, ids: &[impl AsRef<str>]) -> Fetched {
        self.fetch_as(0, &self.hotel(0), entity, wanted(ids)).await
    }

    pub async fn again(&self, entity: Entity, ids: &[impl AsRef<str>]) -> Fetched {
        self.round(0, &self.hotel(0), entity, wanted(ids), Round::Again).await
    }

    pub fn hotel(&self, at: usize) -> String {
        self.simulator.connections()[at].enterprise_id.unwrap().to_string()
    }

    /// What there is of these kinds in a hotel and can be read.
    pub async fn truth(&self, hotel: &str, kinds: &[&str]) -> BTreeMap<String, String> {
        let lines = self.read("truth?all").await;
        let truths = lines.lines().map(|line| serde_json::from_str::<Truth>(line).unwrap());
        let is_asked = |truth: &Truth| {
            truth.enterprise_id == hotel
                && kinds.contains(&truth.kind.as_str())
                && matches!(&*truth.state, "present" | "merged")
        };
        truths.filter(is_asked).map(|truth| (truth.id, truth.record.get().to_owned())).collect()
    }

    /// Makes something happen; the ids of what it happened to.
    pub async fn wish(&self, wish: Value) -> Vec<String> {
        let done = self.post("changes", wish).await;
        let id = |change: &Value| change["Id"].as_str().unwrap().to_owned();
        done["Changes"].as_array().unwrap().iter().map(id).collect()
    }

    pub async fn hotels(&self) -> Vec<Value> {
        serde_json::from_str(&self.read("hotels").await).unwrap()
    }

    pub async fn turn(&self, knobs: Value) {
        self.post("knobs", knobs).await;
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.simulator.control);
        let answer = self.http.post(url).body(body.to_string()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{path} {body}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn read(&self, path: &str) -> String {
        let url = format!("{}/{path}", self.simulator.control);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Requests so far, by operation.
    pub async fn requests(&self) -> BTreeMap<String, u64> {
        let tokens: Value = serde_json::from_str(&self.read("requests").await).unwrap();
        let mut requests = BTreeMap::new();
        for token in tokens.as_array().unwrap() {
            for (operation, counts) in token["Operations"].as_object().unwrap() {
                *requests.entry(operation.clone()).or_default() += counts["Requests"].as_u64().unwrap();
            }
        }
        requests
    }

    /// Requests of one operation so far.
    pub async fn asked(&self, operation: &str) -> u64 {
        self.requests().await.get(operation).copied().unwrap_or_default()
    }

    /// The threads of the first hotel that can be seen, or those that cannot.
    pub async fn thread(&self, own: bool) -> String {
        self.wish(json!({ "kind": "message-threads", "own": own })).await.remove(0)
    }
}

/// Ids that an event has just spoken of.
pub fn wanted(ids: &[impl AsRef<str>]) -> Vec<Wanted> {
    said(ids, Duration::ZERO)
}

/// Ids that an event spoke of so long ago.
pub fn said(ids: &[impl AsRef<str>], ago: Duration) -> Vec<Wanted> {
    let said_at = SystemTime::now() - ago;
    ids.iter().map(|id| Wanted { id: id.as_ref().into(), thread_id: None, said_at }).collect()
}

impl Fetched {
    /// Found, by id.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let text = |found: &Found| String::from_utf8(found.bytes.to_vec()).unwrap();
        self.found.iter().map(|found| (found.id.to_string(), text(found))).collect()
    }

    /// How many were found and are missing, of a round that did not fail.
    pub fn counts(&self) -> (usize, usize) {
        assert!(self.failed.is_none(), "{:?}", self.failed);
        (self.found.len(), self.missing.len())
    }
}
