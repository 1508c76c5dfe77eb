//! `mews-bridge demo`: the product in one process, with nothing to install and nothing to configure.
//!
//! ```text
//! simulator ── webhooks ──► ingress ─ journal ─ relay ──► embedded broker ──► your kcat
//!     ▲                                                        │  ▲
//!     └───────────── Connector API ────────── enricher ◄───────┘  │
//!                                                └── records ─────┘
//! ```
//!
//! It builds the same parts as `mews-bridge ingress` and `mews-bridge enricher`, with one set of metrics and
//! one admin server; only the broker and the hotels are its own. The journal lives in a temporary
//! directory that goes when the demo ends.
//!
//! ```text
//! start   broker ─ ingress ─ hotels ─ enricher
//! end     hotels fall silent ─ ingress drains ─ enricher does the rest ─ enricher ends ─ hotels close
//! ```

mod comparison;
mod figures;
mod hotels;
mod introduction;
mod place;
mod summary;
mod table;

use std::time::Duration;

use tokio::time::Instant;

use super::{Exit, Failure, arguments::Demo, enricher::Enrichment, ingress::Bridge, output};
use crate::{
    config::Config,
    kafka::{self, TopicNames, embedded::Embedded},
    shutdown::Shutdown,
};
use comparison::Comparison;
use figures::Meter;
use hotels::Hotels;
use introduction::Introduction;
use place::Place;
use summary::Summary;
use table::Screen;

/// One is enough to show topics, partitions and keys.
const BROKERS: u8 = 1;
/// How often it is looked whether the enricher has done the rest.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Gauges of the consumer group are not older than this.
const GAUGES_WITHIN: Duration = Duration::from_secs(3);
/// Of `shutdown.timeout`, what leaving the group may need.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Runs until Ctrl-C or the end of `--duration`.
///
/// # Errors
/// When a part cannot start or ends by itself.
pub async fn run(options: Demo, config: Config) -> Result<Exit, Failure> {
    let shutdown =
        Shutdown::on_signals().map_err(|error| Failure::io("cannot listen for signals", &error))?;
    let place = Place::new()?;
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let broker = Embedded::start(BROKERS)
        .and_then(|broker| broker.create(names.all()).map(|()| broker))
        .map_err(|error| Failure::unavailable("the embedded broker does not start", &error))?;
    let started = tokio::select! {
        started = Product::start(&options, config, &names, &place, broker.bootstrap_servers()) => started,
        () = shutdown.drain.cancelled() => return Ok(Exit::Clean),
    };
    let mut product = started?;
    product.introduce(broker.bootstrap_servers())?;

    let began = Instant::now();
    let meter = product.meter.clone();
    let mut screen = Screen::new();
    let mut each_second = tokio::time::interval(table::REFRESH);
    loop {
        // Only ticks are lost by cancelling any of these.
        tokio::select! {
            _ = each_second.tick() => screen.draw(began.elapsed(), &meter.read())?,
            // What it leaves undone is in memory and in a temporary directory.
            failure = product.failed() => return Err(failure),
            () = shutdown.drain.cancelled() => break,
            () = long_enough(options.duration, began) => break,
        }
    }
    let ending = product.end(&shutdown);
    tokio::pin!(ending);
    let summary = loop {
        tokio::select! {
            summary = &mut ending => break summary?,
            _ = each_second.tick() => screen.draw(began.elapsed(), &meter.read())?,
        }
    };
    let figures = meter.read();
    screen.last(began.elapsed(), &figures)?;
    output::print(summary.text(&figures).as_bytes())?;
    Ok(Exit::Clean)
}

async fn long_enough(duration: Option<Duration>, began: Instant) {
    match duration {
        Some(duration) => tokio::time::sleep_until(began + duration).await,
        None => std::future::pending().await,
    }
}

/// The running parts.
struct Product {
    config: Config,
    names: TopicNames,
    meter: Meter,
    webhook: String,
    bridge: Bridge,
    hotels: Hotels,
    enrichment: Enrichment,
}

impl Product {
    async fn start(
        options: &Demo,
        config: Config,
        names: &TopicNames,
        place: &Place,
        broker: &str,
    ) -> Result<Self, Failure> {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let config = place.ingress(config, broker, &token)?;
        let bridge = Bridge::start(&config, "demo").await?;
        let metrics = bridge.metrics.clone();
        metrics.kafka.expect(names.written_by_enricher().iter().map(|spec| &*spec.name));
        let webhook = format!("http://{}/webhooks?token={token}", bridge.webhook_address);
        let hotels = Hotels::open(options, &webhook).await?;
        let config = place.enricher(config, &hotels.simulator, &hotels.known)?;
        let enrichment = Enrichment::start(&config, names, &metrics, &bridge.health).await?;
        let meter = Meter::new(metrics, names, &config);
        Ok(Self { config, names: names.clone(), meter, webhook, bridge, hotels, enrichment })
    }

    fn introduce(&self, broker: &str) -> Result<(), Failure> {
        let introduction = Introduction {
            webhook: &self.webhook,
            broker,
            admin: &format!("http://{}", self.bridge.admin_address),
            simulator: &self.hotels.simulator.control,
            names: &self.names,
            stay: self.hotels.stay().ok_or_else(|| Failure::bug("no hotel has a reservation"))?,
        };
        output::print(introduction.text().as_bytes())
    }

    /// Resolves with the reason when a part ends that should not.
    async fn failed(&mut self) -> Failure {
        tokio::select! {
            failure = self.bridge.failed() => failure,
            failure = self.enrichment.failed() => failure,
            failure = self.hotels.failed() => failure,
        }
    }

    /// Ends every part in the written order, within `shutdown.timeout`. A journal that is not empty by then
    /// goes with the demo: there is no next start that would deliver it.
    async fn end(self, shutdown: &Shutdown) -> Result<Summary, Failure> {
        let Self { mut config, names, meter, bridge, hotels, mut enrichment, .. } = self;
        let deadline = Instant::now() + config.shutdown.timeout;
        let is_silent = tokio::select! {
            () = hotels.fall_silent() => true,
            () = over(deadline - LEAVE_WITHIN, shutdown) => false,
        };
        config.shutdown.timeout = deadline.saturating_duration_since(Instant::now());
        let drained = bridge.drain(&config, shutdown).await?;
        let is_done = tokio::select! {
            () = enriched(&meter) => true,
            failure = enrichment.failed() => return Err(failure),
            () = over(deadline - LEAVE_WITHIN, shutdown) => false,
        };
        tokio::select! {
            () = enrichment.end() => {}
            () = over(deadline, shutdown) => {}
        }
        let comparison = if is_silent && is_done && drained == Exit::Clean {
            compare(hotels.simulator.truth(), config.kafka, names).await
        } else {
            None
        };
        Ok(Summary { hotels: hotels.count, totals: hotels.close().await, comparison })
    }
}

/// Every event is done with; no more come.
async fn enriched(meter: &Meter) {
    let mut none_since = None;
    loop {
        let figures = meter.read();
        if figures.not_enriched() > 0 {
            none_since = None;
        } else if figures.ever_parked == 0
            || none_since.get_or_insert_with(Instant::now).elapsed() > GAUGES_WITHIN
        {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The time is over, or a second signal came.
async fn over(deadline: Instant, shutdown: &Shutdown) {
    tokio::select! {
        () = tokio::time::sleep_until(deadline) => {}
        () = shutdown.abort.cancelled() => {}
    }
}

/// None when there is nothing exact to say.
async fn compare(truth: String, kafka: kafka::Config, names: TopicNames) -> Option<Comparison> {
    let read = tokio::task::spawn_blocking(move || Comparison::new(&truth, &kafka, &names)).await;
    match read {
        Ok(Ok(comparison)) => comparison,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the entity topics cannot be compared: {error}");
            None
        }
        Err(error) => {
            tracing::error!(%error, "comparing the entity topics broke off: {error}");
            None
        }
    }
}
