//! What the `replay` commands take.

use clap::{Args, builder::PossibleValuesParser};

use super::Output;
use crate::telemetry::{family::Label as _, metrics::DeadLetter};

/// How a replay is done.
#[derive(Args, Clone, Copy, Debug)]
pub struct Manner {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How the list looks.
    #[command(flatten)]
    pub output: Output,
}

/// Which dead letters are meant: those to which all that is given applies.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct WhichDeadLetters {
    /// Their ce_ids; a delivery id means all records of the delivery.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["ids", "reasons", "topics"])]
    pub all: bool,
    /// Those with this reason; may be given several times.
    #[arg(long = "reason", value_name = "REASON", value_parser = reasons())]
    pub reasons: Vec<String>,
    /// Those that were for this topic; may be given several times.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
}

/// Which records of the quarantine are meant: those to which all that is given applies.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct WhichQuarantined {
    /// Their ce_ids; a delivery id means all records of the delivery.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["ids", "reasons"])]
    pub all: bool,
    /// Those with this reason; may be given several times.
    #[arg(
        long = "reason",
        value_name = "REASON",
        value_parser = ["not_json", "too_deep", "unknown_shape", "duplicate_member", "bad_event"]
    )]
    pub reasons: Vec<String>,
}

/// Which deliveries are meant.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct WhichDeliveries {
    /// Delivery ids, or ce_ids of their records.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All that have left and are still in the files.
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
}

fn reasons() -> PossibleValuesParser {
    DeadLetter::ALL.iter().map(|reason| reason.value()).collect::<Vec<_>>().into()
}
