//! The one thread that writes.
//!
//! Group commit: everything that waits goes out in one write and one `fdatasync`, bounded in records and
//! bytes, and is answered after both. Between commits the same thread does the `upkeep`, so that the two
//! never overlap. After any failed write or sync it is poisoned: a failed sync says
//! nothing about which pages reached the disk, so it writes nothing more, ever; it still answers.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

mod upkeep;

use super::{
    AppendError, CloseError, Entry, Sequence,
    cursor::Cursor,
    disk::DiskFile,
    frame::{self, HEAD_BYTES},
    lock::Lock,
    queue::{Request, Work},
    segment::Location,
    shared::{Phase, Shared, Span},
};
use crate::telemetry::metrics::Append;

/// Bytes of one commit; a frame that is larger has one of its own.
pub const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records of one commit.
const COMMIT_RECORDS_MAX: usize = 4096;

/// Where so many records shared a commit, more are on their way, and the next commit waits as long as
/// they keep coming, looking every so often, until so long after the last one began. A disk that needs
/// longer for a sync is never waited for, nor is anybody who is alone.
const COMPANY_MIN: usize = 8;
const COMPANY_LOOK: Duration = Duration::from_micros(200);
const COMPANY_WITHIN: Duration = Duration::from_micros(1500);

/// The writer's own state.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    cursor: Cursor,
    _lock: Lock,
    segment_bytes: u64,
    active: Option<Active>,
    next: Sequence,
    poisoned: bool,
    buffer: Vec<u8>,
    cursor_due: Option<Instant>,
    space_due: Instant,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Active {
    file: Box<dyn DiskFile>,
    first: Sequence,
    end: u64,
    bytes: u64,
}

impl Active {
    fn fits(&self, frame_bytes: u64) -> bool {
        self.end + frame_bytes <= self.bytes
    }

    /// As good as full: what is left is less than a sixteenth.
    fn is_full(&self) -> bool {
        self.bytes - self.end < self.bytes / 16
    }
}

impl Writer {
    /// A writer that appends from the number after the last one.
    #[must_use]
    pub fn new(shared: Arc<Shared>, cursor: Cursor, lock: Lock, segment_bytes: u64) -> Self {
        let next = shared.look(|books| books.accounts.last()) + 1;
        Self {
            shared,
            cursor,
            _lock: lock,
            segment_bytes,
            active: None,
            next,
            poisoned: false,
            buffer: Vec::with_capacity(COMMIT_BYTES_MAX),
            cursor_due: Some(Instant::now()),
            space_due: Instant::now(),
        }
    }

    /// Works until the queue is closed; then saves the cursor and lets go of the directory.
    ///
    /// # Errors
    /// When it was poisoned, then or before.
    pub fn run(mut self) -> Result<(), CloseError> {
        let _ended = Ended(Arc::clone(&self.shared));
        self.tidy();
        self.look_for_room();
        while let Work::Commit(requests) = self.shared.queue.take(COMMIT_RECORDS_MAX, self.patience()) {
            let (began, records) = (Instant::now(), requests.len());
            self.append(requests);
            self.tidy();
            if records >= COMPANY_MIN {
                self.wait_for_company(began);
            }
        }
        self.cursor_due = Some(Instant::now());
        self.tidy();
        if self.poisoned { Err(CloseError::Poisoned) } else { Ok(()) }
    }

    fn wait_for_company(&self, began: Instant) {
        let mut came = 0;
        while began.elapsed() < COMPANY_WITHIN {
            thread::sleep(COMPANY_LOOK);
            let waiting = self.shared.queue.waiting();
            if waiting == came {
                return;
            }
            came = waiting;
        }
    }

    fn patience(&self) -> Duration {
        let now = Instant::now();
        let due = self.cursor_due.map_or(self.space_due, |due| due.min(self.space_due));
        due.saturating_duration_since(now)
    }

    fn append(&mut self, requests: VecDeque<Request>) {
        let mut commit = Commit::default();
        for request in requests {
            let bytes = (HEAD_BYTES + request.payload.len()) as u64;
            let joins = commit.bytes + bytes <= COMMIT_BYTES_MAX as u64
                && self.active.as_ref().is_some_and(|active| active.fits(commit.bytes + bytes));
            if !joins {
                self.commit(std::mem::take(&mut commit));
                if let Err(error) = self.make_room(bytes) {
                    self.refuse(request, error);
                    continue;
                }
            }
            commit.bytes += bytes;
            commit.requests.push(request);
        }
        self.commit(commit);
    }

    fn refuse(&self, request: Request, error: AppendError) {
        match error {
            AppendError::Full => self.shared.metrics.appends.of(Append::Full).inc(),
            AppendError::Poisoned => self.shared.metrics.appends.of(Append::IoError).inc(),
            AppendError::TooLarge { .. } | AppendError::Draining | AppendError::Closed => {}
        }
        // Whoever asked may have gone.
        let _ = request.reply.send(Err(error));
    }

    /// Writes frames that fit the active segment, syncs them, and only then answers.
    fn commit(&mut self, commit: Commit) {
        if commit.requests.is_empty() {
            return;
        }
        if self.poisoned {
            return commit.requests.into_iter().for_each(|each| self.refuse(each, AppendError::Poisoned));
        }
        self.buffer.clear();
        for (sequence, request) in (self.next..).zip(&commit.requests) {
            frame::write(&mut self.buffer, sequence, &request.payload);
        }
        if let Err(error) = self.write_and_sync() {
            self.poison("commit", &error);
            return commit.requests.into_iter().for_each(|each| self.refuse(each, AppendError::Poisoned));
        }
        self.committed(commit);
        self.buffer.shrink_to(COMMIT_BYTES_MAX);
    }

    fn write_and_sync(&mut self) -> io::Result<()> {
        let active = self.active.as_mut().expect("a commit is begun only with room in the active segment");
        active.file.write_at(&self.buffer, active.end)?;
        let timer = self.shared.metrics.fsync_duration.start_timer();
        active.file.sync_data()?;
        timer.observe_duration();
        Ok(())
    }

    fn committed(&mut self, commit: Commit) {
        let active = self.active.as_mut().expect("it was just written to");
        let records = commit.requests.len() as u64;
        let payload_bytes = commit.bytes - records * HEAD_BYTES as u64;
        let (first, from) = (self.next, active.end);
        active.end += commit.bytes;
        self.next += records;
        let span = Span { last: self.next - 1, end: active.end, bytes: active.bytes };
        let segment = active.first;
        self.shared.change(|books| {
            books.accounts.append(records, payload_bytes);
            books.segments.insert(segment, span);
            let mut offset = from;
            for (sequence, request) in (first..).zip(&commit.requests) {
                let length = u32::try_from(request.payload.len()).expect("the frame was written");
                let location = Location { segment, offset, length };
                offset += (HEAD_BYTES + request.payload.len()) as u64;
                books.handover.offer(Entry { sequence, payload: request.payload.clone(), location });
            }
        });
        self.shared.metrics.appends.of(Append::Ok).inc_by(records);
        self.shared.metrics.fsync_batch.observe(records as f64);
        self.shared.readable.notify_one();
        for (sequence, request) in (first..).zip(commit.requests) {
            let _ = request.reply.send(Ok(sequence));
        }
    }

    fn poison(&mut self, doing: &str, error: &io::Error) {
        self.poisoned = true;
        self.shared.change(|books| books.phase = Phase::Poisoned);
        tracing::error!(doing, %error, "journal has failed: it takes nothing more until the process is started again");
    }
}

/// Requests that are written together.
#[derive(Debug, Default)]
struct Commit {
    requests: Vec<Request>,
    bytes: u64,
}

/// However the thread ends, nobody waits for it afterwards.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.change(|books| {
            if thread::panicking() {
                books.phase = Phase::Poisoned;
            } else if books.phase == Phase::Writing {
                books.phase = Phase::Ended;
            }
        });
        self.0.readable.notify_one();
    }
}
