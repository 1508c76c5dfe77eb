//! Sees to it that the topics are there: once for a command, or in the background of a process.
//!
//! Guarantees: it never ends a process, it waits for Kafka as long as that takes, it creates only
//! in the mode `create`, and two replicas that create at once do not disturb each other. A log line
//! is written when what is found changes. The app runs it beside the pipelines, which do not wait
//! for it: a record for a missing topic waits by itself.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use super::admin::{Change, Error};
use super::{
    Config,
    admin::Admin,
    plan::{Observed, Plan, Topic},
    topics::{Provision, TopicSpec},
};
use crate::backoff::Backoff;

/// How often a cluster that lacks something is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Longest wait before a cluster that did not answer is asked again.
const SOON_MAX: Duration = Duration::from_secs(5);

/// Whether topics are given the partitions they lack. That moves keys to other partitions, so it
/// is done when an operator asks for it and not otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// They keep what they have.
    Leave,
    /// They get what they lack.
    Enlarge,
}

/// What is there, and what that lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What the cluster said.
    pub observed: Observed,
    /// The comparison with the specs.
    pub plan: Plan,
}

/// Compares a cluster with what should be.
///
/// # Errors
/// When the settings are wrong or the cluster cannot be asked.
pub async fn inspect(config: &Config, specs: &[TopicSpec]) -> Result<Inspection, Error> {
    let (config, specs) = (config.clone(), specs.to_vec());
    blocking(move || {
        let observed = Admin::new(&config)?.observe(&specs)?;
        Ok(Inspection { plan: Plan::new(&specs, &observed), observed })
    })
    .await
}

/// Creates what a plan says is missing, and tells what became of each topic.
///
/// # Errors
/// When the settings are wrong or the cluster cannot be asked; a topic that is refused is no such
/// error.
pub async fn apply(config: &Config, plan: &Plan, growth: Growth) -> Result<Vec<Change>, Error> {
    let (config, plan) = (config.clone(), plan.clone());
    blocking(move || {
        let admin = Admin::new(&config)?;
        let mut changes = admin.create(plan.missing())?;
        match growth {
            Growth::Leave => {}
            Growth::Enlarge => changes.extend(admin.enlarge(plan.too_small())?),
        }
        Ok(changes)
    })
    .await
}

/// Lists topics and their partitions, without their configuration: quick, and possible everywhere.
///
/// # Errors
/// When the settings are wrong or the cluster cannot be asked.
pub async fn list(config: &Config, specs: &[TopicSpec]) -> Result<Observed, Error> {
    let (config, specs) = (config.clone(), specs.to_vec());
    blocking(move || Admin::new(&config)?.list(&specs)).await
}

/// Looks, creates in the mode `create`, and looks again until nothing is missing; ends then, or
/// when it is told to. What it saw last is in `seen`, for limits and for `/state`.
pub async fn run(
    config: Config,
    specs: Vec<TopicSpec>,
    mode: Provision,
    seen: watch::Sender<Option<Inspection>>,
    shutdown: CancellationToken,
) {
    let provisioner = Provisioner { config, specs, mode, seen };
    let work = async {
        match mode {
            Provision::Off => {}
            Provision::Verify | Provision::Create => provisioner.settle().await,
        }
    };
    // A request that is cut off here goes on at the broker, and creating again is no error.
    let _ = shutdown.run_until_cancelled(work).await;
}

struct Provisioner {
    config: Config,
    specs: Vec<TopicSpec>,
    mode: Provision,
    seen: watch::Sender<Option<Inspection>>,
}

impl Provisioner {
    async fn settle(&self) {
        // Not longer: until the topics are known to be there, records go one at a time.
        let soon = || Backoff::new(Duration::from_secs(1), SOON_MAX);
        // A topic that was just made can take a moment to be seen; one that cannot be made takes longer.
        let mut again = Backoff::new(Duration::from_secs(1), LOOK_AGAIN);
        let (mut waits, mut told) = (soon(), None);
        loop {
            let wait = match self.look().await {
                Ok(()) if self.is_settled() => return,
                Ok(()) => {
                    (waits, told) = (soon(), None);
                    again.next().unwrap_or(LOOK_AGAIN)
                }
                Err(error) => {
                    tell_once(&mut told, &error);
                    waits.next().unwrap_or(SOON_MAX)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn is_settled(&self) -> bool {
        self.seen.borrow().as_ref().is_some_and(|inspection| inspection.plan.missing().next().is_none())
    }

    async fn look(&self) -> Result<(), Error> {
        let inspection = inspect(&self.config, &self.specs).await?;
        if self.mode == Provision::Verify || inspection.plan.missing().next().is_none() {
            self.show(&inspection);
            return Ok(());
        }
        // What is about to be created is no news; what cannot be is.
        let changes = apply(&self.config, &inspection.plan, Growth::Leave)
            .await
            .inspect_err(|_| self.show(&inspection))?;
        for Change { topic, result } in changes {
            match result {
                Ok(()) => tracing::info!(topic, "topic created"),
                Err(code) => tracing::warn!(topic, code, "topic cannot be created"),
            }
        }
        self.show(&inspect(&self.config, &self.specs).await?);
        Ok(())
    }

    fn show(&self, inspection: &Inspection) {
        let before = self.seen.send_replace(Some(inspection.clone()));
        if before.is_none_or(|before| before.plan != inspection.plan) {
            inspection.plan.topics.iter().filter(|topic| !topic.differences.is_empty()).for_each(tell);
        }
    }
}

fn tell(topic: &Topic) {
    if topic.breaks_affinity() {
        tracing::error!(%topic, "topic has a number of partitions on which no enricher can start");
    } else {
        tracing::warn!(%topic, "topic is not as configured");
    }
}

/// The same failure again says nothing new.
fn tell_once(told: &mut Option<String>, error: &Error) {
    let text = error.to_string();
    if told.as_ref() != Some(&text) {
        tracing::warn!(error = text, "topics cannot be looked after yet");
        *told = Some(text);
    }
}

/// librdkafka's clients wait when they are made, asked and dropped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Stopping),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{embedded::Embedded, names::TopicNames, plan, topics};

    fn setting(broker: &Embedded) -> (Config, Vec<TopicSpec>) {
        let config = Config { bootstrap_servers: broker.bootstrap_servers().into(), ..Config::default() };
        let names = TopicNames::new(&topics::Config { partitions: 3, ..Default::default() }, 1).unwrap();
        (config, names.written_by_ingress())
    }

    #[tokio::test]
    async fn topics_are_listed_with_their_partitions() {
        let broker = Embedded::start(1).unwrap();
        let (config, specs) = setting(&broker);
        broker.create(&specs[1..]).unwrap();
        let observed = list(&config, &specs).await.unwrap();
        assert_eq!(plan::affinity(&specs, &observed), Ok(Some(3)));
        let plan = Plan::new(&specs, &observed);
        assert_eq!(plan.missing().map(|spec| &spec.name).collect::<Vec<_>>(), [&specs[0].name]);
    }

    #[tokio::test]
    async fn it_stops_when_told_while_kafka_is_away() {
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bootstrap_servers = nobody.local_addr().unwrap().to_string();
        drop(nobody);
        let config = Config { bootstrap_servers, ..Config::default() };
        let (seen, last) = watch::channel(None);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run(config, Vec::new(), Provision::Create, seen, shutdown.clone()));
        tokio::task::yield_now().await;
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), running).await.expect("ends at once").unwrap();
        assert_eq!(*last.borrow(), None);
    }
}
