//! One request and its answer: what is judged, in which order.
//!
//! Route, method, token, then what the head says of the body, then whether it could be kept at all; only
//! then is the body read. So a stranger learns nothing but 404, 405, 401 and 429, and costs no memory.

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    body::{Body as _, Incoming},
    header::{CONNECTION, CONTENT_ENCODING, HeaderName, HeaderValue},
    http::request,
};
use uuid::Uuid;

use super::{
    Config, Metrics, Tokens,
    accept::{Acceptor, Verdict, seconds_now},
    activity::Activity,
    admit::Budget,
    attempt::{Attempt, Sender},
    body,
    connection::HEADERS_MAX,
    failures::{Failure, Failures},
    reject::Rejection,
    route::{self, Route, Target},
    trace,
};
use crate::telemetry::{
    family::Label as _,
    metrics::{Handler, Outcome},
};

/// Tells a person who looks for a delivery which one this was.
const DELIVERY_ID: HeaderName = HeaderName::from_static("mews-bridge-delivery-id");

/// What a request costs in memory besides its body, about: so that small bodies are bounded in number too.
const COUNTED_MIN: u64 = 4096;

/// What every request is judged by.
#[derive(Debug)]
pub(super) struct Exchange {
    tokens: Tokens,
    strangers: Strangers,
    failures: Failures,
    limits: body::Limits,
    acceptor: Acceptor,
    metrics: Metrics,
}

/// What becomes of requests without a right token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strangers {
    Refused,
    /// `ingress.allow_unauthenticated`
    Welcome,
}

/// Whether there is anything left of a request's body on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    None,
    Unread,
}

impl Exchange {
    /// Judges by the configuration.
    pub(super) fn new(config: &Config, tokens: Tokens, acceptor: Acceptor, metrics: Metrics) -> Self {
        Self {
            tokens,
            strangers: if config.allow_unauthenticated { Strangers::Welcome } else { Strangers::Refused },
            failures: Failures::new(config.failed_tokens_per_minute),
            limits: body::Limits {
                bytes_max: config.max_body_bytes.as_u64(),
                counted_min: COUNTED_MIN.min(config.max_body_bytes.as_u64()),
                within: config.body_timeout,
                budget: Budget::new(config.max_in_flight_bytes.as_u64()),
            },
            acceptor,
            metrics,
        }
    }

    /// Counts a head that was too large for hyper, which has answered it by itself.
    pub(super) fn refused_head(&self) {
        let rejection = Rejection::HeadTooLarge;
        Attempt::begin(&self.metrics, Handler::Other).end(rejection.status(), rejection.outcome());
    }

    /// Answers a request.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        activity: Arc<Activity>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let target = route::find(head.uri.path());
        let handler = target.map_or(Handler::Other, |target| target.route.handler());
        let mut attempt = Attempt::begin(&self.metrics, handler);
        let mut rest = if body.is_end_stream() { Rest::None } else { Rest::Unread };
        let (mut response, outcome) = match self.take(&head, body, target, peer, &mut attempt).await {
            Ok(Verdict { kept, result: Ok(outcome), .. }) => {
                rest = Rest::None;
                (taken(kept, head.headers), outcome)
            }
            Ok(Verdict { kept, result: Err(rejection), .. }) => {
                rest = Rest::None;
                (refused(&rejection, kept), rejection.outcome())
            }
            Err(rejection) => (refused(&rejection, None), rejection.outcome()),
        };
        if rest == Rest::Unread {
            activity.leave_unread();
            // HTTP/2 has no such header: it resets the one stream.
            if head.version < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        log_refusal(response.status(), outcome, handler, peer);
        attempt.end(response.status(), outcome);
        response
    }

    /// Takes a request up to its verdict; an error is a refusal before the body was read to its end.
    async fn take(
        &self,
        head: &request::Parts,
        body: Incoming,
        target: Option<Target<'_>>,
        peer: IpAddr,
        attempt: &mut Attempt<'_>,
    ) -> Result<Verdict, Rejection> {
        let route = self.admit(head, target, peer)?;
        attempt.sender = Sender::Trusted;
        if !is_identity(&head.headers) {
            return Err(Rejection::Encoding);
        }
        self.acceptor.can_keep()?;
        let body = body::read(body, &self.limits).await?;
        let traceparent = trace::parent(&head.headers);
        let verdict = self.acceptor.accept(&body.bytes, route, traceparent).await;
        attempt.webhook = verdict.kind;
        attempt.read(verdict.kind, body.bytes.len());
        Ok(verdict)
    }

    /// Route, then method, then token.
    fn admit(
        &self,
        head: &request::Parts,
        target: Option<Target<'_>>,
        peer: IpAddr,
    ) -> Result<Route, Rejection> {
        // hyper counts them on HTTP/1 only.
        if head.headers.len() > HEADERS_MAX {
            return Err(Rejection::HeadTooLarge);
        }
        let target = target.ok_or(Rejection::NoRoute)?;
        // Without tokens a word behind /webhooks/ can only be a misspelled route.
        if self.strangers == Strangers::Welcome && target.route == Route::Any && target.segment.is_some() {
            return Err(Rejection::NoRoute);
        }
        if head.method != Method::POST {
            return Err(Rejection::WrongMethod);
        }
        // Every token that was sent is compared, also after a right one.
        let sent = route::sent_tokens(target, head.uri.query());
        let right = sent.filter_map(|token| self.tokens.alias_of(&token)).last();
        match (right, self.strangers) {
            (Some(alias), _) => {
                let used = self.metrics.deliveries.token_last_used.with_label_values(&[alias]);
                used.set(seconds_now());
                Ok(target.route)
            }
            (None, Strangers::Welcome) => Ok(target.route),
            (None, Strangers::Refused) => Err(match self.failures.count(peer, Instant::now()) {
                Failure::Within => Rejection::Unauthorized,
                Failure::Over(retry_after) => Rejection::TooManyFailures { retry_after },
            }),
        }
    }
}

/// Whether the body is sent as it is: no `Content-Encoding`, or none but `identity`.
fn is_identity(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    })
}

/// The request's map of headers becomes the answer's, so that an accepted delivery allocates none.
fn taken(kept: Option<Uuid>, mut headers: HeaderMap) -> Response<Full<Bytes>> {
    headers.clear();
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    *response.headers_mut() = headers;
    name(&mut response, kept);
    response
}

fn refused(rejection: &Rejection, kept: Option<Uuid>) -> Response<Full<Bytes>> {
    let mut response = rejection.response();
    name(&mut response, kept);
    response
}

fn name(response: &mut Response<Full<Bytes>>, kept: Option<Uuid>) {
    if let Some(id) = kept {
        let mut buffer = Uuid::encode_buffer();
        let id = HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer));
        response.headers_mut().insert(DELIVERY_ID, id.expect("hex digits and hyphens fit into a header"));
    }
}

/// The URL is not logged: it holds the token.
fn log_refusal(status: StatusCode, outcome: Outcome, handler: Handler, peer: IpAddr) {
    if !status.is_success() {
        let (status, outcome, handler) = (status.as_u16(), outcome.value(), handler.value());
        tracing::debug!(status, outcome, handler, %peer, "a request was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_the_only_encoding() {
        let identity = |values: &[&str]| {
            is_identity(&values.iter().map(|value| (CONTENT_ENCODING, value.parse().unwrap())).collect())
        };
        assert!(
            identity(&[])
                && identity(&[""])
                && identity(&["Identity"])
                && identity(&["identity, identity", "identity"])
        );
        assert!(
            !identity(&["gzip"])
                && !identity(&["identity, br"])
                && !identity(&["identity", "zstd"])
                && !identity(&["identityx"])
        );
    }
}
