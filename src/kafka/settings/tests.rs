//! The settings, merged and judged.

use super::*;
use crate::secret::Secret;

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn refusal(text: &str) -> String {
    read(text).validate().unwrap_err().to_string()
}

#[test]
fn this_build_has_every_codec_and_mechanism() {
    let native = ClientConfig::new().create_native_config().unwrap();
    let features = native.get("builtin.features").unwrap();
    let features: Vec<_> = features.split(',').map(str::trim).collect();
    for feature in ["gzip", "snappy", "lz4", "zstd", "ssl", "sasl_plain", "sasl_scram", "sasl_oauthbearer"] {
        assert!(features.contains(&feature), "{feature} is not among {features:?}");
    }
}

#[test]
fn without_brokers_there_is_nowhere_to_begin() {
    for servers in ["", " ", " , "] {
        let config = Config { bootstrap_servers: servers.to_owned(), ..Config::default() };
        assert!(matches!(config.validate(), Err(ConfigError::NoServers)), "{servers:?}");
    }
}

#[test]
fn defaults_lie_under_the_properties_of_the_user() {
    let client = read("properties.linger.ms = 50\nproperties.'client.id' = 'x'").producer().unwrap();
    let value = |key| client.get(key);
    assert_eq!((value("linger.ms"), value("client.id")), (Some("50"), Some("x")));
    assert_eq!((value("enable.idempotence"), value("acks")), (Some("true"), Some("all")));
    assert_eq!((value("partitioner"), value("message.timeout.ms")), (Some("murmur2_random"), Some("0")));
    assert_eq!(value("bootstrap.servers"), Some("localhost:9092"));
    assert_eq!(Config::default().limits().unwrap(), Limits { batch_bytes: 262_144, queue_bytes: 64 << 20 });
}

#[test]
fn large_batches_are_a_default_too() {
    let of = |text: &str| {
        let config = read(text).in_large_batches();
        (config.producer().unwrap().get("linger.ms").map(str::to_owned), config.limits().unwrap().batch_bytes)
    };
    assert_eq!(of(""), (Some("50".to_owned()), 1_000_000));
    assert_eq!(of("properties.linger.ms = 1\nproperties.'batch.size' = 5000"), (Some("1".to_owned()), 5000));
}

#[test]
fn a_property_that_would_break_a_promise_is_refused_in_every_spelling() {
    for (property, named) in [
        ("enable.idempotence = false", "enable.idempotence must be true"),
        ("acks = 1", "acks must be all"),
        ("request.required.acks = '0'", "acks must be all"),
        ("partitioner = 'consistent_random'", "partitioner must be murmur2_random"),
        ("message.timeout.ms = 300000", "message.timeout.ms must be 0"),
        ("delivery.timeout.ms = 300000", "message.timeout.ms must be 0"),
        ("retries = 5", "retries must be 2147483647"),
        ("message.send.max.retries = 5", "retries must be 2147483647"),
        (
            "max.in.flight.requests.per.connection = 6",
            "max.in.flight.requests.per.connection must be 5 or less",
        ),
        ("max.in.flight = 6", "max.in.flight.requests.per.connection must be 5 or less"),
        ("queuing.strategy = 'lifo'", "queuing.strategy must be fifo"),
        ("delivery.report.only.error = true", "delivery.report.only.error must be false"),
        ("transactional.id = 'x'", "transactional.id must be unset"),
        ("statistics.interval.ms = 0", "statistics.interval.ms must be from 1"),
    ] {
        let error = refusal(&format!("[properties]\n{property}"));
        assert!(error.contains(named), "{property}: {error}");
    }
    for fine in [
        "acks = -1",
        "acks = 'all'",
        "enable.idempotence = 't'",
        "max.in.flight = 1",
        "message.timeout.ms = 0",
        "enable.gapless.guarantee = true",
        "statistics.interval.ms = 1000",
        "compression.type = 'zstd'",
        "compression.codec = 'gzip'",
    ] {
        read(&format!("[properties]\n{fine}")).validate().unwrap();
    }
}

#[test]
fn an_unknown_property_or_value_is_named() {
    let error = refusal("properties.no.such.thing = 1");
    assert!(error.starts_with("kafka.properties: no.such.thing: "), "{error}");
    let error = refusal("properties.linger.ms = 'soon'");
    assert!(error.starts_with("kafka.properties: linger.ms: "), "{error}");
    assert!(refusal("properties.bootstrap.servers = 'x:1'").contains("kafka.bootstrap_servers"));
}

#[test]
fn no_error_shows_a_secret() {
    // librdkafka's own text would repeat the value.
    let error = read("properties.'ssl.key.pem' = 'canary'").validate().err();
    let error = format!("{error:?}")
        + &format!("{:?}", read("properties.'sasl.oauthbearer.token' = 'canary'").validate());
    assert!(!error.contains("canary"), "{error}");
    let mut config = read("properties.'sasl.password' = 'canary'");
    config.security.sasl_password = Some(Secret::new("canary".into()));
    let shown =
        format!("{config:?} {} {:?}", toml::to_string(&config).unwrap(), config.producer().unwrap_err());
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(config.hidden_properties().collect::<Vec<_>>(), ["sasl.password"]);
}

#[test]
fn protocol_mechanism_and_oauth_have_to_fit() {
    assert!(refusal("properties.security.protocol = 'sasl_ssl'").contains("sasl.mechanism must be set"));
    let bearer = "properties.security.protocol = 'SASL_SSL'\nproperties.sasl.mechanism = 'OAUTHBEARER'\n";
    assert!(refusal(bearer).contains("[kafka.oauth]"));
    let oauth = "[oauth]\ntoken_url = 'https://idp/token'\nclient_id = 'x'\nclient_secret_file = 'f'";
    read(&format!("{bearer}{oauth}")).validate().unwrap();
    assert!(refusal(oauth).contains("do not ask for OAUTHBEARER"));
    read("properties.security.protocol = 'sasl_ssl'\nproperties.sasl.mechanisms = 'PLAIN'")
        .validate()
        .unwrap();
}

#[test]
fn client_credentials_may_be_written_as_librdkafka_calls_them() {
    let bearer = "properties.security.protocol = 'SASL_SSL'\nproperties.sasl.mechanism = 'OAUTHBEARER'\n";
    let oidc = "\
        properties.sasl.oauthbearer.method = 'oidc'\n\
        properties.sasl.oauthbearer.client.credentials.client.id = 'bridge'\n\
        properties.sasl.oauthbearer.client.credentials.client.secret = 'canary'\n\
        properties.sasl.oauthbearer.token.endpoint.url = 'https://idp/token'\n\
        properties.https.ca.location = '/ca.pem'\n";
    let config = read(&format!("{bearer}{oidc}"));
    for client in [config.producer().unwrap(), config.admin().unwrap(), config.consumer().unwrap()] {
        let taken = |key: &str| key.starts_with("sasl.oauthbearer.") || key.starts_with("https.");
        assert!(!client.config_map().keys().any(|key| taken(key)), "{client:?}");
    }
    assert_eq!(config.secret_files(), [PathBuf::from("/ca.pem")]);
    let shown =
        format!("{config:?} {:?} {}", config.tokens(None).unwrap(), toml::to_string(&config).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(refusal(oidc).contains("do not ask for OAUTHBEARER"));
    let twice = refusal(&format!(
        "{bearer}{oidc}[oauth]\ntoken_url = 'https://idp/token'\nclient_id = 'x'\nclient_secret = 'y'"
    ));
    assert_eq!(twice, "kafka.properties: sasl.oauthbearer.client.id is also set by kafka.oauth");
}

#[test]
fn unsigned_tokens_are_made_here_but_for_the_administration_client() {
    let unsigned = "properties.security.protocol = 'SASL_SSL'\nproperties.sasl.mechanism = 'OAUTHBEARER'\n\
        properties.enable.sasl.oauthbearer.unsecure.jwt = true\n\
        properties.sasl.oauthbearer.config = 'principal=alice'\n";
    let config = read(unsigned);
    let enabled = |client: ClientConfig| client.get("enable.sasl.oauthbearer.unsecure.jwt").is_some();
    assert!(!enabled(config.producer().unwrap()) && !enabled(config.consumer().unwrap()));
    assert!(enabled(config.admin().unwrap()));
    assert!(matches!(config.tokens(None).unwrap().unwrap().source(), Source::Unsigned(_)));
    let section = "[oauth]\ntoken_url = 'https://idp/token'\nclient_id = 'x'\nclient_secret = 'y'";
    for (other, instead) in
        [(section, "kafka.oauth"), ("properties.sasl.oauthbearer.method = 'oidc'", "sasl.oauthbearer.method")]
    {
        let key = "enable.sasl.oauthbearer.unsecure.jwt";
        let twice = refusal(&format!("{unsigned}{other}"));
        assert_eq!(twice, format!("kafka.properties: {key} is also set by {instead}"));
    }
    assert!(
        refusal("properties.enable.sasl.oauthbearer.unsecure.jwt = 'canary'")
            .contains("must be true or false")
    );
}

#[test]
fn files_become_properties_and_are_named_when_they_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let [file, ca] = ["password", "ca.pem"].map(|name| dir.path().join(name));
    let config = read(&format!(
        "[security]\nsasl_username = 'u'\nsasl_password_file = {:?}\nssl_ca_file = {:?}",
        file.display().to_string(),
        ca.display().to_string()
    ));
    for (missing, then) in [(&file, "secret\n"), (&ca, "certificates")] {
        let error = config.producer().unwrap_err().to_string();
        assert!(error.contains(&*missing.to_string_lossy()), "{error}");
        std::fs::write(missing, then).unwrap();
    }
    let client = config.producer().unwrap();
    assert_eq!((client.get("sasl.username"), client.get("sasl.password")), (Some("u"), Some("secret")));
    assert_eq!(client.get("ssl.ca.location"), ca.to_str());
    assert_eq!(config.secret_files(), [file, ca]);
}

#[test]
fn a_consumer_gets_nothing_that_only_a_producer_understands() {
    let config = read("[properties]\nacks = 'all'\nlinger.ms = 3\nfetch.wait.max.ms = 7\nclient.id = 'c'");
    let consumer = config.consumer().unwrap();
    assert_eq!((consumer.get("acks"), consumer.get("linger.ms")), (None, None));
    assert_eq!((consumer.get("fetch.wait.max.ms"), consumer.get("client.id")), (Some("7"), Some("c")));
}

#[test]
fn what_is_shown_is_what_is_read() {
    let text = toml::to_string(&Config::default()).unwrap();
    let again = toml::to_string(&read(&text)).unwrap();
    assert_eq!(text, again);
    assert!(toml::from_str::<Config>("bootstrap_server = 'x'").is_err());
}
