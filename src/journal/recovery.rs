//! What is done with a directory before it is written to: every record that has not left is found.
//!
//! - Segments in which everything has left are removed: the process ended between saving the cursor
//!   and removing them.
//! - The others are read from end to end. Damage is set aside, counted and logged, and what follows is
//!   kept; so is what lies behind a header that is damaged. Another version's segment is moved aside.
//! - Only the newest segment can end in a torn write: an older one was synced before the next was made.
//!   A tail without an intact frame behind it is cut, and with it whatever could later pass for a frame.
//! - A newest segment without a header is the rest of an interrupted roll, and goes.
//!
//! Nothing is appended to a segment that was found, so new frames never follow old pages of unknown
//! state. Recovery needs no room on the disk. It can be interrupted and done again; a second run finds
//! the same. An I/O error ends it, and is never taken for damage.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    ops::RangeInclusive,
    path::Path,
    time::Duration,
};

use super::{
    Sequence, cursor, damaged,
    disk::{self, Disk, DiskFile, Mode},
    segment::{self, HEADER_BYTES, Header},
    shared::Span,
    walk::{Step, Walker},
    writer::COMMIT_BYTES_MAX,
};

/// What was found, for the log and for `/state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Deliveries that are pending and will be relayed.
    pub replayed: u64,
    /// Bytes of those.
    pub replayed_bytes: u64,
    /// Deliveries that had left already.
    pub already_completed: u64,
    /// Places that were damaged.
    pub damaged: u64,
    /// Tails of a write that was never answered, cut.
    pub torn_tails: u64,
    /// Segments of another version, moved aside.
    pub unknown_versions: u64,
    /// How long it took.
    pub took: Duration,
}

/// What recovery leaves to work with.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) report: Report,
    pub(super) through: Sequence,
    pub(super) last: Sequence,
    pub(super) missing: Vec<RangeInclusive<Sequence>>,
    pub(super) segments: BTreeMap<Sequence, Span>,
    pub(super) reported: HashSet<(Sequence, u64)>,
    /// Segment and offset of the first pending record, if there is one.
    pub(super) start: Option<(Sequence, u64)>,
}

/// Recovers a directory that is locked.
pub(super) fn recover(disk: &dyn Disk, dir: &Path, found: cursor::Found) -> io::Result<Recovered> {
    let mut firsts = segment::list(disk, dir)?;
    let oldest = firsts.first().copied();
    let through = found.through().unwrap_or_else(|| oldest.map_or(0, |first| first.saturating_sub(1)));
    while firsts.get(1).is_some_and(|second| *second <= through + 1) {
        segment::remove(disk, dir, firsts.remove(0))?;
    }
    let mut recovery = Recovery::new(disk, dir, through);
    if let Some(first) = firsts.first() {
        recovery.begin(*first, found);
    }
    let newest = firsts.last().copied();
    for first in firsts {
        let place = if Some(first) == newest { Place::Newest } else { Place::Older };
        recovery.segment(first, place)?;
    }
    Ok(recovery.finish())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Older,
    Newest,
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    found: Recovered,
    /// The number that the next frame should have.
    expected: Sequence,
    /// Damage was reported since the last frame, so that a gap in the numbers is no news.
    explained: bool,
    /// Numbers below this one may have been given to records that cannot be read.
    next_min: Sequence,
}

impl<'a> Recovery<'a> {
    fn new(disk: &'a dyn Disk, dir: &'a Path, through: Sequence) -> Self {
        let found = Recovered {
            report: Report::default(),
            through,
            last: through,
            missing: Vec::new(),
            segments: BTreeMap::new(),
            reported: HashSet::new(),
            start: None,
        };
        Self { disk, dir, found, expected: through + 1, explained: false, next_min: 0 }
    }

    /// Where the oldest segment begins. A cursor that may be an earlier one says nothing about what is
    /// missing in front: segments may have gone since.
    fn begin(&mut self, first: Sequence, found: cursor::Found) {
        match found {
            cursor::Found::Saved(_) => {}
            cursor::Found::SavedPerhapsEarlier(_) | cursor::Found::Nothing | cursor::Found::Damaged => {
                self.explained = true;
            }
        }
        if first <= self.expected {
            self.expected = first;
            self.explained = false;
        } else {
            self.number(first);
        }
    }

    /// A record with this number would be next in a file: those before it that were not seen are missing.
    fn number(&mut self, next: Sequence) {
        let missing = self.expected.max(self.found.through + 1)..=next.saturating_sub(1);
        if !missing.is_empty() {
            if !self.explained {
                tracing::error!(
                    first = missing.start(),
                    last = missing.end(),
                    "records are missing from the journal, and nothing is left of them"
                );
                self.found.report.damaged += 1;
            }
            self.found.missing.push(missing);
        }
        self.explained = false;
        self.expected = self.expected.max(next);
    }

    fn segment(&mut self, first: Sequence, place: Place) -> io::Result<()> {
        let path = self.dir.join(segment::name(first));
        let file = self.disk.open(&path, Mode::Read)?;
        let bytes = file.size()?;
        let header = match segment::read_header(&*file)? {
            Header::UnknownVersion(version) => return self.move_unknown(first, version, place, bytes),
            Header::Intact { first: written } if written == first => Header::Intact { first },
            Header::Intact { .. } | Header::Damaged => Header::Damaged,
        };
        let mut walker = Walker::from_first(file, first, bytes);
        let before = walker.step()?;
        if header == Header::Damaged {
            match before {
                Step::Frame { .. } | Step::Damaged { .. } => self.damage(first, 0, HEADER_BYTES),
                Step::End { .. } if place == Place::Newest => {
                    tracing::info!(segment = segment::name(first), "an interrupted roll was undone");
                    return segment::remove(self.disk, self.dir, first);
                }
                Step::Torn { .. } | Step::End { .. } => return self.move_unreadable(first, place, bytes),
            }
        }
        self.number(first);
        let (span, large) = self.frames(first, place, bytes, walker, before)?;
        let span = if place == Place::Newest { self.settle(&path, span, large)? } else { span };
        self.found.segments.insert(first, span);
        Ok(())
    }

    /// Goes through all frames; also gives the size of the last one.
    fn frames(
        &mut self,
        first: Sequence,
        place: Place,
        bytes: u64,
        mut walker: Walker,
        mut step: Step,
    ) -> io::Result<(Span, u64)> {
        let mut span = Span { last: first - 1, end: HEADER_BYTES, bytes };
        let mut large = 0;
        loop {
            match step {
                Step::Frame { offset, head } => {
                    self.number(head.sequence);
                    self.expected = head.sequence + 1;
                    self.count(first, offset, head.sequence, head.length);
                    large = head.frame_bytes();
                    span = Span { last: head.sequence, end: walker.offset(), bytes };
                }
                Step::Damaged { offset, end } => self.damage(first, offset, end),
                Step::Torn { offset, end } => {
                    match place {
                        Place::Newest => self.torn(first, offset, end),
                        Place::Older => self.damage(first, offset, end),
                    }
                    return Ok((span, large));
                }
                Step::End { offset } => {
                    if bytes > offset && place == Place::Older {
                        self.seal(&self.dir.join(segment::name(first)), offset)?;
                        span.bytes = offset;
                    }
                    return Ok((span, large));
                }
            }
            step = walker.step()?;
        }
    }

    fn count(&mut self, first: Sequence, offset: u64, sequence: Sequence, length: u32) {
        if sequence <= self.found.through {
            self.found.report.already_completed += 1;
            return;
        }
        self.found.report.replayed += 1;
        self.found.report.replayed_bytes += u64::from(length);
        self.found.start.get_or_insert((first, offset));
    }

    /// [`Recovery::settle`] cuts it.
    fn torn(&mut self, first: Sequence, offset: u64, end: u64) {
        self.found.report.torn_tails += 1;
        tracing::info!(
            segment = segment::name(first),
            offset,
            bytes = end - offset,
            "an unfinished write at the end of the journal is cut"
        );
    }

    fn damage(&mut self, first: Sequence, offset: u64, end: u64) {
        damaged::copy(self.disk, self.dir, first, offset, end);
        self.found.report.damaged += 1;
        self.found.reported.insert((first, offset));
        self.explained = true;
    }

    fn move_unknown(&mut self, first: Sequence, version: u32, place: Place, bytes: u64) -> io::Result<()> {
        damaged::move_segment(self.disk, self.dir, first)?;
        self.found.report.unknown_versions += 1;
        tracing::error!(
            segment = segment::name(first),
            version,
            "a segment of a version that this build does not know was moved to damaged/; another build can read it"
        );
        self.beyond(first, place, bytes);
        Ok(())
    }

    fn move_unreadable(&mut self, first: Sequence, place: Place, bytes: u64) -> io::Result<()> {
        damaged::move_segment(self.disk, self.dir, first)?;
        self.found.report.damaged += 1;
        tracing::error!(
            segment = segment::name(first),
            bytes,
            "a segment without one intact record was moved to damaged/; the rest is delivered"
        );
        self.beyond(first, place, bytes);
        Ok(())
    }

    /// Nothing is known of a segment's records but where their numbers began, and how many fit if no
    /// later segment says where they ended.
    fn beyond(&mut self, first: Sequence, place: Place, bytes: u64) {
        self.explained = true;
        self.next_min = match place {
            Place::Older => first,
            Place::Newest => first + bytes / super::frame::HEAD_BYTES as u64,
        };
    }

    /// Cuts the newest segment behind its last frame and makes sure that all of it is on the disk.
    ///
    /// After a failed sync the last commit can be in memory only, and look intact; it was not answered,
    /// but it is delivered now, so it must not vanish later and leave a hole. Hence it is written again.
    fn settle(&self, path: &Path, span: Span, last_frame_bytes: u64) -> io::Result<Span> {
        let file = self.disk.open(path, Mode::Write)?;
        let tail = span.end.saturating_sub(last_frame_bytes.max(COMMIT_BYTES_MAX as u64)).max(HEADER_BYTES);
        write_again(&*file, tail, span.end)?;
        segment::seal(&*file, span.end)?;
        Ok(Span { bytes: span.end, ..span })
    }

    fn seal(&self, path: &Path, end: u64) -> io::Result<()> {
        segment::seal(&*self.disk.open(path, Mode::Write)?, end)
    }

    fn finish(mut self) -> Recovered {
        self.explained = true;
        self.number(self.next_min);
        self.found.last = self.found.through.max(self.expected - 1);
        self.found
    }
}

fn write_again(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
    let read = disk::read_full(file, &mut bytes, from)?;
    match file.write_at(&bytes[..read], from) {
        // Where even writing in place needs room, on a copy-on-write file system, a full disk must not
        // keep the journal from being drained.
        Err(error) if disk::is_out_of_space(&error) => Ok(()),
        other => other,
    }
}
