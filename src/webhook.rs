//! What Mews sends and what Kafka gets, as values: no I/O, no clock, no configuration file.
//!
//! ```text
//! bytes ── text ──► tidy JSON ── shape ──► General ── events ──► records   (relay::fan_out)
//!                      │                   Integration
//!                      └── secrets ──► the same JSON, its secrets replaced
//!
//! delivery: one webhook request as the journal keeps it      envelope: CloudEvents headers
//! ```
//!
//! Guarantees: everything here borrows from the body that came in, and what is kept of it is kept
//! byte for byte. Every input, however odd, ends in a value or in a [`Unclear`] with one of the
//! closed list of reasons; nothing panics. The ingress calls it to judge a body, the relay to fan
//! it out. It never looks at a token, a topic name or a header of the request.

pub mod delivery;
pub mod envelope;
pub mod general;
pub mod id;
pub mod integration;
pub mod secrets;
pub mod shape;
pub mod text;

pub use delivery::{Content, Delivery};
pub use general::{Discriminators, Event, General};
pub use integration::Integration;
pub use shape::{Unclear, Webhook};
