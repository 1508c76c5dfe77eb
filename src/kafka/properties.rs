//! librdkafka properties as somebody wrote them: any key, values of any plain type.
//!
//! Guarantees: however a property is spelled (`"linger.ms"` in quotes, `linger.ms` as TOML nests
//! it, an alias), it ends up under the one name that librdkafka documents first; a value that may
//! be a secret is in no `Debug` and no serialised form. [`super::settings`] merges and judges them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
};

/// What stands for a secret value wherever a person may look.
pub const HIDDEN: &str = "<hidden>";

/// Other names that librdkafka takes (CONFIGURATION.md, "Alias for"). Without this, two values of
/// one property would meet in an order that nobody chose.
const ALIASES: [(&str, &str); 10] = [
    ("compression.codec", "compression.type"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.send.max.retries", "retries"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
];

/// Properties by their first documented names, values as librdkafka reads them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// The properties in the order of their names, secret values included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of one property.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets one property, under its canonical name.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(canonical(key), value.into());
    }

    /// Names of the properties whose values must not be shown.
    pub fn secret_keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|key| is_secret(key))
    }

    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(key, value)| (key, if is_secret(key) { HIDDEN } else { value }))
    }
}

/// Whether the value of a property may be a secret. Rather too often than once too little: what
/// only points to a secret (a path, a URL) can be shown.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let key = canonical(key);
    let points = [".location", ".file", ".url", ".id"].iter().any(|end| key.ends_with(end));
    let holds = ["password", "passphrase", "secret", "token", ".pem", "ssl_key", "sasl.oauthbearer.config"]
        .iter()
        .any(|part| key.contains(part));
    holds && !points
}

/// An environment variable has no dots, and librdkafka no underscores but in `log_level`.
fn canonical(key: &str) -> String {
    let key = match key {
        "log_level" => key.to_owned(),
        _ if !key.contains('.') => key.replace('_', "."),
        _ => key.to_owned(),
    };
    ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, name)| (*name).to_owned())
}

impl fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Properties;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table of librdkafka properties")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                let mut properties = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Node>()? {
                    flatten(&key, value, &mut properties).map_err(|twice| {
                        A::Error::custom(format_args!("property {twice} is given twice, in two spellings"))
                    })?;
                }
                Ok(Properties(properties))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, a boolean or a table of them")]
enum Node {
    Flag(bool),
    Whole(i64),
    Fraction(f64),
    Text(String),
    Table(BTreeMap<String, Node>),
}

/// Joins the keys of nested tables with dots; an error names the property that is there already.
fn flatten(key: &str, node: Node, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    let value = match node {
        Node::Flag(flag) => flag.to_string(),
        Node::Whole(number) => number.to_string(),
        Node::Fraction(number) => number.to_string(),
        Node::Text(text) => text,
        Node::Table(table) => {
            return table
                .into_iter()
                .try_for_each(|(name, node)| flatten(&format!("{key}.{name}"), node, into));
        }
    };
    let key = canonical(key);
    match into.insert(key.clone(), value) {
        None => Ok(()),
        Some(_) => Err(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Properties, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn every_spelling_ends_under_one_name() {
        for text in ["linger.ms = 7", "\"linger.ms\" = \"7\"", "queue.buffering.max.ms = 7", "linger_ms = 7"]
        {
            assert_eq!(read(text).unwrap().iter().collect::<Vec<_>>(), [("linger.ms", "7")], "{text}");
        }
        let nested = read("socket.keepalive.enable = true\nsocket.timeout.ms = 5\nlog_level = 3").unwrap();
        assert_eq!(nested.get("socket.keepalive.enable"), Some("true"));
        assert_eq!((nested.get("socket.timeout.ms"), nested.get("log_level")), (Some("5"), Some("3")));
    }

    #[test]
    fn one_property_in_two_spellings_is_an_error_that_names_it() {
        let error = read("acks = \"all\"\n\"request.required.acks\" = 1").unwrap_err();
        assert!(error.to_string().contains("property acks is given twice"), "{error}");
    }

    #[test]
    fn secret_values_are_shown_nowhere() {
        let secret = [
            "sasl.password",
            "ssl.key.password",
            "ssl.keystore.password",
            "ssl.key.pem",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.config",
        ];
        let mut properties = Properties::default();
        for key in secret {
            properties.set(key, "canary");
        }
        properties.set("ssl.key.location", "/path");
        properties.set("sasl.oauthbearer.token.endpoint.url", "https://idp");
        properties.set("client.id", "seen");
        let shown = format!("{properties:?} {}", serde_json::to_string(&properties).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(
            shown.contains("/path") && shown.contains("https://idp") && shown.contains("seen"),
            "{shown}"
        );
        assert_eq!(properties.secret_keys().count(), 8, "one of the nine is an alias");
    }
}
