//! What is looked up once for many rounds: facts with an age.
//!
//! Guarantees: a fact is looked up by one at a time for each key, the others wait for it; an error is no
//! fact, and whoever is dropped while looking up leaves the next one to do it.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::bounded::Bounded;

/// Facts by key.
#[derive(Debug)]
pub struct Known<K, V>(Mutex<Bounded<K, Slot<V>>>);

/// Held while its fact is looked up.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Fact<V>>>>;

#[derive(Debug)]
struct Fact<V> {
    value: Arc<V>,
    /// When its lookup began, at the latest.
    learned: Instant,
}

impl<K: Clone + Eq + Hash, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Bounded::default()))
    }
}

impl<K: Clone + Eq + Hash, V> Known<K, V> {
    /// The fact, looked up if there is none or it is older than that.
    ///
    /// # Errors
    /// That of the lookup.
    pub async fn get<E>(
        &self,
        key: &K,
        age_max: Duration,
        now: Instant,
        look_up: impl Future<Output = Result<V, E>>,
    ) -> Result<Arc<V>, E> {
        let slot = self.slot(key);
        let mut fact = slot.lock().await;
        // One that was learned while this one waited has no age at all.
        match &*fact {
            Some(fact) if now.saturating_duration_since(fact.learned) <= age_max => Ok(fact.value.clone()),
            _ => {
                let value = Arc::new(look_up.await?);
                *fact = Some(Fact { value: value.clone(), learned: now });
                Ok(value)
            }
        }
    }

    /// What somebody found out in another way.
    pub async fn put(&self, key: &K, value: V, now: Instant) {
        *self.slot(key).lock().await = Some(Fact { value: Arc::new(value), learned: now });
    }

    fn slot(&self, key: &K) -> Slot<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn many_who_ask_at_once_look_up_once() {
        let (known, lookups) = (Known::<u8, u32>::default(), AtomicU32::new(0));
        let now = Instant::now();
        let get = || {
            known.get(&1, MINUTE, now, async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(lookups.fetch_add(1, Ordering::Relaxed))
            })
        };
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!([a, b, c].map(|value| *value.unwrap()), [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_fact_is_looked_up_again_when_it_is_too_old_and_an_error_is_none() {
        let known = Known::<u8, u32>::default();
        let now = Instant::now();
        let get = |after, answer: Result<u32, ()>| {
            let known = &known;
            async move { known.get(&1, MINUTE, now + after, async { answer }).await.map(|value| *value) }
        };
        assert_eq!(get(Duration::ZERO, Err(())).await, Err(()));
        assert_eq!(get(Duration::ZERO, Ok(1)).await, Ok(1));
        assert_eq!(get(MINUTE, Ok(2)).await, Ok(1));
        assert_eq!(get(MINUTE * 2, Err(())).await, Err(()));
        assert_eq!(get(MINUTE * 2, Ok(3)).await, Ok(3));
        known.put(&1, 4, now + MINUTE * 4).await;
        assert_eq!(get(MINUTE * 5, Ok(5)).await, Ok(4));
    }

    #[tokio::test]
    async fn who_is_dropped_while_looking_up_leaves_it_to_the_next() {
        let known = Known::<u8, u32>::default();
        let now = Instant::now();
        tokio::select! {
            biased;
            _ = known.get(&1, MINUTE, now, std::future::pending::<Result<u32, ()>>()) => unreachable!(),
            () = async {} => {}
        }
        assert_eq!(known.get(&1, MINUTE, now, async { Ok::<_, ()>(7) }).await.map(|value| *value), Ok(7));
    }
}
