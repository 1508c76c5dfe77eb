//! What the writer thread, the handles and the reader have in common, under one lock.
//!
//! The lock is held for arithmetic only, never over a disk call or an await. Whoever changes something
//! under it leaves the gauges right before letting go: [`Shared::change`] sees to that.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::Notify;

use super::{
    Entry, Sequence,
    accounts::Accounts,
    disk::{Disk, Space},
    queue::Queue,
    segment::HEADER_BYTES,
};
use crate::telemetry::metrics::{self, JournalState};

/// Bytes that wait in memory for the reader; beyond them it reads the disk. What it has taken and not
/// yet given on is as much again.
const HANDOVER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an entry in memory costs beside its payload.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// Everything that more than one of the journal's parts touches.
#[derive(Debug)]
pub struct Shared {
    /// The directory.
    pub dir: PathBuf,
    /// What it is on.
    pub disk: Arc<dyn Disk>,
    /// The writer's queue.
    pub queue: Queue,
    /// Told when there is more for the reader.
    pub readable: Notify,
    /// The journal's families.
    pub metrics: metrics::Journal,
    books: Mutex<Books>,
}

/// The common state.
#[derive(Debug)]
pub struct Books {
    /// What came, left and is here.
    pub accounts: Accounts,
    /// All segments by the number of their first record; the writer adds and removes them.
    pub segments: BTreeMap<Sequence, Span>,
    /// What was just committed, for the reader.
    pub handover: Handover,
    /// Where the writer stands.
    pub phase: Phase,
    /// No appends are taken any more.
    pub draining: bool,
    /// Bytes that must be free again before the journal is ready, once an append found no room.
    pub full_until: Option<Shortage>,
    /// The file system, as last looked at.
    pub space: Space,
    /// Bytes that the segments may take.
    pub capacity: u64,
    /// The watermark moved since the writer last looked.
    pub moved: bool,
    /// Damage that was reported already, by segment and offset.
    pub reported: HashSet<(Sequence, u64)>,
    /// Damaged places found since the process began, torn tails aside.
    pub corrupt: u64,
}

/// Where the writer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes appends.
    Writing,
    /// A write or a sync failed, or the thread did: it never writes again.
    Poisoned,
    /// It has ended.
    Ended,
}

/// Who had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The journal reached its size; so many bytes of it must be free.
    Capacity(u64),
    /// The file system had no room; so many bytes must be free in it.
    Disk(u64),
}

/// What a segment holds that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Number of its last record, the one before its first if it has none.
    pub last: Sequence,
    /// Behind its last durable frame.
    pub end: u64,
    /// Bytes that it takes on disk.
    pub bytes: u64,
}

/// Entries in memory. They are those that follow what the reader took last, as long as it keeps up.
#[derive(Debug)]
pub struct Handover {
    entries: VecDeque<Entry>,
    bytes: usize,
    follows: bool,
}

impl Handover {
    /// Takes what was committed, as long as there is room; from the first that finds none the reader
    /// must fetch from disk until it has caught up.
    pub fn offer(&mut self, entry: Entry) {
        let bytes = self.bytes + entry.payload.len() + ENTRY_BYTES;
        if self.follows && bytes <= HANDOVER_BYTES_MAX {
            self.bytes = bytes;
            self.entries.push_back(entry);
        } else {
            self.follows = false;
        }
    }

    /// What the entries take.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn take(&mut self) -> VecDeque<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries)
    }
}

/// What there is for a reader that stands somewhere.
#[derive(Debug)]
pub enum Ahead {
    /// These come next.
    Entries(VecDeque<Entry>),
    /// Durable, but not in memory.
    OnDisk {
        /// The segment.
        segment: Sequence,
        /// What can be read of it.
        span: Span,
    },
    /// Everything durable was read.
    Nothing,
    /// And nothing will follow.
    Ended,
}

impl Books {
    /// Books at start.
    #[must_use]
    pub fn new(accounts: Accounts, segments: BTreeMap<Sequence, Span>, capacity: u64, space: Space) -> Self {
        Self {
            accounts,
            segments,
            handover: Handover { entries: VecDeque::new(), bytes: 0, follows: false },
            phase: Phase::Writing,
            draining: false,
            full_until: None,
            space,
            capacity,
            moved: false,
            reported: HashSet::new(),
            corrupt: 0,
        }
    }

    /// Bytes that all segments take.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.values().map(|span| span.bytes).sum()
    }

    /// What comes after a place.
    pub fn ahead(&mut self, segment: Sequence, offset: u64) -> Ahead {
        if !self.handover.entries.is_empty() {
            return Ahead::Entries(self.handover.take());
        }
        let unread = self.segments.range(segment..).find(|(first, span)| {
            let from = if **first == segment { offset } else { HEADER_BYTES };
            span.end > from
        });
        if let Some((first, span)) = unread {
            return Ahead::OnDisk { segment: *first, span: *span };
        }
        self.handover.follows = true;
        if self.phase == Phase::Ended { Ahead::Ended } else { Ahead::Nothing }
    }

    /// Whether an append that found no room is still in the way of being ready.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let free = self.capacity.saturating_sub(self.size());
        match self.full_until {
            None => false,
            Some(Shortage::Capacity(bytes)) => free < bytes,
            Some(Shortage::Disk(bytes)) => free.min(self.space.avail) < bytes,
        }
    }

    /// What the journal is doing; `queue` is the writer's.
    #[must_use]
    pub fn state(&self, queue: &Queue) -> JournalState {
        match self.phase {
            Phase::Poisoned => JournalState::Failed,
            Phase::Writing if !self.draining && self.is_full() => JournalState::Full,
            Phase::Writing if !self.draining => JournalState::Open,
            Phase::Writing | Phase::Ended if self.accounts.pending() == 0 && queue.is_empty() => {
                JournalState::Drained
            }
            Phase::Writing | Phase::Ended => JournalState::Draining,
        }
    }
}

impl Shared {
    /// The common state of a journal that was just opened.
    #[must_use]
    pub fn new(dir: PathBuf, disk: Arc<dyn Disk>, metrics: metrics::Journal, books: Books) -> Self {
        let books = Mutex::new(books);
        let shared = Self { dir, disk, queue: Queue::new(), readable: Notify::new(), metrics, books };
        shared.change(|_| ());
        shared
    }

    /// Changes something, and leaves the gauges right.
    pub fn change<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        let mut books = self.lock();
        let changed = change(&mut books);
        if !books.is_full() {
            books.full_until = None;
        }
        self.show(&books);
        changed
    }

    /// Looks at something.
    pub fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.lock())
    }

    fn show(&self, books: &Books) {
        let gauges = &self.metrics;
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        gauges.pending_records.set(whole(books.accounts.pending()));
        gauges.pending_bytes.set(whole(books.accounts.pending_bytes()));
        gauges.unaccounted.set(books.accounts.unaccounted());
        gauges.segments.set(whole(books.segments.len() as u64));
        gauges.size.set(whole(books.size()));
        gauges.capacity.set(whole(books.capacity));
        gauges.fs_avail.set(whole(books.space.avail));
        gauges.fs_size.set(whole(books.space.size));
        gauges.state.only(books.state(&self.queue));
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no holder of the books' lock panics")
    }
}
