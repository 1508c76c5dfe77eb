//! Why a request is refused, and the one table of what that means to the sender and to the metrics.
//!
//! Answers are RFC 9457 problem details. They say what is wrong and never what was sent.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use crate::{journal::AppendError, telemetry::metrics::Outcome, webhook::Unclear};

/// Why a request is refused; the variants are the rows of the table of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// No such path.
    NoRoute,
    /// Anything but POST.
    WrongMethod,
    /// No right token.
    Unauthorized,
    /// No right token, once too often.
    TooManyFailures {
        /// When counting starts again.
        retry_after: Duration,
    },
    /// Too many header fields, where hyper does not notice by itself.
    HeadTooLarge,
    /// A `Content-Encoding` other than identity.
    Encoding,
    /// A body over the limit.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// A body that did not come in time.
    Slow,
    /// A body that broke off; nobody will read the answer.
    Aborted,
    /// Too many bytes in flight.
    Busy,
    /// A body that is not JSON, or nested too deep; it is in the quarantine.
    Unreadable(Unclear),
    /// A delivery that is larger than the journal can ever keep.
    NeverFits,
    /// No room in the journal.
    JournalFull,
    /// The process is going away.
    JournalDraining,
    /// The journal cannot be trusted with anything more.
    JournalFailed,
}

/// What a refusal means.
struct Row {
    status: StatusCode,
    outcome: Outcome,
    /// The last part of the problem's `type`.
    name: &'static str,
    title: &'static str,
    field: Option<(HeaderName, HeaderValue)>,
}

/// Seconds that Mews should wait while others deliver, while room is made, while a process is replaced.
const BUSY_SECONDS: u64 = 1;
const FULL_SECONDS: u64 = 30;
const DRAINING_SECONDS: u64 = 5;

impl Rejection {
    fn row(&self) -> Row {
        let row = |status, outcome, name, title| Row { status, outcome, name, title, field: None };
        match self {
            Self::NoRoute => {
                row(StatusCode::NOT_FOUND, Outcome::RejectedRoute, "no-such-path", "No such path")
            }
            Self::WrongMethod => {
                row(StatusCode::METHOD_NOT_ALLOWED, Outcome::RejectedRoute, "not-a-post", "Not a POST")
                    .with(ALLOW, "POST")
            }
            Self::Unauthorized => {
                row(StatusCode::UNAUTHORIZED, Outcome::RejectedAuth, "no-right-token", "No right token")
                    .with(WWW_AUTHENTICATE, "Token")
            }
            Self::TooManyFailures { retry_after } => row(
                StatusCode::TOO_MANY_REQUESTS,
                Outcome::RejectedRate,
                "too-many-failed-tokens",
                "Too many failed tokens",
            )
            .again_after(retry_after.as_secs().max(1)),
            Self::HeadTooLarge => row(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Outcome::RejectedTooLarge,
                "head-too-large",
                "Too many header fields",
            ),
            Self::Encoding => row(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Outcome::RejectedEncoding,
                "content-encoding",
                "Content-Encoding is not identity",
            )
            .with(ACCEPT_ENCODING, "identity"),
            Self::TooLarge { .. } | Self::NeverFits => row(
                StatusCode::PAYLOAD_TOO_LARGE,
                Outcome::RejectedTooLarge,
                "body-too-large",
                "Body is too large",
            ),
            Self::Slow => {
                row(StatusCode::REQUEST_TIMEOUT, Outcome::TimedOut, "body-too-slow", "Body came too slowly")
            }
            Self::Aborted => {
                row(StatusCode::BAD_REQUEST, Outcome::ClientAbort, "body-broke-off", "Body broke off")
            }
            Self::Busy => row(
                StatusCode::SERVICE_UNAVAILABLE,
                Outcome::Shed,
                "too-many-bytes-in-flight",
                "Too many bytes in flight",
            )
            .again_after(BUSY_SECONDS),
            Self::Unreadable(Unclear::NotJson(_)) => {
                row(StatusCode::BAD_REQUEST, Outcome::Quarantined, "not-json", "Body is not JSON")
            }
            Self::Unreadable(_) => {
                row(StatusCode::BAD_REQUEST, Outcome::Quarantined, "too-deep", "Body is nested too deep")
            }
            Self::JournalFull => {
                row(StatusCode::SERVICE_UNAVAILABLE, Outcome::Shed, "journal-full", "Journal is full")
                    .again_after(FULL_SECONDS)
            }
            Self::JournalDraining => {
                row(StatusCode::SERVICE_UNAVAILABLE, Outcome::Shed, "draining", "Going away")
                    .again_after(DRAINING_SECONDS)
            }
            Self::JournalFailed => row(
                StatusCode::SERVICE_UNAVAILABLE,
                Outcome::JournalError,
                "journal-failed",
                "Journal cannot be written",
            )
            .again_after(FULL_SECONDS),
        }
    }

    /// How the delivery ended, for the metrics.
    pub(super) fn outcome(&self) -> Outcome {
        self.row().outcome
    }

    /// What a person should know besides the title.
    fn detail(&self) -> String {
        match self {
            Self::NoRoute => {
                "webhooks go to /webhooks/general, /webhooks/integration or /webhooks".to_owned()
            }
            Self::WrongMethod => "a webhook is a POST".to_owned(),
            Self::Unauthorized | Self::TooManyFailures { .. } => {
                "the token goes into the query parameter token or into one more path segment".to_owned()
            }
            Self::HeadTooLarge => format!("more than {} header fields", super::connection::HEADERS_MAX),
            Self::Encoding => "send the body as it is, uncompressed".to_owned(),
            Self::TooLarge { bytes_max } => format!("more than {bytes_max} bytes"),
            Self::NeverFits => "more than the journal can keep as one delivery".to_owned(),
            Self::Slow => "the body was not complete in time".to_owned(),
            Self::Aborted => "the body ended before its end".to_owned(),
            Self::Unreadable(unclear) => unclear.to_string(),
            Self::Busy | Self::JournalFull | Self::JournalDraining | Self::JournalFailed => {
                "nothing was kept, send it again later".to_owned()
            }
        }
    }

    /// The answer.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: String,
        }
        let Row { status, outcome: _, name, title, field } = self.row();
        let problem = Problem {
            r#type: format!("urn:mews-bridge:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
        };
        let body = serde_json::to_vec(&problem).expect("strings and numbers always serialise into memory");
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(field);
        response
    }
}

impl Row {
    fn with(self, name: HeaderName, value: &'static str) -> Self {
        Self { field: Some((name, HeaderValue::from_static(value))), ..self }
    }

    fn again_after(self, seconds: u64) -> Self {
        Self { field: Some((RETRY_AFTER, seconds.into())), ..self }
    }
}

impl From<AppendError> for Rejection {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => Self::JournalFull,
            AppendError::TooLarge { .. } => Self::NeverFits,
            AppendError::Poisoned => Self::JournalFailed,
            AppendError::Draining | AppendError::Closed => Self::JournalDraining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    fn all() -> Vec<(Rejection, u16, Outcome, Option<&'static str>)> {
        use Outcome as O;
        use Rejection as R;
        vec![
            (R::NoRoute, 404, O::RejectedRoute, None),
            (R::WrongMethod, 405, O::RejectedRoute, Some("allow: POST")),
            (R::Unauthorized, 401, O::RejectedAuth, Some("www-authenticate: Token")),
            (
                R::TooManyFailures { retry_after: Duration::from_secs(9) },
                429,
                O::RejectedRate,
                Some("retry-after: 9"),
            ),
            (R::HeadTooLarge, 431, O::RejectedTooLarge, None),
            (R::Encoding, 415, O::RejectedEncoding, Some("accept-encoding: identity")),
            (R::TooLarge { bytes_max: 8 }, 413, O::RejectedTooLarge, None),
            (R::NeverFits, 413, O::RejectedTooLarge, None),
            (R::Slow, 408, O::TimedOut, None),
            (R::Aborted, 400, O::ClientAbort, None),
            (R::Busy, 503, O::Shed, Some("retry-after: 1")),
            (R::Unreadable(Unclear::NotJson("x at line 1".into())), 400, O::Quarantined, None),
            (R::Unreadable(Unclear::TooDeep), 400, O::Quarantined, None),
            (R::JournalFull, 503, O::Shed, Some("retry-after: 30")),
            (R::JournalDraining, 503, O::Shed, Some("retry-after: 5")),
            (R::JournalFailed, 503, O::JournalError, Some("retry-after: 30")),
        ]
    }

    #[tokio::test]
    async fn every_row_has_its_status_outcome_and_problem() {
        for (rejection, status, outcome, field) in all() {
            let response = rejection.response();
            assert_eq!((response.status().as_u16(), rejection.outcome()), (status, outcome), "{rejection:?}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
            if let Some((name, value)) = field.and_then(|field| field.split_once(": ")) {
                assert_eq!(response.headers()[name], value, "{rejection:?}");
            } else {
                assert_eq!(response.headers().len(), 1, "{rejection:?}");
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["status"], status);
            for member in ["type", "title", "detail"] {
                assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
            }
        }
    }

    #[test]
    fn what_the_journal_refuses_is_asked_for_again_unless_it_never_fits() {
        let status = |error: AppendError| Rejection::from(error).response().status().as_u16();
        assert_eq!(status(AppendError::Full), 503);
        assert_eq!(status(AppendError::Poisoned), 503);
        assert_eq!(status(AppendError::Draining), 503);
        assert_eq!(status(AppendError::Closed), 503);
        assert_eq!(Rejection::from(AppendError::Poisoned).outcome(), Outcome::JournalError);
        assert_eq!(Rejection::from(AppendError::Full).outcome(), Outcome::Shed);
    }
}
