//! An operator's wish to give one delivery up, on its way into the relay.
//!
//! It is named twice, by its place in the journal and by its id, so that a wish that was formed before
//! the journal was replaced never meets another delivery. Sent by the control socket.

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::journal::Sequence;

/// Wishes that wait for the relay; there is one operator.
const WAITING_MAX: usize = 8;

/// A wish and where its answer goes.
#[derive(Debug)]
pub struct Discard {
    /// Its place in the journal.
    pub sequence: Sequence,
    /// Its id, which it must have.
    pub id: Uuid,
    /// Is told what came of it.
    pub reply: oneshot::Sender<Discarded>,
}

/// What came of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// It was given up, and so many records of it are not known to be in Kafka.
    Done {
        /// Those records.
        records: usize,
    },
    /// It has left, or it was not read yet.
    NotOpen,
    /// Another delivery is there, or it cannot be read.
    Other,
}

/// Whoever asks, and the relay.
#[must_use]
pub fn channel() -> (mpsc::Sender<Discard>, mpsc::Receiver<Discard>) {
    mpsc::channel(WAITING_MAX)
}
