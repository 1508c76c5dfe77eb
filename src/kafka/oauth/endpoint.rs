//! Asks a token endpoint for one token (RFC 6749, 4.4).
//!
//! Guarantees: it ends in [`REQUEST_WITHIN`]; it follows no redirect, since that would carry the
//! secret elsewhere; of what the endpoint answers only the token and a plain error code are kept.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;
use reqwest::{Certificate, Client, Response, redirect};
use serde::Deserialize;

use super::{Config, TokenError};
use crate::{
    kafka::{security, settings},
    secret::Secret,
    webhook::delivery::millis,
};

/// A request for a token holds up the client's other callbacks, so it ends soon; librdkafka asks
/// again 10 s after a failure.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// Far above any token; an endpoint that sends more is not one.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// For an endpoint that says nothing of it (RFC 6749, 5.1 only recommends `expires_in`).
const LIFETIME_UNSAID: Duration = Duration::from_secs(300);
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// One token for the settings, the secret read from its file.
pub async fn ask(config: &Config) -> Result<OAuthToken, TokenError> {
    let value = config.client_secret.as_ref();
    let secret = security::secret("kafka.oauth.client_secret", value, config.client_secret_file.as_deref())?;
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(config.scope.as_deref().map(|scope| ("scope", scope)));
    let request = client(config)?
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

fn client(config: &Config) -> Result<Client, TokenError> {
    // Another part may have been first; they install the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .timeout(REQUEST_WITHIN)
        .redirect(redirect::Policy::none())
        .https_only(config.token_url.starts_with("https:"));
    if let Some(path) = &config.ca_file {
        let unreadable = |source| settings::ConfigError::File { path: path.clone(), source };
        let pem = std::fs::read(path).map_err(unreadable)?;
        client = client.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(TokenError::Request)?);
    }
    client.build().map_err(TokenError::Request)
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
pub(super) struct Answer {
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
    pub(super) fn token(self, client_id: &str, now: SystemTime) -> Option<OAuthToken> {
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
