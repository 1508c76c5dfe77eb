//! The journal: what was accepted is on this disk until Kafka has it.
//!
//! ```text
//! append ─► queue ─► writer thread: one write, one fdatasync ─► answer
//!                         │ what was committed, in memory while the reader keeps up
//!                         ▼
//!                      reader ─► relay ─► complete(through) ─► cursor, segments removed
//! ```
//!
//! Guarantees: an append is answered only after the sync that covers it; what was answered is given out
//! in order, byte for byte, over any number of restarts, until it is completed; nothing that was not
//! appended is ever given out. After a failed write or sync it takes nothing more. Damage is set aside,
//! counted and logged, and everything else is still given out. Disk and memory are bounded.
//!
//! The ingress appends; the relay reads and completes; `app` opens and closes. Payloads are opaque: it
//! knows no delivery and no secret, and no payload is ever in its logs, errors or metrics.
//!
//! Floors, each tested without the ones above: `disk`, `frame`, `segment` and `cursor` and `lock`, `walk`,
//! `recovery`, `writer` and `reader`; beside them the pure `accounts`.

use std::{io, path::PathBuf, sync::Arc, time::Instant};

mod accounts;
mod config;
mod cursor;
mod damaged;
pub mod disk;
mod frame;
mod handle;
mod lock;
mod queue;
mod reader;
pub mod recovery;
mod scan;
mod segment;
mod shared;
mod walk;
mod writer;

pub use config::{Config, ConfigError};
pub use disk::Disk;
pub use handle::{AppendError, CloseError, Handle, Status};
pub use reader::{Entry, ReadError, Reader};
pub use scan::{Finding, Scan, ScanError, scan};
pub use segment::Location;

use crate::telemetry::metrics::{self, Corrupt, JournalState, Recovered as RecoveredLabel};

/// Number of a record. Numbers begin at 1, follow each other and are never used again; records that were
/// damaged leave gaps.
pub type Sequence = u64;

/// How far the watermark has come, and how many deliveries left in which way since it was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// Every record up to this one has left.
    pub through: Sequence,
    /// Deliveries of which Kafka has every record.
    pub delivered: u64,
    /// Deliveries of which a record became a dead letter.
    pub dead_lettered: u64,
    /// Deliveries that an operator gave up.
    pub discarded: u64,
}

/// A journal that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// For those who append, complete and ask.
    pub handle: Handle,
    /// The one reader.
    pub reader: Reader,
    /// What was found.
    pub recovery: recovery::Report,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on the directory.
    #[error("journal {dir} is in use by the process with pid {pid}", dir = .dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The other's pid, 0 if it has not written it yet.
        pid: u32,
    },
    /// The disk failed. What is there was left as it is.
    #[error("cannot {doing} in journal {dir}", dir = .dir.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Opens a directory, recovers what is in it and starts the writer. Blocks until that is done.
///
/// # Errors
/// When another process has it, or the disk fails; damage is no error.
pub fn open(config: &Config, disk: Arc<dyn Disk>, metrics: metrics::Journal) -> Result<Opened, OpenError> {
    let started_at = Instant::now();
    metrics.state.only(JournalState::Recovering);
    let dir = config.dir.clone();
    let failed = |doing| {
        let dir = dir.clone();
        move |source| OpenError::Io { doing, dir, source }
    };
    disk.create_dir(&dir).and_then(|()| disk.sync_dir(&dir)).map_err(failed("make the directory"))?;
    let lock = match lock::acquire(&*disk, &dir).map_err(failed("take the lock"))? {
        lock::Acquired::Ours(lock) => lock,
        lock::Acquired::Theirs(pid) => return Err(OpenError::Locked { dir, pid }),
    };
    let (cursor, saved) = cursor::Cursor::open(&*disk, &dir).map_err(failed("read the cursor"))?;
    if saved == cursor::Found::Damaged {
        tracing::warn!(dir = %dir.display(), "journal cursor is damaged: everything that is there is delivered again");
    }
    let mut found = recovery::recover(&*disk, &dir, saved).map_err(failed("recover what is there"))?;
    found.report.took = started_at.elapsed();
    count(&metrics, &found.report);
    tracing::info!(
        dir = %dir.display(),
        pending = found.report.replayed,
        took_ms = u64::try_from(found.report.took.as_millis()).unwrap_or(u64::MAX),
        "journal is open"
    );
    let space = disk.space(&dir).map_err(failed("read the room on the disk"))?;
    let accounts = accounts::Accounts::new(
        found.through,
        found.last,
        found.missing,
        found.report.replayed,
        found.report.replayed_bytes,
    );
    let (segment, offset) = found.start.unwrap_or((found.last + 1, segment::HEADER_BYTES));
    let expected = accounts.through() + 1;
    let mut books = shared::Books::new(accounts, found.segments, config.max_bytes.as_u64(), space);
    books.reported = found.reported;
    books.corrupt = found.report.damaged + found.report.unknown_versions;
    let shared = Arc::new(shared::Shared::new(dir.clone(), disk, metrics, books));
    let writer = writer::Writer::new(Arc::clone(&shared), cursor, lock, config.segment_bytes.as_u64());
    let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run());
    let thread = thread.map_err(failed("start the writer's thread"))?;
    let reader = Reader::new(Arc::clone(&shared), segment, offset, expected);
    Ok(Opened { handle: Handle::new(shared, thread, found.report), reader, recovery: found.report })
}

fn count(metrics: &metrics::Journal, report: &recovery::Report) {
    metrics.recovered.of(RecoveredLabel::Replayed).inc_by(report.replayed);
    metrics.recovered.of(RecoveredLabel::AlreadyCompleted).inc_by(report.already_completed);
    metrics.corrupt.of(Corrupt::Checksum).inc_by(report.damaged);
    metrics.corrupt.of(Corrupt::TornTail).inc_by(report.torn_tails);
    metrics.corrupt.of(Corrupt::UnknownVersion).inc_by(report.unknown_versions);
    metrics.recovery_duration.set(report.took.as_secs_f64());
}

#[cfg(test)]
mod tests;
