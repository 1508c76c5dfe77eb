//! librdkafka's own properties for client credentials, read as `[kafka.oauth]`.
//!
//! This build of librdkafka has no HTTP client, so it refuses `sasl.oauthbearer.method = oidc` and
//! what goes with it. Who knows librdkafka writes that all the same, and it says the same as
//! [`Config`]. Guarantees: what is [taken](is_taken) never reaches librdkafka, and is refused with
//! its name where it cannot work; the rest of that family is left to librdkafka, which refuses it.
//! [`super::super::settings`] calls it.

use super::Config;
use crate::{
    kafka::{properties::Properties, settings::ConfigError},
    secret::Secret,
};

const METHOD: &str = "sasl.oauthbearer.method";
const CLIENT_ID: &str = "sasl.oauthbearer.client.id";
const CLIENT_SECRET: &str = "sasl.oauthbearer.client.secret";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const SCOPE: &str = "sasl.oauthbearer.scope";
const GRANT: &str = "sasl.oauthbearer.grant.type";
const CA: &str = "https.ca.location";

/// The method is the last, so that an error names what somebody wanted of it.
const TAKEN: [&str; 7] = [CLIENT_ID, CLIENT_SECRET, ENDPOINT, SCOPE, GRANT, CA, METHOD];

/// Whether a property is read here, and not by librdkafka.
pub fn is_taken(key: &str) -> bool {
    TAKEN.contains(&key)
}

/// A property that asks for client credentials, if there is one.
pub fn asking(properties: &Properties) -> Option<&'static str> {
    let method_is_default =
        properties.get(METHOD).is_none_or(|method| method.eq_ignore_ascii_case("default"));
    TAKEN.into_iter().find(|key| given(properties, key).is_some() && !(*key == METHOD && method_is_default))
}

/// The settings that stand for these properties; None when they ask for no client credentials.
///
/// # Errors
/// When something is missing, or cannot be had here.
pub fn read(properties: &Properties) -> Result<Option<Config>, ConfigError> {
    let Some(asking) = asking(properties) else { return Ok(None) };
    match given(properties, METHOD) {
        Some(method) if method.eq_ignore_ascii_case("oidc") => {}
        Some(method) if !method.eq_ignore_ascii_case("default") => {
            return Err(refusal(METHOD, "must be oidc or default"));
        }
        _ => return Err(refusal(asking, "is only for sasl.oauthbearer.method = oidc")),
    }
    if given(properties, GRANT).is_some_and(|grant| !grant.eq_ignore_ascii_case("client_credentials")) {
        return Err(refusal(GRANT, "must be client_credentials"));
    }
    let needed = |key| {
        given(properties, key).ok_or_else(|| refusal(key, "must be set for sasl.oauthbearer.method = oidc"))
    };
    let config = Config {
        token_url: needed(ENDPOINT)?.to_owned(),
        client_id: needed(CLIENT_ID)?.to_owned(),
        client_secret: Some(Secret::new(needed(CLIENT_SECRET)?.to_owned())),
        client_secret_file: None,
        scope: given(properties, SCOPE).map(str::to_owned),
        // "probe" looks where the certificates of the operating system may be, which is our default.
        ca_file: given(properties, CA).filter(|path| *path != "probe").map(Into::into),
    };
    // All else is there, so it is the URL.
    config.validate().map_err(|error| refusal(ENDPOINT, error.to_string()))?;
    Ok(Some(config))
}

fn given<'a>(properties: &'a Properties, key: &str) -> Option<&'a str> {
    properties.get(key).filter(|value| !value.is_empty())
}

fn refusal(key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Property { key: key.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: [(&str, &str); 6] = [
        (METHOD, "OIDC"),
        (CLIENT_ID, "bridge"),
        (CLIENT_SECRET, "canary"),
        (ENDPOINT, "https://idp/token"),
        (SCOPE, "kafka write"),
        (CA, "/ca.pem"),
    ];

    fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Properties {
        let mut properties = Properties::default();
        pairs.into_iter().for_each(|(key, value)| properties.set(key, value));
        properties
    }

    fn with(change: (&'static str, &'static str)) -> Properties {
        of(FULL.into_iter().chain([change]))
    }

    fn refused(properties: &Properties) -> String {
        read(properties).unwrap_err().to_string()
    }

    #[test]
    fn they_say_what_the_section_says() {
        let config = read(&with((GRANT, "client_credentials"))).unwrap().unwrap();
        assert_eq!((config.token_url.as_str(), config.client_id.as_str()), ("https://idp/token", "bridge"));
        assert_eq!(config.client_secret.as_ref().map(Secret::expose), Some("canary"));
        assert_eq!(config.scope.as_deref(), Some("kafka write"));
        assert_eq!(config.ca_file.as_deref(), Some("/ca.pem".as_ref()));
        assert_eq!(read(&with((CA, "probe"))).unwrap().unwrap().ca_file, None);
    }

    #[test]
    fn without_the_method_there_are_none() {
        assert!(read(&Properties::default()).unwrap().is_none());
        assert!(read(&of([(METHOD, "default")])).unwrap().is_none());
        for (key, value) in &FULL[1..] {
            let expected = format!("kafka.properties: {key}: is only for sasl.oauthbearer.method = oidc");
            assert_eq!(refused(&of([(*key, *value)])), expected);
            assert_eq!(refused(&of([(METHOD, "default"), (*key, *value)])), expected);
        }
    }

    #[test]
    fn what_cannot_work_is_named_without_its_value() {
        for key in [CLIENT_ID, CLIENT_SECRET, ENDPOINT] {
            let expected = format!("kafka.properties: {key}: must be set for sasl.oauthbearer.method = oidc");
            assert_eq!(refused(&with((key, ""))), expected);
        }
        for (change, reason) in [
            ((METHOD, "canary"), "must be oidc or default"),
            ((GRANT, "canary"), "must be client_credentials"),
            ((ENDPOINT, "canary"), "token endpoint is no URL of http or https"),
            ((ENDPOINT, "http://canary/"), "token endpoint must be https, but on a loopback address"),
        ] {
            assert_eq!(refused(&with(change)), format!("kafka.properties: {}: {reason}", change.0));
        }
    }
}
