//! One record to Kafka at a time, each confirmed before the next is sent.
//!
//! So records of a key keep their order, a record that is refused takes no neighbour of its batch with
//! it, and what was said of a record was said of no other. It blocks, for some seconds at most; once
//! Kafka has not answered, nothing more is sent.

use std::time::Duration;

use tokio::{
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use super::{Cluster, Fate};
use crate::{
    app::Failure,
    config::Config,
    kafka::{Producer, Record, Refusal, Report, SendError, TopicNames, TopicProblem},
    telemetry::metrics::{Metrics, Names},
};

/// How long a broker may take to confirm a record: through the loss of a leader and its election.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);

/// A producer for one command.
pub struct Post {
    producer: Producer,
    reports: UnboundedReceiver<Report>,
    runtime: Runtime,
    cluster: Cluster,
    next: u64,
    silent: bool,
}

impl Post {
    /// Makes the producer, once Kafka has answered.
    ///
    /// # Errors
    /// When it does not, or the settings are wrong.
    pub fn start(config: &Config, names: &TopicNames) -> Result<Self, Failure> {
        let mut kafka = config.kafka.clone();
        // Nobody comes whom a batch could wait for.
        kafka.properties.set("linger.ms", "0");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::io("cannot start the runtime", &error))?;
        let cluster = Cluster::ask(config, names, &runtime)?;
        let (sender, reports) = unbounded_channel();
        let metrics = Metrics::new(&Names { role: "replay".to_owned(), ..Names::default() });
        let producer =
            Producer::start(&kafka, metrics.kafka, sender).map_err(|error| Failure::configuration(&error))?;
        Ok(Self { producer, reports, runtime, cluster, next: 0, silent: false })
    }

    /// Sends a record and waits for what a broker says of it.
    pub fn send(&mut self, record: &Record) -> Fate {
        if self.silent {
            return Fate::Unconfirmed;
        }
        if let Some(refused) = self.cluster.refusal(&record.topic) {
            return refused;
        }
        let ticket = self.next;
        self.next += 1;
        match self.producer.send(record, ticket) {
            Ok(()) => {}
            Err(SendError::TooLarge) => return Fate::Refused(SendError::TooLarge.to_string()),
            Err(SendError::QueueFull | SendError::Down) => return self.nothing(),
        }
        let reports = &mut self.reports;
        let reported =
            self.runtime.block_on(async { tokio::time::timeout(CONFIRMED_WITHIN, reports.recv()).await });
        match reported {
            Ok(Some(Report { result: Ok(placed), .. })) => {
                Fate::Replayed(format!("partition {}, offset {}", placed.partition, placed.offset))
            }
            Ok(Some(Report { result: Err(Refusal::Lost), .. }) | None) | Err(_) => self.nothing(),
            Ok(Some(Report { result: Err(refusal), .. })) => Fate::Refused(why(refusal)),
        }
    }

    /// Whether Kafka has fallen silent, so that nothing more is sent.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    fn nothing(&mut self) -> Fate {
        self.silent = true;
        Fate::Unconfirmed
    }
}

/// Why a broker did not take a record.
fn why(refusal: Refusal) -> String {
    match refusal {
        Refusal::TooLarge => "larger than the topic takes: raise its max.message.bytes".to_owned(),
        Refusal::TopicUnavailable(TopicProblem::Missing) => {
            "the topic is missing: see topics plan".to_owned()
        }
        Refusal::TopicUnavailable(TopicProblem::Forbidden) => {
            "this client may not write to the topic".to_owned()
        }
        Refusal::Rejected(code) => format!("the broker said no: {code}"),
        Refusal::Lost => "the connection was lost".to_owned(),
    }
}
