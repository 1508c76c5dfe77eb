//! `mews-bridge journal discard`: one stuck delivery is given up, by name and with `--yes` only.
//!
//! The running process does it, since nobody else may write in its journal.

use serde_json::Value;
use uuid::Uuid;

use super::{names, read};
use crate::{
    app::{
        Exit, Failure,
        control::{
            Request,
            client::{Error, ask},
        },
        output,
    },
    config::Config,
    journal::{Finding, Scan, Sequence},
    webhook::Delivery,
};

/// Whether the operator has said that it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// With `--yes`.
    Given,
    /// Without.
    Missing,
}

/// Gives a delivery up.
///
/// # Errors
/// When it is not pending, consent is missing, or the process does not answer or cannot do it.
pub fn run(scan: Scan<'_>, id: &str, consent: Consent, config: &Config) -> Result<Exit, Failure> {
    let socket = config.control_socket().map_err(|error| Failure::configuration(&error))?;
    let (sequence, id, bytes) = find(scan, id)?;
    if consent == Consent::Missing {
        let message = format!(
            "delivery {id} ({bytes} bytes, number {sequence} of the journal) would never be delivered, nor kept anywhere; \
             look at it with `journal cat {id}`, and give it up with --yes"
        );
        return Err(Failure { exit: Exit::Configuration, message });
    }
    let done = ask(&socket, &Request::Discard { sequence, id }).map_err(|error| match error {
        Error::Nobody(..) => {
            Failure::unavailable("cannot discard: only a running mews-bridge ingress can", &error)
        }
        Error::Io(..) | Error::Refused(_) => Failure::io("cannot discard", &error),
    })?;
    let records = done.get("records").and_then(Value::as_u64).unwrap_or_default();
    output::print(format!("discarded {id}, {records} records of it are not in Kafka\n").as_bytes())?;
    Ok(Exit::Clean)
}

fn find(scan: Scan<'_>, id: &str) -> Result<(Sequence, Uuid, usize), Failure> {
    let through = scan.completed_through();
    for finding in scan {
        if let Finding::Entry(entry) = read(finding)?
            && let Ok(delivery) = Delivery::decode(&entry.payload)
            && names(id, &delivery)
        {
            if entry.sequence <= through {
                let message = format!("delivery {id} has left the journal: there is nothing to discard");
                return Err(Failure { exit: Exit::Io, message });
            }
            return Ok((entry.sequence, delivery.id, delivery.body.len()));
        }
    }
    Err(Failure { exit: Exit::Io, message: format!("there is no delivery {id} in the journal") })
}
