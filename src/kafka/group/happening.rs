//! What a member of a group tells its owner.

use std::{
    ops::Deref,
    sync::{Arc, mpsc::Sender},
    time::SystemTime,
};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::webhook::envelope::Headers;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; None is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in their order; what is not UTF-8 in them is replaced.
    pub headers: Headers,
    /// When it was written, as its topic counts.
    pub timestamp: Option<SystemTime>,
}

/// Records that were read, in order per partition. Until it is dropped, their bytes are counted as waiting
/// for their owner.
#[derive(Debug)]
pub struct Batch {
    records: Vec<Consumed>,
    _room: OwnedSemaphorePermit,
}

impl Batch {
    pub(super) const fn new(records: Vec<Consumed>, room: OwnedSemaphorePermit) -> Self {
        Self { records, _room: room }
    }
}

impl Deref for Batch {
    type Target = [Consumed];

    fn deref(&self) -> &[Consumed] {
        &self.records
    }
}

impl IntoIterator for Batch {
    type Item = Consumed;
    type IntoIter = std::vec::IntoIter<Consumed>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl Consumed {
    /// Where it was read.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { topic: Arc::clone(&self.topic), partition: self.partition }
    }

    /// Bytes of its key, value and headers.
    pub(super) fn size(&self) -> usize {
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        of(&self.key) + of(&self.value) + self.headers.size()
    }

    pub(super) fn is_of(&self, place: &Place) -> bool {
        self.partition == place.partition && self.topic == place.topic
    }
}

/// What happened to a membership, in its order.
#[derive(Debug)]
pub enum Happening {
    /// Partitions that are this member's from now on, beside those it has.
    Assigned(Vec<Place>),
    /// Records.
    Records(Batch),
    /// Partitions that are asked back. They are kept until the release, for at most 5 s.
    Revoked {
        /// Those that go; records of theirs that are still in work are to be finished or dropped.
        places: Vec<Place>,
        /// To be answered when nothing of them will be published any more.
        release: Release,
    },
    /// Partitions that others own already: nothing of them may be published or can be committed.
    Lost(Vec<Place>),
    /// A replayed partition was read to where it ended when it was assigned or rewound.
    ReplayedToEnd(Place),
}

/// The owner's leave to give partitions back; dropping it gives it without a commit.
#[derive(Debug)]
pub struct Release(Sender<Vec<(Place, i64)>>);

impl Release {
    pub(super) const fn new(answer: Sender<Vec<(Place, i64)>>) -> Self {
        Self(answer)
    }

    /// Gives leave, after a commit of these offsets, each the next one to read.
    pub fn with(self, offsets: Vec<(Place, i64)>) {
        // Nobody waits any more when it comes too late.
        let _ = self.0.send(offsets);
    }
}
