//! `mews-bridge enricher`: events in, requests to Mews, entities out.
//!
//! ```text
//! start   bind the admin port ─ credentials ─ topics are as they must be ─ join the group ─ ready
//! end     not ready ─ what was sent is waited for ─ offsets committed ─ the group is left
//! ```
//!
//! It owns nothing: whatever is not done when it stops is read again from the group's offsets, by itself
//! or by another instance, so it always ends with 0.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Exit, Failure, Part,
    ingress::{address, bind, raise_file_limit, watch_client_files, watch_keys},
};
use crate::{
    config::{Config, Role},
    connector::Client,
    credentials::{
        Store,
        seal::{KeyRing, Sealer},
    },
    enricher::{self, View},
    kafka::{
        Producer, TopicNames,
        plan::{self, Unequal},
        provision,
        topics::{Provision, TopicSpec},
    },
    shutdown::Shutdown,
    telemetry::{
        admin,
        health::Health,
        logging,
        metrics::{Metrics, Names},
    },
};

/// How often the partitions of all topics are compared while it runs.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// Wait before a cluster that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start, the topics are not as they must be, or a part ends that never ends by itself.
pub async fn run(config: Config) -> Result<Exit, Failure> {
    super::checked(&config, Role::Enricher)?;
    let shutdown =
        Shutdown::on_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
    raise_file_limit();
    let listener = bind(config.admin.listen, "admin.listen", &config).await?;
    let admin_address = address(&listener)?;
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let metrics = Metrics::new(&Names {
        topics: names.written_by_enricher().into_iter().map(|topic| topic.name.to_string()).collect(),
        role: "enricher".to_owned(),
        ..Names::default()
    });
    logging::count_in(metrics.process.log_events.clone());
    let health = Health::default();
    let mut server = Part::spawn("admin server", |stop| {
        let (health, metrics) = (health.clone(), metrics.clone());
        async move {
            admin::run(listener, health, metrics, stop).await;
            Ok(())
        }
    });
    tracing::info!(
        admin = %admin_address,
        version = env!("CARGO_PKG_VERSION"),
        "starting, metrics and probes on {admin_address}"
    );
    let started = tokio::select! {
        started = Enrichment::start(&config, &names, &metrics, &health) => started,
        () = shutdown.drain.cancelled() => return Ok(Exit::Clean),
    };
    let mut enrichment = started?;
    health.serving();
    let ended = tokio::select! {
        failure = enrichment.failed() => Err(failure),
        failure = server.failed() => Err(failure),
        () = shutdown.drain.cancelled() => Ok(Exit::Clean),
    };
    health.draining();
    tokio::select! {
        () = enrichment.end() => tracing::info!("stopped: offsets are committed, and the group is left"),
        () = tokio::time::sleep(config.shutdown.timeout) => {
            tracing::warn!("stopped because shutdown.timeout is over; what was not committed is done again");
        }
        () = shutdown.abort.cancelled() => {
            tracing::warn!("stopped by a second signal; what was not committed is done again");
        }
    }
    server.end().await?;
    ended
}

/// The running parts from the group's consumer to the producer.
pub struct Enrichment {
    pump: Option<Part>,
    unequal: watch::Receiver<Option<Unequal>>,
    background: JoinSet<&'static str>,
}

impl Enrichment {
    /// Starts every part; waits for Kafka as long as that takes.
    ///
    /// # Errors
    /// When a secret or the configuration stands in the way, or topics have unequal partitions.
    pub async fn start(
        config: &Config,
        names: &TopicNames,
        metrics: &Metrics,
        health: &Health,
    ) -> Result<Self, Failure> {
        let keys = match config.credentials.sealer().map_err(|error| Failure::configuration(&error)) {
            Ok(Sealer::Seal(keys)) => Some(keys),
            // Without a key what webhooks brought stays closed; the file is enough.
            Ok(Sealer::Discard) => None,
            Err(_) if config.credentials.sealing_key_files.is_empty() => None,
            Err(failure) => return Err(failure),
        };
        let store = Store::load(&config.credentials, keys.clone(), metrics.connector.clone())
            .map_err(|error| Failure::configuration(&error))?;
        let client_token = config.connector.client_token().map_err(|error| Failure::configuration(&error))?;
        let client = Client::new(&config.connector, client_token, metrics.connector.clone())
            .map_err(|error| Failure::configuration(&error))?;
        let (reports_in, reports) = tokio::sync::mpsc::unbounded_channel();
        let large_batches = config.kafka.clone().in_large_batches();
        let producer = Producer::start(&large_batches, metrics.kafka.clone(), reports_in)
            .map(Arc::new)
            .map_err(|error| Failure::configuration(&error))?;
        let view = View::new(store.clone());
        let shown = view.clone();
        health.describe("enricher", move || shown.get());
        let (tell, unequal) = watch::channel::<Option<Unequal>>(None);
        let vouching = unequal.clone();
        health.vouch("topics", move || match &*vouching.borrow() {
            None => Ok(()),
            Some(unequal) => Err(unequal.to_string()),
        });
        let mut background = background(config, names, keys, &store, &client, metrics);
        let (renew, renewed) = watch::channel(());
        renew_clients(&mut background, config, Arc::clone(&producer), renew, metrics);
        let all: Vec<_> = names.all().cloned().collect();
        equal(config, &all, &names.used_by_enricher())
            .await
            .map_err(|unequal| Failure::configuration(&unequal))?;
        background.spawn(compare(config.clone(), all, tell));

        let parts = enricher::Parts {
            config: config.enricher.clone(),
            names: names.clone(),
            kafka: config.kafka.clone(),
            give_up_topic_after: config.kafka.give_up_topic_after,
            producer,
            reports,
            client,
            store,
            renewed,
            view,
            metrics: metrics.enricher.clone(),
            connector_metrics: metrics.connector.clone(),
            kafka_metrics: metrics.kafka.clone(),
        };
        let (group, happenings) = enricher::join(&parts).map_err(|error| Failure::configuration(&error))?;
        let consuming = group.clone();
        health.vouch("kafka", move || consuming.consuming());
        let pump = Part::spawn("enricher", |stop| async move {
            enricher::run(parts, group, happenings, stop)
                .await
                .map_err(|error| Failure::bug(format!("the enricher cannot go on: {error}")))
        });
        Ok(Self { pump: Some(pump), unequal, background })
    }

    /// Resolves with the reason when a part ends that should not. When topics have become unequal, it stops
    /// consuming and goes on saying so.
    pub async fn failed(&mut self) -> Failure {
        loop {
            let pump = async {
                match &mut self.pump {
                    Some(pump) => pump.failed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                failure = pump => return failure,
                Ok(()) = self.unequal.changed() => {}
                Some(ended) = self.background.join_next() => return match ended {
                    Ok(name) => Failure::bug(format!("{name} ended although nobody stopped it")),
                    Err(error) => Failure::bug(format!("a background task broke off: {error}")),
                },
            }
            let unequal = self.unequal.borrow_and_update().clone();
            if let Some(unequal) = unequal
                && let Some(pump) = self.pump.take()
            {
                tracing::error!(%unequal, "nothing is consumed any more: {unequal}; make them equal and restart");
                if let Err(failure) = pump.end().await {
                    return failure;
                }
            }
        }
    }

    /// Ends it: commits what is done and leaves the group.
    pub async fn end(mut self) {
        if let Some(pump) = self.pump.take()
            && let Err(failure) = pump.end().await
        {
            tracing::error!("{}", failure.message);
        }
        self.background.shutdown().await;
    }
}

/// What goes on beside the path of an event; none of it ever ends by itself.
fn background(
    config: &Config,
    names: &TopicNames,
    keys: Option<KeyRing>,
    store: &Store,
    client: &Client,
    metrics: &Metrics,
) -> JoinSet<&'static str> {
    let mut background = JoinSet::new();
    let process = metrics.process.clone();
    if let Some(keys) = keys {
        let (files, store) = (config.credentials.sealing_key_files.clone(), store.clone());
        background.spawn(watch_keys(keys, files, process.clone(), move || store.reopen()));
    }
    let (watched, metrics) = (store.clone(), process.clone());
    background.spawn(async move { match watched.watch(&metrics).await {} });
    let (running, metrics) = (client.clone(), process);
    background.spawn(async move { match running.run(&metrics).await {} });
    let (kafka, specs, mode) = (config.kafka.clone(), names.used_by_enricher(), config.topics.provision);
    background.spawn(async move {
        let (seen, _) = watch::channel(None);
        provision::run(kafka, specs, mode, seen, CancellationToken::new()).await;
        std::future::pending().await
    });
    background
}

/// Makes the Kafka clients anew when a file of theirs has changed.
fn renew_clients(
    background: &mut JoinSet<&'static str>,
    config: &Config,
    producer: Arc<Producer>,
    renew: watch::Sender<()>,
    metrics: &Metrics,
) {
    let changed = Arc::new(tokio::sync::Notify::new());
    let files = config.kafka.secret_files();
    background.spawn(watch_client_files(Arc::clone(&changed), files, metrics.process.clone()));
    background.spawn(async move {
        loop {
            changed.notified().await;
            renew.send_replace(());
            let producer = Arc::clone(&producer);
            // One that cannot be made is down, and the enricher makes another.
            let _ = tokio::task::spawn_blocking(move || producer.restart()).await;
        }
    });
}

/// Waits until the topics can be compared: with all that are used there, if this process may make them.
async fn equal(config: &Config, all: &[TopicSpec], used: &[TopicSpec]) -> Result<(), Unequal> {
    loop {
        match provision::list(&config.kafka, all).await {
            Ok(observed) => {
                plan::affinity(all, &observed)?;
                let missing = used.iter().filter(|spec| !observed.partitions.contains_key(&*spec.name));
                if config.topics.provision != Provision::Create || missing.count() == 0 {
                    return Ok(());
                }
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the topics cannot be compared yet"
                );
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Compares the partitions again and again; tells when they are unequal.
async fn compare(
    config: Config,
    specs: Vec<TopicSpec>,
    tell: watch::Sender<Option<Unequal>>,
) -> &'static str {
    loop {
        tokio::time::sleep(COMPARE_EVERY).await;
        // A cluster that does not answer has not changed anything.
        let Ok(observed) = provision::list(&config.kafka, &specs).await else { continue };
        if let Err(unequal) = plan::affinity(&specs, &observed) {
            tell.send_replace(Some(unequal));
        }
    }
}
