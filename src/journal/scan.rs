//! Looks through a journal without changing anything, beside a live writer or without one.
//!
//! It takes no lock, makes no file and moves none; `journal ls` and `journal verify` are made of it. Next
//! to a writer it sees what was written when it came by: a write that is under way is no damage, and a
//! segment that goes meanwhile was delivered.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    Entry, Sequence, cursor,
    disk::{Disk, DiskFile, Mode},
    lock,
    segment::{self, HEADER_BYTES, Header, Location},
    walk::{Step, Walker},
};

/// A frame that a live writer is just writing looks damaged until it is done: then it is looked at again.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// What a scan comes across, in the order of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An intact record, completed or not: [`Scan::completed_through`] tells.
    Entry(Entry),
    /// Bytes that were a record or several, or a header.
    Damaged {
        /// The segment's file name.
        segment: String,
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// The rest of a write that was interrupted and never answered.
    TornTail {
        /// The segment's file name.
        segment: String,
        /// Where it begins.
        offset: u64,
        /// How many bytes there are.
        bytes: u64,
    },
    /// A segment that this build cannot read.
    UnknownVersion {
        /// The segment's file name.
        segment: String,
        /// Its version.
        version: u32,
    },
    /// Records that are not completed and nowhere to be found.
    Missing {
        /// The first of them.
        first: Sequence,
        /// The last of them.
        last: Sequence,
    },
}

/// Why a scan cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}", path = .path.display())]
pub struct ScanError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Starts a scan of a journal's directory.
///
/// # Errors
/// When it cannot be read.
pub fn scan<'a>(dir: &Path, disk: &'a dyn Disk) -> Result<Scan<'a>, ScanError> {
    let failed = |source| ScanError { path: dir.to_owned(), source };
    let owner = lock::owner(disk, dir).map_err(failed)?;
    let cursor = cursor::peek(disk, dir).map_err(failed)?;
    let segments: VecDeque<_> = segment::list(disk, dir).map_err(failed)?.into();
    let oldest = segments.front().copied().unwrap_or(1);
    let expected = match cursor {
        cursor::Found::Saved(through) => oldest.min(through + 1),
        // Segments may have gone since what this cursor says.
        cursor::Found::SavedPerhapsEarlier(_) | cursor::Found::Nothing | cursor::Found::Damaged => oldest,
    };
    Ok(Scan {
        disk,
        dir: dir.to_owned(),
        owner,
        cursor,
        newest: segments.back().copied(),
        segments,
        open: None,
        ready: VecDeque::new(),
        expected,
        explained: false,
    })
}

/// A scan under way; it gives its findings one by one and holds one piece of one segment in memory.
#[derive(Debug)]
pub struct Scan<'a> {
    disk: &'a dyn Disk,
    dir: PathBuf,
    owner: Option<u32>,
    cursor: cursor::Found,
    segments: VecDeque<Sequence>,
    newest: Option<Sequence>,
    open: Option<Open>,
    ready: VecDeque<Finding>,
    expected: Sequence,
    explained: bool,
}

/// The segment that is looked at.
#[derive(Debug)]
struct Open {
    first: Sequence,
    walker: Walker,
    /// The header is damaged; that is news only if records follow, or others after them.
    headless: bool,
}

impl Iterator for Scan<'_> {
    type Item = Result<Finding, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(finding) = self.ready.pop_front() {
                return Some(Ok(finding));
            }
            let first = match &self.open {
                Some(open) => open.first,
                None => self.segments.pop_front()?,
            };
            if let Err(source) = self.advance(first) {
                self.open = None;
                self.segments.clear();
                return Some(Err(ScanError { path: self.dir.join(segment::name(first)), source }));
            }
        }
    }
}

impl Scan<'_> {
    /// Every record up to this one has left; what is on disk may be behind by the writer's delay.
    #[must_use]
    pub fn completed_through(&self) -> Sequence {
        self.cursor.through().unwrap_or(0)
    }

    /// Whether nobody can tell any more how far the journal was delivered: everything that is there will
    /// be delivered again.
    #[must_use]
    pub fn cursor_is_damaged(&self) -> bool {
        self.cursor == cursor::Found::Damaged
    }

    /// The process that has the journal open, `None` if none has; 0 if it has not said who it is.
    #[must_use]
    pub fn lock_owner(&self) -> Option<u32> {
        self.owner
    }

    fn advance(&mut self, first: Sequence) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return self.begin(first) };
        let step = self.step(&mut open)?;
        if std::mem::take(&mut open.headless) && !self.headless(first, step) {
            return Ok(());
        }
        let (name, live) = (segment::name(first), self.is_being_written(first));
        match step {
            Step::Frame { offset, head } => {
                self.number(head.sequence)?;
                self.expected = head.sequence + 1;
                let location = Location { segment: first, offset, length: head.length };
                let entry = Entry { sequence: head.sequence, payload: open.walker.payload()?, location };
                self.ready.push_back(Finding::Entry(entry));
                self.open = Some(open);
            }
            Step::Damaged { offset, end } => {
                self.damaged(name, offset, end);
                self.open = Some(open);
            }
            Step::Torn { .. } if live => {}
            Step::Torn { offset, end } if Some(first) == self.newest => {
                self.ready.push_back(Finding::TornTail { segment: name, offset, bytes: end - offset });
            }
            Step::Torn { offset, end } => self.damaged(name, offset, end),
            Step::End { .. } => {}
        }
        Ok(())
    }

    fn begin(&mut self, first: Sequence) -> io::Result<()> {
        let file = match self.disk.open(&self.dir.join(segment::name(first)), Mode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.explained = true;
                return Ok(());
            }
            other => other?,
        };
        let headless = match self.header(&*file, first)? {
            Header::UnknownVersion(version) => {
                self.explained = true;
                self.ready.push_back(Finding::UnknownVersion { segment: segment::name(first), version });
                return Ok(());
            }
            Header::Intact { first: written } => written != first,
            Header::Damaged => true,
        };
        if !headless {
            self.number(first)?;
        }
        let bytes = file.size()?;
        self.open = Some(Open { first, walker: Walker::from_first(file, first, bytes), headless });
        Ok(())
    }

    /// The header; where a writer is at work it may be about to be written.
    fn header(&self, file: &dyn DiskFile, first: Sequence) -> io::Result<Header> {
        for _ in 1..TRIES {
            match segment::read_header(file)? {
                Header::Damaged if self.is_being_written(first) => thread::sleep(BETWEEN_TRIES),
                other => return Ok(other),
            }
        }
        segment::read_header(file)
    }

    /// One step; damage where a writer is at work may be a write under way.
    fn step(&self, open: &mut Open) -> io::Result<Step> {
        for _ in 1..TRIES {
            match open.walker.step()? {
                Step::Damaged { .. } if self.is_being_written(open.first) => {
                    thread::sleep(BETWEEN_TRIES);
                    open.walker.step_back();
                }
                other => return Ok(other),
            }
        }
        open.walker.step()
    }

    fn is_being_written(&self, first: Sequence) -> bool {
        self.owner.is_some() && Some(first) == self.newest
    }

    /// What a damaged header means depends on what follows: an interrupted roll leaves nothing behind it.
    /// Says whether the rest of the segment is worth a look.
    fn headless(&mut self, first: Sequence, step: Step) -> bool {
        let name = segment::name(first);
        match step {
            Step::Frame { .. } | Step::Damaged { .. } => self.damaged(name, 0, HEADER_BYTES),
            Step::Torn { .. } | Step::End { .. } if self.is_being_written(first) => return false,
            Step::Torn { end, .. } => {
                self.damaged(name, 0, end);
                return false;
            }
            Step::End { .. } if Some(first) == self.newest => return false,
            Step::End { offset } => self.damaged(name, 0, offset),
        }
        true
    }

    fn damaged(&mut self, segment: String, offset: u64, end: u64) {
        self.explained = true;
        self.ready.push_back(Finding::Damaged { segment, offset, bytes: end - offset });
    }

    /// A record with this number would be next: those before it that were not seen are missing, unless
    /// they are completed or their damage was a finding.
    fn number(&mut self, next: Sequence) -> io::Result<()> {
        if next > self.expected && !self.explained {
            // The cursor may have moved since.
            self.cursor = cursor::peek(self.disk, &self.dir)?;
            let missing = self.expected.max(self.completed_through() + 1)..=next - 1;
            if !missing.is_empty() {
                let (first, last) = (*missing.start(), *missing.end());
                self.ready.push_back(Finding::Missing { first, last });
            }
        }
        self.explained = false;
        self.expected = self.expected.max(next);
        Ok(())
    }
}
