//! Deliveries to Kafka once more, by the code of the ingress: a journal and a relay for one command.
//!
//! ```text
//! delivery ─► journal in a temporary directory ─► relay ─► Kafka, mews.credentials merged
//!                     └ completed through ─► its row in the list
//! ```
//!
//! So what is true of a webhook is true of a replay: order per hotel, an `Entity` left out where it is
//! too large, dead letters for what no topic takes, access tokens merged. What the delivery says of itself
//! goes with it, so its records carry the `ce_id` that they had. The directory goes with the command: a
//! first signal ends the sending, a second one the waiting for what is under way. Should the command be
//! killed, what it was to send is still where it came from.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc::unbounded_channel, watch},
};
use tokio_util::sync::CancellationToken;

use super::{Cluster, Fate};
use crate::{
    app::{Failure, Part},
    config::Config,
    journal::{self, AppendError, Sequence},
    kafka::{Producer, TopicNames},
    relay,
    shutdown::Shutdown,
    telemetry::metrics::{Metrics, Names},
};

/// How long Kafka may take until another delivery is completed.
const COMPLETED_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Deliveries that are under way at once.
const UNDER_WAY_MAX: usize = 1000;

/// A relay with its journal; `T` is what the caller wants back with the fate of a delivery.
pub struct Again<T> {
    runtime: Runtime,
    journal: journal::Handle,
    relay: Part,
    abandon: CancellationToken,
    shutdown: Shutdown,
    cluster: Cluster,
    dead_letters: Arc<str>,
    under_way: VecDeque<(Sequence, T)>,
    moved_at: Instant,
    silent: bool,
    _dir: TempDir,
}

impl<T> Again<T> {
    /// Starts both, once Kafka has answered.
    ///
    /// # Errors
    /// When it does not, the settings are wrong, or there is no room for temporary files.
    pub fn start(config: &Config, names: &TopicNames) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::io("cannot start the runtime", &error))?;
        let cluster = Cluster::ask(config, names, &runtime)?;
        let entered = runtime.enter();
        let shutdown =
            Shutdown::on_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
        let no_directory = |error| Failure::io("cannot make a temporary directory", &error);
        let dir = tempfile::Builder::new().prefix("mews-bridge-replay-").tempdir().map_err(no_directory)?;
        let metrics = Metrics::new(&Names { role: "replay".to_owned(), ..Names::default() });
        let own = journal::Config { dir: dir.path().join("journal"), ..config.journal.clone() };
        let opened = journal::open(&own, Arc::new(journal::disk::Real::default()), metrics.journal.clone())
            .map_err(|error| Failure::io("cannot open a temporary journal", &error))?;
        let (reports_in, reports) = unbounded_channel();
        let producer = Producer::start(&config.kafka, metrics.kafka.clone(), reports_in)
            .map_err(|error| Failure::configuration(&error))?;
        let abandon = CancellationToken::new();
        let (_, asked) = relay::discard::channel();
        let (_, known) = watch::channel(cluster.capacities());
        let parts = relay::Parts {
            reader: opened.reader,
            journal: opened.handle.clone(),
            producer: Arc::new(producer),
            reports,
            discards: asked,
            names: names.clone(),
            discriminators: config.topics.known(),
            consumer: config.kafka.clone(),
            give_up_topic_after: config.kafka.give_up_topic_after,
            journal_metrics: metrics.journal,
            kafka_metrics: metrics.kafka,
            leftovers_dir: config.journal.dir.join(relay::leftovers::DIR),
            capacities: known,
            reconnect: Arc::new(Notify::new()),
            abandon: abandon.clone(),
        };
        let relay = Part::spawn("relay", |stop| async move {
            let ended = relay::run(parts, stop).await;
            ended.map(drop).map_err(|error| Failure::io("the relay cannot go on", &error))
        });
        drop(entered);
        Ok(Self {
            runtime,
            journal: opened.handle,
            relay,
            abandon,
            shutdown,
            cluster,
            dead_letters: names.dead_letters(),
            under_way: VecDeque::new(),
            moved_at: Instant::now(),
            silent: false,
            _dir: dir,
        })
    }

    /// Sends a delivery as the journal keeps it, whose records are for these topics. Says what has become
    /// of deliveries meanwhile, in their order.
    pub fn send(&mut self, payload: &Bytes, topics: &[Arc<str>], tag: T) -> Vec<(T, Fate)> {
        let refusal = |topic: &Arc<str>| self.cluster.refusal(topic);
        // Dead letters are where the others go when they are refused.
        if let Some(refused) = topics.iter().find_map(refusal).or_else(|| refusal(&self.dead_letters)) {
            return vec![(tag, refused)];
        }
        let mut settled = self.until(UNDER_WAY_MAX - 1);
        loop {
            if self.silent {
                settled.push((tag, Fate::Unconfirmed));
                return settled;
            }
            match self.runtime.block_on(self.journal.append(payload.clone())) {
                Ok(sequence) => {
                    if self.under_way.is_empty() {
                        self.moved_at = Instant::now();
                    }
                    self.under_way.push_back((sequence, tag));
                    return settled;
                }
                Err(AppendError::Full) if !self.under_way.is_empty() => {
                    settled.extend(self.until(self.under_way.len() - 1));
                }
                Err(error) => {
                    settled.push((tag, Fate::Refused(format!("its temporary {error}"))));
                    return settled;
                }
            }
        }
    }

    /// Whether nothing more is sent: Kafka has fallen silent, or a signal has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.silent || self.is_stopped()
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shutdown.drain.is_cancelled()
    }

    /// Waits for what is under way and ends. Says what became of it, and how many deliveries of all have a
    /// record among the dead letters now.
    ///
    /// # Errors
    /// When the relay came to grief.
    pub fn end(mut self) -> Result<(Vec<(T, Fate)>, u64), Failure> {
        let settled = self.until(0);
        if self.silent {
            self.abandon.cancel();
        }
        self.journal.drain();
        let Self { runtime, journal, relay, .. } = self;
        let ended = runtime.block_on(relay.end());
        let dead_lettered = journal.status().dead_lettered;
        // Nothing in it is needed any more, so how it closes makes no difference.
        drop(runtime.block_on(journal.close()));
        runtime.shutdown_background();
        ended.map(|()| (settled, dead_lettered))
    }

    /// Waits until so many are under way at most.
    fn until(&mut self, at_most: usize) -> Vec<(T, Fate)> {
        let mut settled = Vec::new();
        loop {
            let through = self.journal.status().completed_through;
            while let Some((_, tag)) = self.under_way.pop_front_if(|(sequence, _)| *sequence <= through) {
                self.moved_at = Instant::now();
                settled.push((tag, Fate::Replayed(String::new())));
            }
            if self.under_way.len() <= at_most {
                return settled;
            }
            if self.moved_at.elapsed() > COMPLETED_WITHIN || self.shutdown.abort.is_cancelled() {
                self.silent = true;
                settled.extend(self.under_way.drain(..).map(|(_, tag)| (tag, Fate::Unconfirmed)));
                return settled;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
