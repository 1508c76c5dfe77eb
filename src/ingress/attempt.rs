//! The account of one request: everything that is counted about it is counted here, exactly once.
//!
//! A request whose connection goes before it was answered is dropped in the middle; its account is then
//! closed as `client_abort`.

use std::time::Instant;

use hyper::StatusCode;
use prometheus::IntGauge;

use super::Metrics;
use crate::telemetry::{
    family::Label as _,
    metrics::{Handler, Outcome, Webhook},
};

/// The account of one request.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    metrics: &'a Metrics,
    began: Instant,
    handler: Handler,
    /// What the delivery is, as far as is known.
    pub webhook: Webhook,
    /// Whether a right token was sent, or none is asked for.
    pub sender: Sender,
    in_flight: &'a IntGauge,
    state: State,
}

/// Whether a sender may deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Not known, or not.
    Stranger,
    /// A right token was sent, or none is asked for.
    Trusted,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

impl<'a> Attempt<'a> {
    /// Opens the account when the head has arrived.
    pub(super) fn begin(metrics: &'a Metrics, handler: Handler) -> Self {
        let in_flight = metrics.http.in_flight.of(handler);
        in_flight.inc();
        Self {
            metrics,
            began: Instant::now(),
            handler,
            webhook: Webhook::Unknown,
            sender: Sender::Stranger,
            in_flight,
            state: State::Open,
        }
    }

    /// Notes that the body was read to its end.
    pub(super) fn read(&self, kind: Webhook, bytes: usize) {
        self.metrics.deliveries.body_size.of(kind).observe(bytes as f64);
    }

    /// Closes the account with the answer.
    pub(super) fn end(mut self, status: StatusCode, outcome: Outcome) {
        self.state = State::Closed;
        let took = self.began.elapsed().as_secs_f64();
        self.metrics.http.requests.with_label_values(&[self.handler.value(), status.as_str()]).inc();
        self.metrics.http.duration.of(self.handler).observe(took);
        self.metrics.deliveries.deliveries.of(self.webhook, outcome).inc();
        if self.sender == Sender::Trusted {
            self.metrics.deliveries.ack_duration.of(self.webhook).observe(took);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.in_flight.dec();
        if self.state == State::Open {
            self.metrics.deliveries.deliveries.of(self.webhook, Outcome::ClientAbort).inc();
        }
    }
}
