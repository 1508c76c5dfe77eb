//! Sets damage aside: a copy of the bytes in `damaged/`, a count and a line in the log.
//!
//! The name of a copy says where the bytes stood, so that finding them again after a restart changes
//! nothing. That a copy fails, on a full disk say, is logged and keeps nobody from the intact records.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Sequence,
    disk::{self, Disk, DiskFile, Mode},
    segment,
};

/// Bytes that are copied at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// The directory for what is damaged.
#[must_use]
pub fn dir_in(dir: &Path) -> PathBuf {
    dir.join("damaged")
}

/// Copies a damaged part of a segment aside.
pub fn copy(disk: &dyn Disk, dir: &Path, first: Sequence, from: u64, to: u64) {
    let name = format!("{first:020}-{from:012}.bytes");
    match try_copy(disk, dir, first, &name, from, to) {
        Ok(()) => tracing::error!(
            segment = segment::name(first),
            offset = from,
            bytes = to - from,
            copy = name,
            "journal is damaged; the bytes were set aside in damaged/, and the rest is delivered"
        ),
        Err(error) => tracing::error!(
            segment = segment::name(first),
            offset = from,
            bytes = to - from,
            %error,
            "journal is damaged, and the bytes could not be set aside; the rest is delivered"
        ),
    }
}

fn try_copy(disk: &dyn Disk, dir: &Path, first: Sequence, name: &str, from: u64, to: u64) -> io::Result<()> {
    let aside = dir_in(dir);
    disk.create_dir(&aside)?;
    if disk.list(&aside)?.iter().any(|each| each == name) {
        return Ok(());
    }
    let source = disk.open(&dir.join(segment::name(first)), Mode::Read)?;
    let unfinished = aside.join(format!("{name}.unfinished"));
    let copied = copy_bytes(&*source, &*disk.open(&unfinished, Mode::Write)?, from, to);
    if let Err(error) = copied {
        // The copy's failure is what is reported.
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    disk.rename(&unfinished, &aside.join(name))?;
    disk.sync_dir(&aside)
}

fn copy_bytes(source: &dyn DiskFile, copy: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    copy.truncate(0)?;
    let mut piece = Vec::new();
    let mut at = from;
    while at < to {
        piece.resize(usize::try_from((to - at).min(PIECE_BYTES)).unwrap_or(0), 0);
        let read = disk::read_full(source, &mut piece, at)?;
        if read == 0 {
            break;
        }
        copy.write_at(&piece[..read], at - from)?;
        at += read as u64;
    }
    copy.sync_all()
}

/// Moves a whole segment aside, out of the way of recovery.
pub fn move_segment(disk: &dyn Disk, dir: &Path, first: Sequence) -> io::Result<()> {
    let aside = dir_in(dir);
    let name = segment::name(first);
    disk.create_dir(&aside)?;
    disk.rename(&dir.join(&name), &aside.join(&name))?;
    disk.sync_dir(&aside)?;
    disk.sync_dir(dir)
}
