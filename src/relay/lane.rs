//! The records of one topic, in the order in which they must appear there.
//!
//! ```text
//!        settled ◄── [ acknowledged | in flight … in flight | waiting … waiting ] ◄── push
//!                      └─────────────── sent in order ──────┘  next
//! ```
//!
//! Many are in flight; the client keeps their order through what it retries by itself. What comes
//! back to the lane is sent again from there: nothing more is sent until all in flight have come
//! back, then everything from the first refused one on goes out in order once more. A later record
//! of the same key that was acknowledged meanwhile goes out again behind it, so that the last
//! thing a subscriber sees of a key is the newest. Until the first record of a key has arrived, no other
//! of it is in flight ([`super::acquaintance`]).
//!
//! Refusals are judged only of a record that was alone in flight, because a broker refuses a whole
//! batch for one of its records (reference: Kafka, "Faults"); so a record that is too large for a
//! shared batch is always alone, and a lane whose small records are refused as too large sends one
//! at a time for a while. A topic that is missing or forbidden holds the lane: one record probes it.
//! Where a broker has said what a topic takes, no shared batch can exceed it; until a broker has said
//! that a topic is there at all, its records go one at a time.
//!
//! Pure: values and `now` in, verdicts out. The machine in [`super::deliver`] owns the lanes.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    acquaintance::Acquaintance,
    capacity::Capacity,
    draft::Form,
    hold::Hold,
    item::{Company, Content, Item, Progress},
    verdict::{Change, Verdict},
};
use crate::{
    journal::Sequence,
    kafka::{Refusal, TopicProblem},
    telemetry::metrics,
};

/// A record's number in its lane; it keeps it as long as it is there.
pub type Position = u64;

/// How long a lane sends one at a time after a small record was refused as too large, the first
/// time and at most; the span doubles each time.
const SOLO_SPANS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// What a lane goes by.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A record above it travels alone.
    pub batch_bytes_max: usize,
    /// How long a record waits for a topic that a broker says is not to be had; `None` is for ever.
    pub give_up_after: Option<Duration>,
}

/// The records of one topic.
#[derive(Debug)]
pub struct Lane {
    /// Full topic name.
    pub topic: Arc<str>,
    limits: Limits,
    capacity: Capacity,
    keys: Acquaintance,
    items: VecDeque<Item>,
    /// Position of the front item.
    first: Position,
    /// Position of the first item that may be waiting.
    next: Position,
    /// Position of the first item whose content is aside: from there on, all are.
    aside: Position,
    flight: Flight,
    /// Bytes of the records in flight, framing included.
    flight_bytes: usize,
    /// Something was refused: nothing is sent until all in flight have come back.
    gathering: Gathering,
    hold: Option<Hold>,
    /// When the topic last took a record.
    took_at: Option<Instant>,
    solo: Option<Solo>,
    change: Option<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Shared(u32),
    Alone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gathering {
    No,
    Yes,
}

#[derive(Debug)]
struct Solo {
    until: Instant,
    span: Duration,
}

impl Lane {
    /// An empty lane.
    #[must_use]
    pub fn new(topic: Arc<str>, limits: Limits, capacity: Capacity) -> Self {
        Self {
            topic,
            limits,
            capacity,
            keys: Acquaintance::default(),
            items: VecDeque::new(),
            first: 0,
            next: 0,
            aside: 0,
            flight: Flight::Shared(0),
            flight_bytes: 0,
            gathering: Gathering::No,
            hold: None,
            took_at: None,
            solo: None,
            change: None,
        }
    }

    /// A broker has said what the topic takes.
    pub const fn learn(&mut self, capacity: Capacity) {
        self.capacity = capacity;
    }

    /// Puts a record at the end. Behind records whose content is aside its own is dropped too, and
    /// comes back: `Some` then, so that the caller can account for it.
    pub fn push(&mut self, mut item: Item) -> Option<Content> {
        let end = self.end();
        let dropped = if self.aside < end { item.content.take() } else { None };
        if item.content.is_some() {
            self.aside = end + 1;
        }
        self.items.push_back(item);
        dropped
    }

    /// The next record to send, if one may be sent now.
    pub fn next(&mut self, now: Instant) -> Option<Position> {
        if self.gathering == Gathering::Yes {
            if self.in_flight() > 0 {
                return None;
            }
            self.gather();
        }
        if self.hold.as_ref().is_some_and(|hold| now < hold.next_try()) {
            return None;
        }
        while self.get(self.next)?.progress != Progress::Waiting {
            self.next += 1;
        }
        let free = match self.flight {
            Flight::Alone => false,
            Flight::Shared(0) => true,
            Flight::Shared(_) => {
                let item = self.get(self.next)?;
                self.keys.admits(item.key) && self.company(item, now) == Company::Any && self.fits(item)
            }
        };
        free.then_some(self.next)
    }

    fn company(&self, item: &Item, now: Instant) -> Company {
        let solo = self.solo.as_ref().is_some_and(|solo| now < solo.until);
        let larger_than_a_batch = match self.capacity {
            Capacity::Unknown => true,
            Capacity::Any => item.size > self.limits.batch_bytes_max,
            Capacity::Bytes(bytes) => framed(item) > bytes.min(self.limits.batch_bytes_max),
        };
        if self.hold.is_some() || solo || larger_than_a_batch { Company::Alone } else { item.company }
    }

    /// Whether all in flight and this one would be taken even as one batch.
    fn fits(&self, item: &Item) -> bool {
        match self.capacity {
            Capacity::Bytes(bytes) if bytes < self.limits.batch_bytes_max => {
                self.flight_bytes + framed(item) <= bytes
            }
            Capacity::Unknown | Capacity::Any | Capacity::Bytes(_) => true,
        }
    }

    /// The client has taken the record that [`Self::next`] named.
    pub fn sent(&mut self, position: Position, now: Instant) {
        let Some(item) = self.get(position) else { return };
        let (company, bytes, key) = (self.company(item, now), framed(item), item.key);
        self.flight = match self.flight {
            Flight::Shared(0) if company == Company::Alone => Flight::Alone,
            Flight::Shared(count) => Flight::Shared(count + 1),
            Flight::Alone => Flight::Alone,
        };
        self.flight_bytes += bytes;
        self.next = position + 1;
        self.keys.sent(key);
        if let Some(item) = self.get_mut(position) {
            item.progress = Progress::InFlight;
        }
    }

    /// The client will not even take the record that [`Self::next`] named: it is too large for it.
    pub fn unsendable(&mut self, position: Position) -> Verdict {
        if self.flight == Flight::Shared(0) {
            return self.judge(position, metrics::DeadLetter::TooLarge, "larger than the client sends");
        }
        if let Some(item) = self.get_mut(position) {
            item.company = Company::Alone;
        }
        Verdict::Again
    }

    /// A report about a record in flight.
    pub fn report(&mut self, position: Position, result: Result<(), Refusal>, now: Instant) -> Verdict {
        let flight = self.flight;
        self.flight = match flight {
            Flight::Alone => Flight::Shared(0),
            Flight::Shared(count) => Flight::Shared(count.saturating_sub(1)),
        };
        self.flight_bytes = match (self.in_flight(), self.get(position)) {
            (0, _) | (_, None) => 0,
            (_, Some(item)) => self.flight_bytes.saturating_sub(framed(item)),
        };
        if let Some(key) = self.get(position).map(|item| item.key) {
            match &result {
                Ok(()) => self.keys.arrived(key),
                Err(refusal) => self.keys.came_back(key, *refusal == Refusal::Lost),
            }
        }
        let Some(item) = self.get_mut(position) else { return Verdict::Again };
        if item.progress == Progress::Leaving {
            item.progress = Progress::Discarded;
            return self.left(&result, flight, now);
        }
        let Err(refusal) = result else {
            item.progress = Progress::Acknowledged;
            self.took_at = Some(now);
            if self.hold.take().is_some() {
                self.change = Some(Change::Flowing);
            }
            return Verdict::Acknowledged;
        };
        item.progress = Progress::Waiting;
        item.attempts = item.attempts.saturating_add(1);
        self.gathering = Gathering::Yes;
        self.refused(position, refusal, flight, now)
    }

    /// Of a record that was given up, a report only says how the topic is.
    fn left(&mut self, result: &Result<(), Refusal>, flight: Flight, now: Instant) -> Verdict {
        match result {
            Ok(()) if self.hold.take().is_some() => self.change = Some(Change::Flowing),
            Err(Refusal::TopicUnavailable(problem)) => self.unavailable(*problem, flight, now),
            Ok(()) | Err(Refusal::Lost | Refusal::TooLarge | Refusal::Rejected(_)) => {}
        }
        Verdict::Discarded
    }

    fn refused(&mut self, position: Position, refusal: Refusal, flight: Flight, now: Instant) -> Verdict {
        match (refusal, flight) {
            (Refusal::Lost, _) => Verdict::Again,
            (Refusal::TopicUnavailable(problem), flight) => {
                self.unavailable(problem, flight, now);
                Verdict::Again
            }
            (Refusal::TooLarge, Flight::Alone) => {
                self.judge(position, metrics::DeadLetter::TooLarge, "larger than the topic takes")
            }
            (Refusal::TooLarge, Flight::Shared(_)) => {
                self.one_at_a_time(now);
                self.again_alone(position)
            }
            (Refusal::Rejected(code), Flight::Alone) => {
                self.judge(position, metrics::DeadLetter::Rejected, &code)
            }
            (Refusal::Rejected(_), Flight::Shared(_)) => self.again_alone(position),
        }
    }

    fn again_alone(&mut self, position: Position) -> Verdict {
        if let Some(item) = self.get_mut(position) {
            item.company = Company::Alone;
        }
        Verdict::Again
    }

    /// Of a record that was alone: it goes without its entity, or it never goes.
    fn judge(&mut self, position: Position, reason: metrics::DeadLetter, detail: &str) -> Verdict {
        let Some(item) = self.get_mut(position) else { return Verdict::Again };
        let content = item.content.as_ref();
        let entity = content.filter(|content| {
            reason == metrics::DeadLetter::TooLarge && item.form == Form::Whole && content.draft.has_entity()
        });
        if let Some(Content { source, draft }) = entity {
            item.size = draft.size_bound(source, &Form::WithoutEntity);
            item.form = Form::WithoutEntity;
            return Verdict::Again;
        }
        debug_assert_eq!(position, self.first, "what is alone in flight has only settled ones before it");
        self.pop().map_or(Verdict::Again, |item| Verdict::Never(item, reason, detail.to_owned()))
    }

    fn one_at_a_time(&mut self, now: Instant) {
        let span = match &self.solo {
            Some(solo) if now < solo.until => return,
            Some(solo) => (solo.span * 2).min(SOLO_SPANS.1),
            None => SOLO_SPANS.0,
        };
        self.solo = Some(Solo { until: now + span, span });
        self.change = Some(Change::OneAtATime(span));
    }

    fn unavailable(&mut self, problem: TopicProblem, flight: Flight, now: Instant) {
        match (&mut self.hold, flight) {
            (Some(hold), Flight::Alone) => hold.answered_again(now),
            // One more of those that were in flight when the first was refused.
            (Some(_), Flight::Shared(_)) => {}
            (None, _) => {
                self.hold = Some(Hold::begin(now));
                self.change = Some(Change::Held(problem));
            }
        }
    }

    /// Takes a record from the front that has waited too long for its topic, while a broker has just
    /// said once more that the topic is not to be had.
    /// `others_since` says when another topic last took something: without that the cluster itself may
    /// be what is missing.
    pub fn give_up(&mut self, others_since: Option<Instant>, now: Instant) -> Option<Item> {
        let (hold, limit) = (self.hold.as_ref()?, self.limits.give_up_after?);
        let front = self.items.front()?;
        let others_live = others_since.is_some_and(|took| took >= front.since);
        if others_live && front.progress == Progress::Waiting && hold.gives_up(front.since, limit, now) {
            self.pop()
        } else {
            None
        }
    }

    /// Gives up the records of a delivery: those that wait are never sent, and those in flight come
    /// back without effect. Their contents are gone, and so are they once they [`Self::settle`].
    pub fn discard(&mut self, delivery: Sequence) {
        for item in self.items.iter_mut().filter(|item| item.delivery == delivery) {
            item.content = None;
            item.progress = match item.progress {
                Progress::InFlight | Progress::Leaving => Progress::Leaving,
                // One in the topic as well: it must not be sent again behind one that was refused.
                Progress::Waiting | Progress::Acknowledged | Progress::Discarded => Progress::Discarded,
            };
        }
    }

    /// Takes a record from the front that is in the topic or given up, with all before it.
    pub fn settle(&mut self) -> Option<Item> {
        if self.gathering == Gathering::Yes && self.in_flight() == 0 {
            self.gather();
        }
        match self.items.front()?.progress {
            Progress::Acknowledged | Progress::Discarded => self.pop(),
            Progress::Waiting | Progress::InFlight | Progress::Leaving => None,
        }
    }

    /// All in flight have come back: what follows a refused record of its key is to be sent again.
    fn gather(&mut self) {
        self.gathering = Gathering::No;
        let mut refused = HashSet::new();
        let sent = usize::try_from(self.next - self.first).unwrap_or(usize::MAX);
        for item in self.items.iter_mut().take(sent) {
            match item.progress {
                Progress::Waiting => {
                    refused.insert(item.key);
                }
                Progress::Acknowledged if refused.contains(&item.key) => item.progress = Progress::Waiting,
                Progress::Acknowledged | Progress::InFlight | Progress::Leaving | Progress::Discarded => {}
            }
        }
        self.next = self.first;
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.first += 1;
        self.next = self.next.max(self.first);
        self.aside = self.aside.max(self.first);
        Some(item)
    }

    /// Drops the contents of a held lane but for the record that probes it, and says whose each was.
    pub fn set_aside(&mut self, mut dropped: impl FnMut(Sequence)) {
        if self.hold.is_none() {
            return;
        }
        let keep = self.next.max(self.first) + 1;
        while self.aside > keep {
            let Some(item) = self.get_mut(self.aside - 1) else { return };
            if !matches!(item.progress, Progress::Waiting | Progress::Discarded) {
                return;
            }
            let delivery = item.delivery;
            if item.content.take().is_some() {
                dropped(delivery);
            }
            self.aside -= 1;
        }
    }

    /// Gives contents back to the items of a delivery, from a position on; says how many.
    pub fn load(&mut self, delivery: Sequence, content: impl Fn(u32) -> Option<Content>) -> u32 {
        let mut loaded = 0;
        while let Some(item) = self.get_mut(self.aside) {
            // What was given up stands between, and has nothing to be read back.
            if item.progress != Progress::Discarded {
                if item.delivery != delivery {
                    break;
                }
                item.content = content(item.number);
                loaded += u32::from(item.content.is_some());
            }
            self.aside += 1;
        }
        loaded
    }

    /// When [`Self::next`] should be asked again though nothing has happened.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let waiting = self.next < self.end();
        self.hold.as_ref().filter(|_| waiting && self.in_flight() == 0).map(Hold::next_try)
    }

    /// When the topic last took a record.
    #[must_use]
    pub const fn took_at(&self) -> Option<Instant> {
        self.took_at
    }

    /// Whether its topic is not to be had.
    pub const fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// What became of it since this was last asked.
    pub fn take_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// The item at a position.
    #[must_use]
    pub fn get(&self, position: Position) -> Option<&Item> {
        self.items.get(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, position: Position) -> Option<&mut Item> {
        self.items.get_mut(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    fn end(&self) -> Position {
        self.first + self.items.len() as u64
    }

    /// Records that are with the client.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        match self.flight {
            Flight::Shared(count) => count,
            Flight::Alone => 1,
        }
    }

    /// Records on the lane.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// All that is on the lane.
    #[cfg(test)]
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }
}

/// What a record adds to a batch at most: its bytes, the lengths of its fields, and a batch's own head.
const fn framed(item: &Item) -> usize {
    const FRAMING_BYTES: usize = 256;
    item.size + FRAMING_BYTES
}
