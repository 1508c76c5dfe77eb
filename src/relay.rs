//! Relay: takes accepted deliveries from the journal and brings their records to Kafka.
//!
//! ```text
//!  journal::Reader ── fan_out ──► deliver: one lane a topic ──► kafka::Producer
//!        ▲   ▲                      │    ▲                           │
//!        │   └── refetch ◄──────────┘    └───────── reports ◄────────┘
//!        │                          ├──► credentials: merge ──► mews.credentials
//!        │                          └──► leftovers: what not even the dead letters take
//!        └── complete ◄── cursor ◄── settled
//! ```
//!
//! Guarantees: a delivery is completed in the journal only when every record it owes is
//! acknowledged by Kafka, dead-lettered and that acknowledged, or kept in a file; on a topic the
//! records of a key keep the order in which they were accepted; a topic that is not to be had does
//! not hold back the others; memory is bounded, and at the bound the journal is not read. The app
//! runs it; it never answers Mews, never reads a secret, and never gives up an accepted delivery
//! unless an operator asks it to by name.

pub mod credentials;
pub mod cursor;
pub mod dead_letter;
pub mod deliver;
pub mod discard;
pub mod draft;
pub mod fan_out;
pub mod hold;
pub mod lane;
pub mod leftovers;
pub mod view;

use std::{
    future::pending,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{
    deliver::{BOUNDS, Deliver, Notice, Step},
    discard::{Discard, Discarded},
    lane::{Change, Content, Limits},
};
use crate::{
    backoff::Backoff,
    journal,
    kafka::{self, Producer, Report, TopicNames},
    telemetry::metrics::{self, JournalState, Stage},
    webhook::{Delivery, Discriminators},
};

/// Steps between two looks at what else has happened.
const STEPS_MAX: usize = 512;
/// How often the client is looked at when nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How often the journal is looked at when it is being drained.
const DRAIN_TICK: Duration = Duration::from_millis(50);
/// Wait before a leftover that could not be written is tried again.
const KEEP_WAIT: Duration = Duration::from_secs(5);
/// First and longest wait before the client is restarted once more.
const RESTART_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// What the relay works with.
pub struct Parts {
    /// Gives deliveries in the order in which they were accepted.
    pub reader: journal::Reader,
    /// Is told how far they are delivered.
    pub journal: journal::Handle,
    /// Takes records.
    pub producer: Arc<Producer>,
    /// What the producer reports.
    pub reports: UnboundedReceiver<Report>,
    /// Deliveries that an operator gives up.
    pub discards: Receiver<Discard>,
    /// How topics are called.
    pub names: TopicNames,
    /// Which discriminators have a topic.
    pub discriminators: Discriminators,
    /// Settings of a consumer, to read `mews.credentials` with.
    pub consumer: rdkafka::ClientConfig,
    /// `kafka.give_up_topic_after`.
    pub give_up_topic_after: Duration,
    /// When the oldest pending delivery was accepted.
    pub journal_metrics: metrics::Journal,
    /// Latency and dead letters.
    pub kafka_metrics: metrics::Kafka,
    /// [`leftovers::DIR`] in the journal's directory.
    pub leftovers_dir: PathBuf,
    /// Ends the relay at once; what is not delivered stays in the journal.
    pub abandon: CancellationToken,
}

/// How the relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The journal is drained.
    Drained,
    /// It was abandoned with so many deliveries read and not completed.
    Abandoned {
        /// Those deliveries; the journal may hold more that were not read.
        pending: usize,
    },
}

/// Why the relay cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal cannot be read.
    #[error("journal cannot be read")]
    Journal(#[from] journal::ReadError),
    /// What was read back is not what had been put aside.
    #[error("delivery {0} is not what it was when it was first read")]
    Changed(journal::Sequence),
    /// A part of the relay ended that never should.
    #[error("the relay's {0} ended unasked")]
    Ended(&'static str),
}

/// Relays until `shutdown` is asked for and the journal is drained, or until it is abandoned.
///
/// Ask the journal to drain first. How long to wait is the caller's to decide. Dropping the future
/// loses nothing: what was not completed is delivered after the next start.
///
/// # Errors
/// When the journal cannot be read, or something is broken.
pub async fn run(parts: Parts, shutdown: CancellationToken) -> Result<Outcome, Error> {
    Relay::new(parts).run(shutdown).await
}

struct Relay {
    reader: journal::Reader,
    journal: journal::Handle,
    producer: Arc<Producer>,
    reports: UnboundedReceiver<Report>,
    discards: Receiver<Discard>,
    discriminators: Discriminators,
    journal_metrics: metrics::Journal,
    kafka_metrics: metrics::Kafka,
    leftovers_dir: PathBuf,
    abandon: CancellationToken,
    deliver: Deliver,
    updates: UnboundedSender<credentials::Update>,
    updates_reports: UnboundedSender<Report>,
    updates_done: UnboundedReceiver<credentials::Done>,
    updates_task: AbortOnDropHandle<()>,
    restart: Option<JoinHandle<Result<(), kafka::Error>>>,
    restart_at: Instant,
    restart_waits: Backoff,
    keep_at: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining,
}

impl Relay {
    fn new(parts: Parts) -> Self {
        let limits = Limits {
            batch_bytes_max: parts.producer.batch_bytes_max(),
            give_up_after: Some(parts.give_up_topic_after),
        };
        let (updates, updates_of) = unbounded_channel();
        let (updates_reports, reports_of) = unbounded_channel();
        let (done, updates_done) = unbounded_channel();
        let updates_task = credentials::run(credentials::Parts {
            consumer: parts.consumer,
            producer: parts.producer.clone(),
            names: parts.names.clone(),
            give_up_after: parts.give_up_topic_after,
            updates: updates_of,
            reports: reports_of,
            done,
        });
        Self {
            reader: parts.reader,
            journal: parts.journal,
            producer: parts.producer,
            reports: parts.reports,
            discards: parts.discards,
            discriminators: parts.discriminators,
            journal_metrics: parts.journal_metrics,
            kafka_metrics: parts.kafka_metrics,
            leftovers_dir: parts.leftovers_dir,
            abandon: parts.abandon,
            deliver: Deliver::new(parts.names, limits, BOUNDS),
            updates,
            updates_reports,
            updates_done,
            updates_task: AbortOnDropHandle::new(tokio::spawn(updates_task)),
            restart: None,
            restart_at: Instant::now(),
            restart_waits: Backoff::new(RESTART_WAITS.0, RESTART_WAITS.1),
            keep_at: Instant::now(),
            phase: Phase::Running,
        }
    }

    async fn run(mut self, shutdown: CancellationToken) -> Result<Outcome, Error> {
        loop {
            let more = self.work().await?;
            if self.is_drained() {
                return Ok(Outcome::Drained);
            }
            let wake = if more { Instant::now() } else { self.wake_at() };
            let (has_room, running) = (self.deliver.has_room(), self.phase == Phase::Running);
            // Every arm only waits; cancelling one loses nothing.
            tokio::select! {
                biased;
                () = self.abandon.cancelled() => {
                    return Ok(Outcome::Abandoned { pending: self.deliver.pending() });
                }
                report = self.reports.recv() => self.reported(report.ok_or(Error::Ended("producer"))?),
                done = self.updates_done.recv() => self.updated(done.ok_or(Error::Ended("credentials"))?),
                _ = &mut self.updates_task => return Err(Error::Ended("credentials")),
                restarted = restarted(&mut self.restart) => self.restarted(restarted),
                // Without anybody left to ask, the others go on.
                Some(discard) = self.discards.recv() => self.discard(discard).await,
                entry = self.reader.next(), if has_room => self.admit(entry?),
                () = shutdown.cancelled(), if running => self.phase = Phase::Draining,
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Does what can be done now; says whether there is more.
    async fn work(&mut self) -> Result<bool, Error> {
        self.look_after_client();
        let mut steps = 0;
        let now = Instant::now();
        while steps < STEPS_MAX
            && let Some(step) = self.deliver.next(now)
        {
            match step {
                Step::Send(ticket) => {
                    let record = self.deliver.record(ticket).expect("a step names a record that is there");
                    self.deliver.sent(ticket, self.producer.send(&record, ticket), now);
                }
                Step::Load(ticket, sequence, location) => {
                    let payload = self.reader.refetch(location).await?;
                    let fan_out = fan_out::fan_out(&payload, &self.discriminators);
                    if self.deliver.loaded(ticket, &fan_out) == 0 {
                        return Err(Error::Changed(sequence));
                    }
                }
            }
            steps += 1;
        }
        self.keep_leftovers().await;
        self.publish();
        Ok(steps == STEPS_MAX)
    }

    fn admit(&mut self, entry: journal::Entry) {
        let journal::Entry { sequence, payload, location } = entry;
        let fan_out = fan_out::fan_out(&payload, &self.discriminators);
        self.deliver.admit(sequence, location, &fan_out, Instant::now());
        let number = u32::try_from(fan_out.drafts.len()).unwrap_or(u32::MAX);
        if let Some(news) = fan_out.news {
            let content = Content { source: fan_out.source, draft: Box::new(news) };
            // Should the task be gone, the loop ends with that.
            let _ = self.updates.send(credentials::Update { sequence, number, content });
        }
    }

    fn reported(&mut self, report: Report) {
        let now = Instant::now();
        let mut next = Some(report);
        let mut taken = 0;
        while let Some(report) = next {
            if report.ticket == credentials::TICKET {
                let _ = self.updates_reports.send(report);
            } else {
                self.deliver.report(report, now);
            }
            taken += 1;
            next = if taken < STEPS_MAX { self.reports.try_recv().ok() } else { None };
        }
    }

    fn updated(&mut self, done: credentials::Done) {
        match done {
            credentials::Done::Delivered(sequence) => self.deliver.news_delivered(sequence),
            credentials::Done::Refused(refused) => self.deliver.news_refused(refused, Instant::now()),
        }
    }

    /// Gives a delivery up if it is the one that is meant.
    async fn discard(&mut self, Discard { sequence, id, reply }: Discard) {
        let came_of_it = match self.deliver.location(sequence) {
            None => Discarded::NotOpen,
            Some(location) => {
                match self.reader.refetch(location).await.map(|payload| Delivery::decode(&payload)) {
                    Ok(Ok(delivery)) if delivery.id == id => {
                        match self.deliver.discard(sequence, Instant::now()) {
                            Some(records) => Discarded::Done { records },
                            None => Discarded::NotOpen,
                        }
                    }
                    Ok(_) | Err(_) => Discarded::Other,
                }
            }
        };
        if let Discarded::Done { records } = came_of_it {
            tracing::warn!(delivery = %id, records, "delivery {id} was discarded by an operator, {records} of its records are not in Kafka");
        }
        // Whoever asked may have gone; what was done stays done.
        let _ = reply.send(came_of_it);
    }

    /// Restarts a client that is down, not more often than the waits allow.
    fn look_after_client(&mut self) {
        if self.restart.is_some() || !self.producer.is_down() {
            return;
        }
        self.deliver.client_down();
        if Instant::now() >= self.restart_at {
            let producer = self.producer.clone();
            self.restart = Some(tokio::task::spawn_blocking(move || producer.restart()));
        }
    }

    fn restarted(&mut self, result: Result<(), kafka::Error>) {
        self.restart = None;
        let wait = self.restart_waits.next().unwrap_or(RESTART_WAITS.1);
        self.restart_at = Instant::now() + wait;
        match result {
            Ok(()) => {
                tracing::warn!(
                    pending = self.deliver.pending(),
                    "kafka client was restarted, what it held is sent again"
                );
                self.deliver.client_restarted();
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "kafka client cannot be restarted, it is tried again"
                );
            }
        }
    }

    async fn keep_leftovers(&mut self) {
        while Instant::now() >= self.keep_at
            && let Some(record) = self.deliver.leftover()
        {
            let dir = self.leftovers_dir.clone();
            let kept = tokio::task::spawn_blocking(move || leftovers::keep(&dir, &record)).await;
            match kept.map_err(std::io::Error::other).flatten() {
                Ok(path) => {
                    tracing::error!(path = %path.display(), "not even the dead letters take a record, it is kept in a file");
                    self.deliver.kept();
                }
                Err(error) => {
                    self.keep_at = Instant::now() + KEEP_WAIT;
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a record that not even the dead letters take cannot be kept in a file, it stays in the journal"
                    );
                }
            }
        }
    }

    /// Tells the journal, the metrics and the log what has happened.
    fn publish(&mut self) {
        if let Some(completed) = self.deliver.take_passed() {
            self.journal.complete(completed);
        }
        let oldest = self.deliver.oldest().map_or(0.0, seconds);
        self.journal_metrics.oldest_pending.set(oldest);
        for notice in self.deliver.take_notices() {
            match notice {
                Notice::Acknowledged(accepted_at) => {
                    self.restart_waits = Backoff::new(RESTART_WAITS.0, RESTART_WAITS.1);
                    let latency = accepted_at.elapsed().unwrap_or_default();
                    self.kafka_metrics.raw_latency.observe(latency.as_secs_f64());
                }
                Notice::DeadLetter(reason) => self.kafka_metrics.dead_letters.of(Stage::Relay, reason).inc(),
                Notice::Lane(topic, change, waiting) => log_change(&topic, &change, waiting),
                Notice::GivenUp(topic, records) => tracing::error!(
                    %topic, records,
                    "topic was not to be had for too long, its oldest records went to the dead letters"
                ),
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.phase == Phase::Draining
            && self.deliver.pending() == 0
            && self.journal.state() == JournalState::Drained
    }

    fn wake_at(&self) -> Instant {
        let tick = match self.phase {
            Phase::Running => TICK,
            Phase::Draining => DRAIN_TICK,
        };
        let tick = Instant::now() + tick;
        self.deliver.wake_at().map_or(tick, |wake| wake.min(tick))
    }
}

fn log_change(topic: &str, change: &Change, waiting: usize) {
    match change {
        Change::Held(problem) => {
            tracing::warn!(
                topic,
                ?problem,
                waiting,
                "topic is not to be had, its records wait and the others flow on"
            );
        }
        Change::Flowing => tracing::info!(topic, waiting, "topic flows again"),
        Change::OneAtATime(span) => tracing::warn!(
            topic,
            waiting,
            seconds = span.as_secs(),
            "topic takes smaller batches than it is sent, one record at a time for a while"
        ),
    }
}

/// Waits for a restart that is under way, for ever when there is none.
async fn restarted(restart: &mut Option<JoinHandle<Result<(), kafka::Error>>>) -> Result<(), kafka::Error> {
    match restart {
        Some(task) => task.await.expect("restarting does not panic and is never aborted"),
        None => pending().await,
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
