//! What holds lanes up, what lets them go on, and partitions that are let go.

use super::*;

impl Coalescer {
    /// Nothing of this lane is asked for until a time, for a reason.
    pub fn hold(&mut self, group: &Group, reason: HoldReason, until: Option<Instant>, now: Instant) {
        self.lane(group).hold(reason, until, now);
        self.schedule(group, now);
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
