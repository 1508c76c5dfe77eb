//! What waits for the writer thread: appends, and a nudge when there is something to tidy up.
//!
//! The queue is bounded by bytes: an append that finds no room waits its turn before it is queued.
//! Once refused or ended it takes nothing more, and whatever was in it is still answered.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{AppendError, Sequence};

/// Room in the queue, in KiB; a record takes one at least, so this bounds the records as well.
const ROOM_KIB: u32 = 64 * 1024;

/// An append and where its answer goes. Its room in the queue goes with it.
#[derive(Debug)]
pub struct Request {
    /// What is to be appended.
    pub payload: Bytes,
    /// Whoever waits for it; it may have gone.
    pub reply: oneshot::Sender<Result<Sequence, AppendError>>,
    _room: OwnedSemaphorePermit,
}

/// The queue in front of the writer.
#[derive(Debug)]
pub struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Request>,
    gate: Gate,
    nudged: bool,
    writer_sleeps: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Draining,
    Closed,
}

/// What the writer is to do.
#[derive(Debug)]
pub enum Work {
    /// Commit these, if any, and tidy up.
    Commit(VecDeque<Request>),
    /// The queue was closed and is empty.
    End,
}

impl Queue {
    /// An empty queue that takes requests.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { waiting: VecDeque::new(), gate: Gate::Open, nudged: false, writer_sleeps: false };
        Self {
            inner: Mutex::new(inner),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
        }
    }

    /// Queues a payload. Dropped while it waits for room, nothing was queued; dropped later, the
    /// record is appended all the same.
    pub async fn push(
        &self,
        payload: Bytes,
    ) -> Result<oneshot::Receiver<Result<Sequence, AppendError>>, AppendError> {
        let kib = u32::try_from(payload.len() / 1024 + 1).unwrap_or(ROOM_KIB).min(ROOM_KIB);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| AppendError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let mut inner = self.lock();
        match inner.gate {
            Gate::Open => inner.waiting.push_back(Request { payload, reply, _room: room }),
            Gate::Draining => return Err(AppendError::Draining),
            Gate::Closed => return Err(AppendError::Closed),
        }
        self.rouse(inner);
        Ok(answer)
    }

    /// Makes the writer tidy up soon.
    pub fn nudge(&self) {
        let mut inner = self.lock();
        inner.nudged = true;
        self.rouse(inner);
    }

    /// Takes no further appends.
    pub fn drain(&self) {
        let mut inner = self.lock();
        if inner.gate == Gate::Open {
            inner.gate = Gate::Draining;
        }
    }

    /// Takes no further appends, and lets the writer end once it has done what waits.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.gate = Gate::Closed;
        self.room.close();
        self.rouse(inner);
    }

    /// Closes, and drops what waits unanswered: the writer is gone.
    pub fn abandon(&self) {
        self.close();
        self.lock().waiting.clear();
    }

    /// Whether every request that was taken has been answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.room.available_permits() == ROOM_KIB as usize
    }

    /// Waits for work, at most this long, and takes up to so many requests.
    pub fn take(&self, records_max: usize, at_most: Duration) -> Work {
        let until = Instant::now() + at_most;
        let mut inner = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let idle = inner.waiting.is_empty() && !inner.nudged;
            if idle && inner.gate == Gate::Closed {
                return Work::End;
            }
            if !idle || left.is_zero() {
                inner.nudged = false;
                let records = inner.waiting.len().min(records_max);
                return Work::Commit(inner.waiting.drain(..records).collect());
            }
            inner.writer_sleeps = true;
            inner = self.wake.wait_timeout(inner, left).expect("no holder of the queue's lock panics").0;
            inner.writer_sleeps = false;
        }
    }

    /// A condition variable asks the kernel at each notification, so only a sleeping writer gets one.
    fn rouse(&self, inner: MutexGuard<'_, Inner>) {
        let sleeps = inner.writer_sleeps;
        drop(inner);
        if sleeps {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the queue's lock panics")
    }
}
