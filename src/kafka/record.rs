//! One Kafka record as the bridge writes it.

use std::sync::Arc;

use bytes::Bytes;

use crate::webhook::envelope::Headers;

/// A record on its way to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Full topic name, prefix included.
    pub topic: Arc<str>,
    /// Decides the partition, as the Java client decides it, unless `partition` does.
    pub key: Bytes,
    /// The partition of a record that has its place by something else than its key.
    pub partition: Option<i32>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    /// CloudEvents context and what a part adds to it.
    pub headers: Headers,
}

impl Record {
    /// Bytes of key, value and headers, without the protocol's framing.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len) + self.headers.size()
    }
}
