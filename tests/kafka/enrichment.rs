//! From ids to full records: the enricher against a real Kafka and a simulated Mews, on good days and bad.
//!
//! After each fault the last record of every entity is what the simulator says is so, and no access token
//! had more requests than it may.

mod api;
mod credentials;
mod ids;
mod kinds;
mod members;
mod records;
mod secrets;
