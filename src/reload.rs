//! Files that hold secrets, and when their contents change.
//!
//! Contents are read again every [`EVERY`] rather than watched through the kernel: Kubernetes changes a
//! mounted Secret by swapping a symlink two levels above the file, editors rename, and network file
//! systems report nothing at all. The files are small and few.
//!
//! Guarantees: a change is handed out once, within [`EVERY`] and the time of a read; an unreadable file
//! is handed out as its error, and it is the owner who keeps what was loaded before. Every part that
//! owns a secret file calls it. It never interprets what it reads and keeps only a digest of it.

use std::{
    error::Error as StdError,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::causes::with_causes;
use crate::telemetry::metrics::{Process, Reload, SecretFile};

/// Time between two looks. Promised to operators: a change works within 10 s.
pub const EVERY: Duration = Duration::from_secs(2);

/// Largest file that is taken; the file of credentials of thousands of hotels has a few MiB.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// What stood in a file, or why it cannot be read.
pub type Contents = io::Result<Zeroizing<Vec<u8>>>;

/// Files of one secret, and a digest of what they held when they were last read.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    every: Duration,
    fingerprint: [u8; 32],
}

impl Files {
    /// Reads the files for the first time; the contents are in the order of the paths.
    #[must_use]
    pub fn read(paths: Vec<PathBuf>) -> (Self, Vec<Contents>) {
        let contents = read_all(&paths);
        let fingerprint = fingerprint(&contents);
        (Self { paths, every: EVERY, fingerprint }, contents)
    }

    /// Looks more or less often than [`EVERY`].
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// The paths, in the order in which they were given.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Waits until any of the files holds something else, or cannot be read where it could, or the
    /// reverse; then hands out all contents. Cancelled, it loses nothing: the next call reports the change.
    pub async fn changed(&mut self) -> Vec<Contents> {
        if self.paths.is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(self.every).await;
            let paths = self.paths.clone();
            // A look that panicked or was refused at shutdown is a look that saw nothing.
            let Ok(contents) = tokio::task::spawn_blocking(move || read_all(&paths)).await else { continue };
            let seen = fingerprint(&contents);
            if seen != self.fingerprint {
                self.fingerprint = seen;
                return contents;
            }
        }
    }
}

/// Logs and counts how taking over a change ended; at start, that the first reading worked.
pub fn record<E: StdError + 'static>(secret: SecretFile, metrics: &Process, result: Result<(), E>) {
    use crate::telemetry::family::Label as _;
    match result {
        Ok(()) => {
            metrics.secret_reloads.of(secret, Reload::Ok).inc();
            metrics.secret_reload_ok.of(secret).set(1);
            tracing::info!(secret = secret.value(), "secret files were read again");
        }
        Err(error) => {
            metrics.secret_reloads.of(secret, Reload::Error).inc();
            metrics.secret_reload_ok.of(secret).set(0);
            tracing::warn!(
                secret = secret.value(),
                error = with_causes(&error),
                "a secret file is unusable, what was loaded stays in use"
            );
        }
    }
}

fn read_all(paths: &[PathBuf]) -> Vec<Contents> {
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Contents {
    let mut contents = Zeroizing::new(Vec::new());
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(contents)
}

fn fingerprint(contents: &[Contents]) -> [u8; 32] {
    let mut whole = Sha256::new();
    for each in contents {
        match each {
            Ok(bytes) => whole.update(Sha256::digest(bytes.as_slice())),
            // The kind is enough: two texts of one kind are the same state of affairs.
            Err(error) => whole.update(format!("{:?}", error.kind())),
        }
    }
    whole.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(2);

    fn text(contents: &[Contents]) -> Vec<String> {
        let text = |each: &Contents| match each {
            Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Err(error) => format!("{:?}", error.kind()),
        };
        contents.iter().map(text).collect()
    }

    #[tokio::test]
    async fn a_change_is_handed_out_once() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "1").unwrap();
        let (files, first) = Files::read(vec![a.clone(), b.clone()]);
        let mut files = files.every(SOON);
        assert_eq!(text(&first), ["1", "NotFound"]);
        std::fs::write(&b, "2").unwrap();
        assert_eq!(text(&files.changed().await), ["1", "2"]);
        let again = tokio::time::timeout(SOON * 10, files.changed()).await;
        assert!(again.is_err(), "nothing had changed");
        std::fs::remove_file(&a).unwrap();
        assert_eq!(text(&files.changed().await), ["NotFound", "2"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_swapped_symlink_above_the_file_is_a_change() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, token) in [("v1", "old"), ("v2", "new")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("token"), token).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/token", at("token")).unwrap();
        let (files, first) = Files::read(vec![at("token")]);
        assert_eq!(text(&first), ["old"]);
        symlink("v2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(text(&files.every(SOON).changed().await), ["new"]);
    }

    #[test]
    fn an_endless_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        std::fs::File::create(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        let (_, contents) = Files::read(vec![path]);
        assert_eq!(text(&contents), ["FileTooLarge"]);
    }
}
