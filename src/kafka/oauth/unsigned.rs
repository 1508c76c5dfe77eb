//! Unsigned tokens (RFC 7515, A.5), for a broker of a developer that takes them.
//!
//! librdkafka makes them of `sasl.oauthbearer.config` when `enable.sasl.oauthbearer.unsecure.jwt`
//! is true, but a client that answers its requests for tokens, as all of this bridge do, has to
//! make them itself. Guarantees: the same text gives the same claims as in librdkafka, but for the
//! time; what librdkafka refuses, and the SASL extensions, which its Rust crate cannot send, are
//! refused without repeating the text. [`super::super::settings`] reads them.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;
use serde_json::{Map, Value};

use crate::{
    kafka::{properties::Properties, settings::ConfigError},
    webhook::delivery::millis,
};

const ENABLE: &str = "enable.sasl.oauthbearer.unsecure.jwt";
const CONFIG: &str = "sasl.oauthbearer.config";
const HEADER: &str = r#"{"alg":"none"}"#;
/// librdkafka's (CONFIGURATION.md, `sasl.oauthbearer.config`).
const LIFETIME: Duration = Duration::from_secs(3600);

/// Whose tokens to make, and what they claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    principal_claim: String,
    principal: String,
    scope_claim: String,
    scope: Vec<String>,
    lifetime: Duration,
}

/// Whether a property is read here. librdkafka may see it as well, and then makes the first token of
/// a client itself.
pub fn is_taken(key: &str) -> bool {
    [ENABLE, CONFIG].contains(&key)
}

/// Which property asks for unsigned tokens, if they are asked for.
///
/// # Errors
/// When that property says neither yes nor no.
pub fn asking(properties: &Properties) -> Result<Option<&'static str>, ConfigError> {
    // As librdkafka reads a flag.
    match properties.get(ENABLE).map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "t" | "1") => Ok(Some(ENABLE)),
        Some("false" | "f" | "0") | None => Ok(None),
        Some(_) => Err(refusal(ENABLE, "must be true or false")),
    }
}

/// What unsigned tokens are made of; None when they are not asked for.
///
/// # Errors
/// When they are asked for, and it is not said well of whom.
pub fn read(properties: &Properties) -> Result<Option<Unsigned>, ConfigError> {
    if asking(properties)?.is_none() {
        return Ok(None);
    }
    let text = properties.get(CONFIG).unwrap_or_default();
    Unsigned::parse(text).map(Some).map_err(|reason| refusal(CONFIG, reason))
}

impl Unsigned {
    fn parse(text: &str) -> Result<Self, String> {
        let mut pairs = Map::new();
        for pair in text.split(' ').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("must be name=value, with spaces between")?;
            match name {
                "principalClaimName" | "principal" | "scopeClaimName" | "scope" | "lifeSeconds" => {}
                _ if name.starts_with("extension_") => return Err("extensions cannot be sent".to_owned()),
                _ => return Err("has a name that is none of librdkafka's".to_owned()),
            }
            if value.is_empty() || value.contains('"') {
                return Err(format!("{name} is empty or has a quotation mark"));
            }
            if pairs.insert(name.to_owned(), value.into()).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        let given = |name| pairs.get(name).and_then(Value::as_str);
        let or = |name, default: &str| given(name).unwrap_or(default).to_owned();
        Ok(Self {
            principal_claim: or("principalClaimName", "sub"),
            principal: given("principal").ok_or("must name a principal")?.to_owned(),
            scope_claim: or("scopeClaimName", "scope"),
            scope: given("scope").map(scopes).unwrap_or_default(),
            lifetime: given("lifeSeconds").map_or(Ok(LIFETIME), lifetime)?,
        })
    }

    /// A token from now on.
    pub fn token(&self, now: SystemTime) -> OAuthToken {
        let end = now + self.lifetime;
        let mut claims = Map::new();
        claims.insert("iat".to_owned(), seconds(now));
        claims.insert("exp".to_owned(), seconds(end));
        if !self.scope.is_empty() {
            claims.insert(self.scope_claim.clone(), self.scope.clone().into());
        }
        claims.insert(self.principal_claim.clone(), self.principal.clone().into());
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        OAuthToken {
            token: format!("{}.{}.", encode(HEADER), encode(&Value::Object(claims).to_string())),
            principal_name: self.principal.clone(),
            lifetime_ms: i64::try_from(millis(end)).unwrap_or(i64::MAX),
        }
    }
}

/// Each once, and no empty ones.
fn scopes(list: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in list.split(',').filter(|scope| !scope.is_empty()) {
        if !scopes.iter().any(|there| there == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=i32::MAX).contains(seconds));
    let seconds = seconds.ok_or("lifeSeconds must be a whole number from 1")?;
    Ok(Duration::from_secs(u64::from(seconds.unsigned_abs())))
}

/// A NumericDate (RFC 7519, 2).
fn seconds(time: SystemTime) -> Value {
    Duration::from_millis(millis(time)).as_secs_f64().into()
}

fn refusal(key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Property { key: key.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(enable: &str, config: &str) -> Result<Option<Unsigned>, String> {
        let mut properties = Properties::default();
        properties.set(ENABLE, enable);
        properties.set(CONFIG, config);
        read(&properties).map_err(|error| error.to_string())
    }

    fn claims(config: &str) -> (OAuthToken, Value) {
        let token =
            of("true", config).unwrap().unwrap().token(SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        let parts: Vec<_> = token.token.split('.').collect();
        let [header, claims, ""] = parts[..] else { panic!("{parts:?}") };
        assert_eq!(header, "eyJhbGciOiJub25lIn0");
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        (token, claims)
    }

    #[test]
    fn claims_are_those_that_librdkafka_makes() {
        let (token, made) = claims("principal=alice");
        assert_eq!(made, serde_json::json!({"sub": "alice", "iat": 1.5, "exp": 3601.5}));
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("alice", 3_601_500));
        let all = " scope=,a,b,,a  principalClaimName=azp scopeClaimName=roles lifeSeconds=60 principal=a=b ";
        let (token, made) = claims(all);
        assert_eq!(made, serde_json::json!({"azp": "a=b", "iat": 1.5, "exp": 61.5, "roles": ["a", "b"]}));
        assert_eq!((token.principal_name.as_str(), token.lifetime_ms), ("a=b", 61_500));
    }

    #[test]
    fn they_are_made_only_when_asked_for() {
        for yes in ["true", "T", "1"] {
            assert!(of(yes, "principal=a").unwrap().is_some(), "{yes}");
        }
        for no in ["false", "F", "0"] {
            assert_eq!(of(no, "anything"), Ok(None), "{no}");
        }
        assert_eq!(read(&Properties::default()).unwrap(), None);
        let error = of("canary", "principal=a").unwrap_err();
        assert_eq!(error, "kafka.properties: enable.sasl.oauthbearer.unsecure.jwt: must be true or false");
    }

    #[test]
    fn what_librdkafka_refuses_is_refused_without_being_repeated() {
        for (config, reason) in [
            ("", "must name a principal"),
            ("scope=canary", "must name a principal"),
            ("canary", "must be name=value, with spaces between"),
            ("canary=1", "has a name that is none of librdkafka's"),
            ("principal=", "principal is empty or has a quotation mark"),
            ("principal=canary\"", "principal is empty or has a quotation mark"),
            ("principal=canary principal=canary", "principal is given twice"),
            ("principal=canary lifeSeconds=0", "lifeSeconds must be a whole number from 1"),
            ("principal=canary lifeSeconds=2147483648", "lifeSeconds must be a whole number from 1"),
            ("principal=canary lifeSeconds=canary", "lifeSeconds must be a whole number from 1"),
            ("principal=canary extension_a=canary", "extensions cannot be sent"),
        ] {
            let expected = format!("kafka.properties: sasl.oauthbearer.config: {reason}");
            assert_eq!(of("true", config), Err(expected), "{config}");
        }
    }
}
