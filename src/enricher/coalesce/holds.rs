//! What holds lanes up, what lets them go on, and partitions that are let go.

use super::*;

impl Coalescer {
    /// Nothing of this lane is asked for until a time, for a reason.
    pub fn hold(&mut self, group: &Group, reason: HoldReason, until: Option<Instant>, now: Instant) {
        self.lane(group).hold(reason, until, now);
        self.schedule(group, now);
    }

    /// A batch went nowhere, for there is nobody to ask as: that was no try.
    pub fn unasked(&mut self, batch: &Batch) {
        for id in &batch.ids {
            let key = Key { group: batch.group.clone(), id: Arc::clone(id) };
            let fetching = self.entries.get_mut(&key).and_then(|entry| entry.fetching.as_mut());
            if let Some(fetching) = fetching.filter(|fetching| fetching.batch == batch.number) {
                fetching.round.tries -= 1;
            }
        }
    }

    /// The credentials of some have changed: what was held for them is tried at once.
    pub fn release(&mut self, of: impl Fn(&Group) -> bool, now: Instant) {
        let groups: Vec<_> = self.lanes.keys().filter(|group| of(group)).cloned().collect();
        for group in groups {
            if let Some(lane) = self.lanes.get_mut(&group) {
                lane.hold = None;
            }
            self.schedule(&group, now);
        }
    }

    /// The whole API is away, which no lane is to blame for: the time until it is parked begins anew.
    pub fn excuse(&mut self, now: Instant) {
        let held: Vec<_> = self
            .lanes
            .iter_mut()
            .filter_map(|(group, lane)| {
                let hold = lane.hold.as_mut().filter(|hold| hold.reason == HoldReason::Unavailable)?;
                hold.since = now;
                Some(group.clone())
            })
            .collect();
        held.iter().for_each(|group| self.schedule(group, now));
    }

    /// The whole API may answer again: what waits for it alone is tried at once.
    pub fn retry(&mut self, now: Instant) {
        let groups: Vec<_> = self
            .lanes
            .iter_mut()
            .filter_map(|(group, lane)| lane.retry(now).then(|| group.clone()))
            .collect();
        groups.iter().for_each(|group| self.schedule(group, now));
    }

    /// Lets go of what was read from places that are somebody else's now. Batches that were for it
    /// go on, and answer nothing.
    pub fn let_go(&mut self, gone: impl Fn(&Origin) -> bool, now: Instant) {
        let is_left = |round: &mut Round| {
            round.origins.retain(|origin| !gone(origin));
            let parked_here = round.parked.is_some() && !gone(&round.newest.original.origin);
            parked_here || !round.origins.is_empty()
        };
        let mut freed = Vec::new();
        self.entries.retain(|key, entry| {
            entry.waiting.take_if(|round| !is_left(round));
            if entry.fetching.take_if(|fetching| !is_left(&mut fetching.round)).is_some()
                && entry.waiting.is_some()
            {
                freed.push(key.clone());
            }
            entry.waiting.is_some() || entry.fetching.is_some()
        });
        freed.iter().for_each(|key| self.queue(key, now));
        let left: HashSet<&Group> = self.entries.keys().map(|key| &key.group).collect();
        let empty: Vec<_> = self.lanes.keys().filter(|group| !left.contains(group)).cloned().collect();
        for group in empty {
            if let Some(lane) = self.lanes.get_mut(&group) {
                lane.forget();
            }
            self.schedule(&group, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enricher::event::tests::record;

    #[test]
    fn only_what_went_to_mews_was_a_try() {
        let settings = Settings { window: Duration::ZERO, park_after: Duration::from_secs(9), ids_max: 9 };
        let (mut coalescer, now) = (Coalescer::new(settings), Instant::now());
        let event = Event::read(record("CustomerUpdated", r#"{"Id":"c"}"#, 4)).unwrap();
        coalescer.add(event, None, now);
        let mut tries = Vec::new();
        for is_asked in [false, true, false, true] {
            let Some(Work::Fetch(batch)) = coalescer.next(now) else { panic!("it is due") };
            if !is_asked {
                coalescer.unasked(&batch);
            }
            let key = Key { group: batch.group.clone(), id: Arc::clone(&batch.ids[0]) };
            tries.push(coalescer.entries[&key].fetching.as_ref().unwrap().round.tries);
            coalescer.requeue(&key, batch.number);
            coalescer.ended(&batch, false, now);
        }
        assert_eq!(tries, [0, 1, 1, 2]);
    }
}
