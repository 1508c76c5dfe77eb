//! Accepts a body: judged, appended, and only then answered.
//!
//! A body that cannot be read is appended as well, once an hour for the same bytes, and refused all the
//! same. When the journal refuses, the sender is told to come again, whatever the body is.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use prometheus::IntCounter;
use uuid::Uuid;

use super::{
    judge::{Events, Judged, judge},
    recent::Recent,
    reject::Rejection,
    repeats::Repeats,
    route::Route,
};
use crate::{
    credentials::seal::Sealer,
    journal,
    telemetry::metrics::{Deliveries, JournalState, Outcome, UNRECOGNIZED, Webhook},
    webhook::{Content, Delivery, Discriminators},
};

/// Time between two warnings of the same thing.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Turns bodies into deliveries.
#[derive(Debug)]
pub(super) struct Acceptor {
    journal: journal::Handle,
    sealer: Sealer,
    discriminators: Discriminators,
    repeats: Repeats,
    /// One per discriminator, and one for those outside the list: the order of [`Events`].
    events: Vec<IntCounter>,
    metrics: Deliveries,
    /// Whether the last append was refused, so that only changes are logged.
    refusing: AtomicBool,
    mismatches: std::sync::Mutex<Recent<(), ()>>,
}

/// How accepting a body ended.
#[derive(Debug)]
pub(super) struct Verdict {
    /// What the body is; when it does not say, what its route was for.
    pub kind: Webhook,
    /// The id of the delivery that was appended, if one was.
    pub kept: Option<Uuid>,
    /// How it ended, or why it is refused all the same.
    pub result: Result<Outcome, Rejection>,
}

impl Acceptor {
    /// Accepts into the journal.
    pub(super) fn new(
        journal: journal::Handle,
        sealer: Sealer,
        discriminators: Discriminators,
        metrics: Deliveries,
    ) -> Self {
        let names = discriminators.iter().chain([UNRECOGNIZED]);
        let events = names.map(|name| metrics.events.with_label_values(&[name])).collect();
        Self {
            journal,
            sealer,
            discriminators,
            repeats: Repeats::new(),
            events,
            metrics,
            refusing: AtomicBool::new(false),
            mismatches: std::sync::Mutex::new(Recent::new(WARN_EVERY, 1)),
        }
    }

    /// Whether an append could succeed at all, so that a body need not be read in vain.
    ///
    /// A full journal may still have room for this body; only the append can tell.
    pub(super) fn can_keep(&self) -> Result<(), Rejection> {
        match self.journal.state() {
            JournalState::Open | JournalState::Full => Ok(()),
            JournalState::Draining | JournalState::Drained | JournalState::Recovering => {
                Err(Rejection::JournalDraining)
            }
            JournalState::ReadOnly | JournalState::Failed => Err(Rejection::JournalFailed),
        }
    }

    /// Keeps a body. Cancelled, it may have been kept without an answer: the sender comes again, and two
    /// deliveries are right.
    pub(super) async fn accept(&self, body: &Bytes, route: Route, traceparent: String) -> Verdict {
        let judged = judge(body, &self.sealer, &self.discriminators);
        let kind = if judged.kind == Webhook::Unknown { route.meant() } else { judged.kind };
        if let Some((unclear, body)) = &judged.unreadable
            && self.repeats.knows(*body, Instant::now())
        {
            return Verdict { kind, kept: None, result: Err(Rejection::Unreadable(unclear.clone())) };
        }
        let Judged { content, body, events, unreadable, kind: found } = judged;
        let outcome = match content {
            Content::General | Content::Integration => Outcome::Accepted,
            Content::Quarantined { .. } => Outcome::Quarantined,
        };
        let kept = match self.append(content, body, traceparent).await {
            Ok(id) => id,
            Err(rejection) => return Verdict { kind, kept: None, result: Err(rejection) },
        };
        let result = match unreadable {
            Some((unclear, body)) => {
                self.repeats.remember(body, Instant::now());
                Err(Rejection::Unreadable(unclear))
            }
            None => Ok(outcome),
        };
        if outcome == Outcome::Accepted {
            self.count(found, route, &events);
        }
        Verdict { kind, kept: Some(kept), result }
    }

    async fn append(&self, content: Content, body: Bytes, traceparent: String) -> Result<Uuid, Rejection> {
        let delivery = Delivery {
            id: Uuid::now_v7(),
            accepted_at: SystemTime::now(),
            content,
            traceparent,
            first_index: 0,
            body,
        };
        let appended = self.journal.append(delivery.encode()).await;
        self.tell_changes(appended.as_ref().err());
        appended.map(|_| delivery.id).map_err(Rejection::from)
    }

    /// Logs when appends begin to be refused, and when they work again. Near the limit a small delivery
    /// may fit after a large one did not: that is no change as long as the journal calls itself full.
    fn tell_changes(&self, error: Option<&journal::AppendError>) {
        let was_refusing = self.refusing.load(Ordering::Relaxed);
        match error {
            // A matter of this one delivery.
            Some(journal::AppendError::TooLarge { .. }) => {}
            Some(error) if !was_refusing && !self.refusing.swap(true, Ordering::Relaxed) => tracing::warn!(
                error = error as &dyn std::error::Error,
                "the journal refuses deliveries, senders are told to come again"
            ),
            None if was_refusing
                && self.journal.state() == JournalState::Open
                && self.refusing.swap(false, Ordering::Relaxed) =>
            {
                tracing::info!("the journal takes deliveries again");
            }
            Some(_) | None => {}
        }
    }

    fn count(&self, kind: Webhook, route: Route, events: &Events) {
        if kind == Webhook::General {
            self.metrics.events_per_delivery.observe(events.all as f64);
        }
        for (counter, count) in self.events.iter().zip(&events.by_discriminator) {
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
        self.metrics.last_accepted.of(kind).set(seconds_now());
        if !matches!(route.meant(), Webhook::Unknown) && route.meant() != kind {
            self.metrics.route_mismatches.inc();
            self.warn_of_mismatch(kind);
        }
    }

    fn warn_of_mismatch(&self, kind: Webhook) {
        use crate::telemetry::family::Label as _;
        let now = Instant::now();
        let mut warned = self.mismatches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !warned.holds(&(), now) {
            warned.see((), now);
            tracing::warn!(
                webhook = kind.value(),
                "a webhook came by the route of the other kind and was taken; the URLs registered with Mews may be swapped"
            );
        }
    }
}

/// Seconds since 1970, with their fraction, as Prometheus counts time.
pub(super) fn seconds_now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
