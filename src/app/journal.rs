//! `mews-bridge journal ls|verify|cat|replay|drain|discard`, also while the ingress is running.
//!
//! The first four look at the files and never touch them; whatever changes something is asked of the
//! running process by its control socket.

mod discard;
mod drain;
mod replay;

use serde_json::Value;

use self::discard::Consent;
use super::{
    Exit, Failure,
    arguments::{Journal as Command, Output},
    output::{self, List},
};
use crate::{
    config::Config,
    journal::{self, Entry, Finding, Scan, disk::Real},
    webhook::{Content, Delivery},
};

/// Runs the command.
///
/// # Errors
/// When the journal cannot be read, a delivery is not found, or the process that is asked says no.
pub fn run(command: Command, config: &Config) -> Result<Exit, Failure> {
    let disk = Real::default();
    match command {
        Command::Ls { output } => ls(open(config, &disk)?, output),
        Command::Verify { output } => verify(open(config, &disk)?, output),
        Command::Cat { id } => cat(open(config, &disk)?, &id),
        Command::Discard { id, yes } => {
            let consent = if yes { Consent::Given } else { Consent::Missing };
            discard::run(open(config, &disk)?, &id, consent, config)
        }
        Command::Drain { timeout } => drain::run(config, timeout),
        Command::Replay { which, manner } => replay::run(open(config, &disk)?, config, &which, manner),
    }
}

fn open<'a>(config: &Config, disk: &'a Real) -> Result<Scan<'a>, Failure> {
    let dir = &config.journal.dir;
    let unreadable = |error: &dyn std::error::Error| Failure::io("cannot read the journal", error);
    // A journal that was never there is a wrong path, and must not look like an empty one.
    std::fs::read_dir(dir)
        .map_err(|error| Failure::io(&format!("there is no journal in {}", dir.display()), &error))?;
    journal::scan(dir, disk).map_err(|error| unreadable(&error))
}

fn ls(scan: Scan<'_>, output: Output) -> Result<Exit, Failure> {
    let through = scan.completed_through();
    let mut list = List::new(&["sequence", "delivery", "accepted_at", "content", "bytes"]);
    for finding in scan {
        if let Finding::Entry(entry) = read(finding)?
            && entry.sequence > through
        {
            list.push(row(&entry));
        }
    }
    list.print(output)?;
    Ok(Exit::Clean)
}

fn row(entry: &Entry) -> Vec<Value> {
    let mut row = vec![Value::from(entry.sequence)];
    match Delivery::decode(&entry.payload) {
        Ok(delivery) => row.extend([
            delivery.id.to_string().into(),
            humantime::format_rfc3339_millis(delivery.accepted_at).to_string().into(),
            content(&delivery.content).into(),
            delivery.body.len().into(),
        ]),
        Err(_) => row.extend([Value::Null, Value::Null, "undecodable".into(), entry.payload.len().into()]),
    }
    row
}

fn content(content: &Content) -> String {
    match content {
        Content::General => "general".to_owned(),
        Content::Integration => "integration".to_owned(),
        Content::Quarantined { reason, .. } => format!("quarantined: {reason}"),
    }
}

fn verify(scan: Scan<'_>, output: Output) -> Result<Exit, Failure> {
    let mut findings = List::new(&["finding", "segment", "offset", "bytes", "detail"]);
    let (mut intact, mut damage) = (0u64, 0u64);
    if scan.cursor_is_damaged() {
        damage += 1;
        let detail = "the cursor is unreadable; at the next start everything that is here is delivered again";
        findings.push(vec!["cursor".into(), Value::Null, Value::Null, Value::Null, detail.into()]);
    }
    for finding in scan {
        let row = match read(finding)? {
            Finding::Entry(_) => {
                intact += 1;
                continue;
            }
            Finding::TornTail { segment, offset, bytes } => {
                let detail = "an interrupted write that was never answered; it is cut at the next start";
                ["torn_tail".into(), segment.into(), offset.into(), bytes.into(), detail.into()]
            }
            Finding::Damaged { segment, offset, bytes } => {
                damage += 1;
                let detail = "a record here was changed; at the next start it is set aside in damaged/, the rest is delivered";
                ["checksum".into(), segment.into(), offset.into(), bytes.into(), detail.into()]
            }
            Finding::UnknownVersion { segment, version } => {
                damage += 1;
                let detail = format!("written by another version (format {version}) of this program");
                ["unknown_version".into(), segment.into(), Value::Null, Value::Null, detail.into()]
            }
            Finding::Missing { first, last } => {
                damage += 1;
                let detail = format!("records {first} to {last} are not completed and nowhere to be found");
                ["missing".into(), Value::Null, Value::Null, Value::Null, detail.into()]
            }
        };
        findings.push(row.to_vec());
    }
    findings.print(output)?;
    tracing::info!(intact, damage, "{intact} intact records, {damage} damaged places");
    Ok(if damage == 0 { Exit::Clean } else { Exit::Io })
}

fn cat(scan: Scan<'_>, id: &str) -> Result<Exit, Failure> {
    for finding in scan {
        if let Finding::Entry(entry) = read(finding)?
            && let Ok(delivery) = Delivery::decode(&entry.payload)
            && names(id, &delivery)
        {
            output::print(&delivery.body)?;
            return Ok(Exit::Clean);
        }
    }
    Err(Failure { exit: Exit::Io, message: format!("there is no delivery {id} in the journal") })
}

/// Whether an id is the delivery's own, or the `ce_id` of one of its records.
fn names(id: &str, delivery: &Delivery) -> bool {
    let own = delivery.id.to_string();
    id.strip_prefix(&own).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('-').is_some_and(|index| index.parse::<usize>().is_ok())
    })
}

fn read(finding: Result<Finding, journal::ScanError>) -> Result<Finding, Failure> {
    finding.map_err(|error| Failure::io("cannot read the journal", &error))
}
