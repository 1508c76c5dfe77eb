//! Goes through the frames of one segment and tells frames, damage and the end apart.
//!
//! Recovery, the reader and `scan` all walk this way, so that they agree on what is damage. A walker
//! holds one window of the file, not the file. An I/O error is returned as such and never taken for
//! damage. It changes nothing.

use std::io;

use bytes::Bytes;

use super::{
    Sequence,
    disk::{self, DiskFile},
    frame::{HEAD_BYTES, Head},
    segment::HEADER_BYTES,
};

/// Bytes that are read at once, as long as a frame is no larger.
const WINDOW_BYTES: usize = 256 * 1024;

/// What comes next in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame, intact.
    Frame {
        /// Where it begins.
        offset: u64,
        /// Its head; [`Walker::payload`] has the rest.
        head: Head,
    },
    /// Bytes that are no frame, with an intact one behind them.
    Damaged {
        /// Where they begin.
        offset: u64,
        /// Where the intact frame begins.
        end: u64,
    },
    /// No further frame, but bytes other than zero.
    Torn {
        /// Where they begin.
        offset: u64,
        /// Behind the last of them.
        end: u64,
    },
    /// No further frame, and only zeros if anything.
    End {
        /// Behind the last frame.
        offset: u64,
    },
}

/// A walk through one segment.
#[derive(Debug)]
pub struct Walker {
    window: Window,
    at: u64,
    /// Frames that follow are numbered from here on.
    next: Sequence,
    /// The same two before the last step.
    before: (u64, Sequence),
    payload_at: u64,
    payload_bytes: usize,
}

impl Walker {
    /// Starts at an offset, where the frame `next` or a later one is expected; `limit` bounds the
    /// walk, and what lies behind it is not looked at.
    #[must_use]
    pub fn new(file: Box<dyn DiskFile>, offset: u64, next: Sequence, limit: u64) -> Self {
        let window = Window { file, bytes: Vec::new(), from: 0, limit };
        Self { window, at: offset, next, before: (offset, next), payload_at: offset, payload_bytes: 0 }
    }

    /// Starts at the first frame of a segment.
    #[must_use]
    pub fn from_first(file: Box<dyn DiskFile>, first: Sequence, limit: u64) -> Self {
        Self::new(file, HEADER_BYTES, first, limit)
    }

    /// Where the next step begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// Goes one step further. [`Step::Torn`] and [`Step::End`] are repeated.
    pub fn step(&mut self) -> io::Result<Step> {
        let offset = self.at;
        self.before = (self.at, self.next);
        if let Some(head) = self.frame_at(offset)? {
            self.at += head.frame_bytes();
            self.next = head.sequence + 1;
            self.payload_at = offset + HEAD_BYTES as u64;
            self.payload_bytes = head.length as usize;
            return Ok(Step::Frame { offset, head });
        }
        if let Some((end, next)) = self.intact_after(offset)? {
            (self.at, self.next) = (end, next);
            return Ok(Step::Damaged { offset, end });
        }
        let end = self.last_set_byte(offset)?;
        Ok(if end > offset { Step::Torn { offset, end } } else { Step::End { offset } })
    }

    /// The payload of the frame that the last step found.
    pub fn payload(&mut self) -> io::Result<Bytes> {
        let (offset, length) = (self.payload_at, self.payload_bytes);
        self.window.view(offset, length).map(Bytes::copy_from_slice)
    }

    /// Moves the limit, for a segment that grew.
    pub fn extend(&mut self, limit: u64) {
        self.window.limit = limit;
    }

    /// Takes the last step back, and reads the file anew from there.
    pub fn step_back(&mut self) {
        self.window.bytes.clear();
        (self.at, self.next) = self.before;
    }

    /// Goes on at an offset, whatever lies before it.
    pub fn skip_to(&mut self, offset: u64) {
        self.at = offset;
    }

    /// An intact frame with a number that can stand there: no lower than expected, and no higher
    /// than if every frame since had been empty.
    fn frame_at(&mut self, offset: u64) -> io::Result<Option<Head>> {
        let Some(head) = Head::read(self.window.view(offset, HEAD_BYTES)?) else { return Ok(None) };
        let highest = self.next.saturating_add(offset.saturating_sub(self.at) / HEAD_BYTES as u64);
        let fits = head.frame_bytes() <= self.window.limit - offset;
        if !fits || head.sequence < self.next || head.sequence > highest {
            return Ok(None);
        }
        let payload = self.window.view(offset + HEAD_BYTES as u64, head.length as usize)?;
        Ok(head.covers(payload).then_some(head))
    }

    /// Where the first intact frame behind damage begins, and its number.
    ///
    /// The length of the damaged frame is believed first: a payload may hold what looks like a frame.
    fn intact_after(&mut self, offset: u64) -> io::Result<Option<(u64, Sequence)>> {
        if let Some(head) = Head::read(self.window.view(offset, HEAD_BYTES)?) {
            let behind = offset.saturating_add(head.frame_bytes());
            if head.sequence == self.next
                && behind < self.window.limit
                && let Some(intact) = self.frame_at(behind)?
            {
                return Ok(Some((behind, intact.sequence)));
            }
        }
        let mut at = offset + 1;
        while let Some(candidate) = self.window.next_set_byte(at)? {
            // The set byte may be any of a head's: sequences stand last in it.
            let from = candidate.saturating_sub(HEAD_BYTES as u64 - 1).max(at);
            for at in from..=candidate {
                if let Some(intact) = self.frame_at(at)? {
                    return Ok(Some((at, intact.sequence)));
                }
            }
            at = candidate + 1;
        }
        Ok(None)
    }

    /// Behind the last byte other than zero, `offset` if there is none.
    fn last_set_byte(&mut self, offset: u64) -> io::Result<u64> {
        let mut end = offset;
        let mut at = offset;
        loop {
            let view = self.window.view(at, WINDOW_BYTES)?;
            if view.is_empty() {
                return Ok(end);
            }
            if let Some(last) = view.iter().rposition(|byte| *byte != 0) {
                end = at + last as u64 + 1;
            }
            at += view.len() as u64;
        }
    }
}

/// A part of a file in memory.
#[derive(Debug)]
struct Window {
    file: Box<dyn DiskFile>,
    bytes: Vec<u8>,
    from: u64,
    limit: u64,
}

impl Window {
    /// The bytes at an offset; fewer than asked for only where the limit or the file ends.
    fn view(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let length = length.min(usize::try_from(self.limit.saturating_sub(offset)).unwrap_or(usize::MAX));
        let end = self.from + self.bytes.len() as u64;
        if offset < self.from || offset + length as u64 > end {
            self.read(offset, length)?;
        }
        let start = usize::try_from(offset - self.from).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(&self.bytes[start..self.bytes.len().min(start + length)])
    }

    fn read(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let ahead = usize::try_from(self.limit.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.bytes.resize(length.max(WINDOW_BYTES.min(ahead)), 0);
        self.from = offset;
        match disk::read_full(&*self.file, &mut self.bytes, offset) {
            Ok(read) => {
                self.bytes.truncate(read);
                Ok(())
            }
            Err(error) => {
                self.bytes.clear();
                Err(error)
            }
        }
    }

    /// Where the first byte other than zero is, from an offset on.
    fn next_set_byte(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        loop {
            // One byte at least; as many as the window has anyway.
            let end = self.from + self.bytes.len() as u64;
            let have = if (self.from..end).contains(&at) { end - at } else { WINDOW_BYTES as u64 };
            let view = self.view(at, usize::try_from(have).unwrap_or(WINDOW_BYTES))?;
            if view.is_empty() {
                return Ok(None);
            }
            if let Some(set) = view.iter().position(|byte| *byte != 0) {
                return Ok(Some(at + set as u64));
            }
            at += view.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::journal::{
        disk::{Disk as _, Mode, faulty::Faulty},
        frame,
    };

    const FIRST: Sequence = 40;

    /// A segment of these payloads, and where each frame begins and ends.
    fn segment(payloads: &[Vec<u8>], room: usize) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut bytes = vec![0; HEADER_BYTES as usize];
        let mut frames = Vec::new();
        for (sequence, payload) in (FIRST..).zip(payloads) {
            let from = bytes.len() as u64;
            frame::write(&mut bytes, sequence, payload);
            frames.push((from, bytes.len() as u64));
        }
        bytes.resize(bytes.len() + room, 0);
        (bytes, frames)
    }

    fn walk(bytes: &[u8]) -> Vec<Step> {
        let disk = Faulty::new(1, 1 << 30);
        let file = disk.open(Path::new("/segment"), Mode::New).unwrap();
        file.write_at(bytes, 0).unwrap();
        let mut walker = Walker::from_first(file, FIRST, bytes.len() as u64);
        let mut steps = Vec::new();
        loop {
            let step = walker.step().unwrap();
            steps.push(step);
            if matches!(step, Step::Torn { .. } | Step::End { .. }) {
                assert_eq!(walker.step().unwrap(), step, "the end is repeated");
                return steps;
            }
        }
    }

    fn any_payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let payload = prop_oneof![
            9 => prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..80),
            1 => Just(vec![7; WINDOW_BYTES + 5]),
        ];
        prop::collection::vec(payload, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn intact_frames_are_found_whatever_stands_between_them(
            payloads in any_payloads(),
            room in 0usize..2000,
            hits in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..30)), 0..4),
        ) {
            let (mut bytes, frames) = segment(&payloads, room);
            let before = bytes.clone();
            for (at, with) in hits {
                let at = at.index(bytes.len()).max(HEADER_BYTES as usize);
                let end = (at + with.len()).min(bytes.len());
                bytes[at.min(end)..end].copy_from_slice(&with[..end - at.min(end)]);
            }
            let touched = |from: u64, to: u64| bytes[from as usize..to as usize] != before[from as usize..to as usize];
            let mut at = HEADER_BYTES;
            let mut found = Vec::new();
            for step in walk(&bytes) {
                match step {
                    Step::Frame { offset, head } => {
                        prop_assert_eq!(offset, at);
                        at += head.frame_bytes();
                        found.push((offset, at));
                        prop_assert_eq!(frames.get((head.sequence - FIRST) as usize), Some(&(offset, at)));
                    }
                    Step::Damaged { offset, end } => {
                        prop_assert_eq!(offset, at);
                        prop_assert!(touched(offset, end));
                        at = end;
                    }
                    Step::Torn { offset, end } => {
                        prop_assert_eq!(offset, at);
                        prop_assert!(bytes[end as usize - 1] != 0 && bytes[end as usize..].iter().all(|byte| *byte == 0));
                    }
                    Step::End { offset } => {
                        prop_assert_eq!(offset, at);
                        prop_assert!(bytes[offset as usize..].iter().all(|byte| *byte == 0));
                    }
                }
            }
            let intact: Vec<_> = frames.into_iter().filter(|(from, to)| !touched(*from, *to)).collect();
            prop_assert_eq!(found, intact);
        }
    }

    #[test]
    fn a_step_taken_back_is_taken_again() {
        let (mut bytes, frames) = segment(&[vec![1; 10], vec![2; 10], vec![3; 10]], 0);
        bytes[frames[1].0 as usize + 20] ^= 1;
        let disk = Faulty::new(1, 1 << 30);
        let file = disk.open(Path::new("/segment"), Mode::New).unwrap();
        file.write_at(&bytes, 0).unwrap();
        let mut walker = Walker::from_first(file, FIRST, bytes.len() as u64);
        walker.step().unwrap();
        let damaged = Step::Damaged { offset: frames[1].0, end: frames[2].0 };
        assert_eq!(walker.step().unwrap(), damaged);
        walker.step_back();
        assert_eq!(walker.step().unwrap(), damaged);
        walker.step_back();
        disk.flip(Path::new("/segment"), frames[1].0 + 20, 1);
        assert!(matches!(walker.step().unwrap(), Step::Frame { offset, .. } if offset == frames[1].0));
        assert_eq!(walker.payload().unwrap(), [2; 10].as_slice());
    }
}
