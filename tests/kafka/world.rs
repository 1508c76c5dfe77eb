//! The whole product against a simulated Mews: hotels that change, an ingress, enrichers, and what
//! subscribers see of it.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use mews_bridge::simulator::{Config, Knobs, Simulator};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    bridge::{Bridge, Setup, TOKEN},
    cluster::Cluster,
    http::Client,
    view::View,
};

/// Topics that subscribers of entities and people look at.
const TOPICS: [&str; 9] = [
    "entities.reservations",
    "entities.resources",
    "entities.messages",
    "entities.resource-blocks",
    "entities.customers",
    "entities.payments",
    "entities.products",
    "dead-letters",
    "parked",
];

/// How long everything may take until it is as it should be.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// The entity that a line of `/simulator/truth` is about.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Truth {
    pub kind: String,
    pub id: String,
    pub state: String,
    pub record: Box<RawValue>,
}

impl Truth {
    /// The topic of its records.
    pub fn topic(&self) -> String {
        match &*self.kind {
            "product-service-orders" => "entities.reservations".to_owned(),
            kind => format!("entities.{kind}"),
        }
    }
}

pub struct World {
    pub simulator: Simulator,
    pub setup: Setup,
    pub ingress: Bridge,
    pub view: View,
}

/// Hotels where nothing happens by itself, and times short enough for tests.
pub fn quiet() -> Config {
    let knobs = Knobs {
        frozen: true,
        delay: Duration::from_millis(100),
        retry_pause: Duration::from_secs(1),
        rate_window: WINDOW,
        ..Knobs::default()
    };
    Config { hotels: 3, knobs, ..Config::default() }
}

/// The window of the request limit.
pub const WINDOW: Duration = Duration::from_secs(5);

impl World {
    /// On the shared cluster.
    pub async fn new(name: &str, config: Config) -> Self {
        Self::on(&Cluster::shared().bootstrap(), name, config, |setup| setup).await
    }

    /// With other settings on any cluster. No enricher runs yet.
    pub async fn on(
        bootstrap: &str,
        name: &str,
        mut config: Config,
        set: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let setup = Setup::new(name, bootstrap);
        config.knobs.webhooks = Some(format!("http://127.0.0.1:{}/webhooks?token={TOKEN}", setup.port));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let platform = listener.local_addr().expect("a listener has an address");
        let token_file = setup.dir().join("client-token");
        let credentials = setup.dir().join("credentials.json");
        let group = setup.topic("enricher");
        let setup = setup
            .set("enricher.group_id", group)
            .set("connector.platform_address", format!("http://{platform}"))
            .set("connector.client_token_file", token_file.display().to_string())
            .set("connector.request_timeout", "3s")
            .set("connector.window", format!("{}s", WINDOW.as_secs()))
            .set("credentials.file", credentials.display().to_string())
            .set("enricher.window", "100ms")
            .set("enricher.recheck_after", "500ms")
            .set("enricher.park_after", "2s")
            .set("enricher.probe_interval", "1s");
        let setup = set(setup);
        setup.command(&["topics", "apply"]).must_exit(0);
        // Before there is anything to tell: three attempts, and Mews never speaks of it again.
        let ingress = setup.start().await;
        let simulator = Simulator::start(&config, listener, CancellationToken::new()).expect("a simulator");
        fs::write(&token_file, &simulator.client_token).expect("the client token is written");
        let connections = serde_json::to_string(&simulator.connections()).expect("connections are JSON");
        fs::write(&credentials, connections).expect("the credentials are written");
        let view = View::start(bootstrap, &setup.prefix, &TOPICS);
        Self { simulator, setup, ingress, view }
    }

    /// One more enricher, ready.
    pub async fn enricher(&self) -> Bridge {
        let mut enricher = self.setup.launch_enricher();
        enricher.until_ready().await;
        enricher
    }

    fn control(&self) -> (Client, &str) {
        let port = self.simulator.platform.rsplit(':').next().and_then(|port| port.parse().ok());
        (Client::new(port.expect("an address ends with a port")), "/simulator")
    }

    /// Reads a control endpoint.
    pub async fn read(&self, path: &str) -> String {
        let (mut client, prefix) = self.control();
        let answer = client.get(&format!("{prefix}/{path}")).await.expect("the simulator answers");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// Asks for something at a control endpoint.
    pub async fn wish(&self, path: &str, body: Value) -> Value {
        let (mut client, prefix) = self.control();
        let answer = client.post(&format!("{prefix}/{path}"), body.to_string()).await;
        let answer = answer.expect("the simulator answers");
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        serde_json::from_str(&answer.text()).expect("an answer of JSON")
    }

    /// Turns knobs.
    pub async fn turn(&self, knobs: Value) {
        self.wish("knobs", knobs).await;
    }

    /// Makes something happen, and says to which ids.
    pub async fn change(&self, wish: Value) -> Vec<String> {
        let changed = self.wish("changes", wish).await;
        let changes = changed["Changes"].as_array().expect("a list");
        changes.iter().map(|change| change["Id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Everything that was told of, as it is.
    pub async fn truth(&self) -> Vec<Truth> {
        self.truth_at("truth").await
    }

    async fn truth_at(&self, path: &str) -> Vec<Truth> {
        let lines = self.read(path).await;
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of truth")).collect()
    }

    /// What each access token asked for.
    pub async fn requests(&self) -> Vec<Value> {
        serde_json::from_str(&self.read("requests").await).expect("a list of tokens")
    }

    /// Requests of one operation, of all tokens.
    pub async fn asked(&self, operation: &str) -> u64 {
        let tokens = self.requests().await;
        tokens.iter().filter_map(|token| token["Operations"][operation]["Requests"].as_u64()).sum()
    }

    /// Waits until every entity that was told of is on its topic as it is, and checks that no token had
    /// more than its limit. What the API does not return is left out: tests say what becomes of it.
    pub async fn until_true(&self, enrichers: &[&Bridge]) {
        let totals = self.simulator.flush().await;
        assert_eq!(totals.abandoned, 0, "webhooks were given up");
        self.until_as("truth", |_| true, enrichers).await;
    }

    /// The same of these entities, told of by the simulator or not.
    pub async fn until_true_of(&self, ids: &[String], enrichers: &[&Bridge]) {
        self.until_as("truth?all", |truth| ids.contains(&truth.id), enrichers).await;
    }

    async fn until_as(&self, path: &str, is_meant: impl Fn(&Truth) -> bool, enrichers: &[&Bridge]) {
        let deadline = Instant::now() + SETTLED_WITHIN;
        loop {
            let mut truths = self.truth_at(path).await;
            truths.retain(&is_meant);
            let wrong = self.differences(&truths);
            if wrong.is_empty() {
                break;
            }
            let logs = || enrichers.iter().map(|each| each.log()).collect::<Vec<_>>().join("\n----\n");
            let some: Vec<_> = wrong.iter().take(3).collect();
            assert!(
                Instant::now() < deadline,
                "{} entities are not on their topics as they are: {some:#?}\n{:?} {:#?}\n{}",
                wrong.len(),
                self.dead_letters(),
                self.buried(),
                logs()
            );
            sleep(Duration::from_millis(200)).await;
        }
        self.limits_were_kept().await;
    }

    /// Those whose last record is not what is so.
    fn differences(&self, truths: &[Truth]) -> Vec<String> {
        let table = self.view.table();
        let returned = truths.iter().filter(|truth| truth.record.get() != "null");
        returned
            .filter_map(|truth| {
                let last = table.get(&(truth.topic(), truth.id.clone()));
                let value = last.and_then(|last| last.value.as_deref());
                (value != Some(truth.record.get())).then(|| {
                    format!("{} {}: {value:?} instead of {}", truth.kind, truth.id, truth.record.get())
                })
            })
            .collect()
    }

    /// No token had more than its limit in any window.
    pub async fn limits_were_kept(&self) {
        let limit = self.simulator.knobs().rate_limit as u64;
        for token in self.requests().await {
            let highest = token["HighestInWindow"].as_u64().expect("a count");
            assert!(highest <= limit, "{highest} requests in a window of {limit}: {token}");
        }
    }

    /// Some dead letters with what is said of them.
    fn buried(&self) -> Vec<String> {
        let dead = self.view.table().into_iter().filter(|((topic, _), _)| topic == "dead-letters");
        dead.take(5).map(|(_, last)| format!("{:?} {:?}", last.value, last.headers)).collect()
    }

    /// Dead letters by reason.
    pub fn dead_letters(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for ((topic, _), last) in self.view.table() {
            if topic == "dead-letters" {
                let reason = last.headers.get("dead_letter_reason").cloned().unwrap_or_default();
                *reasons.entry(reason).or_default() += last.count;
            }
        }
        reasons
    }

    /// The hotel at a place: its EnterpriseId.
    pub async fn hotel(&self, place: usize) -> String {
        let hotels: Value = serde_json::from_str(&self.read("hotels").await).expect("a list");
        hotels[place]["EnterpriseId"].as_str().expect("an id").to_owned()
    }

    /// Does something to an integration, or to its hotel.
    pub async fn act(&self, place: usize, action: &str, silent: bool) {
        let connection = &self.simulator.connections()[place];
        let id = if action.ends_with("-enterprise") {
            connection.enterprise_id.expect("a hotel's own")
        } else {
            connection.integration_id
        };
        self.wish(&format!("integrations/{id}"), json!({ "action": action, "silent": silent })).await;
    }
}
