//! What was set aside is sent again: dead letters, what was quarantined, deliveries of the journal.

mod dead_letters;
mod journal;
mod quarantine;

use serde_json::Value;

use crate::bridge::{Finished, Setup};

/// Runs a replay that must end with this code; gives the rows of its list.
fn replay(setup: &Setup, arguments: &[&str], code: i32) -> Vec<Value> {
    rows(&finished(setup, arguments, code))
}

fn finished(setup: &Setup, arguments: &[&str], code: i32) -> Finished {
    let arguments: Vec<_> = arguments.iter().copied().chain(["--output", "json"]).collect();
    setup.command(&arguments).must_exit(code)
}

fn rows(finished: &Finished) -> Vec<Value> {
    finished.text().lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// The results of a list, in its order.
fn results(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["result"].as_str().expect("every row has a result")).collect()
}
