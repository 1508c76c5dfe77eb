//! What the process says about itself: metrics, logs, health, and the admin server that shows them.
//!
//! Guarantees: every metric is a documented field of one inventory, every label value is from a
//! closed list or from the configuration, and nothing here ever holds a token or a body. All parts
//! write into it; it reads none of them, but asks each for its state through [`health`].

pub mod admin;
pub mod family;
pub mod health;
pub mod logging;
pub mod metrics;
