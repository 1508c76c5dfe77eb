//! Plays Mews: hotels that change, and the webhooks that tell of it.
//!
//! ```text
//! population ── change ──► message (the bodies Mews sends) ──► sender ──► POST /webhooks
//! ```
//!
//! The demo uses it to show the bridge at work, and so can whoever wants to try a subscriber of
//! their own: Mews itself offers no way to trigger a webhook. All names and ids are invented. One
//! seed gives one history; only the pace is the clock's. It never talks to Mews or to Kafka.

pub mod message;
pub mod population;
pub mod sender;
