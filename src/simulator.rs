//! Plays Mews: hotels that change, the webhooks that tell of it, and the Connector API that has the records.
//!
//! ```text
//!  history ─┐                        ┌─► outbox ─ postman ─ sender ──► POST /webhooks
//!  wishes ──┴─► population ─ changes ┤
//!                    │               └─► told, truth ◄──────────────── GET /simulator/…
//!                    └─► page ◄─ check (rules) ◄─ connector ◄───────── POST /api/connector/v1/…
//! ```
//!
//! The demo and the tests use it, and so can whoever wants to try a subscriber or a Connector API client
//! of their own: Mews itself offers no way to trigger a webhook. It is as strict as the contract
//! (`reference/mews-contract.md`, cited as "contract 3.6") documents, and keeps the truth that others can be
//! held against. All names, ids and tokens are invented. One seed gives one history; only the pace is the
//! clock's. It never talks to Mews or to Kafka.

mod birth;
mod chance;
mod check;
mod config;
mod connector;
mod control;
mod entity;
mod history;
mod hotel;
mod integration;
mod invented;
mod kind;
mod knobs;
mod life;
mod meter;
mod outbox;
mod page;
mod population;
mod postman;
mod refusal;
mod rules;
mod running;
mod sender;
mod server;
mod state;
mod store;
mod told;
mod truth;
mod utc;
mod webhook;
mod window;
mod wish;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use knobs::{Knobs, KnobsError, NoSuchOperation, Per, RetryAfter, Wait};
pub use running::{Connection, Simulator, StartError};
pub use told::Totals;
