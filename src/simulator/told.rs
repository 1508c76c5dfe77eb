//! What webhooks have told, and what became of the messages.

use std::collections::{BTreeSet, HashMap};

use super::{outbox::Queue, webhook::Event};

/// One message on its way.
#[derive(Clone, Debug)]
pub struct Message {
    /// Counts up.
    pub number: u64,
    pub body: String,
    /// Whose events, and which; nothing for an Integration webhook.
    pub events: Option<(Queue, Vec<Event>)>,
}

/// How often an event was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting or on its way.
    pub waiting: u32,
    /// In messages that were answered 2xx.
    pub taken: u32,
    /// In messages that were given up after three attempts.
    pub abandoned: u32,
}

/// All messages together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages answered 2xx.
    pub taken: u64,
    /// Messages given up.
    pub abandoned: u64,
    /// Events in the messages that were answered 2xx.
    pub events_taken: u64,
    /// Attempts, those that failed too.
    pub attempts: u64,
}

/// The account of everything told.
#[derive(Debug, Default)]
pub struct Told {
    counts: HashMap<(Queue, Event), Counts>,
    /// Numbers of the messages that have not ended.
    open: BTreeSet<u64>,
    last: u64,
    pub totals: Totals,
}

impl Told {
    /// An event waits from now on.
    pub fn waits(&mut self, queue: Queue, event: Event) {
        self.counts.entry((queue, event)).or_default().waiting += 1;
    }

    /// A message sets out; its number.
    pub fn sets_out(&mut self) -> u64 {
        self.last += 1;
        self.open.insert(self.last);
        self.last
    }

    /// A message has ended.
    pub fn ended(&mut self, message: &Message, attempts: u32, is_taken: bool) {
        self.open.remove(&message.number);
        self.totals.attempts += u64::from(attempts);
        let (taken, abandoned) = (u32::from(is_taken), u32::from(!is_taken));
        self.totals.taken += u64::from(taken);
        self.totals.abandoned += u64::from(abandoned);
        let Some((queue, events)) = &message.events else { return };
        self.totals.events_taken += u64::from(taken) * events.len() as u64;
        for event in events {
            let counts = self.counts.entry((*queue, *event)).or_default();
            counts.waiting = counts.waiting.saturating_sub(1);
            counts.taken += taken;
            counts.abandoned += abandoned;
        }
    }

    /// The number of the newest message.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Whether all messages up to this number have ended.
    pub fn have_ended(&self, up_to: u64) -> bool {
        self.open.first().is_none_or(|oldest| *oldest > up_to)
    }

    /// Every event with its counts.
    pub fn all(&self) -> impl Iterator<Item = (&Queue, &Event, Counts)> {
        self.counts.iter().map(|((queue, event), counts)| (queue, event, *counts))
    }
}
