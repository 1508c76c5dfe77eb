//! Events that one fetch answers, and what becomes of them while they wait for it.

use std::time::Instant;

use crate::enricher::{
    entity::Change,
    event::{Event, Origin},
    fetch,
};

/// Traces that are remembered, besides the newest event's.
pub(super) const LINKS_MAX: usize = 16;

/// Events that one fetch answers.
#[derive(Clone, Debug)]
pub struct Round {
    /// The newest of them; apart, for rounds are moved often and lie in tables.
    pub newest: Box<Event>,
    /// Whether one of them said that the entity was deleted.
    pub change: Change,
    /// Where each was read; those that were parked are not among them.
    pub origins: Vec<Origin>,
    /// The offset on the parked topic of the last of them that was parked.
    pub parked: Option<i64>,
    /// Up to which offset of that topic its fetch answers the key, though those events are not of this round.
    pub answers: Option<i64>,
    /// The traces of the older ones, as far as they are remembered.
    pub links: Vec<Box<str>>,
    /// When the first of them came.
    pub since: Instant,
    /// Whether it was asked for before and not returned.
    pub attempt: fetch::Round,
    /// How often it was asked for.
    pub tries: u32,
    /// When it was asked for last, and the time before.
    pub asked_at: [Option<Instant>; 2],
    /// How often it failed in a way that one id of its batch may have caused.
    pub suspicions: u32,
    /// Whether it is asked for by itself, because Mews answers the others and not it.
    pub is_lone: bool,
}

impl Round {
    /// One event, asked for as often as before it was parked.
    #[must_use]
    pub fn of(event: Event, parked: Option<i64>, now: Instant) -> Self {
        Self {
            change: event.change,
            origins: if parked.is_some() { Vec::new() } else { vec![event.original.origin.clone()] },
            parked,
            answers: None,
            links: Vec::new(),
            since: now,
            attempt: fetch::Round::First,
            tries: event.tries,
            asked_at: [None; 2],
            suspicions: 0,
            is_lone: false,
            newest: Box::new(event),
        }
    }

    /// Takes in events that came later, or earlier where they were held up.
    pub(super) fn join(&mut self, other: Self) {
        let older = if other.newest.accepted_at >= self.newest.accepted_at {
            std::mem::replace(&mut self.newest, other.newest)
        } else {
            other.newest
        };
        let links = std::iter::once(older.traceparent().into()).chain(other.links);
        self.links.extend(links.take(LINKS_MAX.saturating_sub(self.links.len())));
        if other.change == Change::Deleted {
            self.change = Change::Deleted;
        }
        self.origins.extend(other.origins);
        self.parked = self.parked.max(other.parked);
        self.answers = self.answers.max(other.answers);
        self.since = self.since.min(other.since);
        self.tries = self.tries.max(other.tries);
        self.asked_at = self.asked_at.max(other.asked_at);
        self.suspicions = self.suspicions.max(other.suspicions);
        self.is_lone |= other.is_lone;
        // What is new has both attempts before it.
        self.attempt = fetch::Round::First;
    }

    /// Events it stands for.
    #[must_use]
    pub fn events(&self) -> usize {
        self.origins.len() + usize::from(self.parked.is_some())
    }
}
