//! Gives out what is durable, in order, each record once.
//!
//! While it keeps up it takes records from memory, as they were committed. When it falls behind, what
//! does not fit there is read back from disk in pieces, so that an outage costs disk and not memory. It
//! never goes past the durable position. A damaged frame is set aside, counted, and passed over; an I/O
//! error is an error, after which the same place is tried again.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{
    Sequence, damaged,
    disk::{self, Mode},
    frame::{HEAD_BYTES, Head},
    segment::{self, HEADER_BYTES, Location},
    shared::{Ahead, Shared, Span},
    walk::{Step, Walker},
};
use crate::telemetry::metrics::Corrupt;

/// Payload bytes that are read back at once; a larger record comes alone.
const FETCH_BYTES: usize = 512 * 1024;
/// Records that are read back at once.
const FETCH_RECORDS: usize = 4096;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub sequence: Sequence,
    /// What was appended.
    pub payload: Bytes,
    /// Where it is on disk, for as long as it is not completed.
    pub location: Location,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed; the next call tries again.
    #[error("cannot read journal segment {segment}")]
    Io {
        /// The segment's file name.
        segment: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The frame was damaged since it was written, or its segment has gone.
    #[error("no intact frame in journal segment {segment} at {offset}")]
    Damaged {
        /// The segment's file name.
        segment: String,
        /// Where the frame began.
        offset: u64,
    },
    /// The journal was closed and everything durable has been read.
    #[error("journal is closed")]
    Closed,
}

/// The one reader of a journal.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// The next record is here or behind it.
    segment: Sequence,
    offset: u64,
    expected: Sequence,
    ready: VecDeque<Entry>,
    fetching: Option<JoinHandle<io::Result<Fetched>>>,
    walker: Option<Walker>,
}

/// What was read back.
#[derive(Debug)]
struct Fetched {
    segment: Sequence,
    entries: VecDeque<Entry>,
    expected: Sequence,
    walker: Walker,
    offset: u64,
}

impl Reader {
    /// A reader that begins at a place, where the record `expected` or a later one is.
    #[must_use]
    pub(super) fn new(shared: Arc<Shared>, segment: Sequence, offset: u64, expected: Sequence) -> Self {
        Self { shared, segment, offset, expected, ready: VecDeque::new(), fetching: None, walker: None }
    }

    /// The next durable record; waits for one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the disk fails, or the journal is closed and everything was read.
    pub async fn next(&mut self) -> Result<Entry, ReadError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(entry);
            }
            if self.fetching.is_some() {
                self.take_fetched().await?;
                continue;
            }
            match self.look_ahead() {
                Ahead::Entries(entries) => self.take_entries(entries),
                Ahead::OnDisk { segment, span } => self.fetch(segment, span),
                Ahead::Nothing => self.shared.readable.notified().await,
                Ahead::Ended => return Err(ReadError::Closed),
            }
        }
    }

    /// Reads one record back from disk, which must not be completed.
    pub fn refetch(
        &self,
        location: Location,
    ) -> impl Future<Output = Result<Bytes, ReadError>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move {
            let read = tokio::task::spawn_blocking(move || read_frame(&shared, location));
            read.await.unwrap_or_else(|stopped| {
                Err(ReadError::Io {
                    segment: segment::name(location.segment),
                    source: io::Error::other(stopped),
                })
            })
        }
    }

    /// What is held in memory and not given out yet.
    #[cfg(test)]
    pub(super) fn bytes_in_memory(&self) -> usize {
        let ready: usize = self.ready.iter().map(|entry| entry.payload.len()).sum();
        ready + self.shared.look(|books| books.handover.bytes())
    }

    fn look_ahead(&self) -> Ahead {
        self.shared.change(|books| {
            let ahead = books.ahead(self.segment, self.offset);
            if let Ahead::Entries(entries) = &ahead {
                for entry in entries {
                    books.accounts.hand_out(entry.sequence, entry.location.length);
                }
            }
            ahead
        })
    }

    fn take_entries(&mut self, entries: VecDeque<Entry>) {
        if let Some(last) = entries.back() {
            self.segment = last.location.segment;
            self.offset = last.location.offset + HEAD_BYTES as u64 + u64::from(last.location.length);
            self.expected = last.sequence + 1;
            self.walker = None;
        }
        self.ready = entries;
    }

    fn fetch(&mut self, segment: Sequence, span: Span) {
        if segment != self.segment {
            (self.segment, self.offset) = (segment, HEADER_BYTES);
            self.walker = None;
        }
        let fetch = Fetch {
            shared: Arc::clone(&self.shared),
            segment,
            span,
            expected: self.expected,
            entries: VecDeque::new(),
        };
        let (walker, offset) = (self.walker.take(), self.offset);
        self.fetching = Some(tokio::task::spawn_blocking(move || fetch.run(walker, offset)));
    }

    /// The handle stays where it is until it has given its result, so that nothing is lost on the way.
    async fn take_fetched(&mut self) -> Result<(), ReadError> {
        let Some(fetching) = &mut self.fetching else { return Ok(()) };
        let fetched = fetching.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        self.fetching = None;
        let fetched =
            fetched.map_err(|source| ReadError::Io { segment: segment::name(self.segment), source })?;
        (self.segment, self.offset) = (fetched.segment, fetched.offset);
        self.expected = fetched.expected;
        self.walker = Some(fetched.walker);
        self.ready = fetched.entries;
        self.shared.change(|books| {
            for entry in &self.ready {
                books.accounts.hand_out(entry.sequence, entry.location.length);
            }
        });
        Ok(())
    }
}

/// One reading back, on a thread that may block.
struct Fetch {
    shared: Arc<Shared>,
    segment: Sequence,
    span: Span,
    expected: Sequence,
    entries: VecDeque<Entry>,
}

impl Fetch {
    fn run(mut self, walker: Option<Walker>, offset: u64) -> io::Result<Fetched> {
        let mut walker = match walker {
            Some(walker) => walker,
            None => self.open(offset)?,
        };
        walker.extend(self.span.end);
        let mut bytes = 0;
        let mut damaged_bytes = 0;
        while bytes < FETCH_BYTES && self.entries.len() < FETCH_RECORDS && walker.offset() < self.span.end {
            match walker.step()? {
                Step::Frame { offset, head } => {
                    self.passed(head.sequence, std::mem::take(&mut damaged_bytes));
                    let payload = walker.payload()?;
                    bytes += payload.len();
                    let location = Location { segment: self.segment, offset, length: head.length };
                    self.entries.push_back(Entry { sequence: head.sequence, payload, location });
                    self.expected = head.sequence + 1;
                }
                Step::Damaged { offset, end } => {
                    self.report(offset, end);
                    damaged_bytes += end - offset;
                }
                // Everything before the end of the span was durable once, zeros or not.
                Step::Torn { offset, .. } | Step::End { offset } => {
                    self.report(offset, self.span.end);
                    walker.skip_to(self.span.end);
                    damaged_bytes += self.span.end - offset;
                }
            }
        }
        if walker.offset() >= self.span.end {
            self.passed(self.span.last + 1, damaged_bytes);
            self.expected = self.expected.max(self.span.last + 1);
        }
        let offset = walker.offset();
        Ok(Fetched { segment: self.segment, entries: self.entries, expected: self.expected, walker, offset })
    }

    fn open(&self, offset: u64) -> io::Result<Walker> {
        let path = self.shared.dir.join(segment::name(self.segment));
        let file = self.shared.disk.open(&path, Mode::Read)?;
        Ok(Walker::new(file, offset, self.expected.max(self.segment), self.span.end))
    }

    /// Numbers that should have come before this one are lost, unless recovery missed them already.
    fn passed(&self, sequence: Sequence, damaged_bytes: u64) {
        if sequence > self.expected {
            let lost = self.expected..=sequence - 1;
            let heads = (sequence - self.expected) * HEAD_BYTES as u64;
            let bytes = damaged_bytes.saturating_sub(heads);
            self.shared.change(|books| books.accounts.lose(lost, bytes));
        }
    }

    fn report(&self, offset: u64, end: u64) {
        let news = self.shared.change(|books| {
            let news = books.reported.insert((self.segment, offset));
            books.corrupt += u64::from(news);
            news
        });
        if news {
            damaged::copy(&*self.shared.disk, &self.shared.dir, self.segment, offset, end);
            self.shared.metrics.corrupt.of(Corrupt::Checksum).inc();
        }
    }
}

fn read_frame(shared: &Shared, location: Location) -> Result<Bytes, ReadError> {
    let name = segment::name(location.segment);
    let damaged = || ReadError::Damaged { segment: name.clone(), offset: location.offset };
    let failed = |source| ReadError::Io { segment: name.clone(), source };
    let file = match shared.disk.open(&shared.dir.join(&name), Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged()),
        other => other.map_err(failed)?,
    };
    let mut bytes = vec![0; HEAD_BYTES + location.length as usize];
    let read = disk::read_full(&*file, &mut bytes, location.offset).map_err(failed)?;
    bytes.truncate(read);
    let bytes = Bytes::from(bytes);
    match Head::read(&bytes) {
        Some(head) if head.covers(&bytes[HEAD_BYTES..]) => Ok(bytes.slice(HEAD_BYTES..)),
        Some(_) | None => Err(damaged()),
    }
}
