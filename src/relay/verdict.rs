//! What a lane says of its records and of itself.

use std::time::Duration;

use super::item::Item;
use crate::{kafka::TopicProblem, telemetry::metrics};

/// What a report means for the item it is about.
#[derive(Debug)]
pub enum Verdict {
    /// It is in the topic.
    Acknowledged,
    /// It will be sent again.
    Again,
    /// It was given up before; nobody waits for it.
    Discarded,
    /// The topic will never take it; it has left the lane.
    Never(Item, metrics::DeadLetter, String),
}

/// What became of a lane, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing flows: a broker says that the topic is not to be had.
    Held(TopicProblem),
    /// It flows again.
    Flowing,
    /// Small records were refused as too large: one at a time for this long.
    OneAtATime(Duration),
}
