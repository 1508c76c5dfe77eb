//! What the other parts hold of the journal: cheap to clone, and it does no I/O itself.

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Instant,
};

use bytes::Bytes;
use serde::Serialize;

use super::{Completed, Sequence, frame::HEAD_BYTES, recovery, segment::HEADER_BYTES, shared::Shared};
use crate::telemetry::{
    family::Label as _,
    metrics::{Disposition, JournalState},
};

/// Why a payload was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// There is no room until something is delivered; nothing was written.
    #[error("journal is full")]
    Full,
    /// It would not fit into an empty journal either.
    #[error("payload of {bytes} bytes is larger than the {max} that the journal can hold")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What would fit.
        max: u64,
    },
    /// A write or sync failed, now or before. This payload may or may not be found at the next start.
    #[error("journal has failed")]
    Poisoned,
    /// No appends are taken any more.
    #[error("journal is draining")]
    Draining,
    /// The writer has ended.
    #[error("journal is closed")]
    Closed,
}

/// Why a journal did not close clean. Nothing that was answered is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A write or sync failed, then or before: some deliveries may be relayed again.
    #[error("journal has failed")]
    Poisoned,
    /// The writer's thread panicked.
    #[error("journal's thread ended in a panic")]
    Panicked,
}

/// A person's view of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What it is doing.
    pub state: &'static str,
    /// Deliveries in it that have not left.
    pub pending_records: u64,
    /// Bytes of those.
    pub pending_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes that they take.
    pub size_bytes: u64,
    /// Bytes that they may take.
    pub capacity_bytes: u64,
    /// Deliveries appended since the start.
    pub appended: u64,
    /// Deliveries that Kafka has got since the start.
    pub delivered: u64,
    /// Deliveries of which a record became a dead letter since the start.
    pub dead_lettered: u64,
    /// Deliveries that an operator gave up since the start.
    pub discarded: u64,
    /// Deliveries that were pending at start.
    pub recovered: u64,
    /// Damaged places that were found, a torn tail aside.
    pub corrupt: u64,
    /// Anything but 0 is a loss or a bug.
    pub unaccounted: i64,
    /// Number of the newest record, 0 before the first.
    pub last_sequence: Sequence,
    /// Every record up to this one has left.
    pub completed_through: Sequence,
}

/// The journal, for those who append to it, complete, or ask how it is.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Owner>);

/// Ends the writer when the last handle goes.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), CloseError>>>>,
    recovered: recovery::Report,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Handle {
    pub(super) fn new(
        shared: Arc<Shared>,
        thread: JoinHandle<Result<(), CloseError>>,
        recovered: recovery::Report,
    ) -> Self {
        Self(Arc::new(Owner { shared, thread: Mutex::new(Some(thread)), recovered }))
    }

    /// Appends, and answers only after the sync that covers it. A future that is dropped while it waits
    /// may leave a record that is durable, counted and delivered like any other.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`] after any earlier write or sync failure; the others leave nothing behind.
    pub async fn append(&self, payload: Bytes) -> Result<Sequence, AppendError> {
        let asked_at = Instant::now();
        let bytes = payload.len() as u64;
        let max = self.payload_bytes_max();
        if bytes > max {
            return Err(AppendError::TooLarge { bytes, max });
        }
        let answer = self.0.shared.queue.push(payload).await?;
        let answer = answer.await.unwrap_or(Err(AppendError::Closed));
        self.0.shared.metrics.append_duration.observe(asked_at.elapsed().as_secs_f64());
        answer
    }

    fn payload_bytes_max(&self) -> u64 {
        let frame = self.0.shared.look(|books| books.capacity) - HEADER_BYTES;
        (frame - HEAD_BYTES as u64).min(u32::MAX.into())
    }

    /// Says how far the relay's contiguous watermark has come and how deliveries left on the way.
    /// Never blocks on the disk.
    pub fn complete(&self, completed: Completed) {
        let shared = &self.0.shared;
        let left = &shared.metrics.completed;
        left.of(Disposition::Delivered).inc_by(completed.delivered);
        left.of(Disposition::DeadLettered).inc_by(completed.dead_lettered);
        left.of(Disposition::Discarded).inc_by(completed.discarded);
        let tidy = shared.change(|books| {
            books.accounts.complete(completed);
            let through = books.accounts.through();
            let first_time = !std::mem::replace(&mut books.moved, true);
            first_time || books.segments.values().next().is_some_and(|oldest| oldest.last <= through)
        });
        if tidy {
            shared.queue.nudge();
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> JournalState {
        self.0.shared.look(|books| books.state(&self.0.shared.queue))
    }

    /// Whether it can append and sync.
    ///
    /// # Errors
    /// Says why not, for a person.
    pub fn is_ready(&self) -> Result<(), &'static str> {
        match self.state() {
            JournalState::Open => Ok(()),
            JournalState::Recovering => Err("journal is recovering"),
            JournalState::Draining | JournalState::Drained => Err("journal is draining"),
            JournalState::Full => Err("journal is full"),
            JournalState::ReadOnly => Err("journal is read-only"),
            JournalState::Failed => Err("journal has failed"),
        }
    }

    /// Everything about it at one moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.0.shared;
        shared.look(|books| Status {
            state: books.state(&shared.queue).value(),
            pending_records: books.accounts.pending(),
            pending_bytes: books.accounts.pending_bytes(),
            segments: books.segments.len() as u64,
            size_bytes: books.size(),
            capacity_bytes: books.capacity,
            appended: books.accounts.appended,
            delivered: books.accounts.delivered,
            dead_lettered: books.accounts.dead_lettered,
            discarded: books.accounts.discarded,
            recovered: self.0.recovered.replayed,
            corrupt: books.corrupt,
            unaccounted: books.accounts.unaccounted(),
            last_sequence: books.accounts.last(),
            completed_through: books.accounts.through(),
        })
    }

    /// Takes no appends from now on. It is drained when nothing is pending. Says whether it took any before.
    pub fn drain(&self) -> bool {
        self.0.shared.queue.drain();
        !self.0.shared.change(|books| std::mem::replace(&mut books.draining, true))
    }

    /// Finishes what waits, saves the cursor, ends the writer and lets go of the directory. The other
    /// handles stay good for asking.
    ///
    /// # Errors
    /// When the journal has failed.
    pub async fn close(self) -> Result<(), CloseError> {
        self.0.shared.queue.close();
        let thread = self.0.thread.lock().expect("no holder of this lock panics").take();
        let Some(thread) = thread else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined.ok().and_then(Result::ok).unwrap_or(Err(CloseError::Panicked))
    }
}
