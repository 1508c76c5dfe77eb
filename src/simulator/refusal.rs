//! Every answer that is none: its status and its words (contract 3.3).

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::knobs::Refused;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400 `Invalid JSON`
    NotJson,
    /// 400 `Invalid {Parameter}.`, with what is wrong about it.
    Invalid { parameter: String, because: String },
    /// 401, in one of its meanings.
    Unauthorized(Unauthorized),
    /// 404: no such address, or not by POST.
    NoSuchOperation,
    /// 408: too heavy.
    TooHeavy,
    /// 413
    TooLarge,
    /// 429, with `Retry-After` unless it is missing.
    Throttled { retry_after: Option<Duration> },
    /// 403, 409 or 410
    Refused(Refused),
    /// 5xx: Mews's fault.
    Fault(Fault),
}

/// The meanings of 401 (contract 3.3), and the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthorized {
    ClientToken,
    AccessToken,
    EnterpriseDisabled,
    IntegrationDisabled,
    NotPermitted,
}

/// How Mews fails: the edge before it does so without JSON (contract 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 500 with a message.
    Internal,
    /// 502 with a page of the edge.
    BadGateway,
    /// 503 with a message.
    Unavailable,
}

impl Refusal {
    /// `Invalid {Parameter}.`
    pub fn invalid(parameter: &str, because: impl Into<String>) -> Self {
        Self::Invalid { parameter: parameter.to_owned(), because: because.into() }
    }

    pub const fn status(&self) -> u16 {
        match self {
            Self::NotJson | Self::Invalid { .. } => 400,
            Self::Unauthorized(_) => 401,
            Self::NoSuchOperation => 404,
            Self::TooHeavy => 408,
            Self::TooLarge => 413,
            Self::Throttled { .. } => 429,
            Self::Refused(Refused::Forbidden) => 403,
            Self::Refused(Refused::Conflict) => 409,
            Self::Refused(Refused::Gone) => 410,
            Self::Fault(Fault::Internal) => 500,
            Self::Fault(Fault::BadGateway) => 502,
            Self::Fault(Fault::Unavailable) => 503,
        }
    }

    /// Whole seconds, rounded up.
    pub const fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Throttled { retry_after: Some(wait) } => {
                Some(if wait.subsec_nanos() > 0 { wait.as_secs() + 1 } else { wait.as_secs() })
            }
            _ => None,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NotJson => "Invalid JSON.".to_owned(),
            Self::Invalid { parameter, .. } => format!("Invalid {parameter}."),
            Self::Unauthorized(meaning) => match meaning {
                Unauthorized::ClientToken => "Invalid ClientToken.",
                Unauthorized::AccessToken => "Invalid AccessToken.",
                Unauthorized::EnterpriseDisabled => "Enterprise is disabled.",
                Unauthorized::IntegrationDisabled => "Integration is disabled.",
                Unauthorized::NotPermitted => "Operation is not permitted for this integration.",
            }
            .to_owned(),
            Self::NoSuchOperation => "Resource does not exist.".to_owned(),
            Self::TooHeavy => "The request took too long to process.".to_owned(),
            Self::TooLarge => "Request body is too large.".to_owned(),
            Self::Throttled { .. } => "Too many requests.".to_owned(),
            Self::Refused(refused) => match refused {
                Refused::Forbidden => "The operation is not allowed by the settings of the enterprise.",
                Refused::Conflict => "The data was changed meanwhile.",
                Refused::Gone => "The operation was discontinued.",
            }
            .to_owned(),
            Self::Fault(_) => "An internal error occurred.".to_owned(),
        }
    }

    /// What is beside the message: Mews says more in its development environment only, and this is one.
    fn details(&self) -> Option<&str> {
        match self {
            Self::Invalid { because, .. } if !because.is_empty() => Some(because),
            _ => None,
        }
    }

    /// The body and its content type.
    pub fn body(&self, request: Uuid) -> (&'static str, String) {
        if *self == Self::Fault(Fault::BadGateway) {
            return ("text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>\n".to_owned());
        }
        let error = ErrorBody { message: self.message(), request_id: request, details: self.details() };
        let body = serde_json::to_string(&error).expect("texts and an id are JSON");
        ("application/json", body)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: String,
    request_id: Uuid,
    details: Option<&'a str>,
}
