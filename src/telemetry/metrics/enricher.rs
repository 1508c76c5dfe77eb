//! The inventory's part about the enricher: what it reads, what becomes of it, what waits.
//!
//! The membership's own families (assignment, rebalances, commits, lag, consumed records) are written by
//! `kafka::group`, all others by the enricher. A partition is a label of the lag only, and only while it
//! is assigned.

use prometheus::{Gauge, GaugeVec, Histogram, IntCounterVec, IntGauge, IntGaugeVec};

use super::connector::Entity;
use crate::telemetry::family::{Counters, Counters2, Gauges, Histograms, Maker, label};

const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];
const PROCESSING_BUCKETS: [f64; 13] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];
const LATENCY_BUCKETS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0];

label!(/// What a rebalance did to the partitions of this member.
Rebalance, "type" { Assigned = "assigned", Revoked = "revoked", Lost = "lost" });
label!(/// How a commit of offsets ended.
Commit, "outcome" { Ok = "ok", Error = "error" });
label!(/// What became of an event.
EventOutcome, "outcome" {
    Enriched = "enriched", Tombstone = "tombstone", NotFound = "not_found", Coalesced = "coalesced",
    Stale = "stale", Dlq = "dlq", Parked = "parked",
});
label!(/// Why nothing is asked for with an integration's token, and its events are parked.
HoldReason, "reason" {
    NoCredentials = "no_credentials", Unauthorized = "unauthorized", Throttled = "throttled",
    Unavailable = "unavailable", Overwritten = "overwritten", Unfetchable = "unfetchable",
});
label!(/// Why something is asked for once more.
Retry, "reason" {
    Throttled = "throttled", Unavailable = "unavailable", Timeout = "timeout", Transport = "transport",
    TooLarge = "too_large", BadRequest = "bad_request", Unauthorized = "unauthorized",
    Forbidden = "forbidden", Conflict = "conflict", NotReturned = "not_returned", Unchanged = "unchanged",
});

/// The enricher.
#[derive(Clone, Debug)]
pub struct Enricher {
    /// Records handed to the enricher, by topic.
    pub consumed_records: IntCounterVec,
    /// Records that are not committed yet, by topic and partition; only of assigned partitions.
    pub lag: IntGaugeVec,
    /// When the newest event below the committed offset was accepted, by topic.
    pub committed_event: GaugeVec,
    /// Partitions that are this member's.
    pub assigned_partitions: IntGauge,
    /// Assigned partitions that are not read for now.
    pub paused_partitions: IntGauge,
    /// Keys that are parked, by why.
    pub parked_records: Gauges<HoldReason>,
    /// When the oldest parked event was accepted; 0 when there is none.
    pub oldest_parked: Gauge,
    /// Rebalances by what they did to this member.
    pub rebalances: Counters<Rebalance>,
    /// Commits of offsets by how they ended.
    pub commits: Counters<Commit>,
    /// Events by kind of entity and what became of them.
    pub events: Counters2<Entity, EventOutcome>,
    /// Ids in one request.
    pub batch_ids: Histogram,
    /// From reading an event to the end of its work.
    pub processing_duration: Histograms<Entity>,
    /// What is asked for once more, by why.
    pub retries: Counters<Retry>,
    /// From accepting a delivery to Kafka's acknowledgement of the entity's record.
    pub end_to_end_latency: Histograms<Entity>,
}

impl Enricher {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        Self {
            consumed_records: make.counters_by_name(
                "enricher_consumed_records_total",
                "Records handed to the enricher, by topic.",
                &["topic"],
            ),
            lag: make.gauges_by_name(
                "enricher_lag_records",
                "Records not committed yet, of the partitions assigned to this instance.",
                &["topic", "partition"],
            ),
            committed_event: make.seconds_by_name(
                "enricher_committed_event_timestamp_seconds",
                "When the newest event below the committed offset was accepted.",
                &["topic"],
            ),
            assigned_partitions: make
                .gauge("enricher_assigned_partitions", "Partitions assigned to this instance."),
            paused_partitions: make.gauge(
                "enricher_paused_partitions",
                "Partitions that are not read for now: the API is away, or there is too much to do.",
            ),
            parked_records: make.gauges("enricher_parked_records", "Keys that are parked, by why."),
            oldest_parked: make.seconds(
                "enricher_oldest_parked_timestamp_seconds",
                "When the oldest parked event was accepted; 0 when there is none.",
            ),
            rebalances: make.counters(
                "enricher_rebalances_total",
                "Rebalances of the consumer group by what they did to this instance.",
            ),
            commits: make.counters("enricher_commits_total", "Commits of offsets by how they ended."),
            events: make.counters2("enricher_events_total", "Events by what became of them."),
            batch_ids: make.histogram(
                "enricher_batch_ids",
                "Ids in one request to the Connector API.",
                &BATCH_BUCKETS,
            ),
            processing_duration: make.histograms(
                "enricher_processing_duration_seconds",
                "From reading an event to the end of its work.",
                &PROCESSING_BUCKETS,
            ),
            retries: make
                .counters("enricher_retries_total", "What the enricher asked for once more, by why."),
            end_to_end_latency: make.histograms(
                "end_to_end_latency_seconds",
                "From accepting a delivery to Kafka's acknowledgement of the entity's record.",
                &LATENCY_BUCKETS,
            ),
        }
    }
}
