//! "Everything up to here has left the journal", kept over a restart.
//!
//! ```text
//! slot: magic 8 | version u32 le | crc32c u32 le | generation u64 le | through u64 le
//! ```
//!
//! Two slots, 4 KiB apart, are written in turn, so that a crash in the middle of one leaves the other.
//! The file is written behind: after a crash some records are delivered again and none is forgotten.
//! It never runs ahead, and it is saved before the segments that it covers are removed.

use std::{io, path::Path};

use super::{
    Sequence,
    disk::{self, Disk, DiskFile, Mode},
};

const NAME: &str = "cursor";
const MAGIC: &[u8; 8] = b"MEWSCURS";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 32;
/// Slots do not share a sector, nor a page.
const SLOT_STRIDE: u64 = 4096;

/// What the file said when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was no file, or nothing was ever saved in it.
    Nothing,
    /// Neither slot can be read.
    Damaged,
    /// What was saved last.
    Saved(Sequence),
    /// What was saved last or the time before: the other slot cannot be read.
    SavedPerhapsEarlier(Sequence),
}

impl Found {
    /// Everything up to here has left, as far as the file says.
    #[must_use]
    pub fn through(self) -> Option<Sequence> {
        match self {
            Self::Saved(through) | Self::SavedPerhapsEarlier(through) => Some(through),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

/// The open cursor file.
#[derive(Debug)]
pub struct Cursor {
    file: Box<dyn DiskFile>,
    generation: u64,
    saved: Sequence,
}

impl Cursor {
    /// Opens the file, and makes it if it is missing.
    pub fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Found)> {
        let file = disk.open(&dir.join(NAME), Mode::Write)?;
        if file.size()? < 2 * SLOT_STRIDE {
            file.allocate(2 * SLOT_STRIDE)?;
            file.sync_all()?;
            disk.sync_dir(dir)?;
        }
        let (found, generation) = read(&*file)?;
        Ok((Self { file, generation, saved: found.through().unwrap_or(0) }, found))
    }

    /// What was saved last.
    #[must_use]
    pub fn saved(&self) -> Sequence {
        self.saved
    }

    /// Saves; it is durable when it returns.
    pub fn save(&mut self, through: Sequence) -> io::Result<()> {
        self.generation += 1;
        let offset = (self.generation % 2) * SLOT_STRIDE;
        self.file.write_at(&slot(self.generation, through), offset)?;
        self.file.sync_data()?;
        self.saved = through;
        Ok(())
    }
}

/// Reads the file without opening it for writing; it may be missing.
pub fn peek(disk: &dyn Disk, dir: &Path) -> io::Result<Found> {
    match disk.open(&dir.join(NAME), Mode::Read) {
        Ok(file) => read(&*file).map(|(found, _)| found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

enum Slot {
    Blank,
    Damaged,
    Saved { generation: u64, through: Sequence },
}

fn read(file: &dyn DiskFile) -> io::Result<(Found, u64)> {
    let slots = (read_slot(file, 0)?, read_slot(file, SLOT_STRIDE)?);
    Ok(match slots {
        (Slot::Saved { generation: a, through: x }, Slot::Saved { generation: b, through: y }) => {
            if a > b {
                (Found::Saved(x), a)
            } else {
                (Found::Saved(y), b)
            }
        }
        (Slot::Saved { generation, through }, Slot::Blank)
        | (Slot::Blank, Slot::Saved { generation, through }) => (Found::Saved(through), generation),
        (Slot::Saved { generation, through }, Slot::Damaged)
        | (Slot::Damaged, Slot::Saved { generation, through }) => {
            (Found::SavedPerhapsEarlier(through), generation)
        }
        (Slot::Blank, Slot::Blank) => (Found::Nothing, 0),
        (Slot::Damaged, Slot::Blank | Slot::Damaged) | (Slot::Blank, Slot::Damaged) => (Found::Damaged, 0),
    })
}

fn read_slot(file: &dyn DiskFile, offset: u64) -> io::Result<Slot> {
    let mut bytes = [0; SLOT_BYTES];
    disk::read_full(file, &mut bytes, offset)?;
    if bytes == [0; SLOT_BYTES] {
        return Ok(Slot::Blank);
    }
    let (_, numbers) = bytes.split_at(16);
    let (generation, through) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let (generation, through) = (number(generation), number(through));
    Ok(if bytes == slot(generation, through) { Slot::Saved { generation, through } } else { Slot::Damaged })
}

fn slot(generation: u64, through: Sequence) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&generation.to_le_bytes());
    bytes[24..].copy_from_slice(&through.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::Real;

    fn open(dir: &Path) -> (Cursor, Found) {
        Cursor::open(&Real::default(), dir).unwrap()
    }

    #[test]
    fn what_was_saved_last_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open(dir.path()).1, Found::Nothing);
        for through in [1, 5, 5, 900] {
            let (mut cursor, _) = open(dir.path());
            cursor.save(through).unwrap();
            assert_eq!(open(dir.path()).1, Found::Saved(through));
            assert_eq!(peek(&Real::default(), dir.path()).unwrap(), Found::Saved(through));
        }
    }

    #[test]
    fn a_damaged_slot_leaves_the_other_and_two_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (mut cursor, _) = open(dir.path());
        cursor.save(1).unwrap();
        cursor.save(2).unwrap();
        cursor.file.write_at(b"x", 3).unwrap();
        assert_eq!(open(dir.path()).1, Found::SavedPerhapsEarlier(1));
        cursor.file.write_at(b"x", SLOT_STRIDE + 30).unwrap();
        assert_eq!(open(dir.path()).1, Found::Damaged);
        let (mut cursor, _) = open(dir.path());
        cursor.save(3).unwrap();
        assert_eq!(open(dir.path()).1.through(), Some(3));
    }

    #[test]
    fn looking_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(peek(&Real::default(), dir.path()).unwrap(), Found::Nothing);
        assert!(Real::default().list(dir.path()).unwrap().is_empty());
    }
}
