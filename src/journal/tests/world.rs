//! A journal on a bad disk, and a model of what it owes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use bytesize::ByteSize;
use tokio::task::JoinSet;

use super::super::{disk::faulty::Faulty, *};
use crate::telemetry::metrics::{Metrics, Names};

pub const DIR: &str = "/journal";

/// What the journal owes: the three fields of the model.
#[derive(Debug, Default)]
pub struct Owed {
    /// What was answered and not completed.
    pub answered: BTreeMap<Sequence, Bytes>,
    /// What was asked for and not answered: it may appear.
    pub unanswered: BTreeSet<Bytes>,
    /// What was completed: it may appear again after a crash.
    pub completed: BTreeMap<Sequence, Bytes>,
}

pub struct World {
    pub disk: Faulty,
    pub config: Config,
    pub owed: Owed,
    pub open: Option<Opened>,
    /// Read and not completed.
    pub read: Vec<Sequence>,
    made: u64,
}

impl World {
    pub fn new(seed: u64, segment_bytes: u64, max_bytes: u64) -> Self {
        let config = Config {
            dir: PathBuf::from(DIR),
            max_bytes: ByteSize(max_bytes),
            segment_bytes: ByteSize(segment_bytes),
        };
        let disk = Faulty::new(seed, 1 << 30);
        Self { disk, config, owed: Owed::default(), open: None, read: Vec::new(), made: 0 }
    }

    pub fn try_open(&mut self) -> Result<(), OpenError> {
        self.read.clear();
        let metrics = Metrics::new(&Names::default()).journal;
        self.open = Some(open(&self.config, Arc::new(self.disk.clone()), metrics)?);
        Ok(())
    }

    pub fn handle(&self) -> Handle {
        self.open.as_ref().unwrap().handle.clone()
    }

    /// A payload like no other.
    pub fn payload(&mut self, bytes: usize) -> Bytes {
        self.made += 1;
        let mut payload = self.made.to_le_bytes().repeat(bytes / 8 + 1);
        payload.truncate(bytes.max(8));
        Bytes::from(payload)
    }

    /// Appends all of them at once.
    pub async fn append(&mut self, sizes: &[usize]) -> Vec<Result<Sequence, AppendError>> {
        let mut tasks = JoinSet::new();
        for size in sizes {
            let (payload, handle) = (self.payload(*size), self.handle());
            tasks.spawn(async move { (payload.clone(), handle.append(payload).await) });
        }
        let mut answers = Vec::new();
        while let Some(answer) = tasks.join_next().await {
            let (payload, answer) = answer.unwrap();
            match answer {
                Ok(sequence) => {
                    let again = self.owed.answered.insert(sequence, payload);
                    assert_eq!(again, None, "number {sequence} was given twice");
                    assert!(!self.owed.completed.contains_key(&sequence), "number {sequence} was used again");
                }
                Err(AppendError::Poisoned | AppendError::Closed) => {
                    self.owed.unanswered.insert(payload);
                }
                Err(AppendError::Full | AppendError::TooLarge { .. } | AppendError::Draining) => {}
            }
            answers.push(answer);
        }
        answers
    }

    /// Reads up to so many, fewer if there are no more; each must be owed, or at least known.
    pub async fn read(&mut self, records: usize) -> Result<(), ReadError> {
        for _ in 0..records {
            let pending = self.handle().status().pending_records;
            if pending <= self.read.len() as u64 {
                break;
            }
            let reader = &mut self.open.as_mut().unwrap().reader;
            let next = tokio::time::timeout(Duration::from_secs(10), reader.next());
            let entry = next.await.expect("a pending record is given out")?;
            self.check(&entry);
            self.read.push(entry.sequence);
        }
        Ok(())
    }

    fn check(&mut self, entry: &Entry) {
        let Entry { sequence, payload, .. } = entry;
        assert!(self.read.last().is_none_or(|last| last < sequence), "{sequence} is out of order");
        let skipped = self.read.last().map_or(0, |last| last + 1)..*sequence;
        assert_eq!(self.owed.answered.range(skipped).next(), None, "passed over before {sequence}");
        let known = self.owed.answered.get(sequence).or_else(|| self.owed.completed.get(sequence));
        match known {
            Some(known) => assert!(known == payload, "{sequence} has other bytes"),
            None => {
                assert!(self.owed.unanswered.remove(payload), "{sequence} was never appended");
                // It was not answered, but now it is the journal's like any other.
                self.owed.answered.insert(*sequence, payload.clone());
            }
        }
    }

    /// Completes the oldest of what was read.
    pub fn complete(&mut self, records: usize) {
        let done: Vec<_> = self.read.drain(..records.min(self.read.len())).collect();
        let Some(through) = done.last() else { return };
        let delivered = done.len() as u64;
        self.handle().complete(Completed { through: *through, delivered, ..Completed::default() });
        for sequence in done {
            if let Some(payload) = self.owed.answered.remove(&sequence) {
                self.owed.completed.insert(sequence, payload);
            }
        }
    }

    /// Everything that is owed can be read, and the books balance.
    pub async fn check_all(&mut self) {
        let before = self.read.clone();
        self.read(usize::MAX).await.unwrap();
        let read: BTreeSet<_> = self.read.iter().collect();
        let lost: Vec<_> = self.owed.answered.keys().filter(|sequence| !read.contains(sequence)).collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}; read before: {before:?}, now {read:?}");
        assert_eq!(self.handle().status().unaccounted, 0);
    }

    /// The process ends without a word.
    pub fn crash(&mut self, disk: Faulty) {
        self.disk = disk;
        self.open = None;
        self.read.clear();
    }

    pub async fn close(&mut self) -> Result<(), CloseError> {
        let opened = self.open.take().unwrap();
        self.read.clear();
        opened.handle.close().await
    }
}
