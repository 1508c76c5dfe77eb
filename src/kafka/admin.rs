//! Asks a cluster about its topics, and makes new ones.
//!
//! Guarantees: it creates and enlarges, and can do nothing else; every request has a time
//! limit. It is made for one occasion and dropped, since nobody reads what librdkafka says
//! through an administration client. [`super::provision`] uses it, on a blocking thread.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    admin::{
        AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
    },
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::DeliveryResult,
    producer::{Producer as _, ProducerContext, ThreadedProducer},
};

use super::{
    Config, Error as ClientError, callbacks,
    oauth::{self, Source, Tokens},
    plan::Observed,
    topics::TopicSpec,
};

/// How long a change may take, and a look at the configuration.
const WITHIN: Duration = Duration::from_secs(15);
/// How long the list of topics may take. While Kafka is away this is what a process that stops
/// waits for, since nothing can cut the request off.
const LIST_WITHIN: Duration = Duration::from_secs(5);

/// Why a cluster could not be asked or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cluster did not answer, or refused.
    #[error("{what}: {reason}")]
    Request {
        /// What was asked for.
        what: &'static str,
        /// What the client last complained of; its code alone often says little.
        reason: String,
        /// The code.
        #[source]
        source: KafkaError,
    },
    /// The administration client of the crate never asks for OAuth tokens (rdkafka 0.39: it does
    /// not serve its main queue), so with them topics can be looked at and not be made.
    #[error("topics cannot be created over SASL OAUTHBEARER; create them by other means")]
    OAuth,
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

/// What became of one topic that was to be made or enlarged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub topic: String,
    /// The name of librdkafka's code, where it was refused.
    pub result: Result<(), String>,
}

/// A connection for one occasion.
pub(super) struct Admin {
    /// Lists topics; unlike the administration client it can prove itself with OAuth.
    lister: ThreadedProducer<Quiet>,
    /// None with OAuth, unless its tokens are unsigned: librdkafka makes the first of those itself.
    changer: Option<AdminClient<Quiet>>,
}

/// Says only what librdkafka thinks is worth a warning; errors come back from the requests.
#[derive(Clone)]
struct Quiet {
    tokens: Option<Tokens>,
    complaint: Arc<Mutex<String>>,
}

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        callbacks::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // This one only sums up what was said of each broker before.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            reason.clone_into(&mut self.complaint.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        oauth::answer(self.tokens.as_ref())
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl Admin {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let settings = config.admin().map_err(ClientError::from)?;
        let tokens = config.tokens(None).map_err(ClientError::from)?;
        let context = Quiet { tokens, complaint: Arc::default() };
        let changer = match context.tokens.as_ref().map(Tokens::source) {
            Some(Source::Endpoint(_)) => None,
            Some(Source::Unsigned(_)) | None => {
                Some(settings.create_with_context(context.clone()).map_err(ClientError::client)?)
            }
        };
        let lister = settings.create_with_context(context).map_err(ClientError::client)?;
        Ok(Self { lister, changer })
    }

    /// What there is of these topics, and how it is configured where that can be seen.
    pub(super) fn observe(&self, specs: &[TopicSpec]) -> Result<Observed, Error> {
        let mut observed = self.list(specs)?;
        if let Err(error) = self.configs(&mut observed) {
            tracing::debug!(%error, "topic configuration cannot be read");
        }
        Ok(observed)
    }

    /// What there is of these topics.
    pub(super) fn list(&self, specs: &[TopicSpec]) -> Result<Observed, Error> {
        let failed = |error| self.failed("topics cannot be listed", error);
        let metadata = self.lister.client().fetch_metadata(None, LIST_WITHIN).map_err(failed)?;
        let mut observed = Observed::default();
        for topic in metadata.topics().iter().filter(|topic| topic.error().is_none()) {
            if specs.iter().any(|spec| &*spec.name == topic.name()) {
                let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                observed.partitions.insert(topic.name().to_owned(), partitions);
            }
        }
        Ok(observed)
    }

    fn configs(&self, observed: &mut Observed) -> KafkaResult<()> {
        let Some(changer) = &self.changer else { return Ok(()) };
        let topics: Vec<_> =
            observed.partitions.keys().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        if topics.is_empty() {
            return Ok(());
        }
        for resource in wait(changer.describe_configs(&topics, &options()))?.into_iter().flatten() {
            let rdkafka::admin::OwnedResourceSpecifier::Topic(topic) = resource.specifier else { continue };
            let entries: BTreeMap<_, _> =
                resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
            // Without the right to see it, there is not one entry.
            if !entries.is_empty() {
                observed.configs.insert(topic, entries);
            }
        }
        Ok(())
    }

    /// Makes topics. One that somebody else has just made is as good as made.
    pub(super) fn create<'a>(
        &self,
        specs: impl Iterator<Item = &'a TopicSpec>,
    ) -> Result<Vec<Change>, Error> {
        let topics: Vec<_> = specs.map(new_topic).collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let changer = self.changer.as_ref().ok_or(Error::OAuth)?;
        let failed = |error| self.failed("topics cannot be created", error);
        Ok(changes(wait(changer.create_topics(&topics, &options())).map_err(failed)?))
    }

    fn failed(&self, what: &'static str, source: KafkaError) -> Error {
        let complaint = &self.lister.client().context().complaint;
        let reason = complaint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reason = if reason.is_empty() { "no answer in time".to_owned() } else { reason };
        Error::Request { what, reason, source }
    }

    /// Gives topics the partitions they lack.
    pub(super) fn enlarge<'a>(
        &self,
        specs: impl Iterator<Item = &'a TopicSpec>,
    ) -> Result<Vec<Change>, Error> {
        let topics: Vec<_> = specs
            .map(|spec| NewPartitions::new(&spec.name, usize::try_from(spec.partitions).unwrap_or_default()))
            .collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let changer = self.changer.as_ref().ok_or(Error::OAuth)?;
        let failed = |error| self.failed("partitions cannot be added", error);
        Ok(changes(wait(changer.create_partitions(&topics, &options())).map_err(failed)?))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WITHIN)).operation_timeout(Some(WITHIN))
}

fn wait<T>(request: impl Future<Output = KafkaResult<T>>) -> KafkaResult<T> {
    tokio::runtime::Handle::current().block_on(request)
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    // -1 is the broker's default (KIP-464).
    let replication = TopicReplication::Fixed(spec.replication_factor.unwrap_or(-1));
    let topic = NewTopic::new(&spec.name, spec.partitions, replication);
    spec.configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
}

fn changes(results: Vec<TopicResult>) -> Vec<Change> {
    let change = |result| match result {
        Ok(topic) | Err((topic, Code::TopicAlreadyExists)) => Change { topic, result: Ok(()) },
        Err((topic, code)) => Change { topic, result: Err(format!("{code:?}")) },
    };
    results.into_iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_another_replica_made_first_is_made() {
        let results = vec![
            Err(("a".to_owned(), Code::TopicAlreadyExists)),
            Err(("b".to_owned(), Code::PolicyViolation)),
        ];
        let made = changes(results);
        assert_eq!(made[0], Change { topic: "a".into(), result: Ok(()) });
        assert_eq!(made[1], Change { topic: "b".into(), result: Err("PolicyViolation".into()) });
    }
}
