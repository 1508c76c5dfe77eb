//! Reads `mews.credentials` to its end, and remembers what it holds of each integration.
//!
//! A consumer of its own, assigned to all partitions by hand, so there is no group to join. It is
//! made when first needed: most bridges see an Integration webhook once in a month. Memory: one
//! record an integration. Blocking: the caller gives it a thread.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use tokio_util::sync::CancellationToken;

use crate::{
    credentials::record::Known,
    kafka::{self, TopicProblem, consumer},
};

/// How long reading to the end may take before it is given up and begun again.
const READ_MAX: Duration = Duration::from_secs(20);
/// How long one question to a broker may take.
const ASK_MAX: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

const SETTINGS: [(&str, &str); 6] = [
    // librdkafka wants a name even where there is no group to join.
    ("group.id", "mews-bridge-credentials"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("queued.max.messages.kbytes", "1024"),
    // A broker answers a connection's requests in their order: a question for the end of a
    // partition waits behind a fetch that waits for records.
    ("fetch.wait.max.ms", "10"),
];

/// What a topic holds of an integration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// All its records, merged.
    pub known: Option<Known>,
    /// The same, if its last record says all of it.
    pub whole: Option<Known>,
}

/// Why the topic could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A broker says that there is no such topic, or that it may not be read.
    #[error("topic {0} is {1:?}")]
    Topic(Arc<str>, TopicProblem),
    /// There can be no consumer.
    #[error("consumer of the topic cannot be made")]
    Client(#[from] kafka::Error),
    /// Kafka did not answer, or not well.
    #[error("kafka client failed")]
    Kafka(#[from] KafkaError),
    /// The end did not come near in time.
    #[error("topic was not read to its end within {}s", READ_MAX.as_secs())]
    Slow,
    /// The reading was stopped, or its thread came to grief.
    #[error("reader of the topic is gone")]
    Gone,
}

impl Error {
    /// What is wrong with the topic, where a broker has said so.
    #[must_use]
    pub const fn problem(&self) -> Option<TopicProblem> {
        match self {
            Self::Topic(_, problem) => Some(*problem),
            Self::Client(_) | Self::Kafka(_) | Self::Slow | Self::Gone => None,
        }
    }
}

/// The reader and what it has read.
pub struct View {
    config: kafka::Config,
    topic: Arc<str>,
    reading: Option<Reading>,
    integrations: HashMap<String, Last>,
}

struct Reading {
    consumer: kafka::Consumer,
    /// Offset after the last record read, by partition.
    next: HashMap<i32, i64>,
}

impl View {
    /// Nothing is read yet, and no connection made.
    #[must_use]
    pub fn new(config: kafka::Config, topic: Arc<str>) -> Self {
        Self { config, topic, reading: None, integrations: HashMap::new() }
    }

    /// Reads to the end as it is now.
    ///
    /// # Errors
    /// When the end was not reached; the next call begins where it is safe to.
    pub fn read(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let reading = match self.reading.take() {
            Some(reading) => {
                // Nothing was heard of it while it rested.
                reading.consumer.attend();
                reading
            }
            None => Reading::begin(&self.config)?,
        };
        // Left out again unless all went well: a fresh consumer reads everything once more.
        self.reading = Some(self.read_to_end(reading, stop)?);
        Ok(())
    }

    /// What the topic held of an integration when it was last read.
    #[must_use]
    pub fn last(&self, integration_id: &str) -> Last {
        self.integrations.get(integration_id).cloned().unwrap_or_default()
    }

    fn read_to_end(&mut self, mut reading: Reading, stop: &CancellationToken) -> Result<Reading, Error> {
        let deadline = Instant::now() + READ_MAX;
        let ends = reading.ends(&self.topic)?;
        reading.assign(&self.topic, ends.len())?;
        reading.fetch(&ends)?;
        while ends.iter().any(|(partition, end)| reading.next_of(*partition) < *end) {
            if stop.is_cancelled() {
                return Err(Error::Gone);
            }
            if Instant::now() > deadline {
                return Err(Error::Slow);
            }
            match reading.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    reading.next.insert(message.partition(), message.offset() + 1);
                    self.take(&message);
                }
                Some(Err(error)) => {
                    let problem = error.rdkafka_error_code().and_then(problem);
                    if let Some(problem) = problem {
                        return Err(Error::Topic(self.topic.clone(), problem));
                    }
                    tracing::debug!(%error, "reading the credentials topic");
                }
                None => {}
            }
        }
        reading.rest()?;
        Ok(reading)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let key = String::from_utf8_lossy(message.key().unwrap_or_default());
        let Some(value) = message.payload() else {
            self.integrations.remove(&*key);
            return;
        };
        let Ok(read) = Known::parse(value) else {
            let (partition, offset) = (message.partition(), message.offset());
            tracing::warn!(
                partition,
                offset,
                "a record of the credentials topic cannot be read and is left out"
            );
            return;
        };
        let last = self.integrations.entry(key.into_owned()).or_default();
        let merged = match last.known.take() {
            Some(known) => known.merge(read.clone()),
            None => read.clone(),
        };
        last.whole = (merged == read).then_some(read);
        last.known = Some(merged);
    }
}

impl Reading {
    fn begin(config: &kafka::Config) -> Result<Self, Error> {
        Ok(Self { consumer: consumer::connect(config, &SETTINGS)?, next: HashMap::new() })
    }

    /// Where each partition ends now.
    fn ends(&self, topic: &Arc<str>) -> Result<HashMap<i32, i64>, Error> {
        let metadata = self.consumer.fetch_metadata(Some(topic), ASK_MAX)?;
        let described = metadata.topics().iter().find(|described| described.name() == &**topic);
        let missing = || Error::Topic(topic.clone(), TopicProblem::Missing);
        let described = described.ok_or_else(missing)?;
        if let Some(error) = described.error() {
            let code = RDKafkaErrorCode::from(error);
            return Err(match problem(code) {
                Some(problem) => Error::Topic(topic.clone(), problem),
                None => KafkaError::MetadataFetch(code).into(),
            });
        }
        let end = |partition: &rdkafka::metadata::MetadataPartition| {
            let (low, high) = self.consumer.fetch_watermarks(topic, partition.id(), ASK_MAX)?;
            Ok((partition.id(), if low == high { 0 } else { high }))
        };
        described.partitions().iter().map(end).collect()
    }

    fn next_of(&self, partition: i32) -> i64 {
        self.next.get(&partition).copied().unwrap_or(0)
    }

    /// Assigns all partitions from their beginning, unless they are assigned already.
    fn assign(&mut self, topic: &str, partitions: usize) -> Result<(), Error> {
        if self.next.len() == partitions {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        self.next.clear();
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
            self.next.insert(partition, 0);
        }
        Ok(self.consumer.assign(&list)?)
    }

    /// Fetches while there is something to read, and not for nothing.
    fn fetch(&self, ends: &HashMap<i32, i64>) -> Result<(), KafkaError> {
        if ends.iter().any(|(partition, end)| self.next_of(*partition) < *end) {
            self.consumer.resume(&self.consumer.assignment()?)?;
        }
        Ok(())
    }

    /// Most bridges wait weeks for the next Integration webhook: until then no broker is asked.
    fn rest(&self) -> Result<(), KafkaError> {
        self.consumer.pause(&self.consumer.assignment()?)
    }
}

/// What a broker's code says of a topic.
const fn problem(code: RDKafkaErrorCode) -> Option<TopicProblem> {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            Some(TopicProblem::Missing)
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => Some(TopicProblem::Forbidden),
        _ => None,
    }
}
