//! The client: one call is one request within the budget, and one typed end.
//!
//! ```text
//! call ─ budget ─ room ─ breaker ─ send ─ head ─────────── body ─ records
//!        token's  among  is it     │      the budget and the breaker are told here
//!        turn     all    away?     └── request_timeout ───────┘
//! ```
//!
//! Guarantees: exactly one request leaves, or none; it ends within `connector.request_timeout` of being
//! sent; no more than `connector.response_bytes_max` of an answer is ever held, however well it was packed;
//! nothing is sent to any other host than `connector.platform_address`: neither redirects nor proxies of the
//! environment are followed. Connections are kept and shared, HTTP/2 is spoken where the server offers it.
//! The body of a request is wiped when it was handed to the connection, and is in no log at any level.

mod exchange;
mod transport;

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{
    Answer, Breaker, Budget, Cause, ClientToken, Config, ConfigError, Error, Fingerprint, Operation, Request,
    Said, answer,
    breaker::Pass,
    budget::{Frozen, Limits, Permit},
    request::Credentials,
};
use crate::{
    hash::HashMap,
    secret::Secret,
    telemetry::{
        family::Label as _,
        metrics::{Connector as Metrics, Process},
    },
};
use exchange::{Body, Failure, Received};
use transport::Transport;

/// Between two looks at what is only measured by looking.
const OBSERVE_EVERY: Duration = Duration::from_secs(1);

/// The Connector API; a cheap handle.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("address", &self.0.address).finish_non_exhaustive()
    }
}

struct Inner {
    transport: Transport,
    address: String,
    urls: HashMap<Operation, Url>,
    /// Name and version.
    client: String,
    client_token: ClientToken,
    budget: Budget,
    breaker: Breaker,
    room: Semaphore,
    request_timeout: Duration,
    response_bytes_max: usize,
    metrics: Metrics,
}

impl Client {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// When the settings cannot work, or there are no certificates to trust.
    pub fn new(config: &Config, client_token: ClientToken, metrics: Metrics) -> Result<Self, ConfigError> {
        config.check()?;
        let limits = Limits {
            requests: config.requests_per_window,
            window: config.window,
            open: config.requests_in_flight_per_token_max,
        };
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(config)?,
            address: config.platform_address.clone(),
            urls: urls(&config.platform_address)?,
            client: config.client.clone(),
            client_token,
            budget: Budget::new(limits, metrics.clone()),
            breaker: Breaker::new(metrics.clone()),
            room: Semaphore::new(config.requests_in_flight_max),
            request_timeout: config.request_timeout,
            response_bytes_max: usize::try_from(config.response_bytes_max.as_u64()).unwrap_or(usize::MAX),
            metrics,
        })))
    }

    /// Reads the client token and the certificates again when their files change, and keeps gauges true.
    /// Never ends; run once.
    pub async fn run(&self, process: &Process) -> Infallible {
        let observe = async {
            loop {
                self.0.budget.observe();
                self.0.breaker.observe();
                tokio::time::sleep(OBSERVE_EVERY).await;
            }
        };
        tokio::select! {
            never = self.0.client_token.watch(process) => never,
            never = self.0.transport.watch(process) => never,
            never = observe => never,
        }
    }

    #[cfg(test)]
    pub(super) fn look_every(&self, every: Duration) {
        self.0.transport.look_every(every);
    }

    /// Whether the whole API is away.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.0.breaker
    }

    /// Waits for the token's turn, sends one request and reads its answer. Dropped, a request that is under
    /// way is given up and still counts.
    ///
    /// # Errors
    /// [`Error`] says what can be done.
    pub async fn call(&self, access_token: &Secret, request: &Request) -> Result<Answer, Error> {
        let inner = &*self.0;
        let operation = request.operation();
        let token = Fingerprint::of(access_token);
        let permit = inner
            .budget
            .acquire(token, operation)
            .await
            .map_err(|Frozen(wait)| Error::Throttled { retry_after: Some(wait), said: Said::default() })?;
        let room = inner.room.acquire().await.expect("the semaphore is never closed");
        let pass = match inner.breaker.admit(token) {
            Ok(pass) => pass,
            Err(wait) => {
                permit.unsent();
                let said = Said::default();
                return Err(Error::Unavailable { cause: Cause::CircuitOpen, retry_after: Some(wait), said });
            }
        };
        let client_token = inner.client_token.get();
        let secrets = [access_token, &client_token];
        let in_flight = InFlight::new(&inner.metrics);
        let began = Instant::now();
        let sent = self.exchange(request, secrets, permit, pass).await;
        drop((in_flight, room));
        inner.metrics.request_duration.of(operation).observe(began.elapsed().as_secs_f64());
        inner.metrics.requests.of(operation, exchange::code(&sent)).inc();
        self.judge(operation, sent, secrets)
    }

    /// Sends and receives, and tells the budget and the breaker how it went.
    async fn exchange(
        &self,
        request: &Request,
        [access_token, client_token]: [&Secret; 2],
        mut permit: Permit,
        pass: Pass,
    ) -> Result<Received, Failure> {
        let inner = &*self.0;
        let credentials = Credentials { client_token, access_token, client: &inner.client };
        let body = Bytes::from_owner(Zeroizing::new(request.body(&credentials)));
        let post = inner
            .transport
            .http()
            .post(inner.urls[&request.operation()].clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let received =
            exchange::exchange(post, inner.response_bytes_max, inner.request_timeout, &mut permit).await;
        pass.ended(exchange::outcome(&received));
        if matches!(received, Err(Failure::Connect(_))) {
            permit.unsent();
        }
        received
    }

    fn judge(
        &self,
        operation: Operation,
        sent: Result<Received, Failure>,
        secrets: [&Secret; 2],
    ) -> Result<Answer, Error> {
        let unavailable = |cause| Error::Unavailable { cause, retry_after: None, said: Said::default() };
        let received = match sent {
            Ok(received) => received,
            Err(Failure::Connect(error)) => return Err(unavailable(Cause::Connect(error))),
            Err(Failure::Transport(error)) => return Err(unavailable(Cause::Transport(error))),
            Err(Failure::Timeout) => return Err(unavailable(Cause::Timeout)),
        };
        let Received { status, retry_after, request_id, body } = received;
        let request_id = request_id.as_deref();
        let body = match body {
            Body::Whole(body) => body,
            Body::TooLarge if status.is_success() => {
                return Err(Error::AnswerTooLarge(Said::nothing(request_id)));
            }
            Body::TooLarge => Bytes::new(),
        };
        if !status.is_success() {
            let said = Said::read(&body, request_id, secrets);
            return Err(Error::refused(status.as_u16(), retry_after, said));
        }
        let said = Said::nothing(request_id);
        // Not opted into (contract 3.2), but plain enough.
        if status == StatusCode::NO_CONTENT {
            return Ok(Answer { request_id: said.request_id, ..Answer::default() });
        }
        let parse_errors = self.0.metrics.parse_errors.of(operation);
        match answer::read(operation, &body) {
            Ok(read) => {
                parse_errors.inc_by(read.unusable as u64);
                Ok(Answer { request_id: said.request_id, ..read.answer })
            }
            // Its text can quote the answer; where it broke off is enough.
            Err(error) => {
                parse_errors.inc();
                Err(Error::Undecodable { line: error.line(), column: error.column(), said })
            }
        }
    }
}

/// Where each operation is.
fn urls(platform_address: &str) -> Result<HashMap<Operation, Url>, ConfigError> {
    let base = format!("{}/api/connector/v1/", platform_address.trim_end_matches('/'));
    let url = |operation: &Operation| {
        let url = Url::parse(&format!("{base}{}", operation.row().path));
        Ok((*operation, url.map_err(|_| ConfigError::Address(platform_address.to_owned()))?))
    };
    Operation::ALL.iter().map(url).collect()
}

/// Counts a request as in flight until it is dropped.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.requests_in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.requests_in_flight.dec();
    }
}
