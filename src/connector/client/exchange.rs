//! One HTTP exchange: what is sent becomes an answer, or one of three ways of having none.
//!
//! It knows the budget's [`Permit`], which is told at the head of the answer: from then on the request has
//! certainly arrived. What an answer means is the client's business.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::{RequestBuilder, Response, StatusCode, header::HeaderMap};

use crate::{
    connector::{breaker::circuit::Outcome, budget::Permit, retry_after},
    telemetry::metrics::connector::Code,
};

/// Longest refusal that is read; what Mews says is a line.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Memory that an answer gets on its word; a thousand reservations take two megabytes.
const EXPECTED_BYTES_MAX: usize = 4 << 20;

/// Sends and receives within the deadline.
pub(super) async fn exchange(
    post: RequestBuilder,
    response_bytes_max: usize,
    deadline: Duration,
    permit: &mut Permit,
) -> Result<Received, Failure> {
    let exchange = async {
        let response = post.send().await.map_err(Failure::of)?;
        let status = response.status();
        let retry_after = retry_after::read(response.headers(), SystemTime::now());
        let request_id = request_id(response.headers());
        // The request has arrived, whatever becomes of the rest.
        if status == StatusCode::TOO_MANY_REQUESTS {
            permit.throttled(retry_after);
        } else {
            permit.answered();
        }
        let bytes_max = if status.is_success() { response_bytes_max } else { REFUSAL_BYTES_MAX };
        let body = read(response, bytes_max).await?;
        Ok(Received { status, retry_after, request_id, body })
    };
    tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(Failure::Timeout))
}

/// An answer that came to its end, or to its limit.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) request_id: Option<String>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Whole(Bytes),
    TooLarge,
}

/// Why there is no complete answer.
pub(super) enum Failure {
    Connect(reqwest::Error),
    Transport(reqwest::Error),
    Timeout,
}

impl Failure {
    fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::Connect(error)
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Transport(error)
        }
    }
}

/// Reads until the end or the limit; a packed answer is counted as it is unpacked.
async fn read(mut response: Response, bytes_max: usize) -> Result<Body, Failure> {
    // As large as the answer says it is, within reason: growing copies it several times.
    let said = response.content_length().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    let mut body = BytesMut::with_capacity(said.min(bytes_max).min(EXPECTED_BYTES_MAX));
    while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
        if body.len() + chunk.len() > bytes_max {
            return Ok(Body::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(body.freeze()))
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get("request-id")?.to_str().ok().map(str::to_owned)
}

pub(super) fn outcome(received: &Result<Received, Failure>) -> Outcome {
    match received {
        Ok(received) if received.status.is_server_error() => Outcome::Failed,
        Ok(_) => Outcome::Answered,
        Err(Failure::Connect(_)) => Outcome::Unreachable,
        Err(Failure::Transport(_) | Failure::Timeout) => Outcome::Failed,
    }
}

pub(super) fn code(sent: &Result<Received, Failure>) -> Code {
    let status = match sent {
        Ok(received) => received.status.as_u16(),
        Err(Failure::Timeout) => return Code::Timeout,
        Err(Failure::Connect(_) | Failure::Transport(_)) => return Code::Transport,
    };
    match status {
        204 => Code::Empty,
        400 => Code::BadRequest,
        401 => Code::Unauthorized,
        403 => Code::Forbidden,
        404 => Code::NotFound,
        408 => Code::Timeout408,
        409 => Code::Conflict,
        410 => Code::Gone,
        413 => Code::TooLarge,
        429 => Code::Throttled,
        500 => Code::Internal,
        502 => Code::BadGateway,
        503 => Code::Unavailable,
        504 => Code::GatewayTimeout,
        _ => match status / 100 {
            2 => Code::Ok,
            3 => Code::Redirect,
            4 => Code::OtherClient,
            _ => Code::OtherServer,
        },
    }
}
