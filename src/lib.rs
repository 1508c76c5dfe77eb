//! mews-bridge
pub mod webhook;
