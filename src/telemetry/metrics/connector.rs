//! The inventory's part about the Connector API and the integrations that use it.
//!
//! Written by `connector`, `credentials` and the enricher. The label enums of this page are the closed
//! lists of those parts too: an operation is its label, so the two cannot drift apart.

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use crate::telemetry::family::{Counters, Counters2, Gauges, Histograms, Maker, label};

const REQUEST_BUCKETS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
const WAIT_BUCKETS: [f64; 11] = [0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

label!(/// An operation of the Connector API that the bridge calls, as Mews calls it without the version.
Operation, "operation" {
    Reservations = "reservations/getAll", Resources = "resources/getAll", Messages = "messages/getAll",
    MessageThreads = "messageThreads/getAll", ResourceBlocks = "resourceBlocks/getAll",
    Customers = "customers/getAll", Payments = "payments/getAll", Products = "products/getAll",
    Services = "services/getAll", Enterprises = "enterprises/getAll",
    ProductServiceOrders = "productServiceOrders/getAll", Configuration = "configuration/get",
});
label!(/// How a request ended: its status, or why there is none.
Code, "code" {
    Ok = "200", Empty = "204", Redirect = "3xx", BadRequest = "400", Unauthorized = "401",
    Forbidden = "403", NotFound = "404", Timeout408 = "408", Conflict = "409", Gone = "410",
    TooLarge = "413", Throttled = "429", OtherClient = "4xx", Internal = "500", BadGateway = "502",
    Unavailable = "503", GatewayTimeout = "504", OtherServer = "5xx", Timeout = "timeout",
    Transport = "transport",
});
label!(/// Who held a request back: Mews with 429, or the bridge's own budget.
ThrottledBy, "source" { Server = "server", Client = "client" });
label!(/// Whether requests are let through; exactly one is 1.
Circuit, "state" { Closed = "closed", Open = "open", HalfOpen = "half_open" });
label!(/// A kind of entity, as its topic is called.
Entity, "entity" {
    Reservations = "reservations", Resources = "resources", Messages = "messages",
    ResourceBlocks = "resource-blocks", Customers = "customers", Payments = "payments",
    Products = "products",
});
label!(/// Where an integration stands. `unknown` is one without a token to use, or of which there are only
/// events that wait.
IntegrationState, "state" {
    Active = "active", Disabled = "disabled", Unauthorized = "unauthorized", Unknown = "unknown",
});

/// Requests to the Connector API.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Requests by operation and how they ended.
    pub requests: Counters2<Operation, Code>,
    /// From sending a request to the end of its answer.
    pub request_duration: Histograms<Operation>,
    /// Requests that were sent and are not over.
    pub requests_in_flight: IntGauge,
    /// Requests held back, by whom.
    pub throttled: Counters<ThrottledBy>,
    /// How long a request waited for its turn in its token's budget.
    pub rate_limit_wait: Histogram,
    /// Share of the budget that is used, of the token that uses most.
    pub rate_limit_used: Gauge,
    /// Whether requests are let through.
    pub circuit: Gauges<Circuit>,
    /// Integrations by where they stand; deleted ones are none.
    pub integrations: Gauges<IntegrationState>,
    /// Records of integrations' credentials that could not be read or opened.
    pub unreadable_credentials: IntCounter,
    /// Entities that were asked for and not returned.
    pub missing_entities: Counters<Entity>,
    /// Answers and records of answers that are not what the contract says.
    pub parse_errors: Counters<Operation>,
}

impl Connector {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        let connector = Self {
            requests: make.counters2(
                "connector_requests_total",
                "Requests to the Connector API by operation and how they ended.",
            ),
            request_duration: make.histograms(
                "connector_request_duration_seconds",
                "From sending a request to the end of its answer.",
                &REQUEST_BUCKETS,
            ),
            requests_in_flight: make
                .gauge("connector_requests_in_flight", "Requests that were sent and are not over."),
            throttled: make.counters(
                "connector_throttled_total",
                "Requests held back, by Mews (429) or by the bridge's own budget.",
            ),
            rate_limit_wait: make.histogram(
                "connector_rate_limit_wait_seconds",
                "How long a request waited for its turn in its token's budget.",
                &WAIT_BUCKETS,
            ),
            rate_limit_used: make.seconds(
                "connector_rate_limit_used_ratio",
                "Share of the budget that is used, of the access token that uses most.",
            ),
            circuit: make.gauges("connector_circuit_state", "Whether requests are let through; one is 1."),
            integrations: make.gauges(
                "connector_integrations",
                "Integrations by where they stand; unknown ones have no token, or only events that wait.",
            ),
            unreadable_credentials: make.counter(
                "credentials_unreadable_records_total",
                "Records of integrations' credentials that could not be read or opened.",
            ),
            missing_entities: make.counters(
                "connector_missing_entities_total",
                "Entities that were asked for and not returned.",
            ),
            parse_errors: make.counters(
                "connector_parse_errors_total",
                "Answers and records of answers that are not what the contract says.",
            ),
        };
        connector.circuit.only(Circuit::Closed);
        connector
    }
}
