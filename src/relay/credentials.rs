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
//! that any replica had written before it. Updates that wait share one reading; nothing is kept of what another
//! part could ask for. Started by the relay, which hands it the reports of [`TICKET`].

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::{
    dead_letter::DeadLetter,
    draft::{Form, Part},
    hold::Hold,
    item::Content,
    view::{self, View},
};
use crate::{
    backoff::Backoff,
    credentials::record::Known,
    journal::Sequence,
    kafka::{self, Producer, Refusal, Report, SendError, TopicNames, TopicProblem},
    telemetry::metrics,
};

/// The ticket of the one record that is in flight from here; no lane has it.
pub const TICKET: u64 = u64::MAX;
/// Updates that share one reading of the topic to its end.
const BATCH_MAX: usize = 256;
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
    /// The topic will not take it; it comes back as the record would have been, with the reason.
    Refused(Update, DeadLetter),
}

/// What the task works with.
pub struct Parts {
    /// Settings of the consumer that reads the topic.
    pub consumer: kafka::Config,
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
    let stop = CancellationToken::new();
    let _stops_with_this_task = stop.clone().drop_guard();
    let mut keeper = Keeper { view: None, consumer, producer, names, give_up_after, reports, stop };
    while let Some(first) = updates.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = updates.try_recv()
        {
            batch.push(next);
        }
        for ended in keeper.deliver(batch).await {
            if done.send(ended).is_err() {
                return;
            }
        }
    }
}

struct Keeper {
    /// Not there before it is needed, while a blocking thread reads with it, and when that came to grief.
    view: Option<View>,
    consumer: kafka::Config,
    producer: Arc<Producer>,
    names: TopicNames,
    give_up_after: Duration,
    reports: UnboundedReceiver<Report>,
    stop: CancellationToken,
}

/// Why a try came to nothing.
enum Failure {
    /// Of the update at that place in the batch.
    Refused(usize, Refusal),
    Reading(view::Error),
}

impl Keeper {
    async fn deliver(&mut self, mut batch: Vec<Update>) -> Vec<Done> {
        let since = Instant::now();
        let mut backoff = Backoff::new(WAITS.0, WAITS.1);
        let mut hold: Option<Hold> = None;
        let mut attempts = 0;
        let mut ended = Vec::with_capacity(batch.len());
        while !batch.is_empty() {
            let (at, refusal) = match self.attempt(&mut batch).await {
                Ok(()) => {
                    ended.extend(batch.drain(..).map(|update| Done::Delivered(update.sequence)));
                    break;
                }
                Err(Failure::Refused(at, refusal)) => (at, refusal),
                Err(Failure::Reading(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot read the credentials topic"
                    );
                    (0, error.problem().map_or(Refusal::Lost, Refusal::TopicUnavailable))
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
                ended.push(Done::Refused(batch.remove(at), dead_letter));
                continue;
            }
            let wait = hold.as_ref().map(|hold| hold.next_try().saturating_duration_since(Instant::now()));
            tokio::time::sleep(wait.or_else(|| backoff.next()).unwrap_or(WAITS.1)).await;
        }
        ended
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

    /// Rounds of the diagram, until one finds nothing left to write. Several updates of one
    /// integration each get their record, every one with all of those before it.
    async fn attempt(&mut self, batch: &mut [Update]) -> Result<(), Failure> {
        loop {
            self.read().await.map_err(Failure::Reading)?;
            let mut written: HashMap<String, Known> = HashMap::new();
            for (at, update) in batch.iter_mut().enumerate() {
                let Part::Credentials { known, .. } = &mut update.content.draft.part else { continue };
                let id = known.integration_id.clone();
                let last = self.view.as_ref().map(|view| view.last(&id)).unwrap_or_default();
                let there = written.get(&id).cloned().or(last.known);
                let merged = match there {
                    Some(there) => there.merge(Known::clone(known)),
                    None => Known::clone(known),
                };
                if !written.contains_key(&id) && last.whole.as_ref() == Some(&merged) {
                    continue;
                }
                **known = merged.clone();
                self.produce(&update.content).await.map_err(|refusal| Failure::Refused(at, refusal))?;
                written.insert(id, merged);
            }
            if written.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads the topic to its end.
    async fn read(&mut self) -> Result<(), view::Error> {
        let new = || View::new(self.consumer.clone(), self.names.credentials());
        let mut view = self.view.take().unwrap_or_else(new);
        let stop = self.stop.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = view.read(&stop);
            (view, read)
        });
        let (view, read) = read.await.map_err(|_| view::Error::Gone)?;
        self.view = Some(view);
        read
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
