//! Why a record became a dead letter, as its headers say it.
//!
//! The record keeps its own key, value and headers; these come behind them, so that a replay only
//! has to take them off again. Called by the relay; other stages of the bridge write the same headers.

use std::sync::Arc;

use crate::{
    telemetry::{family::Label as _, metrics},
    webhook::envelope::Headers,
};

/// What is said of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// One of the closed list of `dead_letter_reason`.
    pub reason: metrics::DeadLetter,
    /// What exactly, for a person: never content.
    pub detail: String,
    /// The topic that it was for.
    pub topic: Arc<str>,
    /// How often it was sent and came back.
    pub attempts: u32,
}

impl DeadLetter {
    /// Adds its headers. A record that no topic took has the partition and offset -1, as Kafka
    /// writes "none".
    pub fn add_to(&self, headers: &mut Headers) {
        headers.push("dead_letter_reason", self.reason.value());
        headers.push("dead_letter_detail", &self.detail);
        headers.push("dead_letter_stage", metrics::Stage::Relay.value());
        headers.push("dead_letter_topic", &self.topic);
        headers.push("dead_letter_partition", "-1");
        headers.push("dead_letter_offset", "-1");
        headers.write("dead_letter_attempts", format_args!("{}", self.attempts));
    }
}
