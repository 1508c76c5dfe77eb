//! Coalesces: many events of one entity become one fetch, many ids of one hotel one request.
//!
//! ```text
//! add ─► entry (integration, kind, id) ─► lane (integration, hotel, kind) ─► next ─► Fetch ─► found | again
//!          waiting ──────────── fetching          window, batch, hold          └──► Park
//! ```
//!
//! Guarantees: no two fetches of one id overlap: an event that comes while its id is being fetched
//! asks for one more fetch afterwards; an id waits for its window and no longer, unless its lane is
//! held; a lane that is held for longer than it may gives its events up to be parked; lanes are
//! served in the order in which they became due, so that none starves. Pure: `now` comes in.

mod holds;
mod lane;
mod lone;
mod round;
mod size;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use lane::{Due, Lane};
pub use lane::{Hold, HoldReason};
pub use round::Round;

use super::{
    entity::Entity,
    event::{Event, Origin},
    fetch,
};
use crate::hash::{HashMap, HashSet};

/// Batches of one lane that are under way at most.
const BATCHES_MAX: usize = 4;

/// One entity as one integration sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who is asked.
    pub group: Group,
    /// For what, in its one spelling.
    pub id: Arc<str>,
}

impl Key {
    /// What an event asks for.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let group = Group {
            integration_id: Arc::clone(&event.integration_id),
            enterprise_id: Arc::clone(&event.enterprise_id),
            entity: event.entity,
        };
        Self { group, id: Arc::clone(&event.id) }
    }
}

/// What can be asked for in one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Whose access token is used.
    pub integration_id: Arc<str>,
    /// The hotel.
    pub enterprise_id: Arc<str>,
    /// The kind of entity.
    pub entity: Entity,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Work {
    /// Ask for these; then tell [`Coalescer::found`], [`Coalescer::again`] or [`Coalescer::apart`] of
    /// each key, and [`Coalescer::ended`] of the batch.
    Fetch(Batch),
    /// These are held up too long: park them.
    Park(Vec<Round>, HoldReason),
}

/// Ids that are asked for together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which batch: answers of one that was let go answer nothing.
    pub number: u64,
    /// Whose.
    pub group: Group,
    /// Which; a probe asks for one that nobody waits for.
    pub ids: Vec<Arc<str>>,
    /// For each id, what is known to find it.
    pub wanted: Vec<fetch::Wanted>,
    /// First or second time.
    pub attempt: fetch::Round,
    /// Whether it is a part of one that was refused.
    pub is_apart: bool,
}

/// Times and sizes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long ids are collected.
    pub window: Duration,
    /// How long a lane is held before its events are parked.
    pub park_after: Duration,
    /// Most ids of one request.
    pub ids_max: usize,
}

#[derive(Debug, Default)]
struct Entry {
    /// Queued in its lane, unless it is being fetched: then it is afterwards.
    waiting: Option<Round>,
    fetching: Option<Fetching>,
}

#[derive(Debug)]
struct Fetching {
    batch: u64,
    round: Round,
}

impl Entry {
    /// What a batch was to answer; `None` when it was let go, and perhaps taken up by another batch.
    fn answer(&mut self, batch: u64) -> Option<Round> {
        self.fetching.take_if(|fetching| fetching.batch == batch).map(|fetching| fetching.round)
    }
}

/// The pending set.
#[derive(Debug)]
pub struct Coalescer {
    settings: Settings,
    entries: HashMap<Key, Entry>,
    lanes: HashMap<Group, Lane>,
    /// When each lane has something to do.
    agenda: BTreeSet<(Instant, u64)>,
    numbers: BTreeMap<u64, Group>,
    /// Of a lane or a batch.
    next_number: u64,
}

impl Coalescer {
    /// With nothing pending.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            entries: HashMap::default(),
            lanes: HashMap::default(),
            agenda: BTreeSet::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// Entities that wait or are being fetched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Lanes that are held, for a person.
    pub fn held(&self) -> impl Iterator<Item = (&Group, &Hold)> {
        self.lanes.iter().filter_map(|(group, lane)| Some((group, lane.hold.as_ref()?)))
    }

    /// What holds a lane.
    #[must_use]
    pub fn hold_of(&self, group: &Group) -> Option<&Hold> {
        self.lanes.get(group)?.hold.as_ref()
    }

    /// Takes an event in.
    pub fn add(&mut self, event: Event, parked: Option<i64>, now: Instant) {
        let key = Key::of(&event);
        let round = Round::of(event, parked, now);
        let entry = self.entries.entry(key.clone()).or_default();
        match (&mut entry.waiting, &entry.fetching) {
            (Some(waiting), _) => waiting.join(round),
            (None, Some(_)) => entry.waiting = Some(round),
            (None, None) => {
                entry.waiting = Some(round);
                self.queue(&key, now + self.settings.window);
            }
        }
    }

    /// Forgets a parked event that was fetched since, unless others wait for the same.
    pub fn unparked(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.fetching.is_none() && entry.waiting.as_ref().is_some_and(|round| round.origins.is_empty()) {
            self.entries.remove(key);
        }
    }

    /// What is to be done now; `None` until [`Self::wake_at`].
    pub fn next(&mut self, now: Instant) -> Option<Work> {
        while let Some(&(at, number)) = self.agenda.first() {
            if at > now {
                return None;
            }
            let group = self.numbers.get(&number)?.clone();
            let work = self.work(&group, now);
            self.schedule(&group, now);
            if work.is_some() {
                return work;
            }
        }
        None
    }

    fn work(&mut self, group: &Group, now: Instant) -> Option<Work> {
        let Self { lanes, entries, settings, next_number, .. } = self;
        let lane = lanes.get_mut(group)?;
        match lane.due(now, settings.park_after)? {
            Due::Park(reason) => {
                let ids = lane.take_all();
                let rounds = ids.into_iter().filter_map(|id| {
                    let key = Key { group: group.clone(), id };
                    let round = entries.get_mut(&key)?.waiting.take()?;
                    if entries.get(&key).is_some_and(|entry| entry.fetching.is_none()) {
                        entries.remove(&key);
                    }
                    Some(round)
                });
                let rounds: Vec<_> = rounds.collect();
                match reason {
                    // Nothing can be tried; who has a token is heard of, and until then is a stranger.
                    HoldReason::NoCredentials => lane.hold = None,
                    _ => lane.note_parked(rounds.iter().map(|round| Arc::clone(&round.newest.id))),
                }
                (!rounds.is_empty()).then_some(Work::Park(rounds, reason))
            }
            Due::Probe(id) => {
                lane.begin_probe();
                // Whether it is found matters to nobody.
                let said_at = std::time::SystemTime::UNIX_EPOCH;
                let wanted = vec![fetch::Wanted { id: Arc::clone(&id), thread_id: None, said_at }];
                let (group, attempt) = (group.clone(), fetch::Round::First);
                *next_number += 1;
                let number = *next_number;
                Some(Work::Fetch(Batch { number, group, ids: vec![id], wanted, attempt, is_apart: false }))
            }
            Due::Fetch => {
                let kind_of = |id: &Arc<str>| {
                    let key = Key { group: group.clone(), id: Arc::clone(id) };
                    // What was let go stays in its lane's queue, and means nothing there.
                    let entry = entries.get(&key).filter(|entry| entry.fetching.is_none())?;
                    entry.waiting.as_ref().map(|round| (round.attempt, round.is_lone))
                };
                let (ids, is_apart) = lane.take_batch(now + settings.window, settings.ids_max, kind_of);
                *next_number += 1;
                let number = *next_number;
                let mut wanted = Vec::with_capacity(ids.len());
                let mut attempt = fetch::Round::First;
                for id in &ids {
                    let key = Key { group: group.clone(), id: Arc::clone(id) };
                    let Some(entry) = entries.get_mut(&key).filter(|entry| entry.fetching.is_none()) else {
                        continue;
                    };
                    let Some(mut round) = entry.waiting.take() else { continue };
                    round.tries = round.tries.saturating_add(1);
                    round.asked_at = [Some(now), round.asked_at[0]];
                    attempt = round.attempt;
                    wanted.push(fetch::Wanted {
                        id: Arc::clone(id),
                        thread_id: round.newest.thread_id.clone(),
                        said_at: round.newest.accepted_at,
                    });
                    entry.fetching = Some(Fetching { batch: number, round });
                }
                if wanted.is_empty() {
                    return None;
                }
                lane.begin();
                let ids = wanted.iter().map(|wanted| Arc::clone(&wanted.id)).collect();
                Some(Work::Fetch(Batch { number, group: group.clone(), ids, wanted, attempt, is_apart }))
            }
        }
    }

    /// When there will be something to do by itself.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// A batch has the key's answer: takes out what it answered. `None`: its partition was let go.
    pub fn found(&mut self, key: &Key, batch: u64, now: Instant) -> Option<Round> {
        let entry = self.entries.get_mut(key)?;
        let round = entry.answer(batch)?;
        match &entry.waiting {
            // The window of what came meanwhile began when it came.
            Some(waiting) => {
                let due = waiting.since + self.settings.window;
                self.queue(key, due.max(now));
            }
            None => {
                self.entries.remove(key);
            }
        }
        Some(round)
    }

    /// The key is to be asked for once more at a time, as one that was asked for before.
    pub fn again(&mut self, key: &Key, batch: u64, at: Instant) {
        self.back(key, batch, |round| {
            round.attempt = fetch::Round::Again;
            at
        });
    }

    /// There was no answer for the key: it is asked for again, before all that came after it.
    pub fn requeue(&mut self, key: &Key, batch: u64) {
        self.back(key, batch, |round| round.since);
    }

    fn back(&mut self, key: &Key, batch: u64, at: impl FnOnce(&mut Round) -> Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(mut round) = entry.answer(batch) else { return };
        let at = at(&mut round);
        if let Some(waiting) = entry.waiting.take() {
            round.join(waiting);
        }
        entry.waiting = Some(round);
        self.queue(key, at);
    }

    /// These keys of a batch go in requests of their own, by halves, to find the one that is refused.
    pub fn apart(&mut self, group: &Group, batch: u64, ids: &[Arc<str>], now: Instant) {
        let (one, other) = ids.split_at(ids.len() / 2);
        for half in [one, other] {
            let mut together = VecDeque::new();
            for id in half {
                let key = Key { group: group.clone(), id: Arc::clone(id) };
                let Some(entry) = self.entries.get_mut(&key) else { continue };
                let Some(mut round) = entry.answer(batch) else { continue };
                if let Some(waiting) = entry.waiting.take() {
                    round.join(waiting);
                }
                entry.waiting = Some(round);
                together.push_back(Arc::clone(id));
            }
            if !together.is_empty() {
                self.lane(group).apart.push_back(together);
            }
        }
        self.schedule(group, now);
    }

    /// A batch is over. `Ok` says that Mews answers; then it says whether the lane was held before.
    pub fn ended(&mut self, batch: &Batch, answered: bool, now: Instant) -> bool {
        let Some(lane) = self.lanes.get_mut(&batch.group) else { return false };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        let freed = answered && lane.free(batch.ids.len(), now);
        self.schedule(&batch.group, now);
        freed
    }

    /// Its next tries tell which ids it fails for: they need not be as far apart as those before.
    pub fn look_closer(&mut self, group: &Group) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.look_closer();
        }
    }

    /// So many ids were too heavy for Mews: the requests of this lane become smaller.
    pub fn too_heavy(&mut self, group: &Group, ids: usize) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.size.too_heavy(ids);
        }
    }

    /// So many ids had no answer in time, perhaps because they were too many.
    pub fn unanswered(&mut self, group: &Group, ids: usize) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.size.unanswered(ids);
        }
    }

    fn queue(&mut self, key: &Key, at: Instant) {
        self.lane(&key.group).queue(Arc::clone(&key.id), at);
        self.schedule(&key.group, at);
    }

    fn lane(&mut self, group: &Group) -> &mut Lane {
        let Self { lanes, numbers, next_number, .. } = self;
        lanes.entry(group.clone()).or_insert_with(|| {
            *next_number += 1;
            numbers.insert(*next_number, group.clone());
            Lane::new(*next_number)
        })
    }

    fn schedule(&mut self, group: &Group, now: Instant) {
        let Some(lane) = self.lanes.get_mut(group) else { return };
        if let Some(at) = lane.scheduled.take() {
            self.agenda.remove(&(at, lane.number));
        }
        if lane.is_idle() {
            self.numbers.remove(&lane.number);
            self.lanes.remove(group);
            return;
        }
        let at =
            if lane.in_flight < BATCHES_MAX { lane.wake_at(now, self.settings.park_after) } else { None };
        if let Some(at) = at {
            lane.scheduled = Some(at);
            self.agenda.insert((at, lane.number));
        }
    }
}

/// Ids that go together whatever else waits.
type Apart = VecDeque<VecDeque<Arc<str>>>;

#[cfg(test)]
pub(super) mod tests;
