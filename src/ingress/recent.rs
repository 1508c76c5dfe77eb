//! What was seen within a span of time, at most so many things: the oldest goes when there is no room.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

/// Things, each remembered with a value from when it was first seen until the span is over.
///
/// Every thing is in both collections, and the queue is in the order of time: the clock never goes back.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    span: Duration,
    capacity: usize,
    values: HashMap<K, (Instant, V)>,
    order: VecDeque<(Instant, K)>,
}

impl<K: Copy + Eq + Hash, V: Default> Recent<K, V> {
    /// Remembers for `span`, and at most `capacity` things.
    pub(super) fn new(span: Duration, capacity: usize) -> Self {
        Self { span, capacity, values: HashMap::new(), order: VecDeque::new() }
    }

    /// Whether the thing was seen within the span.
    pub(super) fn holds(&mut self, key: &K, now: Instant) -> bool {
        self.forget(now);
        self.values.contains_key(key)
    }

    /// The thing's value, and how long it will still be remembered; seen for the first time, it has the
    /// default value and the whole span.
    pub(super) fn see(&mut self, key: K, now: Instant) -> (&mut V, Duration) {
        self.forget(now);
        if !self.values.contains_key(&key) {
            if self.order.len() == self.capacity
                && let Some((_, oldest)) = self.order.pop_front()
            {
                self.values.remove(&oldest);
            }
            self.order.push_back((now, key));
        }
        let (since, value) = self.values.entry(key).or_insert_with(|| (now, V::default()));
        (value, self.span.saturating_sub(now.duration_since(*since)))
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, key)) =
            self.order.pop_front_if(|(since, _)| now.duration_since(*since) >= self.span)
        {
            self.values.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPAN: Duration = Duration::from_secs(60);
    const CAPACITY: usize = 4;

    proptest! {
        /// The model: a list of (key, first seen, count), searched from end to end.
        #[test]
        fn agrees_with_the_model(steps in prop::collection::vec((0u8..8, 0u64..40), 1..60)) {
            let mut now = Instant::now();
            let mut recent = Recent::<u8, u32>::new(SPAN, CAPACITY);
            let mut model: Vec<(u8, Instant, u32)> = Vec::new();
            for (key, wait) in steps {
                now += Duration::from_secs(wait);
                model.retain(|(_, since, _)| now - *since < SPAN);
                prop_assert_eq!(recent.holds(&key, now), model.iter().any(|(each, ..)| *each == key));
                let at = model.iter().position(|(each, ..)| *each == key).unwrap_or_else(|| {
                    if model.len() == CAPACITY {
                        model.remove(0);
                    }
                    model.push((key, now, 0));
                    model.len() - 1
                });
                model[at].2 += 1;
                let (count, left) = recent.see(key, now);
                *count += 1;
                prop_assert_eq!((*count, left), (model[at].2, SPAN - (now - model[at].1)));
                prop_assert!(recent.values.len() == recent.order.len() && recent.values.len() <= CAPACITY);
            }
        }
    }
}
