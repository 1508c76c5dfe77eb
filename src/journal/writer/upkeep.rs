//! What the writer does between commits: it makes, seals and removes segments, saves the cursor, and
//! keeps an eye on the room there is.
//!
//! A segment is made before its predecessor is sealed, and removed only after the cursor that covers it
//! is saved. That there is no room for another, neither here nor on the disk, is no failure: nothing was
//! written, and the next append asks again. Any other error is the end of writing.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Active, Writer};
use crate::journal::{
    AppendError, Sequence,
    segment::{self, CreateError, HEADER_BYTES},
    shared::{Books, Shortage, Span},
};

/// How far the saved cursor is behind the watermark at most.
const CURSOR_DELAY: Duration = Duration::from_millis(100);
/// How often the room in the file system is looked at.
const SPACE_INTERVAL: Duration = Duration::from_secs(5);
/// The same while the lack of it keeps the journal from being ready.
const SPACE_INTERVAL_SHORT: Duration = Duration::from_millis(250);
/// A segment is not made for less room than this.
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

impl Writer {
    /// Sees to it that the active segment has room for a frame.
    pub(super) fn make_room(&mut self, frame_bytes: u64) -> Result<(), AppendError> {
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

    /// Whether the first append will find room is known before it comes: a journal that starts full, or on
    /// a full disk, is not ready.
    pub(super) fn look_for_room(&mut self) {
        let (capacity, size, avail) =
            self.shared.look(|books| (books.capacity, books.size(), books.space.avail));
        let room = capacity.saturating_sub(size);
        // Less than a segment takes some webhooks and refuses others; a small journal has no more than that.
        let least = self.segment_bytes.min(capacity / 4);
        if room < least {
            self.lack(Shortage::Capacity(least));
        } else if avail < self.segment_bytes.min(room) {
            self.lack(Shortage::Disk(self.segment_bytes));
        }
    }

    /// There is no room for an append: until a twentieth is free the journal is not ready.
    fn lack(&mut self, shortage: Shortage) {
        self.look_at_space();
        self.shared.change(|books| {
            if books.full_until.is_none() {
                tracing::warn!(
                    ?shortage,
                    size = books.size(),
                    "journal is short of room and not ready; what finds none is refused"
                );
            }
            books.full_until = Some(match shortage {
                Shortage::Capacity(bytes) => Shortage::Capacity(bytes.max(books.capacity / 20)),
                Shortage::Disk(bytes) => Shortage::Disk(bytes.max(books.capacity.min(books.space.size) / 20)),
            });
        });
    }

    /// What is done between commits: what has left is given back, and the cursor is saved in time.
    pub(super) fn tidy(&mut self) {
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

    pub(super) fn look_at_space(&mut self) {
        match self.shared.disk.space(&self.shared.dir) {
            Ok(space) => self.shared.change(|books| books.space = space),
            Err(error) => tracing::warn!(%error, "room on the journal's disk cannot be read"),
        }
        let full = self.shared.look(Books::is_full);
        self.space_due = Instant::now() + if full { SPACE_INTERVAL_SHORT } else { SPACE_INTERVAL };
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

enum RollError {
    NoRoom(Shortage),
    Io(io::Error),
}

impl From<io::Error> for RollError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
