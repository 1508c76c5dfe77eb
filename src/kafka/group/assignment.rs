//! The partitions that are this member's, and what is to be known of each.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use super::{Place, replay::Replay};

/// librdkafka begins to read within moments. Where the committed offset was refused to it, by the access
/// lists for example, it never does, and does not ask again.
const UNREAD_MAX: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(super) struct Assignment(BTreeMap<Place, Assigned>);

#[derive(Default)]
struct Assigned {
    /// The owner wants it so.
    is_paused: bool,
    /// The client was told to stop. It keeps to that even when the partition goes and comes again, and
    /// whatever it is told, it throws away what it had ahead: so it is told only what changes.
    is_stopped: bool,
    /// The client has not begun to read it.
    unread_since: Option<Instant>,
    reading: Reading,
}

/// How a partition is read.
#[derive(Default)]
enum Reading {
    /// On from the committed offset.
    #[default]
    On,
    /// From its beginning.
    Replay(Replay),
    /// To be set to its beginning: what still comes is of the former reading.
    Rewinding,
}

impl Assignment {
    pub(super) fn add(&mut self, place: Place, is_replayed: bool, now: SystemTime) {
        let reading = if is_replayed { Reading::Replay(Replay::begin(now)) } else { Reading::On };
        self.0.insert(place, Assigned { reading, ..Assigned::default() });
    }

    /// Takes them out. Gives those at which the client is stopped.
    pub(super) fn remove(&mut self, places: &[Place]) -> Vec<Place> {
        let gone = places.iter().filter_map(|place| self.0.remove_entry(place));
        gone.filter(|(_, assigned)| assigned.is_stopped).map(|(place, _)| place).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn places(&self) -> Vec<Place> {
        self.0.keys().cloned().collect()
    }

    /// Whether its offset is committed.
    pub(super) fn is_committed(&self, place: &Place) -> bool {
        self.0.get(place).is_some_and(|assigned| matches!(assigned.reading, Reading::On))
    }

    /// Notes that the owner wants them paused, or not, as far as they are assigned.
    pub(super) fn set_paused(&mut self, places: &[Place], is_paused: bool) {
        for place in places {
            if let Some(assigned) = self.0.get_mut(place) {
                assigned.is_paused = is_paused;
            }
        }
    }

    /// What the client has to be told, when nothing may flow or what is not paused: which to stop and which
    /// to let flow. It counts as told.
    pub(super) fn turn(&mut self, is_stalled: bool) -> (Vec<Place>, Vec<Place>) {
        let (mut stop, mut flow) = (Vec::new(), Vec::new());
        for (place, assigned) in &mut self.0 {
            let is_stopped = is_stalled || assigned.is_paused;
            if std::mem::replace(&mut assigned.is_stopped, is_stopped) != is_stopped {
                (if is_stopped { &mut stop } else { &mut flow }).push(place.clone());
            }
        }
        (stop, flow)
    }

    /// Notes whether the client reads a partition. Gives whether it should have begun long ago.
    pub(super) fn is_stuck(&mut self, place: &Place, is_read: bool, now: Instant) -> bool {
        let Some(assigned) = self.0.get_mut(place) else { return false };
        if is_read {
            assigned.unread_since = None;
            return false;
        }
        now.saturating_duration_since(*assigned.unread_since.get_or_insert(now)) > UNREAD_MAX
    }

    /// Notes that a replayed partition is to be read again. Gives whether it is one.
    pub(super) fn rewind(&mut self, place: &Place) -> bool {
        match self.0.get_mut(place) {
            Some(assigned) if !matches!(assigned.reading, Reading::On) => {
                assigned.reading = Reading::Rewinding;
                true
            }
            _ => false,
        }
    }

    /// Those that wait to be set to their beginning.
    pub(super) fn rewinding(&self) -> Vec<Place> {
        self.of(|reading| matches!(reading, Reading::Rewinding))
    }

    /// It was set to its beginning.
    pub(super) fn rewound(&mut self, place: &Place, now: SystemTime) {
        if let Some(assigned) = self.0.get_mut(place) {
            assigned.reading = Reading::Replay(Replay::begin(now));
        }
    }

    /// Those whose end has to be asked for.
    pub(super) fn endless(&self) -> Vec<Place> {
        self.of(|reading| matches!(reading, Reading::Replay(replay) if replay.wants_end()))
    }

    /// The replay of a partition that is in one.
    pub(super) fn replay(&mut self, place: &Place) -> Option<&mut Replay> {
        match &mut self.0.get_mut(place)?.reading {
            Reading::Replay(replay) => Some(replay),
            Reading::On | Reading::Rewinding => None,
        }
    }

    /// Whether a record of it is to be handed over.
    pub(super) fn takes(&self, place: &Place) -> bool {
        self.0.get(place).is_some_and(|assigned| !matches!(assigned.reading, Reading::Rewinding))
    }

    /// All replays with what is to be known of their places.
    pub(super) fn replays(&mut self) -> impl Iterator<Item = (&Place, bool, &mut Replay)> {
        self.0.iter_mut().filter_map(|(place, assigned)| match &mut assigned.reading {
            Reading::Replay(replay) => Some((place, assigned.is_paused, replay)),
            Reading::On | Reading::Rewinding => None,
        })
    }

    fn of(&self, wanted: impl Fn(&Reading) -> bool) -> Vec<Place> {
        let found = self.0.iter().filter(|(_, assigned)| wanted(&assigned.reading));
        found.map(|(place, _)| place.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str) -> Place {
        Place { topic: topic.into(), partition: 0 }
    }

    fn both() -> Assignment {
        let mut assignment = Assignment::default();
        assignment.add(at("events"), false, SystemTime::UNIX_EPOCH);
        assignment.add(at("parked"), true, SystemTime::UNIX_EPOCH);
        assignment
    }

    #[test]
    fn a_pause_is_of_what_is_assigned_and_ends_with_that() {
        let mut assignment = both();
        assignment.set_paused(&[at("events"), at("other")], true);
        assert_eq!(assignment.turn(false), (vec![at("events")], vec![]));
        assert_eq!(assignment.remove(&[at("events"), at("parked")]), [at("events")], "the client is stopped");
        assignment.add(at("events"), false, SystemTime::UNIX_EPOCH);
        assert_eq!(assignment.turn(false), (vec![], vec![]));
    }

    #[test]
    fn the_client_is_told_only_what_changes() {
        let mut assignment = both();
        assignment.set_paused(&[at("events")], false);
        assert_eq!(assignment.turn(false), (vec![], vec![]));
        assert_eq!(assignment.turn(true), (vec![at("events"), at("parked")], vec![]));
        assignment.set_paused(&[at("events")], true);
        assert_eq!(assignment.turn(true), (vec![], vec![]));
        assert_eq!(assignment.turn(false), (vec![], vec![at("parked")]));
        assignment.set_paused(&[at("events")], false);
        assert_eq!(assignment.turn(false), (vec![], vec![at("events")]));
    }

    #[test]
    fn a_partition_that_is_not_read_for_long_is_stuck() {
        let (mut assignment, now) = (both(), Instant::now());
        assert!(!assignment.is_stuck(&at("events"), false, now));
        assert!(assignment.is_stuck(&at("events"), false, now + UNREAD_MAX * 2));
        assert!(!assignment.is_stuck(&at("events"), true, now + UNREAD_MAX * 2));
        assert!(!assignment.is_stuck(&at("events"), false, now + UNREAD_MAX * 4));
        assert!(!assignment.is_stuck(&at("other"), false, now));
    }

    #[test]
    fn only_what_is_replayed_is_rewound_and_it_is_never_committed() {
        let mut assignment = both();
        assert!(assignment.is_committed(&at("events")) && !assignment.is_committed(&at("parked")));
        assert!(assignment.rewind(&at("parked")) && !assignment.rewind(&at("events")));
        assert!(!assignment.takes(&at("parked")) && assignment.takes(&at("events")));
        assert!(!assignment.is_committed(&at("parked")));
        assert_eq!((assignment.rewinding(), assignment.endless()), (vec![at("parked")], vec![]));
        assignment.rewound(&at("parked"), SystemTime::UNIX_EPOCH);
        assert_eq!((assignment.rewinding(), assignment.endless()), (vec![], vec![at("parked")]));
        assert!(assignment.takes(&at("parked")));
    }
}
