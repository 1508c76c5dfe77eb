//! Who may deliver: the webhook tokens, under the aliases that metrics name them by.
//!
//! Guarantees: a sent token is compared with every known one, through digests of one size and without
//! an early end, so that the time tells neither which is near nor how long one is; several are valid at
//! once, for rotation; a file that becomes unreadable or empty keeps the token that was loaded from it.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::Config;
use crate::{
    reload::{self, Contents, Files},
    telemetry::metrics::{Process, SecretFile},
};

type Digest = [u8; 32];

/// The known tokens; a cheap handle.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    /// First those of the configuration, then those of files.
    aliases: Vec<String>,
    digests: RwLock<Vec<Digest>>,
    /// Taken by the one [`Tokens::watch`].
    files: Mutex<Option<Files>>,
}

/// Aliases only: a digest of a short token could be guessed from.
impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokens").field("aliases", &self.aliases).finish_non_exhaustive()
    }
}

/// Why a token file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("webhook token file {path}", path = .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// There is nothing in it.
    #[error("webhook token file {path} is empty", path = .0.display())]
    Empty(PathBuf),
    /// There is more than one line in it.
    #[error("webhook token file {path} has several lines; each file holds one token, and any number of files may be named", path = .0.display())]
    Lines(PathBuf),
}

impl Tokens {
    /// Takes the tokens of the configuration and reads those of its files.
    ///
    /// # Errors
    /// When a file cannot be read or is empty.
    pub fn load(config: &Config) -> Result<Self, TokensError> {
        let (files, contents) = Files::read(config.token_files.values().cloned().collect());
        let mut digests: Vec<Digest> =
            config.tokens.values().map(|token| digest(token.expose().as_bytes())).collect();
        for (path, contents) in files.paths().iter().zip(contents) {
            digests.push(token_in(path, contents)?);
        }
        let aliases = config.token_aliases().map(str::to_owned).collect();
        Ok(Self(Arc::new(Inner { aliases, digests: RwLock::new(digests), files: Mutex::new(Some(files)) })))
    }

    /// The alias of the token that was sent, if it is one.
    #[must_use]
    pub fn alias_of(&self, sent: &[u8]) -> Option<&str> {
        let sent = digest(sent);
        let mut found = u32::MAX;
        let known = self.0.digests.read().unwrap_or_else(PoisonError::into_inner);
        for (index, token) in (0u32..).zip(known.iter()) {
            found.conditional_assign(&index, token.ct_eq(&sent));
        }
        self.0.aliases.get(found as usize).map(String::as_str)
    }

    /// Reads the files again whenever they change. Never ends; the second watch of the same tokens waits
    /// for nothing.
    pub(super) fn watch(&self, metrics: Process) -> impl Future<Output = Infallible> + use<> {
        let tokens = self.clone();
        let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let Some(mut files) = files.filter(|files| !files.paths().is_empty()) else {
                return std::future::pending().await;
            };
            loop {
                let contents = files.changed().await;
                let result = tokens.take_over(files.paths(), contents);
                reload::record(SecretFile::WebhookToken, &metrics, result);
            }
        }
    }

    /// Takes over every file that holds a token; the error is the first of the others.
    fn take_over(&self, paths: &[PathBuf], contents: Vec<Contents>) -> Result<(), TokensError> {
        let mut result = Ok(());
        let mut known = self.0.digests.write().unwrap_or_else(PoisonError::into_inner);
        let first = known.len() - paths.len();
        for ((token, path), contents) in known[first..].iter_mut().zip(paths).zip(contents) {
            match token_in(path, contents) {
                Ok(new) => *token = new,
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }
}

fn token_in(path: &std::path::Path, contents: Contents) -> Result<Digest, TokensError> {
    let contents = contents.map_err(|error| TokensError::Read(path.to_owned(), error))?;
    let token = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&contents).trim_ascii();
    if token.is_empty() {
        return Err(TokensError::Empty(path.to_owned()));
    }
    if token.contains(&b'\n') {
        return Err(TokensError::Lines(path.to_owned()));
    }
    Ok(digest(token))
}

fn digest(token: &[u8]) -> Digest {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(dir: &std::path::Path) -> (Tokens, Vec<PathBuf>) {
        let path = dir.join("token");
        std::fs::write(&path, "\u{feff} filed\r\n").unwrap();
        let mut config = Config::default();
        config.tokens.insert("old".into(), crate::secret::Secret::new("first".into()));
        config.tokens.insert("new".into(), crate::secret::Secret::new("second".into()));
        config.token_files.insert("file".into(), path.clone());
        (Tokens::load(&config).unwrap(), vec![path])
    }

    #[test]
    fn every_token_has_its_alias_and_nothing_else_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, _) = tokens(dir.path());
        assert_eq!(tokens.alias_of(b"first"), Some("old"));
        assert_eq!(tokens.alias_of(b"second"), Some("new"));
        assert_eq!(tokens.alias_of(b"filed"), Some("file"));
        for wrong in ["", "firs", "first ", "First", " filed", "old"] {
            assert_eq!(tokens.alias_of(wrong.as_bytes()), None, "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains("first"));
    }

    #[test]
    fn an_unusable_file_keeps_what_was_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, paths) = tokens(dir.path());
        let contents = |text: &str| vec![Ok(text.as_bytes().to_vec().into())];
        let gone = vec![Err(std::io::ErrorKind::NotFound.into())];
        assert!(matches!(tokens.take_over(&paths, gone), Err(TokensError::Read(..))));
        assert!(matches!(tokens.take_over(&paths, contents(" \n")), Err(TokensError::Empty(_))));
        assert!(matches!(tokens.take_over(&paths, contents("old\nnew\n")), Err(TokensError::Lines(_))));
        assert_eq!(tokens.alias_of(b"filed"), Some("file"));
        tokens.take_over(&paths, contents("rotated\n")).unwrap();
        assert_eq!(tokens.alias_of(b"rotated"), Some("file"));
        assert_eq!(tokens.alias_of(b"filed"), None);
        assert_eq!(tokens.alias_of(b"first"), Some("old"));
    }

    #[test]
    fn a_missing_file_is_an_error_at_start() {
        let mut config = Config::default();
        config.token_files.insert("file".into(), "/nonexistent/token".into());
        let error = Tokens::load(&config).unwrap_err();
        assert_eq!(error.to_string(), "webhook token file /nonexistent/token");
    }
}
