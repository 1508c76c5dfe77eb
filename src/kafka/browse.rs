//! Reads a topic from its beginning to its end as it is now, and shows each record once.
//!
//! Guarantees: it joins no group and commits nothing, so nobody's position moves; memory holds what
//! one fetch brings, whatever the topic holds; it ends, within seconds when Kafka is away. Records of
//! a partition come in order, partitions as they answer. The commands that list and show records use
//! it; it blocks, so it wants a thread of its own.

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Headers as _},
};

use super::{Config, Error as ClientError, TopicProblem, callbacks, oauth, refusal::Refusal};

/// How long Kafka may take until it is known what there is to read.
const FIND_WITHIN: Duration = Duration::from_secs(10);
/// How long one question to a broker may take.
const ASK_MAX: Duration = Duration::from_secs(5);
/// How long reading may bring nothing before it is given up.
const STALLED_AFTER: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);
/// Complaints of the client that are heard before the last one is passed on.
const COMPLAINTS_MAX: usize = 100;

/// Why a topic was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A broker says that there is no such topic, or that it may not be read.
    #[error("topic {0} is {how}", how = how(*.1))]
    Topic(String, TopicProblem),
    /// Kafka did not answer, or not well.
    #[error("topic {topic} cannot be read{complaint}")]
    Away {
        /// The topic.
        topic: String,
        /// `: ` and what the client last complained of, or nothing.
        complaint: String,
        /// What a request came to.
        #[source]
        source: Option<Box<KafkaError>>,
    },
}

const fn how(problem: TopicProblem) -> &'static str {
    match problem {
        TopicProblem::Missing => "missing",
        TopicProblem::Forbidden => "not for this client to read",
    }
}

/// One record, as long as it is shown.
pub struct Seen<'a>(BorrowedMessage<'a>);

impl Seen<'_> {
    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Its offset there.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// Its key; empty for none.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.0.key().unwrap_or_default()
    }

    /// All its headers in order; what is not UTF-8 in them is replaced.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let headers = self.0.headers().into_iter().flat_map(|headers| headers.iter());
        headers.map(|header| (header.key, String::from_utf8_lossy(header.value.unwrap_or_default())))
    }

    /// The first header of a name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let header = self.0.headers()?.iter().find(|header| header.key == name)?;
        header.value.map(String::from_utf8_lossy)
    }

    /// Its value; `None` is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }
}

/// Shows every record of a topic, until there are no more or the visitor breaks off with a value.
///
/// # Errors
/// When the end was not reached.
pub fn browse<B>(
    config: &Config,
    topic: &str,
    mut visit: impl FnMut(&Seen<'_>) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, Error> {
    let reading = Reading::find(config, topic)?;
    let mut left: HashMap<i32, i64> = reading.ends.clone();
    let mut heard = Instant::now();
    while !left.is_empty() {
        let Some(message) = reading.consumer.poll(POLL) else {
            if heard.elapsed() > STALLED_AFTER {
                return Err(reading.away(topic, None));
            }
            continue;
        };
        match message {
            Ok(message) => {
                let (partition, offset) = (message.partition(), message.offset());
                let Some(end) = left.get(&partition).copied() else {
                    heard = Instant::now();
                    continue;
                };
                if offset + 1 >= end {
                    left.remove(&partition);
                }
                // What came after it was asked where the end is, is for another time.
                if offset < end
                    && let ControlFlow::Break(value) = visit(&Seen(message))
                {
                    return Ok(ControlFlow::Break(value));
                }
                // A visitor may take its time.
                heard = Instant::now();
            }
            // The last offsets of a partition can be without a record: markers, or compacted.
            Err(KafkaError::PartitionEOF(partition)) => drop(left.remove(&partition)),
            Err(error) => {
                if let Some(problem) = error.rdkafka_error_code().and_then(problem) {
                    return Err(Error::Topic(topic.to_owned(), problem));
                }
                tracing::debug!(%error, topic, "reading a topic");
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A consumer that stands at the beginning of all partitions that are not empty.
struct Reading {
    consumer: BaseConsumer<Context>,
    /// Where each of them ends.
    ends: HashMap<i32, i64>,
}

impl Reading {
    fn find(config: &Config, topic: &str) -> Result<Self, Error> {
        let tokens = config.tokens(None).map_err(ClientError::from)?;
        let context = Context { tokens, complaint: Mutex::default() };
        let consumer = settings(config)?.create_with_context(context).map_err(ClientError::client)?;
        let mut reading = Self { consumer, ends: HashMap::new() };
        let deadline = Instant::now() + FIND_WITHIN;
        loop {
            // A token that the brokers want is asked for by polling.
            drop(reading.consumer.poll(POLL));
            match reading.begin(topic, deadline) {
                // A topic that was just made has no leaders yet.
                Err(Error::Away { .. }) if Instant::now() < deadline => {}
                ended => return ended.map(|()| reading),
            }
        }
    }

    /// Stands at the beginning of all partitions, if all that must be known can be asked for now.
    fn begin(&mut self, topic: &str, deadline: Instant) -> Result<(), Error> {
        let left =
            || deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), ASK_MAX);
        let metadata = self.consumer.fetch_metadata(Some(topic), left());
        let metadata = metadata.map_err(|error| self.away(topic, Some(error)))?;
        let described = metadata.topics().iter().find(|described| described.name() == topic);
        let missing = || Error::Topic(topic.to_owned(), TopicProblem::Missing);
        let described = described.ok_or_else(missing)?;
        if let Some(error) = described.error() {
            let code = Code::from(error);
            return Err(match problem(code) {
                Some(problem) => Error::Topic(topic.to_owned(), problem),
                None => self.away(topic, Some(KafkaError::MetadataFetch(code))),
            });
        }
        let (mut ends, mut assigned) = (HashMap::new(), TopicPartitionList::new());
        for partition in described.partitions() {
            let asked = self.consumer.fetch_watermarks(topic, partition.id(), left());
            let (low, high) = asked.map_err(|error| self.away(topic, Some(error)))?;
            if low < high {
                ends.insert(partition.id(), high);
                let added = assigned.add_partition_offset(topic, partition.id(), Offset::Beginning);
                added.map_err(|error| self.away(topic, Some(error)))?;
            }
        }
        self.consumer.assign(&assigned).map_err(|error| self.away(topic, Some(error)))?;
        self.ends = ends;
        Ok(())
    }

    fn away(&self, topic: &str, source: Option<KafkaError>) -> Error {
        // What went wrong is told by polling, and only then.
        for _ in 0..COMPLAINTS_MAX {
            if self.consumer.poll(Duration::ZERO).is_none() {
                break;
            }
        }
        let complaint = self.consumer.context().complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let complaint = complaint.as_ref().map_or_else(String::new, |complaint| format!(": {complaint}"));
        Error::Away { topic: topic.to_owned(), complaint, source: source.map(Box::new) }
    }
}

fn settings(config: &Config) -> Result<ClientConfig, ClientError> {
    let mut settings = config.consumer()?;
    settings
        // librdkafka wants a name even where there is no group to join.
        .set("group.id", "mews-bridge-browse")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "4096");
    Ok(settings)
}

/// What a broker's code says of a topic.
fn problem(code: Code) -> Option<TopicProblem> {
    match Refusal::of(code) {
        Refusal::TopicUnavailable(problem) => Some(problem),
        Refusal::Lost | Refusal::TooLarge | Refusal::Rejected(_) => None,
    }
}

struct Context {
    tokens: Option<oauth::Tokens>,
    /// What the client last said was wrong.
    complaint: Mutex<Option<String>>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        callbacks::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // This one only sums up what was said of each broker before.
        let sums_up = error.rdkafka_error_code() == Some(Code::AllBrokersDown);
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if !sums_up || complaint.is_none() {
            *complaint = Some(reason.to_owned());
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth::answer(self.tokens.as_ref())
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rdkafka::{
        message::{Header, OwnedHeaders},
        producer::{BaseProducer, BaseRecord, Producer as _},
    };

    use super::*;
    use crate::kafka::{TopicNames, embedded::Embedded, topics};

    /// A broker whose quarantine holds so many records.
    fn quarantine(records: usize) -> (Embedded, Config, String) {
        let names = TopicNames::new(&topics::Config::default(), 8 << 20).unwrap();
        let broker = Embedded::start(1).unwrap();
        broker.create(&names.written_by_ingress()).unwrap();
        let config = Config { bootstrap_servers: broker.bootstrap_servers().to_owned(), ..Config::default() };
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
        let topic = names.quarantine();
        for n in 0..records {
            let (key, value) = (n.to_string(), format!("value {n}"));
            let headers = OwnedHeaders::new().insert(Header { key: "ce_id", value: Some(&key) });
            let record = BaseRecord::to(&topic).key(&key).payload(&value).headers(headers);
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
        (broker, config, topic.to_string())
    }

    #[test]
    fn every_record_is_shown_once_and_a_second_look_shows_the_same() {
        let (_broker, config, topic) = quarantine(500);
        for _ in 0..2 {
            let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
            let ended = browse(&config, &topic, |seen| {
                let id = seen.header("ce_id").unwrap().into_owned();
                assert_eq!(seen.value(), Some(format!("value {id}").as_bytes()));
                assert_eq!(seen.header("other"), None);
                ids.insert(id);
                places.insert((seen.partition(), seen.offset()));
                ControlFlow::<()>::Continue(())
            });
            assert!(ended.unwrap().is_continue());
            assert_eq!((ids.len(), places.len()), (500, 500));
        }
    }

    #[test]
    fn an_empty_topic_ends_at_once_and_a_visitor_can_end_it_early() {
        let (_broker, config, topic) = quarantine(0);
        let nothing = browse(&config, &topic, |_| ControlFlow::Break(()));
        assert!(nothing.unwrap().is_continue());
        let (_broker, config, topic) = quarantine(5);
        let mut shown = 0;
        let ended = browse(&config, &topic, |_| {
            shown += 1;
            ControlFlow::Break("enough")
        });
        assert_eq!((ended.unwrap(), shown), (ControlFlow::Break("enough"), 1));
    }
}
