//! The shell around the machines: reads, fetches and sends, and tells each machine how it ended.
//!
//! One task owns all state. Beside it there are one task a request, the consumer's and the producer's
//! threads, and the task that follows `mews.credentials`.

mod consume;
mod fetched;
mod flow;
mod parking;
mod publish;
mod rebalance;
mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Parts,
    coalesce::{Batch, Coalescer, Key, Round, Settings, Work},
    entity::{self, Change},
    event::{Event, Origin, Original},
    fetch::{self, Fetched, Fetcher},
    latest::Latest,
    offsets::Offsets,
    outbox::{Outbox, Purpose, Settled},
    parked::Book,
    records::{self, Cause},
};
use crate::{
    backoff::Backoff,
    connector::{Operation, operation::IDS_PER_REQUEST_MAX},
    credentials::{Changes, Integration},
    kafka::{
        self, Report,
        group::{Consumed, Group, Happening},
    },
    telemetry::metrics::{DeadLetter, Stage, enricher::EventOutcome},
};
use flow::Flow;
pub use view::View;

/// Batches that are fetched at once, over all hotels; most of them wait for their turn.
const FETCHES_MAX: usize = 4096;
/// Work of one kind between two looks at what else has happened.
const STEPS_MAX: usize = 512;
/// How often it is looked at what nobody tells.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked at how much is taken in. Each look is at every partition.
const REGULATE_EVERY: Duration = Duration::from_millis(20);
/// How often offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// First and longest wait before a producer that is down is restarted.
const RESTART_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// How long a stopped enricher waits for what it has sent.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// What a request was for, and what came of it.
struct Answer {
    batch: Batch,
    /// Whose token was used.
    integration: Arc<Integration>,
    fetched: Fetched,
}

/// A state of an entity, and where it is from.
struct Entity {
    updated: Option<SystemTime>,
    bytes: Bytes,
    /// None: the event carried it.
    operation: Option<Operation>,
    as_of: SystemTime,
}

/// See the page.
pub(super) struct Shell {
    parts: Parts,
    happenings: mpsc::Receiver<Happening>,
    reports: mpsc::UnboundedReceiver<Report>,
    group: Group,
    fetcher: Fetcher,
    changes: Changes,
    coalescer: Coalescer,
    offsets: Offsets,
    outbox: Outbox,
    latest: Latest,
    book: Book,
    flow: Flow,
    fetches: JoinSet<Answer>,
    probes: JoinSet<()>,
    commit_at: Instant,
    tick_at: Instant,
    /// When what could not be fetched is tried once more.
    retry_at: Instant,
    regulated_at: Instant,
    restart: Option<JoinHandle<Result<(), kafka::Error>>>,
    restart_at: Instant,
    restart_waits: Backoff,
    /// When the process last came round: a gap says that it was frozen.
    came_round: Instant,
    quiet_until: Option<Instant>,
    /// Records that arrived late, and when.
    late: VecDeque<(Instant, Round)>,
    /// Integrations that nothing is known of but events that wait, as far as they are counted.
    strangers: i64,
}

/// How often what Mews did not return, though it returned others, is asked for again. It was asked for
/// several times when it was parked, and new events of it are another reason to.
const RETRY_EVERY: Duration = Duration::from_secs(3600);
/// A process that did not come round for so long may have lost its partitions without knowing it.
const FROZEN: Duration = Duration::from_secs(4);
/// How long it then waits to be told.
const QUIET: Duration = Duration::from_secs(4);
/// How long after a late record its partition may turn out to be somebody else's.
const DOUBT: Duration = Duration::from_secs(10);

impl Shell {
    pub(super) fn new(
        parts: Parts,
        group: Group,
        happenings: mpsc::Receiver<Happening>,
        reports: mpsc::UnboundedReceiver<Report>,
    ) -> Self {
        let settings = Settings {
            window: parts.config.window,
            park_after: parts.config.park_after,
            ids_max: IDS_PER_REQUEST_MAX,
        };
        let now = Instant::now();
        Self {
            happenings,
            reports,
            group,
            fetcher: Fetcher::new(parts.client.clone(), parts.connector_metrics.clone()),
            changes: parts.store.changes(),
            coalescer: Coalescer::new(settings),
            offsets: Offsets::default(),
            outbox: Outbox::new(parts.give_up_topic_after),
            latest: Latest::default(),
            book: Book::default(),
            flow: Flow::default(),
            fetches: JoinSet::new(),
            probes: JoinSet::new(),
            commit_at: now,
            tick_at: now,
            retry_at: now + RETRY_EVERY,
            regulated_at: now,
            restart: None,
            restart_at: now,
            restart_waits: Backoff::new(RESTART_WAITS.0, RESTART_WAITS.1),
            came_round: now,
            quiet_until: None,
            late: VecDeque::new(),
            strangers: 0,
            parts,
        }
    }

    /// Works until it is told to stop; then commits what is done and leaves the group.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let now = self.come_round();
            self.work(now);
            let wake = self.wake_at(now);
            // Every arm only waits; cancelling one loses nothing.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                report = self.reports.recv() => self.reported(report.ok_or(Error::Ended("producer"))?),
                happening = self.happenings.recv() => self.happened(happening.ok_or(Error::Ended("consumer"))?).await,
                Some(answer) = self.fetches.join_next() => self.answered(answer.map_err(|_| Error::Ended("a fetch"))?),
                Some(_) = self.probes.join_next() => {}
                changed = self.changes.next() => self.credentials_changed(&changed),
                restarted = restarted(&mut self.restart) => self.restarted(restarted),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
        self.end().await;
        Ok(())
    }

    /// Notices when the process was frozen: it then publishes nothing until it would have been told that
    /// its partitions are somebody else's.
    fn come_round(&mut self) -> Instant {
        let now = Instant::now();
        if now.duration_since(self.came_round) > FROZEN {
            tracing::warn!(
                "the process stood still, nothing is published until its partitions are known to be its own"
            );
            self.quiet_until = Some(now + QUIET);
        }
        self.came_round = now;
        now
    }

    fn work(&mut self, now: Instant) {
        self.look_after_producer(now);
        if self.quiet_until.is_some_and(|until| now < until) {
            return;
        }
        self.quiet_until = None;
        for _ in 0..STEPS_MAX {
            match self.may_fetch().then(|| self.coalescer.next(now)).flatten() {
                Some(Work::Fetch(batch)) => self.fetch(batch, now),
                Some(Work::Park(rounds, reason)) => self.park(rounds, reason, now),
                None => break,
            }
        }
        self.send(now);
        if now >= self.commit_at {
            self.commit_at = now + COMMIT_EVERY;
            self.commit();
        }
        if now.duration_since(self.regulated_at) >= REGULATE_EVERY {
            self.regulated_at = now;
            self.regulate(now);
        }
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            self.late.retain(|(at, _)| now.duration_since(*at) < DOUBT);
            self.tick(now);
        }
    }

    fn wake_at(&self, now: Instant) -> Instant {
        let tick = now + TICK;
        if let Some(until) = self.quiet_until {
            return until.min(tick);
        }
        let fetch = self.coalescer.wake_at().filter(|_| self.may_fetch());
        // What happened since it was last looked at may let partitions flow again.
        let regulate = (self.regulated_at < now).then(|| self.regulated_at + REGULATE_EVERY);
        [fetch, regulate, self.outbox.wake_at().map(|at| at.max(now + Duration::from_millis(10)))]
            .into_iter()
            .flatten()
            .chain([tick, self.commit_at.max(now + Duration::from_millis(10))])
            .min()
            .unwrap_or(tick)
    }

    fn may_fetch(&self) -> bool {
        self.fetches.len() < FETCHES_MAX && self.outbox.len() < flow::OUTBOX_MAX
    }

    async fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Records(records) => {
                let now = Instant::now();
                records.into_iter().for_each(|record| self.consumed(record, now));
            }
            Happening::Assigned(places) => self.assigned(places),
            Happening::Revoked { places, release } => {
                let committable = self.revoked(&places).await;
                release.with(committable);
                // It has waited, not stood still.
                self.came_round = Instant::now();
            }
            Happening::Lost(places) => self.lost(&places),
            Happening::ReplayedToEnd(place) => self.flow.replayed(place.partition, Instant::now()),
        }
    }

    fn fetch(&mut self, batch: Batch, now: Instant) {
        let Batch { group, .. } = &batch;
        let integration = self.parts.store.for_event(&group.integration_id, &group.enterprise_id);
        let token = integration.as_ref().and_then(|each| each.token_to_try().cloned());
        let (Some(integration), Some(token)) = (&integration, token) else {
            self.coalescer.unasked(&batch);
            return self.hold_without_token(&batch, integration.as_deref(), now);
        };
        self.parts.metrics.batch_ids.observe(batch.ids.len() as f64);
        let request = fetch::Batch {
            integration_id: Arc::clone(&group.integration_id),
            enterprise_id: Arc::clone(&group.enterprise_id),
            token,
            entity: group.entity,
            wanted: batch.wanted.clone(),
            round: batch.attempt,
        };
        let (fetcher, integration) = (self.fetcher.clone(), Arc::clone(integration));
        self.fetches
            .spawn(async move { Answer { fetched: fetcher.fetch(request).await, batch, integration } });
    }

    fn commit(&mut self) {
        let committable = self.offsets.committable();
        if !committable.is_empty() {
            for (topic, at) in self.offsets.accepted() {
                let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                self.parts.metrics.committed_event.with_label_values(&[&**topic]).set(seconds);
            }
            self.group.commit(committable.into_iter().map(rebalance::place_of).collect());
        }
    }

    fn look_after_producer(&mut self, now: Instant) {
        if self.restart.is_none() && self.parts.producer.is_down() && now >= self.restart_at {
            let producer = Arc::clone(&self.parts.producer);
            self.restart = Some(tokio::task::spawn_blocking(move || producer.restart()));
        }
    }

    fn restarted(&mut self, result: Result<(), kafka::Error>) {
        self.restart = None;
        self.restart_at = Instant::now() + self.restart_waits.next().unwrap_or(RESTART_WAITS.1);
        match result {
            Ok(()) => tracing::warn!("kafka client was restarted, what it held is sent again"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "kafka client cannot be restarted, it is tried again"
            ),
        }
    }

    /// What was sent is waited for a little, so that less is done twice; the offsets are the state.
    async fn end(mut self) {
        let deadline = tokio::time::Instant::now() + SETTLE_WITHIN;
        self.send(Instant::now());
        while !self.outbox.is_empty() {
            tokio::select! {
                Some(report) = self.reports.recv() => self.reported(report),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.commit();
        let (group, mut happenings) = (self.group, self.happenings);
        let offsets = &mut self.offsets;
        let ended = group.end();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => return,
                Some(happening) = happenings.recv() => {
                    if let Happening::Revoked { places, release } = happening {
                        let partitions = places.iter().map(|place| (Arc::clone(&place.topic), place.partition));
                        let released = offsets.release(partitions.collect::<Vec<_>>());
                        release.with(released.into_iter().map(rebalance::place_of).collect());
                    }
                }
            }
        }
    }
}

/// Waits for a restart that is under way, for ever when there is none.
async fn restarted(restart: &mut Option<JoinHandle<Result<(), kafka::Error>>>) -> Result<(), kafka::Error> {
    match restart {
        Some(task) => task.await.expect("restarting does not panic and is never aborted"),
        None => std::future::pending().await,
    }
}
