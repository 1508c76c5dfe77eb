//! `[enricher]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[enricher]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Consumer group over all event topics; a new group begins at the earliest offset.
    pub group_id: String,
    /// How long ids are collected before they are fetched together: `500ms`.
    #[serde(with = "crate::duration")]
    pub window: Duration,
    /// Which group protocol to speak: `auto` takes the new one where the broker has it.
    pub group_protocol: GroupProtocol,
    /// What is done with entities that the older webhook form carries.
    pub embedded_entities: EmbeddedEntities,
    /// How long after a refused access token it is tried again: `60s`.
    #[serde(with = "crate::duration")]
    pub probe_interval: Duration,
    /// How long one integration may hold up its events before they are parked: `30s`.
    #[serde(with = "crate::duration")]
    pub park_after: Duration,
    /// How long an event may stay parked before it becomes a dead letter: `7d`.
    #[serde(with = "crate::duration")]
    pub park_limit: Duration,
    /// When an id that was not returned is asked for once more: `5s`.
    #[serde(with = "crate::duration")]
    pub recheck_after: Duration,
}

/// Consumer group protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocol {
    /// The new one where the broker has it, else the classic one.
    Auto,
    /// KIP-848.
    Consumer,
    /// Classic, range strategy.
    Classic,
}

/// What is done with an `Entity` in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddedEntities {
    /// It is fetched like the rest, in its present shape.
    Fetch,
    /// It is published as it came, in its older shape.
    Publish,
}

/// Why `[enricher]` cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A group without a name.
    #[error("group_id is empty; it names the consumer group, the same for all replicas")]
    GroupId,
    /// A time that never passes, or always has.
    #[error("{0} is a time above 0, such as 500ms")]
    Zero(&'static str),
}

impl Config {
    /// Whether it can be.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.group_id.is_empty() {
            return Err(ConfigError::GroupId);
        }
        let times = [
            ("probe_interval", self.probe_interval),
            ("park_after", self.park_after),
            ("park_limit", self.park_limit),
        ];
        match times.into_iter().find(|(_, time)| time.is_zero()) {
            Some((name, _)) => Err(ConfigError::Zero(name)),
            None => Ok(()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group_id: "mews-bridge-enricher".to_owned(),
            window: Duration::from_millis(500),
            group_protocol: GroupProtocol::Auto,
            embedded_entities: EmbeddedEntities::Fetch,
            probe_interval: Duration::from_secs(60),
            park_after: Duration::from_secs(30),
            park_limit: Duration::from_secs(7 * 24 * 3600),
            recheck_after: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_never_end_is_refused() {
        assert_eq!(Config::default().check(), Ok(()));
        let config = Config { probe_interval: Duration::ZERO, ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::Zero("probe_interval")));
        let config = Config { group_id: String::new(), ..Config::default() };
        assert_eq!(config.check(), Err(ConfigError::GroupId));
    }
}
