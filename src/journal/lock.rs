//! Keeps a second process out of the directory.
//!
//! The lock is the kernel's (`flock`), so it goes when its owner does, however that ended. The file
//! also names the owner; the name means nothing while nobody has the lock, and the file stays.

use std::{io, path::Path, thread, time::Duration};

use super::disk::{self, Disk, DiskFile, LockKind, Mode};

const NAME: &str = "lock";
/// A number as wide as any; written over the old one, it never needs room on a full disk.
const PID_BYTES: usize = 20;
/// `scan` may be probing at this very moment: one that finds the lock taken looks again.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The right to write in the directory, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: Box<dyn DiskFile>,
}

/// Who has the lock.
#[derive(Debug)]
pub enum Acquired {
    /// This process.
    Ours(Lock),
    /// Another one; 0 if it has not written its number yet.
    Theirs(u32),
}

/// Takes the lock.
pub fn acquire(disk: &dyn Disk, dir: &Path) -> io::Result<Acquired> {
    let file = disk.open(&dir.join(NAME), Mode::Write)?;
    for tries_left in (0..TRIES).rev() {
        if file.try_lock(LockKind::Exclusive)? {
            write_pid(&*file)?;
            return Ok(Acquired::Ours(Lock { _file: file }));
        }
        if tries_left > 0 {
            thread::sleep(BETWEEN_TRIES);
        }
    }
    Ok(Acquired::Theirs(read_pid(&*file)?))
}

/// The process that has the lock, `None` if none has.
pub fn owner(disk: &dyn Disk, dir: &Path) -> io::Result<Option<u32>> {
    let file = match disk.open(&dir.join(NAME), Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if file.try_lock(LockKind::Shared)? {
        return Ok(None);
    }
    read_pid(&*file).map(Some)
}

fn write_pid(file: &dyn DiskFile) -> io::Result<()> {
    let text = format!("{:<width$}\n", std::process::id(), width = PID_BYTES - 1);
    match file.write_at(text.as_bytes(), 0) {
        // A journal on a full disk must open, or nothing would ever drain it.
        Err(error) if disk::is_out_of_space(&error) => Ok(()),
        other => other,
    }
}

fn read_pid(file: &dyn DiskFile) -> io::Result<u32> {
    let mut bytes = [0; PID_BYTES];
    let read = disk::read_full(file, &mut bytes, 0)?;
    Ok(std::str::from_utf8(&bytes[..read]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::Real;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(owner(&Real::default(), dir.path()).unwrap(), None);
        let first = acquire(&Real::default(), dir.path()).unwrap();
        assert!(matches!(first, Acquired::Ours(_)));
        let pid = std::process::id();
        assert!(matches!(acquire(&Real::default(), dir.path()).unwrap(), Acquired::Theirs(by) if by == pid));
        assert_eq!(owner(&Real::default(), dir.path()).unwrap(), Some(pid));
        drop(first);
        assert_eq!(owner(&Real::default(), dir.path()).unwrap(), None);
        assert!(matches!(acquire(&Real::default(), dir.path()).unwrap(), Acquired::Ours(_)));
    }
}
