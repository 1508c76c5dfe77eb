//! The client token: what names this application to Mews, read again when its file changes.
//!
//! Guarantees: a file that becomes unreadable or empty keeps the token that was loaded from it; no
//! `Debug` or error shows it. The client asks for it at every request.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use crate::{
    reload::{self, Contents, Files},
    secret::Secret,
    telemetry::metrics::{Process, SecretFile},
};

/// The client token; a cheap handle.
#[derive(Clone, Debug)]
pub struct ClientToken(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    token: RwLock<Secret>,
    /// Taken by the one [`ClientToken::watch`].
    files: Mutex<Option<Files>>,
}

/// Why a file holds no client token.
#[derive(Debug, thiserror::Error)]
pub enum ClientTokenError {
    /// It cannot be read.
    #[error("client_token_file {path}", path = .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// There is nothing in it, or no text.
    #[error("client_token_file {path} does not hold one line of text", path = .0.display())]
    Form(PathBuf),
}

impl ClientToken {
    /// Reads it from its file, white space at the ends trimmed.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token.
    pub fn load(path: &Path) -> Result<Self, ClientTokenError> {
        let (files, mut contents) = Files::read(vec![path.to_owned()]);
        let contents = contents.pop().expect("one path was given");
        let token = token_in(path, contents)?;
        Ok(Self(Arc::new(Inner { token: RwLock::new(token), files: Mutex::new(Some(files)) })))
    }

    /// One that is at hand and never changes.
    #[must_use]
    pub fn of(token: Secret) -> Self {
        Self(Arc::new(Inner { token: RwLock::new(token), files: Mutex::new(None) }))
    }

    /// What to send now.
    #[must_use]
    pub fn get(&self) -> Secret {
        self.0.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again whenever it changes. Never ends; the second watch of the same token waits for
    /// nothing.
    pub async fn watch(&self, metrics: &Process) -> Infallible {
        let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut files) = files else { return std::future::pending().await };
        loop {
            let contents = files.changed().await;
            let result = self.take_over(files.paths(), contents);
            reload::record(SecretFile::ClientToken, metrics, result);
        }
    }

    fn take_over(&self, paths: &[PathBuf], contents: Vec<Contents>) -> Result<(), ClientTokenError> {
        for (path, contents) in paths.iter().zip(contents) {
            let token = token_in(path, contents)?;
            *self.0.token.write().unwrap_or_else(PoisonError::into_inner) = token;
        }
        Ok(())
    }
}

fn token_in(path: &Path, contents: Contents) -> Result<Secret, ClientTokenError> {
    let contents = contents.map_err(|error| ClientTokenError::Read(path.to_owned(), error))?;
    let bytes = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&contents).trim_ascii();
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => Ok(Secret::new(text.to_owned())),
        _ => Err(ClientTokenError::Form(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_trimmed_and_an_unusable_file_keeps_what_was_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client-token");
        std::fs::write(&path, "\u{feff} first \r\n").unwrap();
        let token = ClientToken::load(&path).unwrap();
        assert_eq!(token.get().expose(), "first");
        let paths = [path];
        let contents = |text: &[u8]| vec![Ok(text.to_vec().into())];
        let gone = vec![Err(std::io::ErrorKind::NotFound.into())];
        assert!(matches!(token.take_over(&paths, gone), Err(ClientTokenError::Read(..))));
        for unusable in [&b" \n"[..], b"a\nb", b"\xff\xfe"] {
            assert!(matches!(token.take_over(&paths, contents(unusable)), Err(ClientTokenError::Form(_))));
        }
        assert_eq!(token.get().expose(), "first");
        token.take_over(&paths, contents(b"second")).unwrap();
        assert_eq!(token.get().expose(), "second");
        assert!(!format!("{token:?}").contains("second"));
    }
}
