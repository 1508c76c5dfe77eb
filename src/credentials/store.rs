//! The access tokens that requests are made with, by integration.
//!
//! ```text
//! credentials.file ──── read again when it changes ──┐
//! mews.credentials ──── records, as they come ───────┼─► Book ─► get, for_event
//! the enricher ──────── refused, accepted ───────────┘     └───► Changes: which to take up again
//! ```
//!
//! Guarantees: a file that becomes unreadable or wrong, and a record that cannot be read or opened, leave
//! what was known; both are logged and counted. [`book`] says what counts when the sources disagree. No
//! token is in a log, an error or a `Debug`. The enricher feeds it the records of the topic and asks it;
//! it never talks to Kafka or Mews itself and writes nothing.

pub mod book;
mod changes;
mod integration;

use std::{
    convert::Infallible,
    error::Error as StdError,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use super::{
    Config,
    file::{self, FileError},
    record::{self, Known},
    seal::{KeyRing, OpenError},
};
use crate::{
    reload::{self, Contents, Files},
    secret::Secret,
    telemetry::metrics::{Connector as Metrics, Process, SecretFile},
    webhook::id,
};
use book::{Book, Change, Told};
pub use changes::Changes;
use changes::Watchers;
pub use integration::{Integration, State};

/// All integrations; a cheap handle.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    book: RwLock<Book>,
    /// Opens the tokens of records. None: they stay closed, which is not worth a word each.
    keys: Option<KeyRing>,
    watchers: Watchers,
    /// Taken by the one [`Store::watch`].
    files: Mutex<Option<Files>>,
    metrics: Metrics,
}

impl Store {
    /// Reads the file, if there is one; the topic is still to come.
    ///
    /// # Errors
    /// When the file cannot be read or is wrong.
    pub fn load(config: &Config, keys: Option<KeyRing>, metrics: Metrics) -> Result<Self, FileError> {
        let (files, contents) = Files::read(config.file.iter().cloned().collect());
        let store = Self(Arc::new(Inner {
            book: RwLock::default(),
            keys,
            watchers: Watchers::default(),
            files: Mutex::new(None),
            metrics,
        }));
        store.take_over(&files, contents)?;
        *store.0.files.lock().unwrap_or_else(PoisonError::into_inner) = Some(files);
        Ok(store)
    }

    /// What is known of an integration.
    #[must_use]
    pub fn get(&self, integration_id: &str) -> Option<Arc<Integration>> {
        self.read(|book| book.get(&id::normal(integration_id)).cloned())
    }

    /// What to ask with about an event: its own integration, else one of the same enterprise that is
    /// usable, else its own all the same, which says why not.
    #[must_use]
    pub fn for_event(&self, integration_id: &str, enterprise_id: &str) -> Option<Arc<Integration>> {
        self.read(|book| {
            let own = book.get(&id::normal(integration_id));
            let enterprise_id = id::normal(enterprise_id);
            let mut others = book.of_enterprise(&enterprise_id);
            own.filter(|own| own.is_usable())
                .or_else(|| others.find(|each| each.is_usable()))
                .or(own)
                .cloned()
        })
    }

    /// All integrations, in the order of their ids, for a person to read.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Integration>> {
        let mut all: Vec<_> = self.read(|book| book.all().cloned().collect());
        all.sort_by(|one, two| one.integration_id.cmp(&two.integration_id));
        all
    }

    /// Takes a record of `mews.credentials`: its key, and its value or that there is none any more.
    pub fn apply(&self, key: &str, value: Option<&[u8]>) {
        let key = id::normal(key);
        let told = match value.map(Known::parse).transpose() {
            Ok(None) => None,
            Ok(Some(known)) => Some(self.open(&key, known)),
            Err(error) => return self.unreadable(&key, &error),
        };
        self.change(|book| book.tell(&key, told).into_iter().collect());
    }

    /// Opens what could not be opened, with keys that were read again.
    pub fn reopen(&self) {
        let closed: Vec<Known> = self.read(|book| {
            let is_closed = |told: &&Told| told.token.as_ref().map(|(since, _)| *since) != since(&told.known);
            book.all_told().filter(is_closed).map(|told| told.known.clone()).collect()
        });
        for known in closed {
            let key = id::normal(&known.integration_id).into_owned();
            let told = self.open(&key, known);
            self.change(|book| book.tell(&key, Some(told)).into_iter().collect());
        }
    }

    /// Mews refused the token of that revision, whatever was asked. Another source's token takes its
    /// place, if there is one.
    pub fn refused(&self, integration: &Integration) {
        let (id, revision) = (&integration.integration_id, integration.revision);
        self.change(|book| book.refuse(id, revision).into_iter().collect());
    }

    /// Mews took the token of that revision.
    pub fn accepted(&self, integration: &Integration) {
        if integration.state == State::Unauthorized {
            let (id, revision) = (&integration.integration_id, integration.revision);
            self.change(|book| book.accept(id, revision).into_iter().collect());
        }
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.0.watchers.add()
    }

    /// Reads the file again whenever it changes. Never ends; the second watch waits for nothing.
    pub async fn watch(&self, metrics: &Process) -> Infallible {
        let files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut files) = files.filter(|files| !files.paths().is_empty()) else {
            return std::future::pending().await;
        };
        loop {
            let contents = files.changed().await;
            let result = self.take_over(&files, contents);
            reload::record(SecretFile::Credentials, metrics, result);
        }
    }

    fn take_over(&self, files: &Files, contents: Vec<Contents>) -> Result<(), FileError> {
        for (path, contents) in files.paths().iter().zip(contents) {
            let entries = file::entries(path, contents)?;
            let written_at = written_at(path);
            self.change(|book| book.file(entries, written_at));
        }
        Ok(())
    }

    /// Opens the token of a record; what cannot be opened leaves the token that was known.
    fn open(&self, key: &str, known: Known) -> Told {
        let sealed = known
            .access_token
            .as_ref()
            .and_then(|aspect| Some((aspect.as_of.accepted_at, aspect.value.as_ref()?)));
        let literal = sealed.and_then(|(since, token)| Some((since, token.sealed_literal()?)));
        let token = match (literal, &self.0.keys) {
            (Some((since, literal)), Some(keys)) => match opened(keys, &literal) {
                Ok(token) => token.map(|token| (since, token)),
                Err(error) => {
                    self.unreadable(key, &error);
                    self.read(|book| book.told(key).and_then(|told| told.token.clone()))
                }
            },
            _ => None,
        };
        Told { known, token }
    }

    fn unreadable(&self, key: &str, error: &(dyn StdError + 'static)) {
        self.0.metrics.unreadable_credentials.inc();
        tracing::warn!(
            integration = key,
            error,
            "a record of an integration's credentials is unusable, what was known stays in use"
        );
    }

    fn read<T>(&self, read: impl FnOnce(&Book) -> T) -> T {
        read(&self.0.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Book) -> Vec<Change>) {
        let changes = change(&mut self.0.book.write().unwrap_or_else(PoisonError::into_inner));
        for Change { before, after, .. } in &changes {
            let label =
                |integration: &Option<Arc<Integration>>| integration.as_ref().and_then(|each| each.label());
            if let Some(before) = label(before) {
                self.0.metrics.integrations.of(before).dec();
            }
            if let Some(after) = label(after) {
                self.0.metrics.integrations.of(after).inc();
            }
        }
        if !changes.is_empty() {
            let ids: Vec<_> = changes.into_iter().map(|change| change.integration_id).collect();
            self.0.watchers.tell(&ids);
        }
    }
}

/// The token that a literal holds; `None` where `null` was sealed.
fn opened(keys: &KeyRing, literal: &str) -> Result<Option<Secret>, OpenError> {
    let opened = keys.open(literal)?;
    let token: Option<String> = serde_json::from_slice(&opened).map_err(|_| OpenError::Damaged)?;
    Ok(token.filter(|token| !token.is_empty()).map(Secret::new))
}

/// Since when a record has the token that is sealed in it.
fn since(known: &Known) -> Option<SystemTime> {
    let aspect = known.access_token.as_ref()?;
    matches!(aspect.value, Some(record::Token::Sealed(_))).then_some(aspect.as_of.accepted_at)
}

/// When a file was last written; now, where the file system does not say.
fn written_at(path: &Path) -> SystemTime {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or_else(|_| SystemTime::now())
}

#[cfg(test)]
mod tests;
