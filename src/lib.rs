//! mews-bridge
pub mod backoff;
pub mod credentials;
pub mod duration;
pub mod journal;
pub mod kafka;
pub mod secret;
pub mod shutdown;
pub mod size;
pub mod telemetry;
pub mod webhook;
