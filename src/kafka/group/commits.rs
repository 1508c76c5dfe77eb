//! Offsets to be committed: the latest of each partition, one request at a time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Place;

/// Offsets of one request, each the next one to read.
pub(super) type Offsets = BTreeMap<Place, i64>;

/// How long after a failure nothing is committed.
const PAUSE: Duration = Duration::from_secs(1);
/// librdkafka answers sooner; a request it forgot must not be the last.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Commits {
    wanted: Offsets,
    flight: Option<(Instant, Offsets)>,
    not_before: Option<Instant>,
}

impl Commits {
    pub(super) fn want(&mut self, offsets: impl IntoIterator<Item = (Place, i64)>) {
        self.wanted.extend(offsets);
    }

    /// What is to be committed now, of the places that are `assigned`; all else is forgotten.
    pub(super) fn take(&mut self, now: Instant, assigned: impl Fn(&Place) -> bool) -> Option<Offsets> {
        self.flight.take_if(|(since, _)| now.saturating_duration_since(*since) > ANSWERED_WITHIN);
        let is_due = self.not_before.is_none_or(|not_before| now >= not_before);
        if self.flight.is_some() || !is_due {
            return None;
        }
        let mut offsets = std::mem::take(&mut self.wanted);
        offsets.retain(|place, _| assigned(place));
        if offsets.is_empty() {
            return None;
        }
        self.flight = Some((now, offsets.clone()));
        Some(offsets)
    }

    /// Takes out what is wanted of these places.
    pub(super) fn take_of(&mut self, places: &[Place]) -> Offsets {
        places.iter().filter_map(|place| self.wanted.remove_entry(place)).collect()
    }

    /// Hears how a request ended. Gives whether it was the one on its way; others were waited for.
    pub(super) fn answered(&mut self, offsets: &Offsets, is_ok: bool, now: Instant) -> bool {
        let Some((_, flight)) = self.flight.take_if(|(_, flight)| flight == offsets) else { return false };
        if !is_ok {
            for (place, offset) in flight {
                self.wanted.entry(place).or_insert(offset);
            }
            self.not_before = Some(now + PAUSE);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> Place {
        Place { topic: "t".into(), partition }
    }

    #[test]
    fn the_latest_wins_and_one_request_is_on_its_way() {
        let (mut commits, now) = (Commits::default(), Instant::now());
        commits.want([(at(0), 5), (at(1), 7)]);
        commits.want([(at(0), 6)]);
        let first = commits.take(now, |_| true).unwrap();
        assert_eq!(first, Offsets::from([(at(0), 6), (at(1), 7)]));
        commits.want([(at(0), 8)]);
        assert_eq!(commits.take(now, |_| true), None);
        assert!(!commits.answered(&Offsets::from([(at(0), 3)]), true, now));
        assert!(commits.answered(&first, true, now));
        assert_eq!(commits.take(now, |_| true), Some(Offsets::from([(at(0), 8)])));
    }

    #[test]
    fn what_failed_is_wanted_again_unless_there_is_later() {
        let (mut commits, now) = (Commits::default(), Instant::now());
        commits.want([(at(0), 5), (at(1), 7)]);
        let first = commits.take(now, |_| true).unwrap();
        commits.want([(at(0), 6)]);
        commits.answered(&first, false, now);
        assert_eq!(commits.take(now, |_| true), None);
        assert_eq!(commits.take(now + PAUSE, |_| true), Some(Offsets::from([(at(0), 6), (at(1), 7)])));
    }

    #[test]
    fn nothing_is_committed_of_what_is_not_assigned() {
        let (mut commits, now) = (Commits::default(), Instant::now());
        commits.want([(at(0), 5), (at(1), 7)]);
        assert_eq!(commits.take_of(&[at(1), at(2)]), Offsets::from([(at(1), 7)]));
        assert_eq!(commits.take(now, |_| false), None);
        assert_eq!(commits.take(now, |_| true), None);
    }

    #[test]
    fn a_forgotten_request_is_not_the_last() {
        let (mut commits, now) = (Commits::default(), Instant::now());
        commits.want([(at(0), 5)]);
        assert!(commits.take(now, |_| true).is_some());
        commits.want([(at(0), 6)]);
        assert!(commits.take(now + ANSWERED_WITHIN * 2, |_| true).is_some());
    }
}
