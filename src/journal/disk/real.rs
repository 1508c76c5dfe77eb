//! The operating system's files.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::{Disk, DiskFile, LockKind, Mode, Space};

/// The file system of the operating system.
#[derive(Debug, Default)]
pub struct Real {
    /// Directories that were synced stay open: a process that ran out of descriptors can still sync them,
    /// and a sync that fails would be the end of the journal.
    dirs: Mutex<BTreeMap<PathBuf, File>>,
}

/// Zeros are written in pieces of this size where blocks cannot be reserved otherwise.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

impl Disk for Real {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(Path::new(""));
        self.create_dir(parent)?;
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            other => other?,
        }
        self.sync_dir(parent)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            Mode::New => options.write(true).create_new(true),
            Mode::Write => options.write(true).create(true).truncate(false),
            Mode::Read => &mut options,
        };
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let mut dirs = self.dirs.lock().expect("no holder of this lock panics");
        if let Some(open) = dirs.get(dir) {
            return open.sync_all();
        }
        let open = File::open(dir)?;
        open.sync_all()?;
        dirs.insert(dir.to_owned(), open);
        Ok(())
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Space {
            avail: found.f_bavail.saturating_mul(found.f_frsize),
            size: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, bytes) {
                Err(rustix::io::Errno::INTR) => {}
                // Some file systems cannot reserve (NFS before 4.2, for one): there the zeros are written.
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                    return self.write_zeros(bytes);
                }
                other => return other.map_err(io::Error::from),
            }
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        let locked = match kind {
            LockKind::Exclusive => self.0.try_lock(),
            LockKind::Shared => self.0.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl RealFile {
    fn write_zeros(&self, bytes: u64) -> io::Result<()> {
        let mut at = self.size()?;
        while at < bytes {
            let piece = (bytes - at).min(ZEROS.len() as u64);
            self.0.write_all_at(&ZEROS[..usize::try_from(piece).unwrap_or(ZEROS.len())], at)?;
            at += piece;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_and_directories_are_for_their_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data/journal");
        Real::default().create_dir(&dir).unwrap();
        Real::default().create_dir(&dir).unwrap();
        Real::default().open(&dir.join("a"), Mode::New).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("a"))), (0o700, 0o600));
        assert_eq!(Real::default().list(&dir).unwrap(), ["a"]);
    }

    #[test]
    fn allocated_bytes_are_zeros_whether_reserved_or_written() {
        let root = tempfile::tempdir().unwrap();
        for way in [RealFile::allocate, RealFile::write_zeros] {
            let file = RealFile(tempfile::tempfile_in(root.path()).unwrap());
            file.write_at(b"head", 0).unwrap();
            way(&file, 200_000).unwrap();
            let mut all = vec![1; 200_001];
            assert_eq!(super::super::read_full(&file, &mut all, 0).unwrap(), 200_000);
            assert_eq!(&all[..4], b"head");
            assert!(all[4..200_000].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_lock_goes_with_its_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let first = Real::default().open(&path, Mode::Write).unwrap();
        let second = Real::default().open(&path, Mode::Write).unwrap();
        assert!(first.try_lock(LockKind::Exclusive).unwrap());
        assert!(!second.try_lock(LockKind::Exclusive).unwrap());
        assert!(!second.try_lock(LockKind::Shared).unwrap());
        drop(first);
        assert!(second.try_lock(LockKind::Exclusive).unwrap());
    }
}
