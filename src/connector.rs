//! The Connector API: how full records are asked for.
//!
//! ```text
//!            Request                                        Answer of Records, or Error
//!  enricher ─────────► Client ─ Budget ─ Breaker ─ HTTPS ─► Mews ─────────────────────► enricher
//!                        │      per token  whole API
//!                        └ ClientToken, read again when its file changes
//! ```
//!
//! Guarantees: one call is one request, never repeated here; no access token is used above its budget
//! (contract 3.4), whoever calls; an error says what the caller can do about it; a record is the exact
//! bytes that Mews sent. Credentials travel in request bodies (contract 3.2), so no body is ever logged,
//! shown or kept, and no redirect is followed. The enricher calls it; it knows neither Kafka nor what a
//! record is for, and decides nothing about when to try again.

pub mod answer;
pub mod breaker;
pub mod budget;
pub mod client;
pub mod client_token;
pub mod config;
pub mod error;
pub mod fingerprint;
pub mod operation;
pub mod request;
mod retry_after;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Record};
pub use breaker::Breaker;
pub use budget::Budget;
pub use client::Client;
pub use client_token::ClientToken;
pub use config::{Config, ConfigError};
pub use error::{Cause, Error, Said};
pub use fingerprint::Fingerprint;
pub use operation::Operation;
pub use request::{Interval, Request};
