//! A member of a consumer group: a thread that polls librdkafka, and a handle for its owner.
//!
//! ```text
//!             orders (commit, pause, resume, rewind, end)
//!   Group ───────────────────────────────────────────────► thread ── member ◄─► librdkafka
//!   owner ◄─────────────────────────────────────────────── outbox ◄┘
//!             happenings, a bounded channel                        assignment, offsets, replay
//! ```
//!
//! Guarantees: partition n of every topic is on one member (*range*, by either protocol). Membership
//! lives through anything its owner does, for the thread polls always: while the channel is full,
//! partitions are paused and rebalances still served. A partition is given back only when its owner has
//! stopped and said what may be committed, or has not answered in time. Nothing is committed of a
//! partition that is not assigned, and no record of one is handed over. Kafka being away and topics that
//! are missing are waited out. The enricher is the owner; this module knows no event.

mod assignment;
mod context;
mod happening;
mod member;
mod options;
mod outbox;
mod replay;
mod standing;
mod statistics;
mod thread;

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use tokio::sync::{
    mpsc::{Receiver, channel},
    oneshot,
};

pub use happening::{Batch, Consumed, Happening, Place, Release};

use super::{Config, Error};
use crate::telemetry::metrics;
use outbox::Outbox;
use standing::Standing;

/// Batches of records that wait for their owner.
const BATCHES_MAX: usize = 256;
/// How long the end of a membership may take: the release, the commit, the farewell.
const END_WITHIN: Duration = Duration::from_secs(12);

/// Which group protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The new one where the broker has it, else the classic one.
    Auto,
    /// KIP-848, with the server's `range` assignor.
    Consumer,
    /// The classic one, with the `range` strategy.
    Classic,
}

/// What a member reads.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The group.
    pub group_id: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Topics that are read on from the group's offset, or from the earliest when it has none.
    pub topics: Vec<Arc<str>>,
    /// Topics that are read from their beginning whenever assigned, and never committed.
    pub replayed: Vec<Arc<str>>,
}

/// What the owner asks for.
enum Order {
    Commit(Vec<(Place, i64)>),
    Pause(Vec<Place>),
    Resume(Vec<Place>),
    Rewind(Vec<Place>),
    Renew,
    End(oneshot::Sender<()>),
}

/// The handle. When the last clone is gone, or the receiver of happenings, the membership ends.
#[derive(Clone)]
pub struct Group {
    orders: mpsc::Sender<Order>,
    standing: Arc<Standing>,
}

impl Group {
    /// Makes the client and its thread. It does not wait for a connection.
    ///
    /// # Errors
    /// When the settings are wrong, a file of theirs cannot be read, or librdkafka refuses them.
    pub fn start(
        config: &Config,
        settings: Settings,
        metrics: metrics::Enricher,
    ) -> Result<(Self, Receiver<Happening>), Error> {
        for topic in settings.topics.iter().chain(&settings.replayed) {
            let _ = metrics.consumed_records.with_label_values(&[topic]);
        }
        let (order, orders) = mpsc::channel();
        let (sender, receiver) = channel(BATCHES_MAX);
        let standing = Arc::new(Standing::new(Instant::now()));
        thread::start(thread::Parts {
            config: config.clone(),
            settings,
            metrics,
            orders,
            outbox: Outbox::new(sender),
            standing: Arc::clone(&standing),
        })?;
        Ok((Self { orders: order, standing }, receiver))
    }

    /// Commits offsets, each the next one to read, within a second and without waiting; of several the
    /// latest counts. What fails is logged, counted and tried again, for as long as the partition is assigned.
    pub fn commit(&self, offsets: Vec<(Place, i64)>) {
        self.order(Order::Commit(offsets));
    }

    /// Stops reading partitions. What is in the channel already still comes.
    pub fn pause(&self, places: Vec<Place>) {
        self.order(Order::Pause(places));
    }

    /// Goes on reading partitions where they were paused.
    pub fn resume(&self, places: Vec<Place>) {
        self.order(Order::Resume(places));
    }

    /// Reads partitions of replayed topics again from their beginning; others are left alone.
    /// What the channel holds already, an end included, is of the former reading.
    pub fn rewind(&self, places: Vec<Place>) {
        self.order(Order::Rewind(places));
    }

    /// Gives all partitions back and joins anew with another client: its secrets have changed.
    pub fn renew(&self) {
        self.order(Order::Renew);
    }

    /// The protocol that is spoken, `consumer` or `classic`; None before the first assignment.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        self.standing.protocol()
    }

    /// When the thread last came round. After a standstill of the whole process it moves on only when
    /// there was time to hear of a membership that ended meanwhile: nothing may be published before.
    #[must_use]
    pub fn polled_at(&self) -> Instant {
        self.standing.polled_at()
    }

    /// Whether this is a settled member of its group, be it without partitions; a reason if not.
    ///
    /// # Errors
    /// What it waits for.
    pub fn consuming(&self) -> Result<(), String> {
        self.standing.consuming()
    }

    /// Gives all partitions back as at any revocation, leaves the group and closes the client. The
    /// receiver has to be read meanwhile, or be gone.
    pub async fn end(self) {
        let (done, ended) = oneshot::channel();
        self.order(Order::End(done));
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("the consumer is slow to leave its group and is left behind");
        }
    }

    /// A thread that has ended takes no orders, and needs none.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

#[cfg(test)]
mod tests;
