//! The thin seam between the journal and the file system.
//!
//! It is as wide as what the journal asks of a disk and no wider, so that tests can put a disk under
//! the journal that fails at any call, or forgets at a crash whatever was not synced. Production has
//! one implementation: [`Real`]. Nothing here interprets bytes, retries or hides an error.

use std::{fmt, io, path::Path};

#[cfg(test)]
pub mod faulty;
pub mod real;

pub use real::Real;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For reading and writing; it must not exist yet.
    New,
    /// For reading and writing; it is made when it is missing.
    Write,
    /// For reading; it must exist.
    Read,
}

/// Room in a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still take.
    pub avail: u64,
    /// Bytes that the file system has.
    pub size: u64,
}

/// What the journal asks of a file system. Every call blocks.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory, and those above it, for its owner alone; durable when it returns.
    /// One that is there already is left as it is.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names in a directory, in no order. Names that are not UTF-8 are none of the journal's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file; a new one is for its owner alone, and durable only after [`Disk::sync_dir`].
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in the same file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes what was created, renamed and removed in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Room in the file system under a directory.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// An open file, used at offsets only.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads what is there, at most the buffer full; 0 only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of it. After an error any part of it may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file this long, of zeros where it was shorter, with the blocks reserved.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Cuts the file to this length.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes contents, and the length that is needed to read them, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes contents and all of the inode durable.
    fn sync_all(&self) -> io::Result<()>;
    /// Takes the file's lock, which goes with the file: `false` if another has it.
    fn try_lock(&self, kind: LockKind) -> io::Result<bool>;
}

/// Which lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// That of the one writer.
    Exclusive,
    /// A probe's: refused only while there is a writer.
    Shared,
}

/// Fills the buffer from an offset as far as the file goes, and says how far that was.
pub fn read_full(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether an error says that a file cannot be made for now: there is no room for it, or no descriptor.
#[must_use]
pub fn is_short(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    is_out_of_space(error)
        || [Errno::MFILE, Errno::NFILE].iter().any(|each| code == Some(each.raw_os_error()))
}

/// Whether an error says that there is no room, neither on the disk nor in a quota.
#[must_use]
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
