//! What the `replay` commands have in common.
//!
//! ```text
//! Wanted   which records are asked for
//! Cluster  whether Kafka answers, and which topics are there
//! Post     one record to Kafka, and what a broker said of it
//! Again    one delivery to Kafka, fanned out by a relay of the command's own
//! Fan      the list and the sending of deliveries together
//! Told     a row for each record, the sum, and the exit code
//! ```
//!
//! Guarantees: a record counts as replayed only when a broker has confirmed it; one that is refused
//! holds up no other; every id that was given is in the list, if only as unknown.

pub mod again;
pub mod cluster;
pub mod fan;
pub mod post;
pub mod told;
pub mod wanted;

pub use again::Again;
pub use cluster::Cluster;
pub use fan::Fan;
pub use post::Post;
pub use told::{About, Fate, Told};
pub use wanted::Wanted;
