//! One record on its way, as a lane holds it.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Instant,
};

use super::draft::{Draft, Form, Source};
use crate::journal::Sequence;

/// One record on a lane.
#[derive(Debug)]
pub struct Item {
    /// The delivery that owes it.
    pub delivery: Sequence,
    /// Its number among what that delivery owes.
    pub number: u32,
    /// Stands for its key; two keys that share it only cost a repetition.
    pub key: u64,
    /// Never less than its bytes.
    pub size: usize,
    /// Since when it has been waiting here.
    pub since: Instant,
    /// In which form it is sent.
    pub form: Form,
    /// `None` while it is only in the journal.
    pub content: Option<Content>,
    /// How often it was sent and came back.
    pub attempts: u32,
    /// How far it has come.
    pub progress: Progress,
    /// With whom it may travel.
    pub company: Company,
}

/// What an item is made of, while it is in memory.
#[derive(Clone, Debug)]
pub struct Content {
    /// Shared with the delivery's other records.
    pub source: Arc<Source>,
    /// The record itself, before it is built.
    pub draft: Box<Draft>,
}

/// How far an item has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not with the client.
    Waiting,
    /// With the client, which owes a report.
    InFlight,
    /// In the topic.
    Acknowledged,
    /// With the client, which owes a report, and given up by an operator meanwhile.
    Leaving,
    /// Given up by an operator; it only keeps its place until those before it have left.
    Discarded,
}

/// With whom an item may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// With any others.
    Any,
    /// With none: what it is refused for is then its own fault.
    Alone,
}

impl Item {
    /// A record that has just come, in a form.
    #[must_use]
    pub fn new(delivery: Sequence, number: u32, form: Form, content: Content, now: Instant) -> Self {
        Self {
            delivery,
            number,
            key: hash(&content.draft.key(&content.source)),
            size: content.draft.size_bound(&content.source, &form),
            since: now,
            form,
            content: Some(content),
            attempts: 0,
            progress: Progress::Waiting,
            company: Company::Any,
        }
    }

    /// The same record in another form, for another lane.
    #[must_use]
    pub fn again(self, form: Form, now: Instant) -> Self {
        let size = match &self.content {
            Some(Content { source, draft }) => draft.size_bound(source, &form),
            None => self.size,
        };
        let (progress, company) = (Progress::Waiting, Company::Any);
        Self { form, size, since: now, attempts: 0, progress, company, ..self }
    }

    /// Whether it is a dead letter.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        matches!(self.form, Form::DeadLetter(_))
    }
}

fn hash(key: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}
