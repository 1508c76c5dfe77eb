//! A running simulator and a client; and a subscriber that answers as it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::simulator::{Config, Connection, Knobs, Simulator};

/// A simulator in which nothing happens by itself.
pub struct World {
    pub simulator: Simulator,
    client: reqwest::Client,
}

/// What a client sees of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with_knobs(knobs: Knobs) -> Self {
        Self::with(Config { knobs, ..Config::default() }).await
    }

    pub async fn with(mut config: Config) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        config.knobs.frozen = true;
        if config.knobs.rate_limit == Knobs::default().rate_limit {
            // Tests that are about other things ask as fast as they can.
            config.knobs.rate_limit = usize::MAX;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let simulator = Simulator::start(&config, listener, CancellationToken::new()).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, client }
    }

    pub fn connection(&self, at: usize) -> Connection {
        self.simulator.connections()[at].clone()
    }

    /// The credentials of an integration, and these members.
    pub fn body(&self, at: usize, members: &Value) -> Value {
        let mut body = json!({
            "ClientToken": self.simulator.client_token,
            "AccessToken": self.connection(at).access_token,
            "Client": "tests 1.0",
            "Limitation": { "Count": 1000 },
        });
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    /// Calls an operation with the first integration's credentials.
    pub async fn call(&self, operation: &str, members: Value) -> Answer {
        self.call_as(0, operation, members).await
    }

    pub async fn call_as(&self, at: usize, operation: &str, members: Value) -> Answer {
        let body = self.body(at, &members).to_string();
        self.send("POST", &format!("/api/connector/v1/{operation}"), body).await
    }

    /// Sends anything anywhere.
    pub async fn send(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let url = format!("{}{path}", self.simulator.platform);
        let request = self.client.request(method.parse().unwrap(), url).body(body);
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, body }
    }

    /// Sends to a control endpoint; it must answer 200.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let answer = self.send("POST", &format!("/simulator/{path}"), body.to_string()).await;
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text);
        answer.body
    }

    /// Reads a control endpoint: one value a line.
    pub async fn read(&self, path: &str) -> Vec<Value> {
        let answer = self.send("GET", &format!("/simulator/{path}"), "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The id of what a wish made.
    pub async fn make(&self, wish: Value) -> String {
        let made = self.control("changes", wish).await;
        made["Changes"][0]["Id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    /// The message of a refusal, and that it has what every answer has.
    pub fn refusal(&self) -> (u16, &str) {
        assert!(self.headers.contains_key("request-id"), "{self:?}");
        assert!(self.body["RequestId"].is_string(), "{self:?}");
        (self.status, self.body["Message"].as_str().unwrap())
    }

    /// The ids of a list of records.
    pub fn ids(&self, array: &str) -> Vec<String> {
        let records = self.body[array].as_array().unwrap_or_else(|| panic!("{array} in {}", self.text));
        records.iter().map(|record| record["Id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Takes webhooks: answers with the statuses given, in their order, then with 202.
pub struct Subscriber {
    pub url: String,
    statuses: Arc<Mutex<VecDeque<u16>>>,
    bodies: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl Subscriber {
    pub async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/webhooks?token=t", listener.local_addr().unwrap());
        let (statuses, bodies) =
            (Arc::<Mutex<VecDeque<u16>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let mut server = JoinSet::new();
        let (answers, taken) = (statuses.clone(), bodies.clone());
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, taken) = (answers.clone(), taken.clone());
                connections.spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let (answers, taken) = (answers.clone(), taken.clone());
                        async move {
                            let body = request.into_body().collect().await.unwrap().to_bytes();
                            taken.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
                            let status = answers.lock().unwrap().pop_front().unwrap_or(202);
                            let answer = Response::builder().status(status).header("location", "/elsewhere");
                            Ok::<_, Infallible>(answer.body(Full::<Bytes>::default()).unwrap())
                        }
                    });
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, statuses, bodies, _server: server }
    }

    pub fn answer(&self, statuses: &[u16]) {
        self.statuses.lock().unwrap().extend(statuses);
    }

    /// The bodies since the last time.
    pub fn bodies(&self) -> Vec<String> {
        std::mem::take(&mut self.bodies.lock().unwrap())
    }

    /// A simulator that tells this subscriber; nothing is due within the test unless flushed.
    pub async fn world(&self, config: Config) -> World {
        let day = std::time::Duration::from_secs(86_400);
        let knobs = Knobs { webhooks: Some(self.url.clone()), delay: day, retry_pause: day, ..config.knobs };
        World::with(Config { knobs, ..config }).await
    }
}
