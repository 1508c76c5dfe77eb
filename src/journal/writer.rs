//! The one thread that writes.
//!
//! Group commit: everything that waits goes out in one write and one `fdatasync`, bounded in records and
//! bytes, and is answered after both. The same thread makes, seals and removes segments and saves the
//! cursor, so that these never overlap. After any failed write or sync it is poisoned: a failed sync says
//! nothing about which pages reached the disk, so it writes nothing more, ever; it still answers.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    AppendError, CloseError, Entry, Sequence,
    cursor::Cursor,
    disk::DiskFile,
    frame::{self, HEAD_BYTES},
    lock::Lock,
    queue::{Request, Work},
    segment::{self, CreateError, HEADER_BYTES, Location},
    shared::{Phase, Shared, Shortage, Span},
};
use crate::telemetry::metrics::Append;

/// Bytes of one commit; a frame that is larger has one of its own.
pub const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records of one commit.
const COMMIT_RECORDS_MAX: usize = 4096;
/// How far the saved cursor is behind the watermark at most.
const CURSOR_DELAY: Duration = Duration::from_millis(100);
/// How often the room in the file system is looked at.
const SPACE_INTERVAL: Duration = Duration::from_secs(5);
/// The same while the lack of it keeps the journal from being ready.
const SPACE_INTERVAL_SHORT: Duration = Duration::from_millis(250);
/// A segment is not made for less room than this.
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

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
        while let Work::Commit(requests) = self.shared.queue.take(COMMIT_RECORDS_MAX, self.patience()) {
            self.append(requests);
            self.tidy();
        }
        self.cursor_due = Some(Instant::now());
        self.tidy();
        if self.poisoned { Err(CloseError::Poisoned) } else { Ok(()) }
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

    /// Sees to it that the active segment has room for a frame.
    fn make_room(&mut self, frame_bytes: u64) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        if self.active.as_ref().is_some_and(|active| active.fits(frame_bytes)) {
            return Ok(());
        }
        self.roll(frame_bytes).map_err(|error| match error {
            RollError::NoRoom(shortage) => {
                self.lack(shortage);
                AppendError::Full
            }
            RollError::Io(error) => {
                self.poison("roll", &error);
                AppendError::Poisoned
            }
        })
    }

    fn roll(&mut self, frame_bytes: u64) -> Result<(), RollError> {
        self.remove_left(Removal::ForRoom)?;
        let needed = HEADER_BYTES + frame_bytes;
        let (capacity, size) = self.shared.look(|books| (books.capacity, books.size()));
        let room = capacity.saturating_sub(size);
        let least = needed.max(SEGMENT_BYTES_MIN.min(self.segment_bytes));
        if room < least {
            return Err(RollError::NoRoom(Shortage::Capacity(least)));
        }
        let bytes = needed.max(self.segment_bytes.min(room));
        let (disk, dir) = (&*self.shared.disk, &self.shared.dir);
        let file = segment::create(disk, dir, self.next, bytes).map_err(|error| match error {
            CreateError::NoRoom => RollError::NoRoom(Shortage::Disk(bytes)),
            CreateError::Io(error) => RollError::Io(error),
        })?;
        let made = Active { file, first: self.next, end: HEADER_BYTES, bytes };
        let span = Span { last: self.next - 1, end: HEADER_BYTES, bytes };
        let sealed = self.active.replace(made);
        self.shared.change(|books| books.segments.insert(self.next, span));
        if let Some(sealed) = sealed {
            segment::seal(&*sealed.file, sealed.end)?;
            self.shared.change(|books| {
                if let Some(span) = books.segments.get_mut(&sealed.first) {
                    span.bytes = sealed.end;
                }
            });
        }
        self.look_at_space();
        Ok(())
    }

    /// An append found no room: until a twentieth is free the journal is not ready.
    fn lack(&mut self, shortage: Shortage) {
        self.look_at_space();
        self.shared.change(|books| {
            if books.full_until.is_none() {
                tracing::warn!(?shortage, size = books.size(), "journal is full; appends are refused");
            }
            books.full_until = Some(match shortage {
                Shortage::Capacity(bytes) => Shortage::Capacity(bytes.max(books.capacity / 20)),
                Shortage::Disk(bytes) => Shortage::Disk(bytes.max(books.capacity.min(books.space.size) / 20)),
            });
        });
    }

    /// What is done between commits: what has left is given back, and the cursor is saved in time.
    fn tidy(&mut self) {
        let now = Instant::now();
        if now >= self.space_due {
            self.look_at_space();
        }
        if self.poisoned {
            self.cursor_due = None;
            return;
        }
        let moved = self.shared.change(|books| std::mem::take(&mut books.moved));
        if moved {
            self.cursor_due.get_or_insert(now + CURSOR_DELAY);
        }
        let full = self.shared.look(|books| books.full_until.is_some());
        let removal = if full { Removal::OfAny } else { Removal::OfFull };
        let tidied = self.remove_left(removal).and_then(|()| self.save_when_due(now));
        if let Err(error) = tidied {
            self.poison("tidying up", &error);
        }
    }

    fn save_when_due(&mut self, now: Instant) -> io::Result<()> {
        if self.cursor_due.is_some_and(|due| now >= due) {
            self.cursor_due = None;
            self.save_cursor()?;
        }
        Ok(())
    }

    fn save_cursor(&mut self) -> io::Result<()> {
        let through = self.shared.look(|books| books.accounts.through());
        if through > self.cursor.saved() { self.cursor.save(through) } else { Ok(()) }
    }

    /// Removes every segment of which all records have left. An empty one makes way for a roll, which
    /// needs its name.
    fn remove_left(&mut self, removal: Removal) -> io::Result<()> {
        let active = self.active.as_ref().filter(|active| match removal {
            Removal::OfFull => !active.is_full(),
            Removal::OfAny | Removal::ForRoom => false,
        });
        let keep = active.map(|active| active.first);
        let empty = (removal == Removal::ForRoom).then_some(self.next);
        let left: Vec<_> = self.shared.look(|books| {
            let through = books.accounts.through();
            let left = |first: Sequence, span: &Span| span.last <= through || Some(first) == empty;
            let all = books.segments.iter().filter(|(first, span)| left(**first, span));
            all.map(|(first, _)| *first).filter(|first| Some(*first) != keep).collect()
        });
        if left.is_empty() {
            return Ok(());
        }
        self.save_cursor()?;
        for first in left {
            if self.active.as_ref().is_some_and(|active| active.first == first) {
                self.active = None;
            }
            segment::remove(&*self.shared.disk, &self.shared.dir, first)?;
            self.shared.change(|books| books.segments.remove(&first));
        }
        self.look_at_space();
        Ok(())
    }

    fn look_at_space(&mut self) {
        match self.shared.disk.space(&self.shared.dir) {
            Ok(space) => self.shared.change(|books| books.space = space),
            Err(error) => tracing::warn!(%error, "room on the journal's disk cannot be read"),
        }
        let full = self.shared.look(super::shared::Books::is_full);
        self.space_due = Instant::now() + if full { SPACE_INTERVAL_SHORT } else { SPACE_INTERVAL };
    }

    fn poison(&mut self, doing: &str, error: &io::Error) {
        self.poisoned = true;
        self.shared.change(|books| books.phase = Phase::Poisoned);
        tracing::error!(doing, %error, "journal has failed: it takes nothing more until the process is started again");
    }
}

impl Active {
    /// As good as full: what is left is less than a sixteenth.
    fn is_full(&self) -> bool {
        self.bytes - self.end < self.bytes / 16
    }
}

/// Which segments go once everything in them has left: sealed ones always, and the active one ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removal {
    /// ... when it is full.
    OfFull,
    /// ... whatever it holds: room is short.
    OfAny,
    /// ... likewise, to make another.
    ForRoom,
}

/// Requests that are written together.
#[derive(Debug, Default)]
struct Commit {
    requests: Vec<Request>,
    bytes: u64,
}

enum RollError {
    NoRoom(Shortage),
    Io(io::Error),
}

impl From<io::Error> for RollError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// However the thread ends, nobody waits for it afterwards.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.change(|books| {
            if std::thread::panicking() {
                books.phase = Phase::Poisoned;
            } else if books.phase == Phase::Writing {
                books.phase = Phase::Ended;
            }
        });
        self.0.readable.notify_one();
    }
}
