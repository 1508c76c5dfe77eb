//! Keeps `mews.credentials`: merges the news of an integration into what its topic already holds.
//!
//! ```text
//! news ──► read the topic to its end ──► merge ──► produce ──► read to the end again ──► done
//!                      ▲                                              │
//!                      └────── somebody else wrote in between ◄───────┘
//! ```
//!
//! Several ingress replicas write the topic, and compaction keeps only the last record of an
//! integration. Guarantees: when an update is done, the last record of its integration held all
//! that any replica had written before it. One update at a time; nothing is kept of what another
//! part could ask for. Started by the relay, which hands it the reports of [`TICKET`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{
    dead_letter::DeadLetter,
    draft::{Form, Part},
    hold::Hold,
    lane::Content,
    view::{self, View},
};
use crate::{
    backoff::Backoff,
    credentials::record::Known,
    journal::Sequence,
    kafka::{Producer, Refusal, Report, SendError, TopicNames, TopicProblem},
    telemetry::metrics,
};

/// The ticket of the one record that is in flight from here; no lane has it.
pub const TICKET: u64 = u64::MAX;
/// First and longest wait before a try that failed for no fault of the record.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// News of one integration.
#[derive(Debug)]
pub struct Update {
    /// The delivery that brought them.
    pub sequence: Sequence,
    /// Their number among what that delivery owes.
    pub number: u32,
    /// What it says.
    pub content: Content,
}

/// How an update ended.
#[derive(Debug)]
pub enum Done {
    /// The topic holds it.
    Delivered(Sequence),
    /// The topic will not take it.
    Refused(Refused),
}

/// News that the topic will not take.
#[derive(Debug)]
pub struct Refused {
    /// The delivery that brought them.
    pub sequence: Sequence,
    /// Their number among what that delivery owes.
    pub number: u32,
    /// The record as it would have been.
    pub content: Content,
    /// Why.
    pub dead_letter: DeadLetter,
}

/// What the task works with.
pub struct Parts {
    /// Settings of a consumer, to read the topic with.
    pub consumer: rdkafka::ClientConfig,
    /// Writes the topic.
    pub producer: Arc<Producer>,
    /// How topics are called.
    pub names: TopicNames,
    /// How long an update waits for a topic that a broker says is not to be had.
    pub give_up_after: Duration,
    /// News in the order in which they were accepted.
    pub updates: UnboundedReceiver<Update>,
    /// Reports of [`TICKET`].
    pub reports: UnboundedReceiver<Report>,
    /// Where it is said how each update ended.
    pub done: UnboundedSender<Done>,
}

/// Works until there are no updates to come. Cancelling it loses nothing: an update that was not
/// said to be done is still in the journal, and comes again.
pub async fn run(parts: Parts) {
    let Parts { consumer, producer, names, give_up_after, mut updates, reports, done } = parts;
    let mut keeper = Keeper { view: None, consumer, producer, names, give_up_after, reports };
    while let Some(update) = updates.recv().await {
        if done.send(keeper.deliver(update).await).is_err() {
            return;
        }
    }
}

struct Keeper {
    /// Not there before it is needed, while a blocking thread reads with it, and when that came to grief.
    view: Option<View>,
    consumer: rdkafka::ClientConfig,
    producer: Arc<Producer>,
    names: TopicNames,
    give_up_after: Duration,
    reports: UnboundedReceiver<Report>,
}

/// Why a try came to nothing.
enum Failure {
    Refused(Refusal),
    Reading(view::Error),
}

impl Keeper {
    async fn deliver(&mut self, mut update: Update) -> Done {
        let since = Instant::now();
        let mut backoff = Backoff::new(WAITS.0, WAITS.1);
        let mut hold: Option<Hold> = None;
        let mut attempts = 0;
        loop {
            let refusal = match self.attempt(&mut update).await {
                Ok(()) => return Done::Delivered(update.sequence),
                Err(Failure::Refused(refusal)) => refusal,
                Err(Failure::Reading(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot read the credentials topic"
                    );
                    error.problem().map_or(Refusal::Lost, Refusal::TopicUnavailable)
                }
            };
            attempts += 1;
            let never = match refusal {
                Refusal::Lost => None,
                Refusal::TooLarge => {
                    Some((metrics::DeadLetter::TooLarge, "larger than the topic takes".into()))
                }
                Refusal::Rejected(code) => Some((metrics::DeadLetter::Rejected, code)),
                Refusal::TopicUnavailable(problem) => self.held(&mut hold, since, problem),
            };
            if let Some((reason, detail)) = never {
                let dead_letter = DeadLetter { reason, detail, topic: self.names.credentials(), attempts };
                let Update { sequence, number, content } = update;
                return Done::Refused(Refused { sequence, number, content, dead_letter });
            }
            let wait = hold.as_ref().map(|hold| hold.next_try().saturating_duration_since(Instant::now()));
            tokio::time::sleep(wait.or_else(|| backoff.next()).unwrap_or(WAITS.1)).await;
        }
    }

    fn held(
        &self,
        hold: &mut Option<Hold>,
        since: Instant,
        problem: TopicProblem,
    ) -> Option<(metrics::DeadLetter, String)> {
        let now = Instant::now();
        let hold = match hold {
            Some(hold) => {
                hold.answered_again(now);
                hold
            }
            None => {
                let topic = self.names.credentials();
                tracing::warn!(%topic, ?problem, "topic is not to be had, the news of integrations wait for it");
                hold.insert(Hold::begin(now))
            }
        };
        let given_up = hold.gives_up(since, self.give_up_after, now);
        given_up.then(|| (metrics::DeadLetter::TopicUnavailable, "topic is missing or forbidden".to_owned()))
    }

    /// One round of the diagram.
    async fn attempt(&mut self, update: &mut Update) -> Result<(), Failure> {
        loop {
            let Part::Credentials { known, .. } = &mut update.content.draft.part else { return Ok(()) };
            let integration_id = known.integration_id.clone();
            let last = self.last(&integration_id).await?;
            let merged = match last.known {
                Some(there) => there.merge(Known::clone(known)),
                None => Known::clone(known),
            };
            if last.whole.as_ref() == Some(&merged) {
                return Ok(());
            }
            **known = merged;
            self.produce(&update.content).await.map_err(Failure::Refused)?;
        }
    }

    /// What the topic holds of an integration, at its end.
    async fn last(&mut self, integration_id: &str) -> Result<view::Last, Failure> {
        let new = || View::new(self.consumer.clone(), self.names.credentials());
        let mut view = self.view.take().unwrap_or_else(new);
        let id = integration_id.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let read = view.read(&id);
            (view, read)
        });
        let (view, read) = read.await.map_err(|_| Failure::Reading(view::Error::Gone))?;
        self.view = Some(view);
        read.map_err(Failure::Reading)
    }

    async fn produce(&mut self, content: &Content) -> Result<(), Refusal> {
        let record = content.draft.record(&content.source, &Form::Whole, &self.names);
        match self.producer.send(&record, TICKET) {
            Ok(()) => {}
            Err(SendError::QueueFull | SendError::Down) => return Err(Refusal::Lost),
            Err(SendError::TooLarge) => return Err(Refusal::TooLarge),
        }
        let report = self.reports.recv().await;
        report.map_or(Err(Refusal::Lost), |report| report.result.map(drop))
    }
}
