//! Why a call gave no records, sorted by what the caller can do about it (contract 3.3).
//!
//! Guarantees: no variant, `Display` or `Debug` holds a token or a body. What Mews says is kept as one
//! bounded line with the credentials of the request taken out, should it ever repeat them.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::secret::Secret;

/// Longest text of Mews that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 300;
/// Longest id of a request that is kept; Mews sends UUIDs.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Why a call gave no records.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400 and what else of 4xx is not listed: these very ids or filters. Bisect to find the bad one.
    #[error("Mews refused the request as bad{0}")]
    BadRequest(Said),
    /// 401: this token, or this operation or extent for it. Wait for other credentials, probe slowly.
    #[error("Mews refused the access token for this operation{0}")]
    Unauthorized(Said),
    /// 403: a rule of Mews. Never works as it is.
    #[error("a rule of Mews forbids the request{0}")]
    Forbidden(Said),
    /// 404, 405 and redirects: not where the operation is. A wrong address or a bug.
    #[error("this is not the address of the operation{0}")]
    WrongAddress(Said),
    /// 408: ask for less at a time.
    #[error("too much was asked for at once{0}")]
    TooHeavy(Said),
    /// 2xx with more than `connector.response_bytes_max`: ask for less at a time.
    #[error("the answer is larger than connector.response_bytes_max{0}")]
    AnswerTooLarge(Said),
    /// 409: data changed meanwhile. Ask again.
    #[error("data changed meanwhile{0}")]
    Conflict(Said),
    /// 410: the operation was discontinued. Stop; the bridge must be updated.
    #[error("the operation was discontinued{0}")]
    Gone(Said),
    /// 413: the request itself was too large. Split it.
    #[error("the request was too large{0}")]
    BodyTooLarge(Said),
    /// 429. The token is frozen already; a call made now waits it out.
    #[error("throttled{said}")]
    Throttled {
        /// What Mews asked for, if it did.
        retry_after: Option<Duration>,
        /// What it said.
        said: Said,
    },
    /// 5xx, the network, a deadline, or an open circuit: nothing is wrong with the request. Try again later.
    #[error("the Connector API is not to be had{said}")]
    Unavailable {
        /// What exactly.
        #[source]
        cause: Cause,
        /// When to come back at the earliest, if that is known.
        retry_after: Option<Duration>,
        /// What it said.
        said: Said,
    },
    /// 2xx with a body that is not what the contract says.
    #[error("the answer is undecodable at line {line} column {column}{said}")]
    Undecodable {
        /// Where reading broke off.
        line: usize,
        /// Where reading broke off.
        column: usize,
        /// What it said.
        said: Said,
    },
}

/// Why the API is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It answered so.
    #[error("status {0}")]
    Status(u16),
    /// No connection could be made; the request was never sent.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// The connection broke, or what came was no HTTP.
    #[error("the connection broke")]
    Transport(#[source] reqwest::Error),
    /// No complete answer within `connector.request_timeout`.
    #[error("no complete answer in time")]
    Timeout,
    /// Nothing was sent: the breaker is open.
    #[error("the circuit is open")]
    CircuitOpen,
}

/// What Mews said about a refusal, and the id by which its support finds the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its message, in one bounded line.
    pub message: Option<String>,
    /// Header `Request-Id`, else `RequestId` of the body.
    pub request_id: Option<String>,
}

impl Error {
    /// What Mews said.
    #[must_use]
    pub const fn said(&self) -> &Said {
        match self {
            Self::BadRequest(said)
            | Self::Unauthorized(said)
            | Self::Forbidden(said)
            | Self::WrongAddress(said)
            | Self::TooHeavy(said)
            | Self::AnswerTooLarge(said)
            | Self::Conflict(said)
            | Self::Gone(said)
            | Self::BodyTooLarge(said)
            | Self::Throttled { said, .. }
            | Self::Unavailable { said, .. }
            | Self::Undecodable { said, .. } => said,
        }
    }

    /// For an answer that is not 2xx.
    pub(super) fn refused(status: u16, retry_after: Option<Duration>, said: Said) -> Self {
        match status {
            401 => Self::Unauthorized(said),
            403 => Self::Forbidden(said),
            300..=399 | 404 | 405 => Self::WrongAddress(said),
            408 => Self::TooHeavy(said),
            409 => Self::Conflict(said),
            410 => Self::Gone(said),
            413 => Self::BodyTooLarge(said),
            429 => Self::Throttled { retry_after, said },
            400..=499 => Self::BadRequest(said),
            _ => Self::Unavailable { cause: Cause::Status(status), retry_after, said },
        }
    }
}

impl Said {
    /// Nothing but the id of the request.
    pub(super) fn nothing(request_id: Option<&str>) -> Self {
        Self { message: None, request_id: request_id.and_then(bounded_id) }
    }

    /// Reads the body of a refusal; one that is not the documented form says nothing.
    pub(super) fn read(body: &[u8], request_id: Option<&str>, secrets: [&Secret; 2]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct Form {
            message: Option<String>,
            request_id: Option<String>,
        }
        let form: Form = serde_json::from_slice(body).unwrap_or_default();
        let message = form.message.map(|message| bounded(message, secrets)).filter(|text| !text.is_empty());
        let request_id = request_id.or(form.request_id.as_deref()).and_then(bounded_id);
        let request_id = request_id.filter(|id| !secrets.iter().any(|secret| id.contains(secret.expose())));
        Self { message, request_id }
    }
}

/// Behind the error's own words.
impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(message) = &self.message {
            write!(formatter, ": {message}")?;
        }
        match &self.request_id {
            Some(id) => write!(formatter, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// One line of bounded length without the secrets. They go before the text is cut: half a token is one too many.
fn bounded(mut message: String, secrets: [&Secret; 2]) -> String {
    for secret in secrets.map(Secret::expose) {
        if !secret.is_empty() && message.contains(secret) {
            message = message.replace(secret, "<hidden>");
        }
    }
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    message.trim().chars().map(plain).take(MESSAGE_CHARS_MAX).collect()
}

fn bounded_id(id: &str) -> Option<String> {
    let is_plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | ':' | '.' | '|');
    (!id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.chars().all(is_plain)).then(|| id.to_owned())
}
