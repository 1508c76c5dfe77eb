//! What the `replay` commands have in common.
//!
//! ```text
//! Wanted   which records are asked for
//! Post     one record to Kafka, and what a broker said of it
//! Told     a row for each record, the sum, and the exit code
//! ```
//!
//! Guarantees: a record counts as replayed only when a broker has confirmed it; one that is refused
//! holds up no other; every id that was given is in the list, if only as unknown.

pub mod post;
pub mod told;
pub mod wanted;

pub use post::Post;
pub use told::{About, Fate, Told};
pub use wanted::Wanted;
