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

    /// How many requests wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(60);

    fn taken(queue: &Queue, records_max: usize, at_most: Duration) -> usize {
        match queue.take(records_max, at_most) {
            Work::Commit(requests) => requests.len(),
            Work::End => panic!("the queue is closed"),
        }
    }

    #[tokio::test]
    async fn everything_that_waits_is_taken_at_once_up_to_a_bound() {
        let queue = Queue::new();
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(queue.push(Bytes::new()).await.unwrap());
        }
        assert!(!queue.is_empty());
        assert_eq!(queue.waiting(), 5);
        assert_eq!(taken(&queue, 3, LONG), 3);
        assert_eq!(taken(&queue, 3, LONG), 2);
        assert_eq!(taken(&queue, 3, NOW), 0);
        queue.nudge();
        assert_eq!(taken(&queue, 3, LONG), 0, "a nudge wakes without a request");
        assert!(queue.is_empty());
        assert!(answers.remove(0).await.is_err(), "a request that is dropped answers nothing");
    }

    #[tokio::test]
    async fn bytes_that_wait_are_bounded_and_a_payload_larger_than_that_goes_alone() {
        let queue = Queue::new();
        let half = Bytes::from(vec![0; 33 << 20]);
        let first = queue.push(half.clone()).await.unwrap();
        let second = queue.push(half.clone());
        tokio::pin!(second);
        tokio::select! { biased; _ = &mut second => panic!("there is no room"), () = std::future::ready(()) => {} }
        assert_eq!(taken(&queue, 9, LONG), 1);
        drop(first);
        assert!(second.await.is_ok());
        assert_eq!(taken(&queue, 9, LONG), 1);
        assert!(queue.push(Bytes::from(vec![0; 70 << 20])).await.is_ok());
    }

    #[tokio::test]
    async fn a_closed_queue_ends_after_what_waits_and_an_abandoned_one_at_once() {
        let queue = Queue::new();
        let answer = queue.push(Bytes::new()).await.unwrap();
        queue.drain();
        assert_eq!(queue.push(Bytes::new()).await.unwrap_err(), AppendError::Draining);
        queue.close();
        assert_eq!(queue.push(Bytes::new()).await.unwrap_err(), AppendError::Closed);
        assert_eq!(taken(&queue, 9, LONG), 1);
        assert!(matches!(queue.take(9, LONG), Work::End));
        assert!(answer.await.is_err());

        let queue = Queue::new();
        let answer = queue.push(Bytes::new()).await.unwrap();
        queue.abandon();
        assert!(answer.await.is_err());
    }
}
