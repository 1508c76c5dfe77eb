//! The Connector API: judges a request in the documented order and answers it (contract 3).
//!
//! ```text
//! address 404 ─ size 413 ─ JSON 400 ─ credentials 400 401 ─ limit 429 ─ standing 401 ─ weather ─ rules 400 ─ page
//! ```
//!
//! The answer is made when the request comes, and sent when the latency has passed: it may be old by then.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    chance::happens,
    check::{self, Query},
    entity::{Detail, Entity, enterprise::Enterprise},
    hotel::Hotel,
    integration::Scope,
    knobs, page,
    refusal::{Fault, Refusal, Unauthorized},
    rules::{self, Rules},
    state::{Shared, State},
    utc::{Precision, Utc},
};

/// What comes of a request, and when.
#[derive(Debug)]
struct Verdict {
    wait: Duration,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// A body, and how many records are in it.
    Answered(String, usize),
    Refused(Refusal),
    /// No answer, ever.
    Silence,
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self { wait: Duration::ZERO, outcome: Outcome::Refused(refusal) }
    }
}

/// Answers a request, whatever it is.
pub async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let rules = rules::at(head.uri.path()).filter(|_| head.method == Method::POST);
    let Some(rules) = rules else { return refused(&Refusal::NoSuchOperation) };
    let body_bytes_max = shared.lock().knobs.body_bytes_max;
    let verdict = match Limited::new(body, body_bytes_max).collect().await {
        Ok(body) => judge(&mut shared.lock(), rules, &body.to_bytes(), Utc::now()),
        Err(error) if error.is::<LengthLimitError>() => Refusal::TooLarge.into(),
        // The client has gone: nobody reads this.
        Err(_) => Refusal::NotJson.into(),
    };
    tokio::time::sleep(verdict.wait).await;
    match verdict.outcome {
        Outcome::Answered(_, 0) if wants_minimal(&head.headers) => no_content(),
        Outcome::Answered(body, _) => respond(StatusCode::OK, "application/json", body, Uuid::new_v4()),
        Outcome::Refused(refusal) => refused(&refusal),
        Outcome::Silence => std::future::pending().await,
    }
}

/// `Prefer: return=minimal`: an empty page is 204 (contract 3.2).
fn wants_minimal(headers: &HeaderMap) -> bool {
    headers.get("prefer").is_some_and(|value| value.as_bytes() == b"return=minimal")
}

fn judge(state: &mut State, rules: &'static Rules, body: &[u8], now: Utc) -> Verdict {
    // Strict JSON: a comma too many is enough (contract 3.2).
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return Refusal::NotJson.into();
    };
    let (at, access_token) = match credentials(state, &body) {
        Ok(integration) => integration,
        Err(refusal) => return refusal.into(),
    };
    let verdict = judge_integration(state, rules, &body, at, &access_token, now);
    let status = match &verdict.outcome {
        Outcome::Answered(..) => 200,
        Outcome::Refused(refusal) => refusal.status(),
        Outcome::Silence => return verdict,
    };
    let integration = state.integrations.at(at).id;
    state.meter(&access_token, integration).answered(status);
    verdict
}

/// The integration of the access token, and the token.
fn credentials(state: &State, body: &Map<String, Value>) -> Result<(usize, String), Refusal> {
    let text = |name: &str| {
        let text = check::given(body, name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| Refusal::invalid(name, "it is required"))
    };
    let (client_token, access_token) = (text("ClientToken")?, text("AccessToken")?);
    text("Client")?;
    if client_token != state.client_token {
        return Err(Refusal::Unauthorized(Unauthorized::ClientToken));
    }
    let at = state.integrations.of_token(access_token);
    Ok((at.ok_or(Refusal::Unauthorized(Unauthorized::AccessToken))?, access_token.to_owned()))
}

fn judge_integration(
    state: &mut State,
    rules: &'static Rules,
    body: &Map<String, Value>,
    at: usize,
    access_token: &str,
    now: Utc,
) -> Verdict {
    let name = rules.name();
    let (most, length) = (state.knobs.rate_limit, state.knobs.rate_window);
    let integration = state.integrations.at(at).id;
    let meter = state.meter(access_token, integration);
    meter.came(name, body.get("Client").and_then(Value::as_str).unwrap_or_default(), length, now);
    if let Err(wait) = meter.window.take(most, length, now) {
        return throttled(state, wait).into();
    }
    if let Err(meaning) = standing(state, at, name) {
        return Refusal::Unauthorized(meaning).into();
    }
    let wait = state.knobs.latency.of(name).map_or(Duration::ZERO, |wait| wait.0);
    if state.knobs.hanging.contains(&integration) {
        return Verdict { wait, outcome: Outcome::Silence };
    }
    let outcome = match weather(state, name) {
        Some(outcome) => outcome,
        None => match reply(state, rules, body, at, access_token, now) {
            Ok((body, records)) => Outcome::Answered(body, records),
            Err(refusal) => Outcome::Refused(refusal),
        },
    };
    Verdict { wait, outcome }
}

fn throttled(state: &mut State, wait: Duration) -> Refusal {
    let says = match state.knobs.retry_after {
        knobs::RetryAfter::Always => true,
        knobs::RetryAfter::Sometimes => state.weather.bool(),
        knobs::RetryAfter::Never => false,
    };
    Refusal::Throttled { retry_after: says.then_some(wait) }
}

/// The meanings of 401 that a valid token can have (contract 3.3).
fn standing(state: &State, at: usize, operation: &str) -> Result<(), Unauthorized> {
    let integration = state.integrations.at(at);
    let is_on = |hotel: &u32| state.population.hotel(*hotel).is_enabled;
    let enterprise_is_enabled = match integration.scope {
        Scope::Hotel(hotel) => is_on(&hotel),
        Scope::Chain(chain) => state.population.chain(chain).iter().any(is_on),
    };
    if !enterprise_is_enabled {
        return Err(Unauthorized::EnterpriseDisabled);
    }
    if !integration.is_enabled {
        return Err(Unauthorized::IntegrationDisabled);
    }
    if !state.knobs.permits(integration.id, operation) {
        return Err(Unauthorized::NotPermitted);
    }
    Ok(())
}

/// What the knobs make of a request that is right so far.
fn weather(state: &mut State, operation: &str) -> Option<Outcome> {
    let State { knobs, weather, .. } = state;
    let share = |of: &knobs::Per<f64>| of.of(operation).copied().unwrap_or(0.0);
    if let Some(refused) = knobs.refusals.of(operation) {
        return Some(Outcome::Refused(Refusal::Refused(*refused)));
    }
    if happens(share(&knobs.hangs), weather) {
        return Some(Outcome::Silence);
    }
    if happens(share(&knobs.throttles), weather) {
        let wait = Duration::from_secs(weather.u64(1..=3));
        return Some(Outcome::Refused(throttled(state, wait)));
    }
    if happens(share(&knobs.timeouts), weather) {
        return Some(Outcome::Refused(Refusal::TooHeavy));
    }
    let faults = [Fault::Internal, Fault::BadGateway, Fault::Unavailable];
    happens(share(&knobs.errors), weather)
        .then(|| Outcome::Refused(Refusal::Fault(super::chance::pick(&faults, weather))))
}

fn reply(
    state: &mut State,
    rules: &'static Rules,
    body: &Map<String, Value>,
    at: usize,
    access_token: &str,
    now: Utc,
) -> Result<(String, usize), Refusal> {
    let query = check::check(rules, body)?;
    let asked_for = query.ids_asked_for().map(|(_, ids)| ids.len()).sum();
    let integration = state.integrations.at(at).id;
    state.meter(access_token, integration).asked_for(rules.name(), asked_for);
    if state.knobs.heavy_ids.is_some_and(|most| asked_for > most) {
        return Err(Refusal::TooHeavy);
    }
    let is_bad =
        |ids: &std::collections::HashSet<Uuid>| state.knobs.bad_ids.iter().any(|id| ids.contains(id));
    if let Some((name, _)) = query.ids_asked_for().find(|(_, ids)| is_bad(ids)) {
        return Err(match state.knobs.bad_ids_status {
            knobs::BadIds::Invalid => Refusal::invalid(name, ""),
            knobs::BadIds::Forbidden => Refusal::Refused(knobs::Refused::Forbidden),
            knobs::BadIds::TooHeavy => Refusal::TooHeavy,
            knobs::BadIds::Fault => Refusal::Fault(Fault::Internal),
        });
    }
    let scope = state.integrations.at(at).scope;
    let hotels = page::hotels(&state.population, rules, &query, scope)?;
    match rules.kind {
        Some(kind) => page::answer(&state.population, rules, kind, &query, &hotels, now),
        None => Ok((configuration(state, &query, scope, &hotels, now), 1)),
    }
}

/// `configuration/get`: without an id a portfolio token gets its placeholder (contract 3.7).
fn configuration(state: &State, query: &Query, scope: Scope, hotels: &[u32], now: Utc) -> String {
    let hotel = state.population.hotel(hotels[0]);
    let (id, name) = state.enterprise(scope);
    let is_portfolio = matches!(scope, Scope::Chain(_)) && query.scope.is_none();
    let shown = if is_portfolio { Hotel { id, name, ..hotel.clone() } } else { hotel.clone() };
    let detail = Detail::Enterprise(Enterprise { is_portfolio });
    let enterprise = Entity::new(shown.id, hotels[0], hotel.linked, detail).record(&shown);
    format!(
        r#"{{"NowUtc":"{}","Enterprise":{enterprise},"Service":null,"PaymentCardStorage":null,"IsIdentityDocumentsEnabled":null}}"#,
        now.text(Precision::Seconds)
    )
}

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let request = Uuid::new_v4();
    let (content_type, body) = refusal.body(request);
    let status = StatusCode::from_u16(refusal.status()).expect("refusals have known statuses");
    let mut response = respond(status, content_type, body, request);
    if let Some(seconds) = refusal.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn no_content() -> Response<Full<Bytes>> {
    let mut response = respond(StatusCode::NO_CONTENT, "", String::new(), Uuid::new_v4());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// Every answer says which one it is (contract 3.3).
fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: String,
    request: Uuid,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let id = HeaderValue::from_str(&request.to_string()).expect("an id is visible ASCII");
    headers.insert(HeaderName::from_static("request-id"), id);
    response
}
