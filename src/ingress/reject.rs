//! Why a request is refused, and the one place that says what that means to the sender and to the metrics.
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

/// Seconds that Mews should wait while others deliver, while room is made, while a process is replaced.
const BUSY_SECONDS: u64 = 1;
const FULL_SECONDS: u64 = 30;
const DRAINING_SECONDS: u64 = 5;

impl Rejection {
    /// The status of the answer.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooManyFailures { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::NeverFits => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Aborted | Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::JournalFull | Self::JournalDraining | Self::JournalFailed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// How the delivery ended, for the metrics.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::NoRoute | Self::WrongMethod => Outcome::RejectedRoute,
            Self::Unauthorized => Outcome::RejectedAuth,
            Self::TooManyFailures { .. } => Outcome::RejectedRate,
            Self::HeadTooLarge | Self::TooLarge { .. } | Self::NeverFits => Outcome::RejectedTooLarge,
            Self::Encoding => Outcome::RejectedEncoding,
            Self::Slow => Outcome::TimedOut,
            Self::Aborted => Outcome::ClientAbort,
            Self::Unreadable(_) => Outcome::Quarantined,
            Self::Busy | Self::JournalFull | Self::JournalDraining => Outcome::Shed,
            Self::JournalFailed => Outcome::JournalError,
        }
    }

    /// The last part of the problem's `type`, and its `title`.
    const fn problem(&self) -> (&'static str, &'static str) {
        match self {
            Self::NoRoute => ("no-such-path", "No such path"),
            Self::WrongMethod => ("not-a-post", "Not a POST"),
            Self::Unauthorized => ("no-right-token", "No right token"),
            Self::TooManyFailures { .. } => ("too-many-failed-tokens", "Too many failed tokens"),
            Self::HeadTooLarge => ("head-too-large", "Too many header fields"),
            Self::Encoding => ("content-encoding", "Content-Encoding is not identity"),
            Self::TooLarge { .. } | Self::NeverFits => ("body-too-large", "Body is too large"),
            Self::Slow => ("body-too-slow", "Body came too slowly"),
            Self::Aborted => ("body-broke-off", "Body broke off"),
            Self::Busy => ("too-many-bytes-in-flight", "Too many bytes in flight"),
            Self::Unreadable(Unclear::TooDeep) => ("too-deep", "Body is nested too deep"),
            Self::Unreadable(_) => ("not-json", "Body is not JSON"),
            Self::JournalFull => ("journal-full", "Journal is full"),
            Self::JournalDraining => ("draining", "Going away"),
            Self::JournalFailed => ("journal-failed", "Journal cannot be written"),
        }
    }

    /// The header field that belongs to the status (RFC 9110 15.5, 15.6.4).
    fn field(&self) -> Option<(HeaderName, HeaderValue)> {
        let again_after = |seconds: u64| (RETRY_AFTER, seconds.into());
        match self {
            Self::WrongMethod => Some((ALLOW, HeaderValue::from_static("POST"))),
            Self::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Token"))),
            Self::Encoding => Some((ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            Self::TooManyFailures { retry_after } => Some(again_after(retry_after.as_secs().max(1))),
            Self::Busy => Some(again_after(BUSY_SECONDS)),
            Self::JournalFull | Self::JournalFailed => Some(again_after(FULL_SECONDS)),
            Self::JournalDraining => Some(again_after(DRAINING_SECONDS)),
            Self::NoRoute | Self::HeadTooLarge | Self::TooLarge { .. } | Self::NeverFits => None,
            Self::Slow | Self::Aborted | Self::Unreadable(_) => None,
        }
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
        let (name, title) = self.problem();
        let status = self.status();
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
        headers.extend(self.field());
        response
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
        let status = |error: AppendError| Rejection::from(error).status().as_u16();
        assert_eq!(status(AppendError::Full), 503);
        assert_eq!(status(AppendError::Poisoned), 503);
        assert_eq!(status(AppendError::Draining), 503);
        assert_eq!(status(AppendError::Closed), 503);
        assert_eq!(Rejection::from(AppendError::Poisoned).outcome(), Outcome::JournalError);
        assert_eq!(Rejection::from(AppendError::Full).outcome(), Outcome::Shed);
    }
}
