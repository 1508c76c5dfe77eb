//! `[kafka.oauth]`: tokens for SASL OAUTHBEARER, by the client credentials grant (RFC 6749, 4.4).
//!
//! ```text
//! [kafka.oauth] ──────────────────────────────┐
//! sasl.oauthbearer.method = oidc ─ properties ┴─► endpoint ─┐
//! enable.sasl.oauthbearer.unsecure.jwt ─────────► unsigned ─┴─► answer ─► librdkafka
//! ```
//!
//! Guarantees: the secret is read from its file at every request, so that rotating it needs no
//! restart; it and the tokens are in no log, error or `Debug`; secrets travel over TLS, or not
//! further than this host. librdkafka asks for a token before the old one ends and asks again
//! when that failed; every client of the bridge has its tokens from here.

mod endpoint;
pub(super) mod properties;
pub(super) mod unsigned;

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rdkafka::client::OAuthToken;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use self::unsigned::Unsigned;
use super::{security::hidden, settings};
use crate::{causes::with_causes, secret::Secret, telemetry::metrics};

/// `[kafka.oauth]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Token endpoint; `https`, or any scheme on a loopback address. No default.
    pub token_url: String,
    /// Name of this client at the token endpoint. No default.
    pub client_id: String,
    /// Its secret, for development. None: `client_secret_file`.
    #[serde(serialize_with = "hidden", skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// File with that secret, white space at its ends trimmed. None: `client_secret`.
    pub client_secret_file: Option<PathBuf>,
    /// Scope to ask for. None: what the endpoint gives unasked.
    pub scope: Option<String>,
    /// PEM file of the certificates that sign the endpoint's. None: those of the operating system.
    pub ca_file: Option<PathBuf>,
}

/// Why the settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no URL that can be asked.
    #[error("token endpoint is no URL of http or https")]
    Url,
    /// The secret would be readable on the way.
    #[error("token endpoint must be https, but on a loopback address")]
    Plain,
    /// Something that is always needed is not there.
    #[error("{0} must be set")]
    Missing(&'static str),
}

impl Config {
    /// Judges what can be judged without reading a file.
    ///
    /// # Errors
    /// When something is missing, or the URL is not one that a secret may be sent to.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let url: Url = self.token_url.parse().map_err(|_| ConfigError::Url)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(ConfigError::Plain),
            _ => return Err(ConfigError::Url),
        }
        if self.client_id.is_empty() {
            return Err(ConfigError::Missing("client_id"));
        }
        match (&self.client_secret, &self.client_secret_file) {
            (None, None) => Err(ConfigError::Missing("client_secret_file")),
            _ => Ok(()),
        }
    }

    /// Files that hold what it proves itself with. They are read at every request, so a change
    /// needs no new client, but one gets its token at once instead of when the old one ends.
    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.client_secret_file, &self.ca_file].into_iter().filter_map(Option::as_deref)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        None => false,
    }
}

/// Why there is no token. The texts go into librdkafka's error, so they name no secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no `[kafka.oauth]`.
    #[error("kafka.oauth is not configured")]
    Unconfigured,
    /// A file of the settings cannot be used.
    #[error("settings")]
    Settings(#[from] settings::ConfigError),
    /// The endpoint could not be asked.
    #[error("token endpoint cannot be asked")]
    Request(#[source] reqwest::Error),
    /// The endpoint refused; its `error` code where it gave one (RFC 6749, 5.2).
    #[error("token endpoint answered {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code.
        code: String,
    },
    /// The endpoint answered something that is no token.
    #[error("token endpoint gave no access_token")]
    NoToken,
    /// The request had no place to run.
    #[error("request for a token cannot run")]
    Runtime(#[source] std::io::Error),
}

/// Where tokens come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A token endpoint.
    Endpoint(Config),
    /// Nowhere: they are unsigned.
    Unsigned(Unsigned),
}

impl Source {
    /// Files that it is read from, at every request.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let config = match self {
            Self::Endpoint(config) => Some(config),
            Self::Unsigned(_) => None,
        };
        config.into_iter().flat_map(Config::files)
    }
}

/// The tokens of one client.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    source: Source,
    metrics: Option<metrics::Kafka>,
}

/// What librdkafka is told when it asks for a token.
pub(super) fn answer(tokens: Option<&Tokens>) -> Result<OAuthToken, Box<dyn StdError>> {
    let Some(tokens) = tokens else { return Err(TokenError::Unconfigured.into()) };
    let token = tokens.next().map_err(|error| with_causes(&error).replace('\0', ""))?;
    if let Some(metrics) = &tokens.metrics {
        metrics.oauth_token_expiry.set(Duration::from_millis(token.lifetime_ms.unsigned_abs()).as_secs_f64());
    }
    Ok(token)
}

impl Tokens {
    pub(super) fn new(source: Source, metrics: Option<metrics::Kafka>) -> Self {
        Self { source, metrics }
    }

    /// Where they come from.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    fn next(&self) -> Result<OAuthToken, TokenError> {
        match &self.source {
            Source::Endpoint(config) => fetch(config),
            Source::Unsigned(unsigned) => Ok(unsigned.token(SystemTime::now())),
        }
    }
}

/// Asks the endpoint. On a thread of its own, since the caller may be inside a runtime.
fn fetch(config: &Config) -> Result<OAuthToken, TokenError> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(TokenError::Runtime)?.block_on(endpoint::ask(config))
    };
    std::thread::scope(|scope| scope.spawn(ask).join()).unwrap_or(Err(TokenError::NoToken))
}

#[cfg(test)]
pub(super) mod tests;
