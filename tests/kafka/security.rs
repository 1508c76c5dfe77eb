//! Every way to log in to Kafka delivers, and a wrong one says why without saying the password.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, time::sleep};

use crate::{
    bridge::{Bridge, Setup},
    cluster::Cluster,
    reader::{self, Query},
    samples::{HOTEL, general},
};

const PASSWORD: &str = "canary-kafka-password-3c6b";
const CLIENT_SECRET: &str = "canary-client-secret-e07a";
/// Of a token of [`Tokens`], in seconds. librdkafka asks for the next after four fifths of it.
const TOKEN_LIFETIME: f64 = 5.0;

/// A cluster with TLS listeners, and the certificates of its clients.
struct Secured {
    cluster: Cluster,
    certificates: TempDir,
}

impl Secured {
    /// One for all tests of this file.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Secured> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let certificates = tempfile::tempdir().expect("a temporary folder");
        make_certificates(certificates.path());
        let file = |name: &str| certificates.path().join(name).display().to_string();
        let modules = "org.apache.kafka.common.security";
        let settings: BTreeMap<String, String> = [
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", file("server-store.pem")),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", file("ca.pem")),
            ("listener.name.ssl.ssl.client.auth", "required".to_owned()),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER".to_owned()),
            (
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                format!("{modules}.scram.ScramLoginModule required;"),
            ),
            (
                "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config",
                format!("{modules}.scram.ScramLoginModule required;"),
            ),
            (
                "listener.name.sasl_ssl.plain.sasl.jaas.config",
                format!("{modules}.plain.PlainLoginModule required user_alice=\"{PASSWORD}\";"),
            ),
            (
                "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config",
                format!("{modules}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"),
            ),
            // A connection ends with its token, unless a newer one is shown.
            ("listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms", "3600000".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let user = |mechanism: &str| format!("{mechanism}=[name=alice,password={PASSWORD}]");
        let format = ["--add-scram", &user("SCRAM-SHA-256"), "--add-scram", &user("SCRAM-SHA-512")];
        let listeners = [("SASL_SSL", "SASL_SSL"), ("SSL", "SSL")];
        Self { cluster: Cluster::start(1, &listeners, &settings, &format), certificates }
    }

    fn file(&self, name: &str) -> String {
        self.certificates.path().join(name).display().to_string()
    }

    /// An ingress set-up that trusts the cluster's authority.
    fn setup(&self, name: &str, listener: &str) -> Setup {
        Setup::new(name, &self.cluster.bootstrap_of(listener))
            .property("security.protocol", listener)
            .property("ssl.ca.location", &self.file("ca.pem"))
    }

    /// One webhook through, read back over the plain listener.
    async fn delivers(&self, setup: Setup) {
        let mut bridge = setup.start().await;
        bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
        bridge.until_drained().await;
        let query = Query::of(&setup.prefix, "events.CustomerAdded", 1);
        reader::shared().read(&self.cluster.bootstrap(), &query);
        ends_without_a_word(&setup, &mut bridge);
    }

    /// Creates the topics over the plain listener.
    fn with_topics(&self, setup: Setup) -> Setup {
        let plain = Setup::new("plain", &self.cluster.bootstrap()).set("topics.prefix", setup.prefix.clone());
        plain.command(&["topics", "apply"]).must_exit(0);
        setup
    }

    /// Webhooks through before and after the end of the first token, read back over the plain listener.
    async fn delivers_past_the_end_of_a_token(&self, setup: Setup, webhooks: [String; 2], topic: &str) {
        let setup = self.with_topics(setup);
        let mut bridge = setup.start().await;
        let [before, after] = webhooks;
        bridge.accept(before).await;
        bridge.until_drained().await;
        let first_end = bridge.metric(TOKEN_END, &[]).await;
        assert!(first_end > 0.0, "no token is in use");
        let deadline = Instant::now() + Duration::from_secs(30);
        while now() <= first_end || bridge.metric(TOKEN_END, &[]).await <= first_end {
            assert!(Instant::now() < deadline, "no second token:\n{}", bridge.log());
            sleep(Duration::from_millis(100)).await;
        }
        bridge.accept(after).await;
        bridge.until_drained().await;
        reader::shared().read(&self.cluster.bootstrap(), &Query::of(&setup.prefix, topic, 2));
        ends_without_a_word(&setup, &mut bridge);
    }
}

/// Ends the bridge in order, and looks for secrets where people look.
fn ends_without_a_word(setup: &Setup, bridge: &mut Bridge) {
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
    let shown = setup.command(&["config", "show"]).must_exit(0).all();
    for (place, text) in [("the log", bridge.log()), ("config show", shown)] {
        for secret in [PASSWORD, CLIENT_SECRET, UNSIGNED_HEADER] {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
}

const TOKEN_END: &str = "kafka_oauth_token_expiry_timestamp_seconds";
/// What every token of these tests begins with: `{"alg":"none"}`.
const UNSIGNED_HEADER: &str = "eyJhbGciOiJub25lIn0";

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_secs_f64()
}

/// A token endpoint that gives unsigned tokens with a short life.
struct Tokens {
    url: String,
    /// The `authorization` header and the form of each request.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Tokens {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let asked = Arc::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let serve = service_fn(move |request| Self::answer(Arc::clone(&seen), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        Self { url, asked }
    }

    async fn answer(
        seen: Arc<Mutex<Vec<(String, String)>>>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<bytes::Bytes>>, hyper::Error> {
        let authorization = request.headers()["authorization"].to_str().expect("a header of text").to_owned();
        let form = request.into_body().collect().await?.to_bytes();
        let form = String::from_utf8_lossy(&form).into_owned();
        seen.lock().expect("no test panics while it holds it").push((authorization, form));
        let claims = json!({"sub": "alice", "iat": now(), "exp": now() + TOKEN_LIFETIME});
        let token = format!("{UNSIGNED_HEADER}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let answer = json!({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME});
        Ok(Response::new(Full::from(answer.to_string())))
    }

    /// Every request is as the grant for client credentials wants it.
    fn were_asked_for_well(&self) {
        let asked = self.asked.lock().expect("no test panics while it holds it");
        let basic = format!("Basic {}", STANDARD.encode(format!("bridge:{CLIENT_SECRET}")));
        let form = "grant_type=client_credentials&scope=kafka";
        assert!(asked.len() >= 2, "{asked:?}");
        assert!(asked.iter().all(|(shown, sent)| *shown == basic && sent == form), "{asked:?}");
    }
}

/// An authority, a server certificate for loopback and a client certificate, all PEM with PKCS#8 keys.
fn make_certificates(dir: &Path) {
    let openssl = |arguments: &[&str]| {
        let output =
            Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl is there");
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let new = ["req", "-nodes", "-newkey", "rsa:2048"];
    openssl(
        &[&new[..], &["-x509", "-days", "30", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]]
            .concat(),
    );
    fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost")
        .expect("the folder can be written");
    for name in ["server", "client"] {
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        openssl(&[&new[..], &["-subj", &subject, "-keyout", &key, "-out", &request]].concat());
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            "names",
            "-out",
            &certificate,
        ]);
    }
    let read = |name: &str| fs::read_to_string(PathBuf::from(dir).join(name)).expect("openssl made it");
    fs::write(dir.join("server-store.pem"), read("server.key") + &read("server.pem")).expect("a file");
}

fn with_password(setup: Setup, mechanism: &str) -> Setup {
    setup
        .property("sasl.mechanism", mechanism)
        .property("sasl.username", "alice")
        .property("sasl.password", PASSWORD)
}

#[tokio::test(flavor = "multi_thread")]
async fn sasl_plain_over_tls_delivers() {
    let secured = Secured::shared();
    secured.delivers(with_password(secured.setup("plain", "SASL_SSL"), "PLAIN")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_sha_256_over_tls_delivers() {
    let secured = Secured::shared();
    secured.delivers(with_password(secured.setup("scram256", "SASL_SSL"), "SCRAM-SHA-256")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_sha_512_over_tls_delivers() {
    let secured = Secured::shared();
    secured.delivers(with_password(secured.setup("scram512", "SASL_SSL"), "SCRAM-SHA-512")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oauthbearer_with_unsigned_tokens_delivers() {
    let secured = Secured::shared();
    let setup = secured
        .setup("oauth", "SASL_SSL")
        .property("sasl.mechanism", "OAUTHBEARER")
        .property("enable.sasl.oauthbearer.unsecure.jwt", "true")
        .property("sasl.oauthbearer.config", "principal=alice");
    secured.delivers(setup).await;
}

fn with_section(setup: Setup, tokens: &Tokens) -> Setup {
    let file = setup.dir().join("client.secret");
    fs::write(&file, format!("{CLIENT_SECRET}\n")).expect("a file");
    setup
        .property("sasl.mechanism", "OAUTHBEARER")
        .set("kafka.oauth.token_url", tokens.url.clone())
        .set("kafka.oauth.client_id", "bridge")
        .set("kafka.oauth.client_secret_file", file.display().to_string())
        .set("kafka.oauth.scope", "kafka")
}

fn events() -> [String; 2] {
    ["a", "b"].map(|id| general(HOTEL, "CustomerAdded", &format!(r#"{{"Id":"{id}"}}"#)))
}

#[tokio::test(flavor = "multi_thread")]
async fn oauthbearer_with_client_credentials_among_the_properties_delivers() {
    let (secured, tokens) = (Secured::shared(), Tokens::start().await);
    let setup = secured
        .setup("oidc", "SASL_SSL")
        .property("sasl.mechanism", "OAUTHBEARER")
        .property("sasl.oauthbearer.method", "oidc")
        .property("sasl.oauthbearer.client.id", "bridge")
        .property("sasl.oauthbearer.client.secret", CLIENT_SECRET)
        .property("sasl.oauthbearer.token.endpoint.url", &tokens.url)
        .property("sasl.oauthbearer.scope", "kafka");
    secured.delivers_past_the_end_of_a_token(setup, events(), "events.CustomerAdded").await;
    tokens.were_asked_for_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn oauthbearer_with_client_credentials_of_a_section_delivers() {
    let (secured, tokens) = (Secured::shared(), Tokens::start().await);
    let setup = with_section(secured.setup("section", "SASL_SSL"), &tokens);
    secured.delivers_past_the_end_of_a_token(setup, events(), "events.CustomerAdded").await;
    tokens.were_asked_for_well();
}

/// It reads `mews.credentials` before it writes it, with a consumer that rests between webhooks.
#[tokio::test(flavor = "multi_thread")]
async fn an_integration_webhook_completes_over_oauthbearer() {
    let (secured, tokens) = (Secured::shared(), Tokens::start().await);
    let setup = with_section(secured.setup("integration", "SASL_SSL"), &tokens);
    let webhooks = ["1", "2"].map(|n| {
        let id = format!("00000000-0000-4000-8000-00000000000{n}");
        json!({"Action": "IntegrationEnabled", "Data": {"Integration": {"Id": id}}}).to_string()
    });
    secured.delivers_past_the_end_of_a_token(setup, webhooks, "credentials").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_delivers() {
    let secured = Secured::shared();
    let setup = secured
        .setup("mtls", "SSL")
        .property("ssl.certificate.location", &secured.file("client.pem"))
        .property("ssl.key.location", &secured.file("client.key"));
    secured.delivers(setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_counted_and_costs_no_delivery() {
    let secured = Secured::shared();
    let wrong = "canary-wrong-password-8d2e";
    let setup =
        with_password(secured.setup("denied", "SASL_SSL"), "SCRAM-SHA-512").property("sasl.password", wrong);
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while bridge.metric("kafka_auth_failures_total", &[("mechanism", "SCRAM-SHA-512")]).await < 1.0 {
        assert!(Instant::now() < deadline, "the refusal is not counted:\n{}", bridge.log());
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bridge.admin("/readyz").await.status, 200, "Mews can still deliver");
    assert!(!bridge.log().contains(wrong), "the password is in the log");
    bridge.kill();
    let setup = setup.property("sasl.password", PASSWORD);
    let mut bridge = setup.start().await;
    bridge.until_drained().await;
    let query = Query::of(&setup.prefix, "events.CustomerAdded", 1);
    reader::shared().read(&secured.cluster.bootstrap(), &query);
}
