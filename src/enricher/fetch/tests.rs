//! The fetcher against the simulator, over HTTP on loopback.

mod kinds;
mod messages;
mod refusals;
mod world;
