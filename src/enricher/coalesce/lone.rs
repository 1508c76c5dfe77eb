//! Ids that Mews does not answer though it answers the others of their lane: each is asked for by itself, so
//! that it holds up nothing but its own events.

use super::*;

/// First and longest wait between two requests for such an id; none is longer than what parks it.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What fails by chance has an answer after a few.
const TRIES_IN_COMPANY: u32 = 2;

impl Coalescer {
    /// The key had no answer although others of its lane had one meanwhile: it is asked for by itself from
    /// now on, ever more seldom. `None` while that may help; once it has been held up for too long it is
    /// handed out, to be parked.
    pub fn set_apart(&mut self, key: &Key, batch: u64, now: Instant) -> Option<Round> {
        let entry = self.entries.get_mut(key)?;
        let round = &mut entry.fetching.as_mut().filter(|fetching| fetching.batch == batch)?.round;
        round.is_lone = true;
        if now.saturating_duration_since(round.since) >= self.settings.park_after {
            return self.found(key, batch, now);
        }
        let longest = WAITS.1.min(self.settings.park_after);
        self.back(key, batch, |round| {
            now + (WAITS.0 * 2u32.saturating_pow(round.tries.min(10))).min(longest)
        });
        None
    }

    /// Whether it is this key that fails, and not its lane: others were answered since it was asked for the
    /// time before.
    #[must_use]
    pub fn is_lone(&self, key: &Key) -> bool {
        let round = self.entries.get(key).and_then(|entry| entry.fetching.as_ref()).map(|each| &each.round);
        let answered_at = self.lanes.get(&key.group).and_then(|lane| lane.answered_at);
        round.is_some_and(|round| {
            let is_company_answered =
                || round.asked_at[1].zip(answered_at).is_some_and(|(asked, answered)| answered > asked);
            round.is_lone || (round.tries > TRIES_IN_COMPANY && is_company_answered())
        })
    }

    /// One of these keys of a batch may be what Mews fails on. Says how often each was suspected, at least.
    pub fn suspect(&mut self, group: &Group, batch: u64, ids: &[Arc<str>]) -> u32 {
        let mut least = u32::MAX;
        for id in ids {
            let key = Key { group: group.clone(), id: Arc::clone(id) };
            let fetching = self.entries.get_mut(&key).and_then(|entry| entry.fetching.as_mut());
            if let Some(Fetching { round, .. }) = fetching.filter(|fetching| fetching.batch == batch) {
                round.suspicions += 1;
                least = least.min(round.suspicions);
            }
        }
        least
    }

    /// A batch was answered in part: that says nothing of what holds its lane, and that Mews answers others.
    pub fn answered_others(&mut self, group: &Group, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.answered_at = Some(now);
        }
    }

    /// What waits for the key is asked for by itself: it is parked up to this offset, for it is known that its
    /// company would not be answered.
    pub fn keep_apart(&mut self, key: &Key, parked: i64) {
        if let Some(round) = self.entries.get_mut(key).and_then(|entry| entry.waiting.as_mut()) {
            round.is_lone = true;
            round.answers = round.answers.max(Some(parked));
        }
    }
}
