//! What can be turned while the simulator runs, by a flag at the start or over `POST /simulator/knobs`.

use std::{collections::BTreeMap, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;
use uuid::Uuid;

use super::{rules, window};

/// Webhooks are not later than this.
const DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Every knob, each at rest by default: a Mews on a good day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knobs {
    /// How long an answer takes.
    pub latency: Per<Wait>,
    /// Share of requests answered 500, 502 or 503.
    pub errors: Per<f64>,
    /// Share of requests answered 408 (contract 3.3: too heavy).
    pub timeouts: Per<f64>,
    /// Operations that answer 403, 409 or 410, whatever they are asked (contract 3.3).
    pub refusals: Per<Refused>,
    /// Share of requests that are never answered.
    pub hangs: Per<f64>,
    /// Integrations whose requests are never answered.
    pub hanging: Vec<Uuid>,
    /// Share of requests answered 429 although the token is below its limit.
    pub throttles: Per<f64>,
    /// Whether a 429 says `Retry-After` (contract 3.4: sometimes it does not).
    pub retry_after: RetryAfter,
    /// More ids than this in one request are answered 408.
    pub heavy_ids: Option<usize>,
    /// Larger request bodies are answered 413.
    pub body_bytes_max: usize,
    /// Ids that fail every request they are in (contract 6 #14).
    pub bad_ids: Vec<Uuid>,
    /// With what: 400 `Invalid ReservationIds.`, or 403, 408 or 500.
    pub bad_ids_status: BadIds,
    /// Operations answered 401 because they are not permitted, by IntegrationId or `*` for all.
    pub not_permitted: BTreeMap<String, Vec<String>>,
    /// Requests that an access token has in a window.
    pub rate_limit: usize,
    /// The window's length.
    #[serde(with = "crate::duration")]
    pub rate_window: Duration,
    /// How long a change cannot be read yet (contract 6 #12).
    #[serde(with = "crate::duration")]
    pub read_lag: Duration,
    /// Changes a second and hotel that happen by themselves.
    pub pace: f64,
    /// Nothing happens by itself.
    pub frozen: bool,
    /// Where webhooks go, the token in it. None: nothing is told, and nothing kept to be told later.
    pub webhooks: Option<String>,
    /// How late webhooks are: from this to half as much again (contract 1.5: 2 to 5 minutes).
    #[serde(with = "crate::duration")]
    pub delay: Duration,
    /// How long after a failed attempt the next one is (contract 1.5: minutes).
    #[serde(with = "crate::duration")]
    pub retry_pause: Duration,
    /// Events that one message holds before the next one begins (contract 1.5: hundreds).
    pub events_per_message: usize,
    /// Share of messages in the old form, with `Entities` and a comma too many (contract 1.6).
    pub old_form: f64,
    /// Whether deletions have their own discriminators; without, they are updates (contract 1.3).
    pub deletion_events: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency: Per::default(),
            errors: Per::default(),
            timeouts: Per::default(),
            refusals: Per::default(),
            hangs: Per::default(),
            hanging: Vec::new(),
            throttles: Per::default(),
            retry_after: RetryAfter::Always,
            heavy_ids: None,
            body_bytes_max: 1 << 20,
            bad_ids: Vec::new(),
            bad_ids_status: BadIds::Invalid,
            not_permitted: BTreeMap::new(),
            rate_limit: window::REQUESTS_MAX,
            rate_window: window::LENGTH,
            read_lag: Duration::ZERO,
            pace: 0.1,
            frozen: false,
            webhooks: None,
            delay: Duration::from_secs(2 * 60),
            retry_pause: Duration::from_secs(2 * 60),
            events_per_message: 300,
            old_form: 0.0,
            deletion_events: true,
        }
    }
}

/// Whether a 429 says when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// Every one.
    Always,
    /// Every other one, by chance.
    Sometimes,
    /// None.
    Never,
}

/// A value for all operations, or for some: `0.1`, or `{"reservations": 0.3, "*": 0.1}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Per<T>(BTreeMap<String, T>);

impl<T> Default for Per<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Per<T> {
    /// The value for an operation, by its short name.
    pub fn of(&self, operation: &str) -> Option<&T> {
        self.0.get(operation).or_else(|| self.0.get("*"))
    }

    /// Sets the value for one operation, or with `*` for all others.
    ///
    /// # Errors
    /// When there is no such operation.
    pub fn set(&mut self, operation: &str, value: T) -> Result<(), NoSuchOperation> {
        is_operation(operation)?;
        self.0.insert(operation.to_owned(), value);
        Ok(())
    }
}

/// A name that is no operation's.
#[derive(Debug, thiserror::Error)]
#[error("there is no operation {0:?}: say reservations, resources, … (the first word of its path) or *")]
pub struct NoSuchOperation(String);

fn is_operation(name: &str) -> Result<(), NoSuchOperation> {
    if name == "*" || rules::of_name(name).is_some() { Ok(()) } else { Err(NoSuchOperation(name.to_owned())) }
}

impl<T: Serialize> Serialize for Per<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Per<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let each: BTreeMap<String, T> = match Value::deserialize(deserializer)? {
            each @ Value::Object(_) => serde_json::from_value(each).map_err(D::Error::custom)?,
            all => [("*".to_owned(), serde_json::from_value(all).map_err(D::Error::custom)?)].into(),
        };
        each.keys().try_for_each(|name| is_operation(name)).map_err(D::Error::custom)?;
        Ok(Self(each))
    }
}

/// What an operation refuses with: a status that nothing which the simulator is asked leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum Refused {
    /// 403: a rule of the hotel's is against it.
    Forbidden,
    /// 409: the data changed meanwhile.
    Conflict,
    /// 410: the operation was discontinued.
    Gone,
}

impl TryFrom<u16> for Refused {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        match status {
            403 => Ok(Self::Forbidden),
            409 => Ok(Self::Conflict),
            410 => Ok(Self::Gone),
            _ => Err(format!("{status} is none of 403, 409 and 410")),
        }
    }
}

impl From<Refused> for u16 {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Forbidden => 403,
            Refused::Conflict => 409,
            Refused::Gone => 410,
        }
    }
}

/// What a request fails with that asks for a bad id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum BadIds {
    /// 400: there is no such thing.
    Invalid,
    /// 403: a rule of the hotel's is against it.
    Forbidden,
    /// 408: it takes too long.
    TooHeavy,
    /// 500: Mews fails on it.
    Fault,
}

impl TryFrom<u16> for BadIds {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        match status {
            400 => Ok(Self::Invalid),
            403 => Ok(Self::Forbidden),
            408 => Ok(Self::TooHeavy),
            500 => Ok(Self::Fault),
            _ => Err(format!("{status} is none of 400, 403, 408 and 500")),
        }
    }
}

impl From<BadIds> for u16 {
    fn from(answer: BadIds) -> Self {
        match answer {
            BadIds::Invalid => 400,
            BadIds::Forbidden => 403,
            BadIds::TooHeavy => 408,
            BadIds::Fault => 500,
        }
    }
}

/// A duration in its human form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait(#[serde(with = "crate::duration")] pub Duration);

/// Why knobs could not be turned.
#[derive(Debug, thiserror::Error)]
pub enum KnobsError {
    /// It is no JSON object of knobs.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// Permissions name an operation that is none.
    #[error(transparent)]
    Operation(#[from] NoSuchOperation),
    /// A number that makes no sense.
    #[error("{0}")]
    Range(&'static str),
}

impl Knobs {
    /// These knobs with some of them turned: a JSON object of those to turn, null for a knob at rest.
    ///
    /// # Errors
    /// When the object has something that is no knob, or a value that makes no sense.
    pub fn turned(&self, some: &[u8]) -> Result<Self, KnobsError> {
        let some: serde_json::Map<String, Value> = serde_json::from_slice(some)?;
        let mut all = serde_json::to_value(self)?;
        for (name, value) in some {
            let members = all.as_object_mut().expect("knobs are an object");
            if value.is_null() {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
        }
        let knobs: Self = serde_json::from_value(all)?;
        knobs.check()?;
        Ok(knobs)
    }

    /// Whether all numbers make sense.
    ///
    /// # Errors
    /// When one does not.
    pub fn check(&self) -> Result<(), KnobsError> {
        for name in self.not_permitted.values().flatten() {
            is_operation(name)?;
        }
        if !(self.pace.is_finite() && self.pace >= 0.0) {
            return Err(KnobsError::Range("pace is a number of changes, and not below 0"));
        }
        if self.delay > DELAY_MAX {
            return Err(KnobsError::Range("delay is 30 days at most"));
        }
        if self.events_per_message == 0 {
            return Err(KnobsError::Range("events_per_message is at least 1"));
        }
        Ok(())
    }

    /// Whether this integration may use this operation.
    pub fn permits(&self, integration: Uuid, operation: &str) -> bool {
        let refuses = |key: &str| {
            let refused = self.not_permitted.get(key);
            refused.is_some_and(|refused| refused.iter().any(|name| name == operation || name == "*"))
        };
        !refuses("*") && !refuses(&integration.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_turned_and_the_others_stay() {
        let knobs = Knobs::default().turned(br#"{"errors":0.5,"latency":{"resources":"1s"}}"#).unwrap();
        let knobs = knobs.turned(br#"{"errors":{"reservations":0.25}}"#).unwrap();
        assert_eq!((knobs.errors.of("reservations"), knobs.errors.of("resources")), (Some(&0.25), None));
        assert_eq!(knobs.latency.of("resources"), Some(&Wait(Duration::from_secs(1))));
        assert_eq!(knobs.turned(br#"{"errors":null,"latency":null}"#).unwrap(), Knobs::default());
    }

    #[test]
    fn what_is_no_knob_is_refused_and_named() {
        for (wrong, said) in [
            (r#"{"latencies":1}"#, "latencies"),
            (r#"{"errors":{"rooms":1}}"#, "rooms"),
            (r#"{"refusals":{"reservations":404}}"#, "403, 409 and 410"),
            (r#"{"bad_ids_status":404}"#, "400, 403, 408 and 500"),
            (r#"{"not_permitted":{"*":["rooms"]}}"#, "rooms"),
            (r#"{"delay":"soon"}"#, "soon"),
            (r#"{"pace":-1}"#, "pace"),
            (r#"{"delay":"1y"}"#, "30 days"),
            ("[]", "map"),
        ] {
            let error = Knobs::default().turned(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
