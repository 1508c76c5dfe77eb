//! The shell around the machine: asks it for steps, does the I/O, and tells it how that ended.
//!
//! One task owns all of it. Beside it there are only the task that keeps `mews.credentials`, and a
//! thread when the client is restarted or a file is written.

use std::{
    future::pending,
    path::PathBuf,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{
        Notify,
        mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Error, Outcome, Parts,
    capacity::Capacities,
    credentials,
    deliver::{BOUNDS, Deliver, Step},
    discard::{Discard, Discarded},
    fan_out::fan_out,
    lane::Limits,
    leftovers,
    notice::Notice,
};
use crate::{
    backoff::Backoff,
    journal,
    kafka::{self, Producer, Report},
    telemetry::metrics::{self, JournalState},
    webhook::{Delivery, Discriminators},
};

/// Steps, reports and entries of one turn, each; then it is looked at what else has happened.
const STEPS_MAX: usize = 512;
/// How long a turn waits after one that had something to do. What comes meanwhile is dealt with
/// together, so that under load a record does not cost the answers a turn of its own.
const REST: Duration = Duration::from_millis(1);
/// How often the client is looked at when nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How often the journal is looked at when it is being drained.
const DRAIN_TICK: Duration = Duration::from_millis(50);
/// Wait before the journal is read again after an error.
const READ_WAIT: Duration = Duration::from_secs(1);
/// Wait before a leftover that could not be written is tried again.
const KEEP_WAIT: Duration = Duration::from_secs(5);
/// First and longest wait before the client is restarted once more.
const RESTART_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

pub(super) struct Shell {
    reader: journal::Reader,
    journal: journal::Handle,
    producer: Arc<Producer>,
    reports: UnboundedReceiver<Report>,
    discards: Receiver<Discard>,
    discriminators: Discriminators,
    journal_metrics: metrics::Journal,
    kafka_metrics: metrics::Kafka,
    leftovers_dir: PathBuf,
    reconnect: Arc<Notify>,
    abandon: CancellationToken,
    /// None once nobody will say more.
    capacities: Option<watch::Receiver<Capacities>>,
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

/// What a turn had to do, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Idle,
    Busy,
    /// It ended before everything was done.
    Full,
}

impl Shell {
    /// With nothing done yet.
    pub(super) fn new(parts: Parts) -> Self {
        let limits = Limits {
            batch_bytes_max: parts.producer.batch_bytes_max(),
            give_up_after: Some(parts.give_up_topic_after),
        };
        let mut deliver = Deliver::new(parts.names.clone(), limits, BOUNDS);
        deliver.learn(parts.capacities.borrow().clone());
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
            reconnect: parts.reconnect,
            abandon: parts.abandon,
            capacities: Some(parts.capacities),
            deliver,
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

    /// See [`super::run`].
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<Outcome, Error> {
        loop {
            let swept = self.sweep().await?;
            let turn = swept.max(self.work().await?);
            if self.is_drained() {
                return Ok(Outcome::Drained);
            }
            let wake = match turn {
                Turn::Idle => self.wake_at(),
                Turn::Busy => Instant::now() + REST,
                Turn::Full => Instant::now(),
            };
            let idle = turn == Turn::Idle;
            let (has_room, running) = (self.deliver.has_room(), self.phase == Phase::Running);
            let is_up = self.restart.is_none();
            // Every arm only waits; cancelling one loses nothing.
            tokio::select! {
                biased;
                () = self.abandon.cancelled() => {
                    return Ok(Outcome::Abandoned { pending: self.deliver.open().len() });
                }
                report = self.reports.recv(), if idle => {
                    self.reported(report.ok_or(Error::Ended("producer"))?, Instant::now());
                }
                done = self.updates_done.recv() => {
                    self.deliver.updated(done.ok_or(Error::Ended("credentials"))?, Instant::now());
                }
                _ = &mut self.updates_task => return Err(Error::Ended("credentials")),
                restarted = restarted(&mut self.restart) => self.restarted(restarted),
                () = self.reconnect.notified(), if is_up => self.restart(),
                capacities = changed(&mut self.capacities) => self.deliver.learn(capacities),
                // Without anybody left to ask, the others go on.
                Some(discard) = self.discards.recv() => self.discard(discard).await,
                entry = self.reader.next(), if idle && has_room => match entry {
                    Ok(entry) => self.admit(entry, Instant::now()),
                    Err(error) => unreadable(error).await?,
                },
                () = shutdown.cancelled(), if running => self.phase = Phase::Draining,
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Takes in what has come since the last turn.
    async fn sweep(&mut self) -> Result<Turn, Error> {
        let now = Instant::now();
        let mut reports = 0;
        while reports < STEPS_MAX
            && let Ok(report) = self.reports.try_recv()
        {
            self.reported(report, now);
            reports += 1;
        }
        let mut entries = 0;
        // Later than what was reported: a topic that took something before a record came is no sign that
        // topics were to be had since.
        let now = Instant::now();
        while entries < STEPS_MAX && self.deliver.has_room() {
            match at_once(self.reader.next()).await {
                Some(Ok(entry)) => self.admit(entry, now),
                Some(Err(error)) => {
                    unreadable(error).await?;
                    break;
                }
                None => break,
            }
            entries += 1;
        }
        Ok(Turn::of(reports.max(entries)))
    }

    /// Does what can be done now.
    async fn work(&mut self) -> Result<Turn, Error> {
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
                    let payload = match self.reader.refetch(location).await {
                        Ok(payload) => payload,
                        Err(error) => {
                            unreadable(error).await?;
                            break;
                        }
                    };
                    let fan_out = fan_out(&payload, &self.discriminators);
                    if self.deliver.loaded(ticket, &fan_out) == 0 {
                        return Err(Error::Changed(sequence));
                    }
                }
            }
            steps += 1;
        }
        self.keep_leftovers().await;
        self.publish();
        Ok(Turn::of(steps))
    }

    fn admit(&mut self, entry: journal::Entry, now: Instant) {
        let journal::Entry { sequence, payload, location } = entry;
        let fan_out = fan_out(&payload, &self.discriminators);
        if let Some(update) = self.deliver.admit(sequence, location, fan_out, now) {
            // Should the task be gone, the loop ends with that.
            let _ = self.updates.send(update);
        }
    }

    fn reported(&mut self, report: Report, now: Instant) {
        if report.ticket == credentials::TICKET {
            // Should the task be gone, the loop ends with that.
            let _ = self.updates_reports.send(report);
        } else {
            self.deliver.report(report, now);
        }
    }

    /// Gives a delivery up if it is the one that is meant.
    async fn discard(&mut self, Discard { sequence, id, reply }: Discard) {
        let came_of_it = match self.deliver.open().get(sequence).map(|open| open.location) {
            None => Discarded::NotOpen,
            Some(location) => {
                match self.reader.refetch(location).await.map(|payload| Delivery::decode(&payload)) {
                    Ok(Ok(delivery)) if delivery.id == id => {
                        let records = self.deliver.discard(sequence, Instant::now());
                        records.map_or(Discarded::NotOpen, |records| Discarded::Done { records })
                    }
                    Ok(_) | Err(_) => Discarded::Other,
                }
            }
        };
        if let Discarded::Done { records } = came_of_it {
            tracing::warn!(delivery = %id, records, "a delivery was discarded by an operator, so many of its records are not in Kafka");
        }
        // Whoever asked may have gone; what was done stays done.
        let _ = reply.send(came_of_it);
    }

    /// Restarts a client that is down, not more often than the waits allow.
    fn look_after_client(&mut self) {
        if self.restart.is_some() {
            return;
        }
        if !self.producer.is_down() {
            self.deliver.client_up();
            return;
        }
        self.deliver.client_down();
        if Instant::now() >= self.restart_at {
            self.restart();
        }
    }

    /// Nothing is sent until the new client is there: all that the former one held is reported lost
    /// before, and goes out first.
    fn restart(&mut self) {
        self.deliver.client_down();
        let producer = self.producer.clone();
        self.restart = Some(tokio::task::spawn_blocking(move || producer.restart()));
    }

    fn restarted(&mut self, result: Result<(), kafka::Error>) {
        self.restart = None;
        let pending = self.deliver.open().len();
        match result {
            Ok(()) => tracing::warn!(pending, "kafka client was restarted, what it held is sent again"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "kafka client cannot be restarted, it is tried again"
            ),
        }
        self.restart_at = Instant::now() + self.restart_waits.next().unwrap_or(RESTART_WAITS.1);
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
        self.journal_metrics.oldest_pending.set(self.deliver.open().oldest().map_or(0.0, seconds));
        for notice in self.deliver.take_notices() {
            if matches!(notice, Notice::Acknowledged(_)) {
                self.restart_waits = Backoff::new(RESTART_WAITS.0, RESTART_WAITS.1);
            }
            notice.publish(&self.kafka_metrics);
        }
    }

    fn is_drained(&self) -> bool {
        self.phase == Phase::Draining
            && self.deliver.open().is_empty()
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

impl Turn {
    /// A turn that did so much of one kind.
    const fn of(done: usize) -> Self {
        match done {
            0 => Self::Idle,
            STEPS_MAX.. => Self::Full,
            _ => Self::Busy,
        }
    }
}

/// What a future has at once, if anything. It is dropped otherwise, so it must lose nothing by that.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(ready) => Some(ready),
            Poll::Pending => None,
        })
    })
    .await
}

/// A disk that cannot be read now is asked again, as one without a free file descriptor; damage is not.
async fn unreadable(error: journal::ReadError) -> Result<(), Error> {
    match error {
        journal::ReadError::Io { .. } => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the journal cannot be read, it is tried again"
            );
            tokio::time::sleep(READ_WAIT).await;
            Ok(())
        }
        journal::ReadError::Damaged { .. } | journal::ReadError::Closed => Err(error.into()),
    }
}

/// Waits for news of what topics take, for ever when there will be none.
async fn changed(capacities: &mut Option<watch::Receiver<Capacities>>) -> Capacities {
    if let Some(receiver) = capacities {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *capacities = None;
    }
    pending().await
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
