//! The thread of a membership: one client after another, each with its protocol.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Happening, Order, Protocol, Settings,
    context::Context,
    member::{Ended, Member},
    options::{Spoken, options},
    outbox::Outbox,
    standing::Standing,
};
use crate::{
    backoff::Backoff,
    kafka::{Config, Error},
    telemetry::metrics,
};
use rdkafka::consumer::BaseConsumer;

const AGAIN_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);

/// What a membership consists of, whichever client it has at the time.
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) settings: Settings,
    pub(super) metrics: metrics::Enricher,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) outbox: Outbox,
    pub(super) standing: Arc<Standing>,
}

/// Makes the first client and the thread, which ends when it is told to or has no owner any more.
pub(super) fn start(parts: Parts) -> Result<(), Error> {
    let spoken = Spoken::first(parts.settings.protocol);
    let client = parts.client(spoken)?;
    let run = move || parts.run(client, spoken);
    let spawned = std::thread::Builder::new().name("kafka-group".to_owned()).spawn(run);
    spawned.map(drop).map_err(|error| Error::Client(format!("no thread for the consumer group: {error}")))
}

impl Parts {
    fn client(&self, spoken: Spoken) -> Result<BaseConsumer<Context>, Error> {
        let commits = self.metrics.commits.clone();
        let context = Context::new(self.config.tokens(None)?, Arc::clone(&self.standing), commits);
        options(&self.config, &self.settings, spoken)?.create_with_context(context).map_err(Error::client)
    }

    fn run(mut self, first: BaseConsumer<Context>, mut spoken: Spoken) {
        let mut client = Some(first);
        let mut waits = Backoff::new(AGAIN_AFTER, AGAIN_AFTER_MAX);
        loop {
            let made = client.take().map_or_else(|| self.client(spoken), Ok);
            let ended = match made {
                Ok(client) => Member::new(client, spoken, &mut self).run(),
                Err(error) => Ended::Failed(error.to_string()),
            };
            self.standing.settled(false, spoken.name());
            match ended {
                Ended::Asked(done) => return farewell(done),
                Ended::Renewed => {
                    tracing::info!("the consumer group is joined anew with the secrets as they are now");
                }
                Ended::Unspoken(reason)
                    if self.settings.protocol == Protocol::Auto && spoken == Spoken::Consumer =>
                {
                    tracing::info!(
                        reason,
                        "this Kafka has not the new group protocol; the classic one is used"
                    );
                    spoken = Spoken::Classic;
                }
                Ended::Unspoken(reason) | Ended::Failed(reason) => {
                    tracing::error!(reason, "the consumer group's client cannot go on and is made anew");
                    self.standing.complain(&reason);
                    let wait = waits.next().unwrap_or(AGAIN_AFTER_MAX);
                    if let Err(done) = self.wait(wait) {
                        return farewell(done);
                    }
                }
            }
        }
    }

    /// Waits between two clients; there is nothing to do for any order but the last.
    fn wait(&mut self, time: Duration) -> Result<(), Option<oneshot::Sender<()>>> {
        let until = std::time::Instant::now() + time;
        loop {
            self.outbox.pump();
            if self.outbox.is_closed() {
                return Err(None);
            }
            let left = until.saturating_duration_since(std::time::Instant::now());
            match self.orders.recv_timeout(left.min(Duration::from_millis(100))) {
                Ok(Order::End(done)) => return Err(Some(done)),
                Ok(
                    Order::Commit(_) | Order::Pause(_) | Order::Resume(_) | Order::Rewind(_) | Order::Renew,
                ) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(None),
                Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => return Ok(()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.standing.came_round(std::time::Instant::now());
        }
    }

    /// Tells the owner.
    pub(super) fn tell(&mut self, happening: Happening) {
        self.outbox.push(happening);
    }
}

fn farewell(done: Option<oneshot::Sender<()>>) {
    if let Some(done) = done {
        // Who does not wait any more need not be told.
        let _ = done.send(());
    }
}
