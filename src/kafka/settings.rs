//! `[kafka]`: what the clients are told, merged and judged before one is made.
//!
//! ```text
//! our defaults  <  kafka.properties  <  what a promise needs (a different wish is refused)
//!                  kafka.security, kafka.oauth: read from files when a client is made
//! ```
//!
//! Guarantees: every property is one that this librdkafka knows, and none of them breaks a promise
//! of this bridge; both are found by `config check`, with the name of the property. It makes no
//! connection.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rdkafka::{
    config::{ClientConfig, NativeClientConfig},
    error::KafkaError,
};
use serde::{Deserialize, Serialize};

use super::{
    oauth::{self, Source},
    promises,
    properties::{self, Properties},
    security,
};
use crate::telemetry::metrics;
use crate::telemetry::{family::Label as _, metrics::Mechanism};

/// `[kafka]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Brokers to ask first, `host:port` with commas between. Default `localhost:9092`.
    pub bootstrap_servers: String,
    /// Any librdkafka property, over the defaults of this bridge. Those of client credentials
    /// (`sasl.oauthbearer.method = "oidc"`) mean what `oauth` means. Default: none.
    pub properties: Properties,
    /// How long a record waits for a topic that is missing or forbidden, while other topics
    /// work, before it becomes a dead letter. Default `10m`.
    #[serde(with = "crate::duration")]
    pub give_up_topic_after: Duration,
    /// Passwords, keys and certificates, from files. Default: none.
    pub security: security::Config,
    /// Where the tokens of `sasl.mechanism = "OAUTHBEARER"` come from. None: from where the
    /// properties say, if they do.
    pub oauth: Option<oauth::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".to_owned(),
            properties: Properties::default(),
            give_up_topic_after: Duration::from_secs(600),
            security: security::Config::default(),
            oauth: None,
        }
    }
}

/// Why no client can be made from the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A property that librdkafka does not know, or whose value it does not take.
    #[error("kafka.properties: {key}: {reason}")]
    Property {
        /// The property.
        key: String,
        /// What librdkafka says, without the value if that may be a secret.
        reason: String,
    },
    /// A property that would break a promise.
    #[error("kafka.properties: {key} must be {needed}: {promise}")]
    Promise {
        /// The property.
        key: &'static str,
        /// What it must be.
        needed: &'static str,
        /// What rests on it.
        promise: &'static str,
    },
    /// A property that has a setting of its own, and both are given.
    #[error("kafka.properties: {key} is also set by {instead}")]
    Reserved {
        /// The property.
        key: &'static str,
        /// The setting to use.
        instead: &'static str,
    },
    /// Nowhere to begin.
    #[error("kafka.bootstrap_servers is empty; it names brokers, such as kafka-1:9092,kafka-2:9092")]
    NoServers,
    /// The security protocol or mechanism and the rest do not fit.
    #[error("{0}")]
    Security(&'static str),
    /// A secret is given as a value and as a file.
    #[error("{0} is given as a value and as a file")]
    SecretTwice(&'static str),
    /// A file that the settings name cannot be read.
    #[error("file {path}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// `[kafka.oauth]` cannot work.
    #[error("kafka.oauth")]
    OAuth(#[from] oauth::ConfigError),
}

/// What the producer holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one batch; a larger record travels alone.
    pub batch_bytes: usize,
    /// Bytes of all records that are on their way.
    pub queue_bytes: usize,
}

/// For every client: found out soon when a broker is gone (reference: faults of a real cluster;
/// 60 s of `socket.timeout.ms` hold records in flight for 71 s on a frozen broker).
const CONNECTION: [(&str, &str); 11] = [
    ("client.id", "mews-bridge"),
    ("socket.timeout.ms", "10000"),
    ("socket.connection.setup.timeout.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "2000"),
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("topic.metadata.propagation.max.ms", "10000"),
    ("log.connection.close", "false"),
    // A broker would make a missing topic with its own number of partitions, and affinity would be gone.
    ("allow.auto.create.topics", "false"),
    // OpenSSL is linked in, and its own idea of where certificates are is not this system's.
    ("ssl.ca.location", "probe"),
];

/// For the producer, beside what [`promises`] asks for.
const PRODUCER: [(&str, &str); 8] = [
    // A sixth of the bytes for 7 % more CPU than none; zstd: an eleventh for 23 % (benches/compression).
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    // Under every sane limit of a topic: a batch that is too large fails with all its records.
    ("batch.size", "262144"),
    // What is too large is for the topic to say; this is the most that librdkafka allows.
    ("message.max.bytes", "1000000000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "100000"),
    // Below `socket.timeout.ms`: a leader that waits for its replicas answers, and keeps its connection.
    ("request.timeout.ms", "9000"),
    ("statistics.interval.ms", "5000"),
];

/// Of [`Config::in_large_batches`]: under the limit that a topic has by default.
const LARGE_BATCHES: [(&str, &str); 2] = [("batch.size", "1000000"), ("linger.ms", "50")];

impl Config {
    /// These settings for records that have waited for others already and may wait a little more: larger
    /// batches, which cost broker and client less. What `properties` say counts.
    #[must_use]
    pub fn in_large_batches(mut self) -> Self {
        for (key, value) in LARGE_BATCHES {
            if self.properties.get(key).is_none() {
                self.properties.set(key, value);
            }
        }
        self
    }

    /// Judges everything that can be judged without reading a file or making a connection.
    ///
    /// # Errors
    /// Those of [`ConfigError`] but `File`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.bootstrap_servers.split(',').all(|server| server.trim().is_empty()) {
            return Err(ConfigError::NoServers);
        }
        self.check_security()?;
        promises::keep(&native(&self.merged(&PRODUCER))?)
    }

    /// The settings of the producer, secrets read from their files.
    ///
    /// # Errors
    /// Those of [`Self::validate`], and unreadable files.
    pub fn producer(&self) -> Result<ClientConfig, ConfigError> {
        self.validate()?;
        let mut merged = self.merged(&PRODUCER);
        merged.retain(|(key, _)| !oauth::unsigned::is_taken(key));
        self.client(merged)
    }

    /// What the producer of these settings holds at most.
    ///
    /// # Errors
    /// Those of [`Self::validate`].
    pub fn limits(&self) -> Result<Limits, ConfigError> {
        self.validate()?;
        let native = native(&self.merged(&PRODUCER))?;
        let number = |key: &'static str| {
            let value = native.get(key).unwrap_or_default();
            let reason = || format!("{value:?} is no number");
            value
                .parse::<usize>()
                .map_err(|_| ConfigError::Property { key: key.to_owned(), reason: reason() })
        };
        let queue_bytes = number("queue.buffering.max.kbytes")?.saturating_mul(1024);
        Ok(Limits { batch_bytes: number("batch.size")?, queue_bytes })
    }

    /// Where a client of these settings has its OAuth tokens from; None without OAUTHBEARER.
    /// The metrics are for the one client that tells when its token ends.
    ///
    /// # Errors
    /// When that is not said, or in more ways than one.
    pub(super) fn tokens(
        &self,
        metrics: Option<&metrics::Kafka>,
    ) -> Result<Option<oauth::Tokens>, ConfigError> {
        let source = self.token_source()?;
        Ok(source.map(|source| oauth::Tokens::new(source, metrics.cloned())))
    }

    /// The settings of a client that neither produces nor consumes. Unsigned tokens are left to
    /// librdkafka here, since the administration client never asks for one.
    ///
    /// # Errors
    /// Those of [`Self::validate`], and unreadable files.
    pub fn admin(&self) -> Result<ClientConfig, ConfigError> {
        self.validate()?;
        self.client(self.merged(&[]))
    }

    /// The settings that a consumer begins with, before those of its group; what only a producer
    /// understands is left out.
    ///
    /// # Errors
    /// Those of [`Self::validate`], and unreadable files.
    pub fn consumer(&self) -> Result<ClientConfig, ConfigError> {
        self.validate()?;
        let mut merged = self.merged(&[]);
        merged.retain(|(key, _)| {
            let set_for_producers = PRODUCER.iter().any(|(producer_key, _)| producer_key == key);
            !promises::only_for_producers(key) && !set_for_producers && !oauth::unsigned::is_taken(key)
        });
        self.client(merged)
    }

    /// How a client proves itself, as far as the properties say.
    pub(super) fn mechanism(&self) -> Mechanism {
        let named = self.properties.get("sasl.mechanism").map(str::to_ascii_uppercase);
        let named = named.as_deref();
        Mechanism::ALL.iter().copied().find(|each| Some(each.value()) == named).unwrap_or(Mechanism::Other)
    }

    /// Files whose change asks for new clients.
    #[must_use]
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let source = self.token_source().ok().flatten();
        let oauth = source.iter().flat_map(Source::files);
        self.security.files().chain(oauth).map(Path::to_owned).collect()
    }

    /// Names of properties whose values `config show` has to hide.
    pub fn hidden_properties(&self) -> impl Iterator<Item = &str> {
        self.properties.secret_keys()
    }

    fn token_source(&self) -> Result<Option<Source>, ConfigError> {
        let section = self.oauth.is_some().then_some("kafka.oauth");
        let endpoint = oauth::properties::asking(&self.properties);
        let unsigned = oauth::unsigned::asking(&self.properties)?;
        if let (Some(key), Some(instead)) = (unsigned, endpoint.or(section)) {
            return Err(ConfigError::Reserved { key, instead });
        }
        if let (Some(key), Some(instead)) = (endpoint, section) {
            return Err(ConfigError::Reserved { key, instead });
        }
        if let Some(oauth) = &self.oauth {
            oauth.validate()?;
            return Ok(Some(Source::Endpoint(oauth.clone())));
        }
        if let Some(unsigned) = oauth::unsigned::read(&self.properties)? {
            return Ok(Some(Source::Unsigned(unsigned)));
        }
        Ok(oauth::properties::read(&self.properties)?.map(Source::Endpoint))
    }

    fn check_security(&self) -> Result<(), ConfigError> {
        for (key, instead) in [("bootstrap.servers", "kafka.bootstrap_servers")] {
            if self.properties.get(key).is_some() {
                return Err(ConfigError::Reserved { key, instead });
            }
        }
        let sasl = self.properties.get("security.protocol").is_some_and(|protocol| {
            protocol.eq_ignore_ascii_case("sasl_ssl") || protocol.eq_ignore_ascii_case("sasl_plaintext")
        });
        let mechanism = self.properties.get("sasl.mechanism");
        let bearer = mechanism.is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("OAUTHBEARER"));
        let tokens = self.token_source()?.is_some();
        match (sasl, mechanism) {
            (true, None) => Err(ConfigError::Security(
                "kafka.properties: security.protocol asks for SASL, so sasl.mechanism must be set",
            )),
            (true, Some(_)) if bearer && !tokens => Err(ConfigError::Security(
                "kafka.properties: sasl.mechanism is OAUTHBEARER, so [kafka.oauth] or sasl.oauthbearer.method must say \
                 where tokens come from",
            )),
            _ if tokens && !(sasl && bearer) => Err(ConfigError::Security(
                "[kafka.oauth] or its properties are set, but security.protocol and sasl.mechanism do not ask \
                 for OAUTHBEARER",
            )),
            _ => Ok(()),
        }
    }

    /// Defaults of the bridge under the properties of the user.
    fn merged(&self, defaults: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut merged = Properties::default();
        let needed: &[(&str, &str)] = if defaults.is_empty() { &[] } else { &promises::DEFAULTS };
        for (key, value) in CONNECTION.iter().chain(needed).chain(defaults) {
            merged.set(key, *value);
        }
        for (key, value) in self.properties.iter().filter(|(key, _)| !oauth::properties::is_taken(key)) {
            merged.set(key, value);
        }
        merged.set("bootstrap.servers", self.bootstrap_servers.as_str());
        merged.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn client(&self, merged: Vec<(String, String)>) -> Result<ClientConfig, ConfigError> {
        let mut client = ClientConfig::new();
        client.extend(merged);
        for (key, value) in self.security.properties()? {
            if self.properties.get(key).is_some() {
                return Err(ConfigError::Reserved { key, instead: "kafka.security" });
            }
            client.set(key, value);
        }
        Ok(client)
    }
}

/// Lets librdkafka read the properties, one by one so that an error never carries a secret.
fn native(properties: &[(String, String)]) -> Result<NativeClientConfig, ConfigError> {
    let mut client = ClientConfig::new();
    client.extend(properties.iter().cloned());
    client.create_native_config().map_err(|error| match error {
        KafkaError::ClientConfig(_, _, key, _) if properties::is_secret(&key) => {
            ConfigError::Property { key, reason: "librdkafka does not take this value".to_owned() }
        }
        KafkaError::ClientConfig(_, reason, key, _) => ConfigError::Property { key, reason },
        other => ConfigError::Property { key: "?".to_owned(), reason: other.to_string() },
    })
}

#[cfg(test)]
mod tests;
