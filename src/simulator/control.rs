//! The control endpoints, under `/simulator`: never part of the Connector API's addresses.
//!
//! | request | answer |
//! |---|---|
//! | `GET /simulator` | this list |
//! | `GET /simulator/integrations`, `…/hotels` | who is there |
//! | `GET /simulator/truth/<kind>/<id>` | the newest state of one entity, byte for byte |
//! | `GET /simulator/truth[?all]` | that of all that were told of, a line each |
//! | `GET /simulator/told` | every event told, a line each |
//! | `GET /simulator/requests` | what each access token asked for |
//! | `GET`, `POST /simulator/knobs` | the knobs; turns those in the body |
//! | `POST /simulator/changes` | makes something happen ([`super::wish`]) |
//! | `POST /simulator/integrations/<id>` | an action in an integration's life ([`super::integration`]) |
//! | `POST /simulator/flush` | sends what waits, and answers when it was answered |

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    integration::{Action, Scope},
    kind::Kind,
    population::Change,
    postman,
    sender::Sender,
    state::{Shared, State},
    truth,
    utc::Utc,
    wish::{self, Wish},
};

/// Where control endpoints are.
pub const PREFIX: &str = "/simulator";

const HELP: &str = "GET  /simulator/integrations | hotels | truth | truth?all | truth/<kind>/<id> | told | requests | knobs
POST /simulator/knobs              {\"latency\":\"50ms\",\"errors\":{\"reservations\":0.3}}
POST /simulator/changes            {\"count\":10}  {\"kind\":\"reservations\",\"count\":100}  {\"kind\":\"customers\",\"id\":\"…\",\"action\":\"vanish\"}
POST /simulator/integrations/<id>  {\"action\":\"disable\"}
POST /simulator/flush
";

/// Larger control requests are refused.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Who the endpoints act on.
#[derive(Clone, Debug)]
pub struct Control {
    pub shared: Arc<Shared>,
    pub sender: Arc<Sender>,
    pub stop: CancellationToken,
}

/// A status and a body: JSON, JSON lines or text.
type Answer = (StatusCode, &'static str, String);

impl Control {
    /// Answers a request, whatever it is.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let (status, content_type, body) = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => {
                let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
                let words: Vec<_> = path.split('/').filter(|word| !word.is_empty()).collect();
                self.route(&head.method, &words, head.uri.query(), &body.to_bytes()).await
            }
            Err(_) => wrong("the body is too large or broke off"),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    async fn route(&self, method: &Method, words: &[&str], query: Option<&str>, body: &[u8]) -> Answer {
        let now = Utc::now();
        match (method.as_str(), words) {
            ("GET", []) => (StatusCode::OK, "text/plain; charset=utf-8", HELP.to_owned()),
            ("GET", ["integrations"]) => json(&integrations(&self.shared.lock())),
            ("GET", ["hotels"]) => json(&hotels(&self.shared.lock())),
            ("GET", ["knobs"]) => json(&self.shared.lock().knobs),
            ("GET", ["requests"]) => json(&requests(&self.shared.lock())),
            ("GET", ["told"]) => lines(truth::told(&self.shared.lock())),
            ("GET", ["truth"]) => {
                lines(truth::all(&self.shared.lock(), query.is_some_and(|query| query.starts_with("all"))))
            }
            ("GET", ["truth", kind, id]) => self.truth(kind, id),
            ("POST", ["knobs"]) => self.turn(body),
            ("POST", ["changes"]) => self.change(body, now),
            ("POST", ["integrations", id]) => self.act(id, body, now),
            ("POST", ["flush"]) => {
                let totals = postman::flush(&self.shared, &self.sender, &self.stop).await;
                json(&json!({
                    "MessagesTaken": totals.taken,
                    "MessagesAbandoned": totals.abandoned,
                    "EventsTaken": totals.events_taken,
                    "Attempts": totals.attempts,
                }))
            }
            _ => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", format!("there is\n{HELP}")),
        }
    }

    fn truth(&self, kind: &str, id: &str) -> Answer {
        let (Some(kind), Ok(id)) = (Kind::of_word(kind), id.parse()) else {
            return wrong("say /simulator/truth/<kind>/<id>, such as reservations and a UUID");
        };
        match truth::of(&self.shared.lock(), kind, id) {
            Some(truth) => (StatusCode::OK, JSON, truth + "\n"),
            None => (StatusCode::NOT_FOUND, JSON, format!("{}\n", json!({ "Error": "there never was one" }))),
        }
    }

    fn turn(&self, body: &[u8]) -> Answer {
        let mut state = self.shared.lock();
        match state.knobs.turned(body) {
            Ok(knobs) => {
                state.set_knobs(knobs);
                self.shared.bell.notify_one();
                json(&state.knobs)
            }
            Err(error) => wrong(&error.to_string()),
        }
    }

    fn change(&self, body: &[u8], now: Utc) -> Answer {
        let wish: Wish = match serde_json::from_slice(body) {
            Ok(wish) => wish,
            Err(error) => return wrong(&error.to_string()),
        };
        let mut state = self.shared.lock();
        let granted = wish::grant(&mut state, &wish, now);
        self.shared.bell.notify_one();
        match granted {
            Ok(changes) => (StatusCode::OK, JSON, changed(&state, &changes)),
            Err(why) => wrong(&why),
        }
    }

    fn act(&self, id: &str, body: &[u8], now: Utc) -> Answer {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Act {
            action: Action,
            /// Nobody is told.
            #[serde(default)]
            silent: bool,
        }
        let act: Act = match serde_json::from_slice(body) {
            Ok(act) => act,
            Err(error) => return wrong(&error.to_string()),
        };
        let Ok(id) = id.parse() else { return wrong("this is no id") };
        let mut state = self.shared.lock();
        let at = match state.act(id, act.action) {
            Ok(at) => at,
            Err(why) => return wrong(why),
        };
        let Some(at) = at else { return json(&json!({ "EnterpriseId": id })) };
        if !act.silent {
            state.announce(at, act.action, now);
            self.shared.bell.notify_one();
        }
        json(&integration(&state, at))
    }
}

const JSON: &str = "application/json";

fn json(value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_string(value).expect("answers have string keys and finite numbers");
    (StatusCode::OK, JSON, body + "\n")
}

fn lines(lines: String) -> Answer {
    (StatusCode::OK, "application/x-ndjson", lines)
}

fn wrong(why: &str) -> Answer {
    (StatusCode::BAD_REQUEST, JSON, format!("{}\n", json!({ "Error": why })))
}

fn integration(state: &State, at: usize) -> Value {
    let integration = state.integrations.at(at);
    json!({
        "IntegrationId": integration.id,
        "EnterpriseId": state.enterprise(integration.scope).0,
        "AccessToken": integration.access_token,
        "IsPortfolio": matches!(integration.scope, Scope::Chain(_)),
        "IsEnabled": integration.is_enabled,
    })
}

fn integrations(state: &State) -> Vec<Value> {
    (0..state.integrations.all().len()).map(|at| integration(state, at)).collect()
}

fn hotels(state: &State) -> Vec<Value> {
    let hotels = state.population.hotels.iter().enumerate();
    let hotel = |(place, hotel): (usize, &super::hotel::Hotel)| {
        json!({
            "Hotel": place,
            "EnterpriseId": hotel.id,
            "ChainId": hotel.chain_id,
            "ServiceIds": [hotel.stay, hotel.extras],
            "Name": hotel.name,
            "IsEnabled": hotel.is_enabled,
        })
    };
    hotels.map(hotel).collect()
}

fn requests(state: &State) -> Value {
    let mut tokens: Vec<_> = state.meters.iter().collect();
    tokens.sort_by_key(|(token, _)| *token);
    Value::Array(tokens.into_iter().map(|(token, meter)| meter.report(token)).collect())
}

fn changed(state: &State, changes: &[Change]) -> String {
    let mut body = format!(r#"{{"Count":{},"Changes":["#, changes.len());
    for (n, change) in changes.iter().enumerate() {
        let discriminators = change.kind.discriminators(change.happening).join(r#"",""#);
        let discriminators =
            if discriminators.is_empty() { String::new() } else { format!(r#""{discriminators}""#) };
        let _ = write!(
            body,
            r#"{}{{"EnterpriseId":"{}","Kind":"{}","Id":"{}","Discriminators":[{discriminators}]}}"#,
            if n == 0 { "" } else { "," },
            state.population.hotel(change.hotel).id,
            change.kind.word(),
            change.id,
        );
    }
    body + "]}\n"
}
