//! Takes webhooks in: from a socket to the journal, and only then an answer.
//!
//! ```text
//! serve ─► connection ─► exchange: route ─► tokens ─► admit ─► body ─► judge ─► accept ─► 202
//!   │          │             └──────────┴──────────┴────────┴───────┴────────┴─► reject ─► 4xx, 503
//!   │          └ activity: when its head is late, when it is idle
//!   └ at most so many connections; idle ones make room
//! ```
//!
//! Guarantees: 2xx leaves only after the journal has synced the delivery; what cannot be kept is told to
//! come again; what is refused is refused as early as it can be known, and a wrong token before the body
//! is read. Everything has a limit: connections, heads, bodies, bytes in flight, time, and what is
//! remembered of strangers. `app` starts it with [`run`]. It never talks to Kafka or to Mews, and never
//! writes a token, a query or a body into a log, a metric or an answer.

mod accept;
mod activity;
mod admit;
mod attempt;
mod body;
mod config;
mod connection;
mod exchange;
mod failures;
mod judge;
mod recent;
mod reject;
mod repeats;
mod route;
mod serve;
mod slots;
mod socket;
mod tokens;
mod trace;

use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, ConfigError};
pub use tokens::{Tokens, TokensError};

use crate::{
    credentials::seal::Sealer,
    journal,
    telemetry::metrics,
    webhook::{Content, Discriminators},
};

/// What the ingress is made of. The listener is not among it, so that a test can bind port 0.
#[derive(Debug)]
pub struct Parts {
    /// `[ingress]`, valid by [`Config::validate`].
    pub config: Config,
    /// Where deliveries are kept.
    pub journal: journal::Handle,
    /// Who may deliver; [`run`] reads their files again when they change.
    pub tokens: Tokens,
    /// What is done with the secrets in bodies.
    pub sealer: Sealer,
    /// Which discriminators are known, to judge events and to count them.
    pub discriminators: Discriminators,
    /// What the ingress says about itself.
    pub metrics: Metrics,
}

/// The families that the ingress writes.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Requests and connections.
    pub http: metrics::Http,
    /// Deliveries.
    pub deliveries: metrics::Deliveries,
    /// Reloads of token files.
    pub process: metrics::Process,
}

/// Why the ingress ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener has accepted nothing but errors for a while.
    #[error("no connection can be accepted any more")]
    Accept(#[source] std::io::Error),
}

/// Serves the listener until `shutdown`, then finishes what has begun: no more connections, idle ones
/// closed, every request answered and its connection closed after it.
///
/// Dropping it closes all connections at once; what was appended stays appended.
///
/// # Errors
/// [`Error::Accept`] when the listener is broken.
pub async fn run(listener: TcpListener, parts: Parts, shutdown: CancellationToken) -> Result<(), Error> {
    let Parts { config, journal, tokens, sealer, discriminators, metrics } = parts;
    metrics.deliveries.begin(accept::seconds_now());
    let limits = connection::Limits::of(&config);
    let slots = slots::Slots::new(config.max_connections, metrics.http.connections.clone());
    let watch = tokens.watch(metrics.process.clone());
    let acceptor = accept::Acceptor::new(journal, sealer, discriminators, metrics.deliveries.clone());
    let exchange = Arc::new(exchange::Exchange::new(&config, tokens, acceptor, metrics));
    tokio::select! {
        // Dropped with this function; it owns nothing that must be finished.
        never = watch => match never {},
        result = serve::serve(listener, slots, limits, exchange, shutdown) => result,
    }
}

/// What a body is, and the bytes of it that would be kept: what an answer of 202 would have meant for
/// it. Replays judge with it what was quarantined.
#[must_use]
pub fn understand(body: &Bytes, sealer: &Sealer, known: &Discriminators) -> (Content, Bytes) {
    let judged = judge::judge(body, sealer, known);
    (judged.content, judged.body)
}

#[cfg(test)]
mod tests;
