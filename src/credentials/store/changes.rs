//! Tells whoever asks which integrations changed.
//!
//! Guarantees: a change is told after it counts, to everybody who asked before it; many changes of one
//! integration are one; what waits to be told is bounded by the number of integrations.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::Notify;

/// Everybody who wants to be told. Who is gone is forgotten.
#[derive(Debug, Default)]
pub struct Watchers(Mutex<Vec<Weak<Pending>>>);

impl Watchers {
    /// Somebody new, who is told of every change from now on.
    pub(super) fn add(&self) -> Changes {
        let pending = Arc::new(Pending::default());
        let mut watchers = lock(&self.0);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&pending));
        Changes(pending)
    }

    /// Tells everybody of these.
    pub(super) fn tell(&self, ids: &[String]) {
        for watcher in lock(&self.0).iter().filter_map(Weak::upgrade) {
            lock(&watcher.ids).extend(ids.iter().cloned());
            watcher.changed.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Which integrations changed, each once however often it did.
#[derive(Debug)]
pub struct Changes(Arc<Pending>);

/// What one of them was not told yet.
#[derive(Debug, Default)]
struct Pending {
    ids: Mutex<BTreeSet<String>>,
    changed: Notify,
}

impl Changes {
    /// Waits for the next change; gives the ids of all integrations that changed since the last call.
    /// Cancelled, it loses nothing.
    pub async fn next(&mut self) -> BTreeSet<String> {
        loop {
            let ids = std::mem::take(&mut *lock(&self.0.ids));
            if !ids.is_empty() {
                return ids;
            }
            self.0.changed.notified().await;
        }
    }
}

/// Nothing panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
