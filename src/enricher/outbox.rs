//! What is on its way to Kafka, and what it is for.
//!
//! Guarantees: everything that was put in is settled once, as taken or as refused for good; what the
//! client lost is sent again, unless a newer record of the same key was put in meanwhile. A topic that
//! is missing or forbidden is tried again until it is given up. A topic that refuses a batch as too
//! large gets its records one by one: then the refusal speaks of the record. Pure.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    coalesce::{HoldReason, Round},
    event::Origin,
};
use crate::{
    hash::HashMap,
    kafka::{Record, Refusal, Report, SendError},
    telemetry::metrics::DeadLetter,
};

/// A record that is under way for longer may arrive when its partition is already somebody else's: the
/// process stood still, or Kafka was away.
const LATE: Duration = Duration::from_secs(4);
/// Wait before a topic that is missing or forbidden is tried again.
const TOPIC_WAIT: Duration = Duration::from_secs(1);

/// What a record is for.
#[derive(Debug)]
pub enum Purpose {
    /// The newest state of an entity.
    Entity(Round),
    /// It is gone.
    Tombstone(Round),
    /// It cannot be enriched.
    DeadLetter(Round),
    /// It was no event at all, or waited too long: only this one is answered.
    Dead(Option<Origin>),
    /// It has to wait elsewhere.
    Park(Round, HoldReason),
    /// It waits no more.
    Unpark,
}

impl Purpose {
    /// The events that are completed when the record is taken.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        match self {
            Self::Entity(round) | Self::Tombstone(round) | Self::DeadLetter(round) | Self::Park(round, _) => {
                &round.origins
            }
            Self::Dead(origin) => origin.as_slice(),
            Self::Unpark => &[],
        }
    }
}

/// What became of a record.
#[derive(Debug)]
pub enum Settled {
    /// Kafka has it, or gets something newer.
    Taken(Purpose),
    /// Kafka has it, but so late that somebody else may have written before, or has.
    Late {
        /// What it was for.
        purpose: Purpose,
        /// Its partition is known to be somebody else's.
        is_disowned: bool,
    },
    /// It is on the parked topic.
    Parked {
        /// What it was for.
        purpose: Purpose,
        /// Where there.
        offset: i64,
    },
    /// Kafka will not take it.
    Refused {
        /// What it was for.
        purpose: Purpose,
        /// Why.
        reason: DeadLetter,
        /// What exactly.
        detail: String,
        /// How often it was sent.
        attempts: u32,
    },
}

#[derive(Debug)]
struct Sending {
    record: Record,
    purpose: Purpose,
    attempts: u32,
    since: Instant,
    /// A newer record of its key was put in: it need not be sent again.
    superseded: bool,
    /// The client has it, with no other of its topic.
    is_alone: bool,
    /// When the client got it first.
    sent_at: Option<Instant>,
    /// Its partition is somebody else's: it is not sent again.
    is_disowned: bool,
}

/// Records between the enricher and its producer.
#[derive(Debug)]
pub struct Outbox {
    open: HashMap<u64, Sending>,
    /// What is to be sent, and not before when.
    ready: VecDeque<(Instant, u64)>,
    /// By topic, what goes one by one; the first may be under way.
    lone: HashMap<Arc<str>, VecDeque<u64>>,
    /// By topic, how many records the client has.
    in_flight: HashMap<Arc<str>, usize>,
    /// By topic, when it took a record last, and since when it takes none.
    took_at: HashMap<Arc<str>, Instant>,
    unavailable_since: HashMap<Arc<str>, Instant>,
    /// The last of each key that is not settled.
    newest: HashMap<(Arc<str>, Bytes), u64>,
    next: u64,
    give_up_topic_after: Duration,
}

impl Outbox {
    /// With nothing in it.
    #[must_use]
    pub fn new(give_up_topic_after: Duration) -> Self {
        Self {
            open: HashMap::default(),
            ready: VecDeque::new(),
            lone: HashMap::default(),
            in_flight: HashMap::default(),
            took_at: HashMap::default(),
            unavailable_since: HashMap::default(),
            newest: HashMap::default(),
            next: 0,
            give_up_topic_after,
        }
    }

    /// Records that are not settled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether everything is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether anything in it answers an event that was read there.
    #[must_use]
    pub fn holds(&self, place: impl Fn(&Origin) -> bool) -> bool {
        self.open.values().any(|sending| sending.purpose.origins().iter().any(&place))
    }

    /// What answers events that were read there is nobody's any more: what was not sent is not, and what
    /// was is late.
    pub fn disown(&mut self, place: impl Fn(&Origin) -> bool) {
        for sending in self.open.values_mut() {
            sending.is_disowned |= sending.purpose.origins().iter().any(&place);
        }
    }

    /// Puts a record in.
    pub fn push(&mut self, record: Record, purpose: Purpose, now: Instant) {
        self.next += 1;
        // A dead letter is one event's; of everything else the last of a key is what counts.
        if !matches!(purpose, Purpose::DeadLetter(_) | Purpose::Dead(_)) {
            let key = (Arc::clone(&record.topic), record.key.clone());
            if let Some(older) =
                self.newest.insert(key, self.next).and_then(|older| self.open.get_mut(&older))
            {
                older.superseded = true;
            }
        }
        let sending = Sending {
            record,
            purpose,
            attempts: 0,
            since: now,
            superseded: false,
            is_alone: false,
            sent_at: None,
            is_disowned: false,
        };
        self.open.insert(self.next, sending);
        self.ready.push_back((now, self.next));
    }

    /// Sends what can be sent; what need not be sent any more, or can never be, comes back.
    pub fn send(
        &mut self,
        now: Instant,
        mut send: impl FnMut(&Record, u64) -> Result<(), SendError>,
    ) -> Vec<Settled> {
        let mut settled = Vec::new();
        if self.send_lone(now, &mut send, &mut settled).is_err() {
            return settled;
        }
        let mut later = VecDeque::new();
        while let Some((at, ticket)) = self.ready.pop_front() {
            let Some(sending) = self.open.get_mut(&ticket) else { continue };
            if sending.superseded || sending.is_disowned {
                settled.extend(self.taken(ticket));
                continue;
            }
            if at > now || self.lone.contains_key(&sending.record.topic) {
                later.push_back((at, ticket));
                continue;
            }
            match send(&sending.record, ticket) {
                Ok(()) => {
                    sending.attempts += 1;
                    sending.sent_at.get_or_insert(now);
                    *self.in_flight.entry(Arc::clone(&sending.record.topic)).or_default() += 1;
                }
                Err(SendError::QueueFull | SendError::Down) => {
                    self.ready.push_front((at, ticket));
                    break;
                }
                Err(SendError::TooLarge) => settled.extend(self.refuse_as_too_large(ticket, "client sends")),
            }
        }
        later.into_iter().rev().for_each(|entry| self.ready.push_front(entry));
        settled
    }

    /// One record of each topic that nothing else is under way to.
    fn send_lone(
        &mut self,
        now: Instant,
        send: &mut impl FnMut(&Record, u64) -> Result<(), SendError>,
        settled: &mut Vec<Settled>,
    ) -> Result<(), SendError> {
        let free = |topic: &&Arc<str>| !self.in_flight.contains_key(*topic);
        let topics: Vec<_> = self.lone.keys().filter(free).cloned().collect();
        for topic in topics {
            let Some(&ticket) = self.lone.get(&topic).and_then(VecDeque::front) else { continue };
            let Some(sending) = self.open.get_mut(&ticket) else { continue };
            if sending.superseded || sending.is_disowned {
                settled.extend(self.taken(ticket));
                continue;
            }
            match send(&sending.record, ticket) {
                Ok(()) => {
                    sending.attempts += 1;
                    sending.sent_at.get_or_insert(now);
                    sending.is_alone = true;
                    self.in_flight.insert(topic, 1);
                }
                Err(SendError::TooLarge) => settled.extend(self.refuse_as_too_large(ticket, "client sends")),
                Err(error @ (SendError::QueueFull | SendError::Down)) => return Err(error),
            }
        }
        Ok(())
    }

    /// When something has to be sent again.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.ready.iter().map(|(at, _)| *at).min()
    }

    /// Whether a record of this key is on its way.
    #[must_use]
    pub fn sends(&self, topic: &Arc<str>, key: &[u8]) -> bool {
        self.newest.contains_key(&(Arc::clone(topic), Bytes::copy_from_slice(key)))
    }

    /// A report of the client.
    pub fn report(&mut self, report: Report, now: Instant) -> Option<Settled> {
        let Report { ticket, result } = report;
        let sending = self.open.get_mut(&ticket)?;
        let was_alone = std::mem::take(&mut sending.is_alone);
        let topic = Arc::clone(&sending.record.topic);
        if let Some(count) = self.in_flight.get_mut(&topic) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&topic);
            }
        }
        let again = match result {
            Ok(placed) => {
                self.unavailable_since.remove(&topic);
                self.took_at.insert(topic, now);
                let is_late = sending.sent_at.is_some_and(|at| now.saturating_duration_since(at) > LATE);
                let is_disowned = sending.is_disowned;
                if is_disowned || is_late {
                    let purpose = self.remove(ticket)?.purpose;
                    return Some(Settled::Late { purpose, is_disowned });
                }
                if let Purpose::Park(..) = sending.purpose {
                    let purpose = self.remove(ticket)?.purpose;
                    return Some(Settled::Parked { purpose, offset: placed.offset });
                }
                return self.taken(ticket);
            }
            Err(_) if sending.superseded || sending.is_disowned => return self.taken(ticket),
            Err(Refusal::Rejected(code)) => return self.refuse(ticket, DeadLetter::Rejected, code),
            Err(Refusal::TooLarge) if was_alone => return self.refuse_as_too_large(ticket, "topic takes"),
            Err(Refusal::TooLarge) => {
                self.lone.entry(topic).or_default().push_back(ticket);
                return None;
            }
            // One that goes alone is still the first of its line.
            Err(Refusal::Lost) if was_alone => return None,
            Err(Refusal::Lost) => now,
            Err(Refusal::TopicUnavailable(problem)) => {
                let since = *self.unavailable_since.entry(Arc::clone(&topic)).or_insert(now);
                // While no topic takes anything, the cluster is what is missing.
                let others_live = self.took_at.values().any(|took| *took > since);
                let waited = now.saturating_duration_since(since.max(sending.since));
                if others_live
                    && waited > self.give_up_topic_after
                    && !matches!(sending.purpose, Purpose::DeadLetter(_) | Purpose::Dead(_))
                {
                    let detail = format!("topic is {problem:?}").to_lowercase();
                    return self.refuse(ticket, DeadLetter::TopicUnavailable, detail);
                }
                self.leave_line(&topic, ticket);
                now + TOPIC_WAIT
            }
        };
        self.ready.push_back((again, ticket));
        None
    }

    fn taken(&mut self, ticket: u64) -> Option<Settled> {
        self.remove(ticket).map(|sending| Settled::Taken(sending.purpose))
    }

    fn refuse_as_too_large(&mut self, ticket: u64, than: &str) -> Option<Settled> {
        self.refuse(ticket, DeadLetter::TooLarge, format!("larger than the {than}"))
    }

    fn refuse(&mut self, ticket: u64, reason: DeadLetter, detail: String) -> Option<Settled> {
        let Sending { purpose, attempts, .. } = self.remove(ticket)?;
        Some(Settled::Refused { purpose, reason, detail, attempts })
    }

    fn remove(&mut self, ticket: u64) -> Option<Sending> {
        let sending = self.open.remove(&ticket)?;
        self.leave_line(&sending.record.topic, ticket);
        let key = (Arc::clone(&sending.record.topic), sending.record.key.clone());
        if self.newest.get(&key) == Some(&ticket) {
            self.newest.remove(&key);
        }
        Some(sending)
    }

    /// It no longer goes alone.
    fn leave_line(&mut self, topic: &Arc<str>, ticket: u64) {
        if let Some(line) = self.lone.get_mut(topic) {
            line.retain(|each| *each != ticket);
            if line.is_empty() {
                self.lone.remove(topic);
            }
        }
    }
}

#[cfg(test)]
mod tests;
