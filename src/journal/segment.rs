//! One file of the journal: its name, its header, how it is made and how it is sealed.
//!
//! ```text
//! magic 8 | version u32 le | crc32c u32 le | first sequence u64 le | zeros 8 | frames ...
//! ```
//!
//! A segment is named after the number of its first record. It is allocated in full when it is made,
//! so that a commit never waits for blocks nor runs out of them, and what was not used is given back
//! when it is sealed. A segment is never written again once a later one exists.

use std::{io, path::Path};

use super::{
    Sequence,
    disk::{self, Disk, DiskFile, Mode},
};

/// Bytes in front of the first frame.
pub const HEADER_BYTES: u64 = 32;
/// What this build writes, and the only version that it reads.
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"MEWSJRNL";
const SUFFIX: &str = ".segment";
/// No journal gets there; so numbers can be added to without a thought.
const FIRST_MAX: Sequence = u64::MAX / 4;

/// Where a record is. Only of records that are not completed: their segments stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The segment, by the number of its first record.
    pub segment: Sequence,
    /// Where the frame begins in it.
    pub offset: u64,
    /// Bytes of the payload.
    pub length: u32,
}

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// As this build writes it.
    Intact {
        /// Number of the segment's first record.
        first: Sequence,
    },
    /// Written by another version; nothing behind the header can be understood.
    UnknownVersion(u32),
    /// Damaged, or not written to the end.
    Damaged,
}

/// The file name of a segment; names sort as sequences do.
#[must_use]
pub fn name(first: Sequence) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The number in a segment's name, `None` for files of other kinds.
#[must_use]
pub fn first_of(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(SUFFIX)?;
    let digits_only = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let first = digits_only.then(|| digits.parse().ok())?;
    first.filter(|first| (1..=FIRST_MAX).contains(first))
}

/// The segments of a directory, oldest first.
pub fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Sequence>> {
    let mut firsts: Vec<_> = disk.list(dir)?.iter().filter_map(|name| first_of(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Reads a segment's header.
pub fn read_header(file: &dyn DiskFile) -> io::Result<Header> {
    let mut bytes = [0; HEADER_BYTES as usize];
    let read = disk::read_full(file, &mut bytes, 0)?;
    let field = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if read < bytes.len() || bytes[..8] != *MAGIC {
        return Ok(Header::Damaged);
    }
    if field(8) != VERSION {
        return Ok(Header::UnknownVersion(field(8)));
    }
    let first = u64::from(field(16)) | u64::from(field(20)) << 32;
    Ok(if bytes == header(first) { Header::Intact { first } } else { Header::Damaged })
}

fn header(first: Sequence) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Why a segment could not be made.
#[derive(Debug)]
pub enum CreateError {
    /// There is no room for it, and nothing is left of the attempt.
    NoRoom,
    /// Anything else.
    Io(io::Error),
}

/// Makes a segment of this many bytes; it is durable when it returns, in its directory too.
pub fn create(
    disk: &dyn Disk,
    dir: &Path,
    first: Sequence,
    bytes: u64,
) -> Result<Box<dyn DiskFile>, CreateError> {
    let path = dir.join(name(first));
    let file = match disk.open(&path, Mode::New) {
        Err(error) if disk::is_short(&error) => return Err(CreateError::NoRoom),
        other => other.map_err(CreateError::Io)?,
    };
    match file.allocate(bytes) {
        Err(error) if disk::is_out_of_space(&error) => {
            disk.remove(&path).map_err(CreateError::Io)?;
            return Err(CreateError::NoRoom);
        }
        other => other.map_err(CreateError::Io)?,
    }
    file.write_at(&header(first), 0).map_err(CreateError::Io)?;
    file.sync_all().map_err(CreateError::Io)?;
    disk.sync_dir(dir).map_err(CreateError::Io)?;
    Ok(file)
}

/// Gives back what lies behind the last frame, for good.
pub fn seal(file: &dyn DiskFile, end: u64) -> io::Result<()> {
    file.truncate(end)?;
    file.sync_all()
}

/// Removes a segment; its absence is durable when it returns.
pub fn remove(disk: &dyn Disk, dir: &Path, first: Sequence) -> io::Result<()> {
    match disk.remove(&dir.join(name(first))) {
        // Somebody else did.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    disk.sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::Real;

    #[test]
    fn names_sort_as_sequences_do_and_other_files_are_none() {
        assert!(name(9) < name(10));
        assert_eq!(first_of(&name(FIRST_MAX)), Some(FIRST_MAX));
        for other in [0, u64::MAX] {
            assert_eq!(first_of(&name(other)), None);
        }
        for other in
            ["cursor", "lock", "1.segment", "0000000000000000000x.segment", "99999999999999999999.segment"]
        {
            assert_eq!(first_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_header_is_intact_or_of_another_version_or_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let file = create(&Real::default(), dir.path(), 77, 1 << 16).unwrap();
        assert_eq!(file.size().unwrap(), 1 << 16);
        assert_eq!(read_header(&*file).unwrap(), Header::Intact { first: 77 });
        file.write_at(&[2], 8).unwrap();
        assert_eq!(read_header(&*file).unwrap(), Header::UnknownVersion(2));
        file.write_at(&[1], 8).unwrap();
        for at in (0..8).chain(12..HEADER_BYTES) {
            let mut byte = [0];
            file.read_at(&mut byte, at).unwrap();
            file.write_at(&[byte[0] ^ 1], at).unwrap();
            assert_eq!(read_header(&*file).unwrap(), Header::Damaged, "byte {at}");
            file.write_at(&byte, at).unwrap();
        }
        seal(&*file, 10).unwrap();
        assert_eq!(read_header(&*file).unwrap(), Header::Damaged);
    }
}
