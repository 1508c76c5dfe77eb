//! The simulator as a client meets it: over HTTP on loopback.

mod answers;
mod harness;
mod knobs;
mod paging;
mod refusals;
mod standing;
mod webhooks;
