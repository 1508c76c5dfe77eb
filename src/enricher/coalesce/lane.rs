//! One lane: the ids of one integration, hotel and kind that wait, and what holds them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Apart, fetch, size::Size};
use crate::backoff::Backoff;
pub use crate::telemetry::metrics::enricher::HoldReason;

/// First and longest wait of a lane that Mews does not answer. While the whole API is away the breaker
/// spares it; while most of it works, a kind that takes several requests fails more often than the others,
/// and must not be minutes late for it.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Ids that are remembered of those that were parked.
const SAMPLES_MAX: usize = 8;

/// What holds a lane.
#[derive(Debug)]
pub struct Hold {
    /// Why.
    pub reason: HoldReason,
    /// Since when.
    pub since: Instant,
    /// Until when it is not even tried; `None` until something is heard of its credentials.
    pub until: Option<Instant>,
    waits: Backoff,
}

/// What a lane has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Fetch,
    /// Everything was parked: only one id tells whether it works again.
    Probe(Arc<str>),
    Park(HoldReason),
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) number: u64,
    pub(super) scheduled: Option<Instant>,
    pub(super) in_flight: usize,
    pub(super) hold: Option<Hold>,
    pub(super) size: Size,
    pub(super) answered_at: Option<Instant>,
    pub(super) apart: Apart,
    waiting: BTreeMap<(Instant, u64), Arc<str>>,
    queued: u64,
    /// Some of those that were parked, asked for in turn: one may be what Mews fails on.
    samples: VecDeque<Arc<str>>,
}

impl Lane {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            scheduled: None,
            in_flight: 0,
            hold: None,
            size: Size::default(),
            answered_at: None,
            apart: Apart::new(),
            waiting: BTreeMap::new(),
            queued: 0,
            samples: VecDeque::new(),
        }
    }

    pub(super) fn queue(&mut self, id: Arc<str>, at: Instant) {
        self.queued += 1;
        self.waiting.insert((at, self.queued), id);
    }

    /// Whether it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.hold.is_none()
            && self.size.is_whole()
            && self.waiting.is_empty()
            && self.apart.is_empty()
    }

    /// When it has something to do.
    pub(super) fn wake_at(&self, now: Instant, park_after: Duration) -> Option<Instant> {
        let first = self.apart.front().map(|_| now).or_else(|| self.waiting.keys().next().map(|(at, _)| *at));
        let Some(hold) = &self.hold else { return first };
        let park = first.map(|_| (hold.since + park_after).max(now));
        let tried = match (hold.until, first, self.in_flight) {
            // One at a time finds out.
            (Some(until), Some(first), 0) => Some(until.max(first)),
            (Some(until), None, 0) => self.samples.front().map(|_| until),
            (Some(_) | None, _, _) => None,
        };
        match (park, tried) {
            (Some(park), Some(tried)) => Some(park.min(tried)),
            (park, tried) => park.or(tried),
        }
    }

    pub(super) fn due(&self, now: Instant, park_after: Duration) -> Option<Due> {
        let waits = !self.apart.is_empty() || !self.waiting.is_empty();
        let Some(hold) = &self.hold else { return waits.then_some(Due::Fetch) };
        if waits && now >= hold.since + park_after {
            return Some(Due::Park(hold.reason));
        }
        if self.in_flight > 0 || hold.until.is_none_or(|until| now < until) {
            return None;
        }
        if waits { Some(Due::Fetch) } else { self.samples.front().cloned().map(Due::Probe) }
    }

    /// Ids for one request: the first that is due, and what is due before `until` and like it. Says too
    /// whether they are a part of one that was refused. `kind_of` says which attempt it is, and whether
    /// the id is asked for by itself.
    pub(super) fn take_batch(
        &mut self,
        until: Instant,
        ids_max: usize,
        kind_of: impl Fn(&Arc<str>) -> Option<(fetch::Round, bool)>,
    ) -> (Vec<Arc<str>>, bool) {
        if let Some(together) = self.apart.pop_front() {
            return (together.into(), true);
        }
        // A refused token is tried with one id.
        let probes = self.hold.as_ref().is_some_and(|hold| hold.reason == HoldReason::Unauthorized);
        let ids_max = if probes { 1 } else { self.size.ids().min(ids_max) };
        let mut batch = Vec::new();
        let mut kind = None;
        let mut others = Vec::new();
        while batch.len() < ids_max
            && let Some(entry) = self.waiting.first_entry()
            && (entry.key().0 <= until || batch.is_empty())
        {
            let (place, id) = entry.remove_entry();
            let Some(own) = kind_of(&id) else { continue };
            let (_, is_lone) = own;
            if *kind.get_or_insert(own) != own {
                others.push((place, id));
                continue;
            }
            batch.push(id);
            if is_lone {
                break;
            }
        }
        self.waiting.extend(others);
        (batch, false)
    }

    pub(super) fn take_all(&mut self) -> Vec<Arc<str>> {
        let apart = std::mem::take(&mut self.apart).into_iter().flatten();
        apart.chain(std::mem::take(&mut self.waiting).into_values()).collect()
    }

    /// Nobody waits for anything of it any more.
    pub(super) fn forget(&mut self) {
        (self.hold, self.size) = (None, Size::default());
        self.samples.clear();
        self.waiting.clear();
        self.apart.clear();
    }

    /// The newest are asked for first: the older ones may all be what Mews fails on.
    pub(super) fn note_parked(&mut self, ids: impl Iterator<Item = Arc<str>>) {
        ids.take(SAMPLES_MAX).for_each(|id| self.samples.push_front(id));
        self.samples.truncate(SAMPLES_MAX);
    }

    /// The next time another one is asked for.
    pub(super) fn begin_probe(&mut self) {
        self.begin();
        self.samples.rotate_left(1.min(self.samples.len()));
    }

    /// A request goes out.
    pub(super) fn begin(&mut self) {
        self.in_flight += 1;
    }

    /// Mews answers a request of so many ids: nothing is held any more. Says whether anything was.
    pub(super) fn free(&mut self, ids: usize, now: Instant) -> bool {
        self.size.answered(ids);
        self.answered_at = Some(now);
        self.samples.clear();
        self.hold.take().is_some()
    }

    /// Tries at once and with new patience what it was unavailable for. Says whether it was.
    pub(super) fn retry(&mut self, now: Instant) -> bool {
        let hold = self.hold.as_mut().filter(|hold| hold.reason == HoldReason::Unavailable);
        if let Some(hold) = hold {
            (hold.since, hold.until) = (now, Some(now));
            hold.waits = Backoff::new(WAITS.0, WAITS.1);
            return true;
        }
        false
    }

    pub(super) fn look_closer(&mut self) {
        if let Some(hold) = &mut self.hold {
            hold.waits = Backoff::new(WAITS.0, WAITS.1);
        }
    }

    /// Held until a time, or by a back-off of its own that grows.
    pub(super) fn hold(&mut self, reason: HoldReason, until: Option<Instant>, now: Instant) {
        let hold = self.hold.get_or_insert_with(|| Hold {
            reason,
            since: now,
            until: None,
            waits: Backoff::new(WAITS.0, WAITS.1),
        });
        hold.reason = reason;
        hold.until = match reason {
            HoldReason::NoCredentials => None,
            HoldReason::Unauthorized => until,
            HoldReason::Throttled
            | HoldReason::Unavailable
            | HoldReason::Overwritten
            | HoldReason::Unfetchable => {
                let own = now + hold.waits.next().unwrap_or(WAITS.1);
                Some(until.map_or(own, |until| until.max(own)))
            }
        };
    }
}
