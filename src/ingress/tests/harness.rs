//! A running ingress, and a client that says exactly what it is told to say.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    credentials::seal::{KeyRing, Sealer},
    ingress::{Config, Error, Metrics, Parts, Tokens, run},
    journal::{
        self, Finding,
        disk::faulty::{Fault, Faulty},
    },
    secret::Secret,
    telemetry::metrics::{self, Names, Outcome, Webhook},
    webhook::{Delivery, Discriminators},
};

/// The token of every server here unless its configuration says otherwise.
pub(super) const TOKEN: &str = "canary-token+/=1";
/// How a sender writes it into a URL.
pub(super) const ENCODED: &str = "canary-token%2B%2F%3D1";
pub(super) const GENERAL: &str = r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[{"Discriminator":"CustomerAdded","Value":{"Id":"c"}}]}"#;
pub(super) const INTEGRATION: &str =
    r#"{"Action":"IntegrationCreated","Data":{"Integration":{"Id":"i"},"AccessToken":"canary-access"}}"#;

/// Far longer than anything takes; a test that waits for it has failed.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// Room on the disk under the journal.
pub(super) const ROOM: u64 = 1 << 30;

/// A running ingress.
pub(super) struct Server {
    pub address: SocketAddr,
    pub metrics: metrics::Metrics,
    pub journal: journal::Handle,
    disk: Faulty,
    pub shutdown: CancellationToken,
    pub ended: JoinHandle<Result<(), Error>>,
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The configuration with [`TOKEN`] under the alias `main`.
pub(super) fn config() -> Config {
    let mut config = Config::default();
    config.tokens.insert("main".into(), Secret::new(TOKEN.into()));
    config
}

pub(super) fn keys() -> KeyRing {
    KeyRing::of(&[[7; 32]])
}

impl Server {
    pub(super) async fn start(config: Config) -> Self {
        Self::sealing(config, Sealer::Seal(keys())).await
    }

    pub(super) async fn sealing(config: Config, sealer: Sealer) -> Self {
        config.validate().unwrap();
        let tokens = Tokens::load(&config).unwrap();
        let names = Names {
            token_aliases: config.token_aliases().map(str::to_owned).collect(),
            discriminators: Discriminators::default().iter().map(str::to_owned).collect(),
            ..Names::default()
        };
        let metrics = metrics::Metrics::new(&names);
        let disk = Faulty::new(1, ROOM);
        let journal::Opened { handle: journal, .. } =
            journal::open(&journal::Config::default(), Arc::new(disk.clone()), metrics.journal.clone())
                .unwrap();
        let parts = Parts {
            config,
            journal: journal.clone(),
            tokens,
            sealer,
            discriminators: Discriminators::default(),
            metrics: Metrics {
                http: metrics.http.clone(),
                deliveries: metrics.webhook.clone(),
                process: metrics.process.clone(),
            },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(run(listener, parts, shutdown.clone()));
        Self { address, metrics, journal, disk, shutdown, ended }
    }

    /// The payloads that the journal keeps.
    pub(super) fn kept(&self) -> Vec<Bytes> {
        let findings =
            journal::scan(&journal::Config::default().dir, &self.disk).unwrap().map(Result::unwrap);
        findings
            .filter_map(
                |finding| if let Finding::Entry(entry) = finding { Some(entry.payload) } else { None },
            )
            .collect()
    }

    /// The deliveries that the journal keeps.
    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.kept().iter().map(|payload| Delivery::decode(payload).unwrap()).collect()
    }

    /// Takes the room away from under the journal, or gives it back.
    pub(super) fn room(&self, bytes: u64) {
        self.disk.set_capacity(bytes);
    }

    /// Lets every call fail from now on, as far as any test will come.
    pub(super) fn break_disk(&self) {
        let next = self.disk.calls().len();
        for call in next..next + 1000 {
            self.disk.fail(call, Fault::Io);
        }
    }

    pub(super) fn count(&self, webhook: Webhook, outcome: Outcome) -> u64 {
        self.metrics.webhook.deliveries.of(webhook, outcome).get()
    }

    /// Waits until something is so that the server does after its answer.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LONG, wait).await.expect("it becomes so");
    }

    pub(super) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends text on a connection of its own and reads one answer.
    pub(super) async fn send(&self, text: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.say(text).await;
        client.answer().await
    }

    /// Posts a body to a path with its query.
    pub(super) async fn post(&self, target: &str, body: &str) -> Answer {
        self.send(post(target, body)).await
    }

    /// Posts with the right token.
    pub(super) async fn deliver(&self, path: &str, body: &str) -> Answer {
        self.post(&format!("{path}?Token={ENCODED}"), body).await
    }
}

/// A POST on HTTP/1.1.
pub(super) fn post(target: &str, body: &str) -> String {
    with_fields(target, &format!("Content-Length: {}\r\n", body.len())) + body
}

/// The head of a POST with more fields, each with its line end.
pub(super) fn with_fields(target: &str, fields: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: bridge\r\n{fields}\r\n")
}

/// A connection.
pub(super) struct Client(pub TcpStream);

impl Client {
    pub(super) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// The next answer; its body is as long as `Content-Length` says.
    pub(super) async fn answer(&mut self) -> Answer {
        tokio::time::timeout(LONG, self.read_answer()).await.expect("an answer comes")
    }

    async fn read_answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }

    /// Waits until the server closes; says what came before that.
    pub(super) async fn closed(&mut self) -> String {
        let mut rest = Vec::new();
        tokio::time::timeout(LONG, self.0.read_to_end(&mut rest)).await.expect("it is closed").unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// A member of the problem details.
    pub(super) fn problem(&self, member: &str) -> String {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        problem[member].as_str().unwrap().to_owned()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}
