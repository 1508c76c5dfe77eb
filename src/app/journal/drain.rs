//! `mews-bridge journal drain`: no more deliveries are taken, and those that were go out.
//!
//! It asks the running process by its control socket and waits until nothing is pending. A process
//! that ends meanwhile has left its journal on disk, and that decides.

use std::{
    io::IsTerminal as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    app::{
        Exit, Failure,
        control::{
            Request,
            client::{self, Error},
        },
        output,
    },
    config::Config,
    journal::{Finding, disk::Real, scan},
};

/// How often the process is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Without a terminal, how often a line is worth it at most.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Drains, and waits for so long at most.
///
/// # Errors
/// When no process answers, or it refuses.
pub fn run(config: &Config, timeout: Duration) -> Result<Exit, Failure> {
    let socket = config.control_socket().map_err(|error| Failure::configuration(&error))?;
    let deadline = Instant::now() + timeout;
    let mut progress = Progress::new();
    let mut status = ask(&socket).map_err(|error| nobody(&error, config))?;
    loop {
        progress.show(status.pending_records)?;
        if status.is_drained() {
            progress.end("drained: everything that was accepted has gone out\n")?;
            return Ok(Exit::Clean);
        }
        let now = Instant::now();
        if now >= deadline {
            let pending = status.pending_records;
            progress.end(&format!(
                "{pending} deliveries are still in the journal; nothing more is accepted, and they go on going out\n"
            ))?;
            return Ok(Exit::Pending);
        }
        thread::sleep(LOOK_EVERY.min(deadline - now));
        // Asked again in the same words, so that a process that was started anew drains as well.
        status = match ask(&socket) {
            Ok(status) => status,
            Err(Error::Nobody(..) | Error::Io(..)) => return ended(config, progress),
            Err(error @ Error::Refused(_)) => return Err(Failure::io("the process refuses", &error)),
        };
    }
}

/// The part of the journal's status that is of use here.
#[derive(Deserialize)]
struct Status {
    state: String,
    pending_records: u64,
}

impl Status {
    /// Pending alone does not tell: an append that was being written when the drain began counts later.
    fn is_drained(&self) -> bool {
        self.state == "drained"
    }
}

fn ask(socket: &Path) -> Result<Status, Error> {
    let status = client::ask(socket, &Request::Drain {})?;
    serde_json::from_value(status).map_err(|error| Error::Io(socket.to_owned(), error.into()))
}

fn nobody(error: &Error, config: &Config) -> Failure {
    let Error::Nobody(..) = error else { return Failure::io("the process cannot be asked", error) };
    let mut failure = Failure::unavailable("cannot drain", error);
    failure.message.push_str(&format!(
        "\nstart mews-bridge ingress on journal {} with this configuration, or run this where it runs, as its user; `journal ls` shows what is in it",
        config.journal.dir.display()
    ));
    failure
}

/// The process has gone, in order or not: what it left on disk is what is pending.
fn ended(config: &Config, progress: Progress) -> Result<Exit, Failure> {
    let unreadable = |error: &dyn std::error::Error| Failure::io("cannot read the journal", error);
    let mut pending = 0u64;
    let disk = Real::default();
    let found = scan(&config.journal.dir, &disk).map_err(|error| unreadable(&error))?;
    let through = found.completed_through();
    for finding in found {
        if let Finding::Entry(entry) = finding.map_err(|error| unreadable(&error))? {
            pending += u64::from(entry.sequence > through);
        }
    }
    if pending == 0 {
        progress.end("drained: the process has ended, and its journal is empty\n")?;
        return Ok(Exit::Clean);
    }
    progress.end(&format!(
        "the process has ended with {pending} deliveries in the journal; they go out after the next start\n"
    ))?;
    Ok(Exit::Pending)
}

/// How many are left: in place on a terminal, else a line now and then.
struct Progress {
    on_terminal: bool,
    last: Option<(Instant, u64)>,
}

impl Progress {
    fn new() -> Self {
        Self { on_terminal: std::io::stdout().is_terminal(), last: None }
    }

    fn show(&mut self, pending: u64) -> Result<(), Failure> {
        let due = self
            .last
            .is_none_or(|(at, shown)| shown != pending && (self.on_terminal || at.elapsed() >= LINE_EVERY));
        if !due {
            return Ok(());
        }
        self.last = Some((Instant::now(), pending));
        let (before, after) = if self.on_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        output::print(format!("{before}{pending} deliveries pending{after}").as_bytes())
    }

    fn end(self, words: &str) -> Result<(), Failure> {
        let before = if self.on_terminal { "\r\x1b[K" } else { "" };
        output::print(format!("{before}{words}").as_bytes())
    }
}
