//! `[topics]`: which topics there are, how they are called and what they are made with.
//!
//! ```text
//! logical name            full name                    kept
//! events.<Discriminator>  mews.events.CustomerAdded    7 days     } the same number of
//! integrations.<Action>   mews.integrations.…          7 days     } partitions, on which
//! parked                  mews.parked                  compacted  } the enricher's affinity rests
//! credentials             mews.credentials             compacted
//! entities.<entity>       mews.entities.reservations   compacted
//! quarantine              mews.quarantine              30 days
//! dead-letters            mews.dead-letters            30 days
//! ```
//!
//! Guarantees: what a topic is made with follows from the settings alone, and nothing that the
//! bridge relies on can be set otherwise. [`super::names`] makes names of it, [`super::provision`]
//! topics. It never talks to Kafka.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{names::family_of, properties::Properties};
use crate::webhook::{Discriminators, general::KNOWN_DISCRIMINATORS, integration::Action};

/// The entity kinds that have a topic.
pub const ENTITIES: [&str; 7] =
    ["reservations", "resources", "messages", "resource-blocks", "customers", "payments", "products"];

/// Last part of the names of topics for what is outside a list.
pub const UNRECOGNIZED: &str = "unrecognized";

/// What is done about topics that are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provision {
    /// They are created.
    #[default]
    Create,
    /// They are reported, and the process goes on.
    Verify,
    /// Nobody looks.
    Off,
}

/// `[topics]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Begins every name, with a dot after it. Default `mews`.
    pub prefix: String,
    /// `create` missing topics, only `verify`, or `off`. Default `create`.
    pub provision: Provision,
    /// Partitions of every topic that is created. Default 12.
    pub partitions: i32,
    /// Copies of every topic that is created. None: the broker's default.
    pub replication_factor: Option<i32>,
    /// Discriminators with a topic of their own; any other goes to `events.unrecognized`.
    /// Default: the ten that Mews documents.
    pub discriminators: Vec<String>,
    /// Full names by logical name, such as `"events.CustomerAdded"` or `quarantine`; the prefix is
    /// not put before them. Default: none.
    pub names: BTreeMap<String, String>,
    /// How long events and integration events are kept. Default `7days`.
    #[serde(with = "crate::duration")]
    pub events_retention: Duration,
    /// How long quarantined bodies are kept. Default `30days`.
    #[serde(with = "crate::duration")]
    pub quarantine_retention: Duration,
    /// How long dead letters are kept. Default `30days`.
    #[serde(with = "crate::duration")]
    pub dead_letters_retention: Duration,
    /// Largest batch that the quarantine and the dead letters take. None: twice
    /// `ingress.max_body_bytes`, so that whatever was accepted fits.
    #[serde(with = "optional_size", skip_serializing_if = "Option::is_none")]
    pub aside_message_bytes: Option<ByteSize>,
    /// Further topic configuration by logical name or its first part: `settings.entities` speaks
    /// of all entities, `settings."entities.customers"` of one. Default: none.
    pub settings: BTreeMap<String, Properties>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Config {
    fn default() -> Self {
        Self {
            prefix: "mews".to_owned(),
            provision: Provision::Create,
            partitions: 12,
            replication_factor: None,
            discriminators: KNOWN_DISCRIMINATORS.map(str::to_owned).to_vec(),
            names: BTreeMap::new(),
            events_retention: 7 * DAY,
            quarantine_retention: 30 * DAY,
            dead_letters_retention: 30 * DAY,
            aside_message_bytes: None,
            settings: BTreeMap::new(),
        }
    }
}

/// Why the settings give no set of topics.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Kafka would not take the name.
    #[error("topic name {0:?} is not 1 to 249 letters, digits, dots, underscores and hyphens")]
    Name(String),
    /// Names would begin with a dot.
    #[error("topics.prefix is empty; it stands before every name, such as mews")]
    NoPrefix,
    /// Two logical names end at one topic.
    #[error("{one} and {other} are both the topic {name}")]
    Shared {
        /// A logical name.
        one: String,
        /// Another logical name.
        other: String,
        /// The topic of both.
        name: String,
    },
    /// A logical name that does not exist.
    #[error("topics.{table}: there is no topic {logical:?}")]
    Unknown {
        /// The table that has it.
        table: &'static str,
        /// The name.
        logical: String,
    },
    /// A number that Kafka would not take.
    #[error("topics.{0} must be at least 1")]
    Number(&'static str),
    /// A configuration entry that has a setting of its own.
    #[error("topics.settings: cleanup.policy of {0} is fixed")]
    Fixed(String),
}

/// Whether a topic's partitions have to be those of all events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// The enricher's range assignment rests on equal numbers.
    Bound,
    /// Any number will do.
    Free,
}

/// What one topic is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Full name.
    pub name: Arc<str>,
    /// Name without prefix and overrides.
    pub logical: String,
    /// Partitions it is created with.
    pub partitions: i32,
    /// Whether another number of partitions is an error.
    pub affinity: Affinity,
    /// Copies it is created with; None is the broker's default.
    pub replication_factor: Option<i32>,
    /// Configuration that differs from the broker's.
    pub configs: BTreeMap<String, String>,
}

impl Config {
    /// The discriminators with a topic of their own.
    #[must_use]
    pub fn known(&self) -> Discriminators {
        Discriminators::new(self.discriminators.clone())
    }

    pub(super) fn logical_names(&self) -> Vec<String> {
        let events = self.discriminators.iter().map(String::as_str).chain([UNRECOGNIZED]);
        let actions = Action::ALL.into_iter().map(Action::name).chain([UNRECOGNIZED]);
        let mut names: Vec<_> = events.map(|name| format!("events.{name}")).collect();
        names.extend(actions.map(|name| format!("integrations.{name}")));
        names.extend(["credentials", "quarantine", "dead-letters"].map(str::to_owned));
        names.extend(ENTITIES.map(|name| format!("entities.{name}")));
        names.push("parked".to_owned());
        names
    }

    pub(super) fn spec(&self, logical: &str, body_bytes_max: u64) -> Result<TopicSpec, ConfigError> {
        let name = self.names.get(logical).cloned().unwrap_or_else(|| format!("{}.{logical}", self.prefix));
        check_name(&name)?;
        let family = family_of(logical);
        let retention = match family {
            "quarantine" => Some(self.quarantine_retention),
            "dead-letters" => Some(self.dead_letters_retention),
            "events" | "integrations" => Some(self.events_retention),
            _ => None,
        };
        let mut configs = BTreeMap::new();
        let policy = if retention.is_some() { "delete" } else { "compact" };
        configs.insert("cleanup.policy".to_owned(), policy.to_owned());
        if let Some(retention) = retention {
            configs.insert("retention.ms".to_owned(), retention.as_millis().to_string());
        }
        if matches!(family, "quarantine" | "dead-letters") {
            let bytes =
                self.aside_message_bytes.map_or(body_bytes_max.saturating_mul(2), |size| size.as_u64());
            configs.insert("max.message.bytes".to_owned(), bytes.min(MESSAGE_BYTES_MAX).to_string());
        }
        for settings in [self.settings.get(family), self.settings.get(logical)].into_iter().flatten() {
            if settings.get("cleanup.policy").is_some() {
                return Err(ConfigError::Fixed(logical.to_owned()));
            }
            configs.extend(settings.iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        Ok(TopicSpec {
            name: name.into(),
            logical: logical.to_owned(),
            partitions: self.partitions,
            affinity: match family {
                "events" | "integrations" | "parked" => Affinity::Bound,
                _ => Affinity::Free,
            },
            replication_factor: self.replication_factor,
            configs,
        })
    }
}

/// A size that may be absent.
mod optional_size {
    use bytesize::ByteSize;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        size: &Option<ByteSize>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match size {
            Some(size) => crate::size::serialize(size, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ByteSize>, D::Error> {
        crate::size::deserialize(deserializer).map(Some)
    }
}

/// `max.message.bytes` is a signed 32-bit number at the broker.
const MESSAGE_BYTES_MAX: u64 = i32::MAX.unsigned_abs() as u64;

/// Kafka's rules for topic names.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if letters && (1..=249).contains(&name.len()) && !matches!(name, "." | "..") {
        return Ok(());
    }
    Err(ConfigError::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        let config: Config = toml::from_str("aside_message_bytes = '3MiB'\nprovision = 'verify'").unwrap();
        let shown = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&shown).unwrap(), config);
        let defaults = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&defaults).unwrap(), Config::default(), "{defaults}");
        assert!(toml::from_str::<Config>("partition = 3").is_err());
    }
}
