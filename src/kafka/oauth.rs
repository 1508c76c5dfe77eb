//! `[kafka.oauth]`: tokens for SASL OAUTHBEARER, by the client credentials grant (RFC 6749, 4.4).
//!
//! Guarantees: the secret is read from its file at every request, so that rotating it needs no
//! restart; it and the tokens are in no log, error or `Debug`; secrets travel over TLS, or not
//! further than this host. librdkafka asks for a token before the old one ends and asks again
//! when that failed; every client of the bridge has its tokens from here.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;
use reqwest::{Certificate, Client, Response, Url, redirect};
use serde::{Deserialize, Serialize};

use super::{
    security::{hidden, secret},
    settings,
};
use crate::{secret::Secret, telemetry::metrics, webhook::delivery::millis};

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
    #[error("token_url is no URL of http or https")]
    Url,
    /// The secret would be readable on the way.
    #[error("token_url must be https, but on a loopback address")]
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
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
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

/// A request for a token holds up the client's other callbacks, so it ends soon; librdkafka asks
/// again 10 s after a failure.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// Far above any token; an endpoint that sends more is not one.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// For an endpoint that says nothing of it (RFC 6749, 5.1 only recommends `expires_in`).
const LIFETIME_UNSAID: Duration = Duration::from_secs(300);
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

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

/// A source of tokens for one client.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    config: Config,
    metrics: Option<metrics::Kafka>,
}

/// What librdkafka is told when it asks for a token.
pub(super) fn answer(tokens: Option<&Tokens>) -> Result<OAuthToken, Box<dyn StdError>> {
    let Some(tokens) = tokens else { return Err(TokenError::Unconfigured.into()) };
    let token = tokens.fetch().map_err(|error| chain(&error))?;
    if let Some(metrics) = &tokens.metrics {
        metrics.oauth_token_expiry.set(Duration::from_millis(token.lifetime_ms.unsigned_abs()).as_secs_f64());
    }
    Ok(token)
}

/// An error with its sources, since librdkafka takes one line.
fn chain(error: &dyn StdError) -> String {
    let sources = std::iter::successors(Some(error), |&error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\0', "")
}

impl Tokens {
    pub(super) fn new(config: &Config, metrics: Option<metrics::Kafka>) -> Self {
        Self { config: config.clone(), metrics }
    }

    /// Asks the endpoint. On a thread of its own, since the caller may be inside a runtime.
    pub(super) fn fetch(&self) -> Result<OAuthToken, TokenError> {
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(TokenError::Runtime)?.block_on(self.ask())
        };
        std::thread::scope(|scope| scope.spawn(ask).join()).unwrap_or(Err(TokenError::NoToken))
    }

    async fn ask(&self) -> Result<OAuthToken, TokenError> {
        let config = &self.config;
        let value = config.client_secret.as_ref();
        let secret = secret("kafka.oauth.client_secret", value, config.client_secret_file.as_deref())?;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(config.scope.as_deref().map(|scope| ("scope", scope)));
        let request = self
            .client()?
            .post(&config.token_url)
            .basic_auth(&config.client_id, secret.as_ref().map(Secret::expose))
            .header("accept", "application/json")
            .form(&form);
        let response = request.send().await.map_err(request_error)?;
        let status = response.status();
        let answer: Answer = serde_json::from_slice(&read(response).await?).unwrap_or_default();
        if !status.is_success() {
            return Err(TokenError::Refused { status: status.as_u16(), code: answer.error_code() });
        }
        answer.token(&config.client_id, SystemTime::now()).ok_or(TokenError::NoToken)
    }

    fn client(&self) -> Result<Client, TokenError> {
        // Another part may have been first; they install the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .timeout(REQUEST_WITHIN)
            .redirect(redirect::Policy::none())
            .https_only(self.config.token_url.starts_with("https:"));
        if let Some(path) = &self.config.ca_file {
            let unreadable = |source| settings::ConfigError::File { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(unreadable)?;
            client = client.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(TokenError::Request)?);
        }
        client.build().map_err(TokenError::Request)
    }
}

fn request_error(error: reqwest::Error) -> TokenError {
    // A URL can carry credentials.
    TokenError::Request(error.without_url())
}

async fn read(mut response: Response) -> Result<Vec<u8>, TokenError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(request_error)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(TokenError::NoToken);
        }
    }
    Ok(body)
}

/// RFC 6749, 5.1 and 5.2; some endpoints write `expires_in` as a string.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    access_token: Option<String>,
    expires_in: serde_json::Value,
    error: Option<String>,
}

/// The claims of a JWT that are of use; anything else is left to the broker.
#[derive(Default, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    exp: Option<f64>,
}

impl Answer {
    fn token(self, client_id: &str, now: SystemTime) -> Option<OAuthToken> {
        let token = self.access_token.filter(|token| !token.is_empty())?;
        let claims = claims(&token).unwrap_or_default();
        let said = match &self.expires_in {
            serde_json::Value::Number(seconds) => seconds.as_f64(),
            serde_json::Value::String(seconds) => seconds.parse().ok(),
            _ => None,
        };
        let claimed = || Some(claims.exp? - now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64());
        let lifetime = said
            .or_else(claimed)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map_or(LIFETIME_UNSAID, |lifetime| lifetime.min(LIFETIME_MAX));
        Some(OAuthToken {
            token,
            principal_name: claims.sub.unwrap_or_else(|| client_id.to_owned()),
            lifetime_ms: i64::try_from(millis(now + lifetime)).unwrap_or(i64::MAX),
        })
    }

    /// The code as it stands in the RFC, so that nothing else gets into a log.
    fn error_code(self) -> String {
        let code = self.error.unwrap_or_default();
        code.chars().filter(|letter| letter.is_ascii_lowercase() || *letter == '_').take(40).collect()
    }
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests;
