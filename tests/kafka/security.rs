//! Every way to log in to Kafka delivers, and a wrong one says why without saying the password.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{
    bridge::Setup,
    cluster::Cluster,
    reader::{self, Query},
    samples::{HOTEL, general},
};

const PASSWORD: &str = "canary-kafka-password-3c6b";

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
        assert_eq!(bridge.stop(), 0, "{}", bridge.log());
        let shown = setup.command(&["config", "show"]).must_exit(0).all();
        for (place, text) in [("the log", bridge.log()), ("config show", shown)] {
            assert!(!text.contains(PASSWORD), "the password is in {place}");
        }
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
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while bridge.metric("kafka_auth_failures_total", &[]).await < 1.0 {
        assert!(std::time::Instant::now() < deadline, "the refusal is not counted:\n{}", bridge.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
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
