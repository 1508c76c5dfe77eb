//! A disk for tests, in memory, that is as bad as a disk may be.
//!
//! What was not synced can be lost at a power cut, sector by sector and by chance; names likewise, from
//! some point on. A sync that fails leaves pages that read well and are never written, as Linux does.
//! Any call can be made to fail, to be done by half, or to be the last one before the power goes. Files
//! of before a power cut or a kill are dead afterwards.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{Disk, DiskFile, LockKind, Mode, Space};

const SECTOR: usize = 512;
/// No read gives more, so that nobody relies on full reads.
const READ_MAX: usize = 100_000;

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails without effect.
    Io,
    /// There is no room.
    NoSpace,
    /// The process has no file descriptor left.
    NoDescriptor,
    /// A write is done by half, and fails.
    Short,
    /// A write is done by half, and the power goes.
    PowerCut,
}

/// The disk, as one process sees it.
#[derive(Clone, Debug)]
pub struct Faulty {
    state: Arc<Mutex<State>>,
    process: u64,
}

#[derive(Debug, Default)]
struct State {
    inodes: HashMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    unsynced_names: Vec<(PathBuf, Option<u64>)>,
    calls: Vec<&'static str>,
    faults: HashMap<usize, Fault>,
    power_is_off: bool,
    process: u64,
    capacity: u64,
    made: u64,
    chance: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that the next sync writes.
    dirty: BTreeSet<usize>,
    locked_by: Option<u64>,
}

impl Faulty {
    /// An empty disk; the seed decides what power cuts lose.
    pub fn new(seed: u64, capacity: u64) -> Self {
        let state = State { chance: seed | 1, capacity, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), process: 0 }
    }

    /// Lets the call with this index fail, counted from the first one ever.
    pub fn fail(&self, call: usize, fault: Fault) {
        self.lock().faults.insert(call, fault);
    }

    /// What was called so far.
    pub fn calls(&self) -> Vec<&'static str> {
        self.lock().calls.clone()
    }

    /// Bytes that the disk can hold, from now on.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// The disk as the next process finds it after a `kill -9`: every write is there, synced or not.
    pub fn kill(&self) -> Self {
        let mut state = self.lock();
        if state.power_is_off {
            state.lose();
        }
        state.process += 1;
        state.power_is_off = false;
        state.faults.clear();
        for inode in state.inodes.values_mut() {
            inode.locked_by = None;
        }
        Self { state: Arc::clone(&self.state), process: state.process }
    }

    /// The disk as it is after a power cut.
    pub fn power_cut(&self) -> Self {
        self.lock().power_is_off = true;
        self.kill()
    }

    /// Changes a byte on the platter, in memory and on disk.
    pub fn flip(&self, path: &Path, at: u64, by: u8) {
        let mut state = self.lock();
        let inode = state.names[path];
        let inode = state.inodes.get_mut(&inode).unwrap();
        let at = at as usize;
        inode.current[at] ^= by;
        if at < inode.durable.len() {
            inode.durable[at] = inode.current[at];
        }
    }

    /// Names and lengths of all files.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.lock();
        state
            .names
            .iter()
            .map(|(name, inode)| (name.clone(), state.inodes[inode].current.len() as u64))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Every call passes here first: `Ok(Some(fault))` if the caller is to do half of it.
    fn call(&self, name: &'static str) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.lock();
        if state.process != self.process || state.power_is_off {
            return Err(io::Error::other("this process is dead"));
        }
        let index = state.calls.len();
        state.calls.push(name);
        match state.faults.get(&index).copied() {
            Some(Fault::Io) if name != "sync" => Err(io_error()),
            Some(Fault::NoSpace) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(Fault::NoDescriptor) => Err(io::Error::from_raw_os_error(24)),
            Some(Fault::Short) if name != "write" => Err(io_error()),
            Some(Fault::PowerCut) if name != "write" => {
                state.power_is_off = true;
                Err(io_error())
            }
            other => Ok((state, other)),
        }
    }
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl State {
    fn random(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[inode].current.len() as u64).sum()
    }

    fn set_name(&mut self, path: &Path, inode: Option<u64>) {
        match inode {
            Some(inode) => self.names.insert(path.to_owned(), inode),
            None => self.names.remove(path),
        };
        self.unsynced_names.push((path.to_owned(), inode));
    }

    /// The power goes: chance decides about everything that was not synced.
    fn lose(&mut self) {
        let unsynced = std::mem::take(&mut self.unsynced_names);
        let kept = self.random() as usize % (unsynced.len() + 1);
        for (path, inode) in unsynced.into_iter().take(kept) {
            match inode {
                Some(inode) => self.durable_names.insert(path, inode),
                None => self.durable_names.remove(&path),
            };
        }
        self.names = self.durable_names.clone();
        let mut inodes = std::mem::take(&mut self.inodes);
        for inode in inodes.values_mut() {
            let mut after = inode.durable.clone();
            if self.random().is_multiple_of(2) {
                after.resize(inode.current.len(), 0);
            }
            for sector in std::mem::take(&mut inode.dirty) {
                let range =
                    sector * SECTOR..((sector + 1) * SECTOR).min(inode.current.len()).min(after.len());
                if !range.is_empty() && self.random().is_multiple_of(2) {
                    after[range.clone()].copy_from_slice(&inode.current[range]);
                }
            }
            inode.current.clone_from(&after);
            inode.durable = after;
        }
        self.inodes = inodes;
    }
}

impl Disk for Faulty {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.call("create_dir").map(|_| ())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let (state, _) = self.call("list")?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let (mut state, _) = self.call("open")?;
        let inode = match (state.names.get(path).copied(), mode) {
            (Some(_), Mode::New) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (Some(inode), Mode::Write | Mode::Read) => inode,
            (None, Mode::Read) => return Err(io::Error::from(io::ErrorKind::NotFound)),
            (None, Mode::New | Mode::Write) => {
                state.made += 1;
                let inode = state.made;
                state.inodes.insert(inode, Inode::default());
                state.set_name(path, Some(inode));
                inode
            }
        };
        state.made += 1;
        let handle = state.made;
        Ok(Box::new(FaultyFile { disk: self.clone(), inode, handle }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, _) = self.call("rename")?;
        let inode = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        state.set_name(to, Some(inode));
        state.set_name(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.call("remove")?;
        if !state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        state.set_name(path, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let (mut state, _) = self.call("sync_dir")?;
        let (synced, rest) = std::mem::take(&mut state.unsynced_names)
            .into_iter()
            .partition::<Vec<_>, _>(|(path, _)| path.parent() == Some(dir));
        state.unsynced_names = rest;
        for (path, inode) in synced {
            match inode {
                Some(inode) => state.durable_names.insert(path, inode),
                None => state.durable_names.remove(&path),
            };
        }
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let (state, _) = self.call("space")?;
        Ok(Space { avail: state.capacity.saturating_sub(state.used()), size: state.capacity })
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: Faulty,
    inode: u64,
    handle: u64,
}

impl FaultyFile {
    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.call("sync")?;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        let dirty = std::mem::take(&mut inode.dirty);
        if fault.is_some() {
            // The pages are clean now, and stay as they are in memory.
            return Err(io_error());
        }
        inode.durable.resize(inode.current.len(), 0);
        for sector in dirty {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(inode.current.len());
            if !range.is_empty() {
                inode.durable[range.clone()].copy_from_slice(&inode.current[range]);
            }
        }
        Ok(())
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if end > self.current.len() {
            self.grow(end);
        }
        self.current[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / SECTOR..end.div_ceil(SECTOR));
    }

    fn grow(&mut self, to: usize) {
        self.dirty.extend(self.current.len() / SECTOR..to.div_ceil(SECTOR));
        self.current.resize(to, 0);
    }
}

impl DiskFile for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        let (state, _) = self.disk.call("size")?;
        Ok(state.inodes[&self.inode].current.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (state, _) = self.disk.call("read")?;
        let from = state.inodes[&self.inode].current.get(offset as usize..).unwrap_or(&[]);
        let read = from.len().min(buffer.len()).min(READ_MAX);
        buffer[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, fault) = self.disk.call("write")?;
        let at = offset as usize;
        let grows = (at + bytes.len()).saturating_sub(state.inodes[&self.inode].current.len()) as u64;
        if grows > 0 && state.used() + grows > state.capacity {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let written = if fault.is_some() { state.random() as usize % (bytes.len() + 1) } else { bytes.len() };
        state.inodes.get_mut(&self.inode).unwrap().write(&bytes[..written], at);
        state.power_is_off = fault == Some(Fault::PowerCut);
        if fault.is_some() { Err(io_error()) } else { Ok(()) }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let (mut state, _) = self.disk.call("allocate")?;
        let grows = bytes.saturating_sub(state.inodes[&self.inode].current.len() as u64);
        if state.used() + grows > state.capacity {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        if grows > 0 {
            inode.grow(bytes as usize);
        }
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let (mut state, _) = self.disk.call("truncate")?;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        inode.current.resize(bytes as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        let (mut state, _) = self.disk.call("lock")?;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        let free = inode.locked_by.is_none_or(|by| by == self.handle);
        if free && kind == LockKind::Exclusive {
            inode.locked_by = Some(self.handle);
        }
        Ok(free)
    }
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        if let Ok(mut state) = self.disk.state.lock()
            && state.process == self.disk.process
            && let Some(inode) = state.inodes.get_mut(&self.inode)
            && inode.locked_by == Some(self.handle)
        {
            inode.locked_by = None;
        }
    }
}
