//! The names of all topics, for whoever writes or reads a record.
//!
//! Guarantees: every name is one that Kafka takes, no two are the same, and no sender can make a
//! new one: what is outside the lists goes to `unrecognized`. Asking for a name costs a look-up.

use std::{collections::BTreeMap, sync::Arc};

use super::topics::{Config, ConfigError, TopicSpec, UNRECOGNIZED};
use crate::hash::HashMap;

/// The names of all topics; cheap to clone.
#[derive(Clone, Debug)]
pub struct TopicNames(Arc<Topics>);

#[derive(Debug)]
struct Topics {
    by_logical: HashMap<String, TopicSpec>,
    /// The families with members, by member: of the first two, `unrecognized` is always one.
    events: HashMap<String, Arc<str>>,
    integrations: HashMap<String, Arc<str>>,
    entities: HashMap<String, Arc<str>>,
    order: Vec<String>,
}

impl TopicNames {
    /// Names and specs from the settings. `body_bytes_max` is the largest body that the ingress
    /// takes, for the topics that have to take anything.
    ///
    /// # Errors
    /// When a name or number is not one that Kafka takes, or two names are the same.
    pub fn new(config: &Config, body_bytes_max: u64) -> Result<Self, ConfigError> {
        if config.prefix.is_empty() {
            return Err(ConfigError::NoPrefix);
        }
        if config.partitions < 1 {
            return Err(ConfigError::Number("partitions"));
        }
        if config.replication_factor.is_some_and(|copies| copies < 1) {
            return Err(ConfigError::Number("replication_factor"));
        }
        let mut topics = Topics {
            by_logical: HashMap::default(),
            events: HashMap::default(),
            integrations: HashMap::default(),
            entities: HashMap::default(),
            order: Vec::new(),
        };
        let mut taken: HashMap<Arc<str>, String> = HashMap::default();
        for logical in config.logical_names() {
            let spec = config.spec(&logical, body_bytes_max)?;
            if let Some(one) = taken.insert(Arc::clone(&spec.name), logical.clone()) {
                return Err(ConfigError::Shared { one, other: logical, name: spec.name.to_string() });
            }
            if let Some((family, member)) = logical.split_once('.') {
                let family = match family {
                    "events" => &mut topics.events,
                    "integrations" => &mut topics.integrations,
                    _ => &mut topics.entities,
                };
                family.insert(member.to_owned(), Arc::clone(&spec.name));
            }
            topics.by_logical.insert(logical.clone(), spec);
            topics.order.push(logical);
        }
        let family = |logical: &String| topics.order.iter().any(|each| family_of(each) == logical);
        for (table, logical) in keys("names", &config.names).chain(keys("settings", &config.settings)) {
            if !topics.by_logical.contains_key(logical) && (table == "names" || !family(logical)) {
                return Err(ConfigError::Unknown { table, logical: logical.clone() });
            }
        }
        Ok(Self(Arc::new(topics)))
    }

    /// The topic of a discriminator: `events.unrecognized` when it has none of its own.
    #[must_use]
    pub fn events(&self, discriminator: &str) -> Arc<str> {
        member(&self.0.events, discriminator)
    }

    /// The topic of an integration's action: `integrations.unrecognized` when it has none of its own.
    #[must_use]
    pub fn integrations(&self, action: &str) -> Arc<str> {
        member(&self.0.integrations, action)
    }

    /// Sealed credentials and the state of integrations.
    #[must_use]
    pub fn credentials(&self) -> Arc<str> {
        self.fixed("credentials")
    }

    /// What could not be understood.
    #[must_use]
    pub fn quarantine(&self) -> Arc<str> {
        self.fixed("quarantine")
    }

    /// What could not be delivered or enriched.
    #[must_use]
    pub fn dead_letters(&self) -> Arc<str> {
        self.fixed("dead-letters")
    }

    /// Events of an integration that is held up.
    #[must_use]
    pub fn parked(&self) -> Arc<str> {
        self.fixed("parked")
    }

    /// The topic of an entity kind; None outside `topics::ENTITIES`.
    #[must_use]
    pub fn entities(&self, entity: &str) -> Option<Arc<str>> {
        self.0.entities.get(entity).map(Arc::clone)
    }

    /// All topics in a fixed order.
    pub fn all(&self) -> impl Iterator<Item = &TopicSpec> {
        self.0.order.iter().filter_map(|logical| self.0.by_logical.get(logical))
    }

    /// Topics that the ingress writes to.
    #[must_use]
    pub fn written_by_ingress(&self) -> Vec<TopicSpec> {
        self.families(&["events", "integrations", "credentials", "quarantine", "dead-letters"])
    }

    /// Topics that the enricher reads or writes: it also reads what the ingress wrote.
    #[must_use]
    pub fn used_by_enricher(&self) -> Vec<TopicSpec> {
        self.families(&["events", "credentials", "dead-letters", "entities", "parked"])
    }

    /// Topics that the enricher writes to.
    #[must_use]
    pub fn written_by_enricher(&self) -> Vec<TopicSpec> {
        self.families(&["dead-letters", "entities", "parked"])
    }

    fn families(&self, families: &[&str]) -> Vec<TopicSpec> {
        self.all().filter(|spec| families.contains(&family_of(&spec.logical))).cloned().collect()
    }

    fn fixed(&self, logical: &str) -> Arc<str> {
        let spec = self.0.by_logical.get(logical).expect("these names are always among the logical names");
        Arc::clone(&spec.name)
    }
}

fn member(family: &HashMap<String, Arc<str>>, name: &str) -> Arc<str> {
    let topic = family.get(name).or_else(|| family.get(UNRECOGNIZED));
    Arc::clone(topic.expect("both families have a topic for what is outside their lists"))
}

fn keys<'a, V>(
    table: &'static str,
    of: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (&'static str, &'a String)> {
    of.keys().map(move |logical| (table, logical))
}

/// The first part of a logical name.
pub(super) fn family_of(logical: &str) -> &str {
    logical.split('.').next().unwrap_or(logical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<TopicNames, ConfigError> {
        TopicNames::new(&toml::from_str(text).unwrap(), 8 << 20)
    }

    #[test]
    fn names_are_the_documented_ones() {
        let names = names("").unwrap();
        assert_eq!(&*names.events("CustomerAdded"), "mews.events.CustomerAdded");
        assert_eq!(&*names.events("Invented"), "mews.events.unrecognized");
        assert_eq!(&*names.integrations("IntegrationCreated"), "mews.integrations.IntegrationCreated");
        assert_eq!(&*names.integrations("Invented"), "mews.integrations.unrecognized");
        assert_eq!(&*names.credentials(), "mews.credentials");
        assert_eq!(&*names.quarantine(), "mews.quarantine");
        assert_eq!(&*names.dead_letters(), "mews.dead-letters");
        assert_eq!(&*names.parked(), "mews.parked");
        assert_eq!(names.entities("resource-blocks").as_deref(), Some("mews.entities.resource-blocks"));
        assert_eq!(names.entities("rates"), None);
        assert_eq!(names.all().count(), 11 + 8 + 3 + 7 + 1);
        assert_eq!((names.written_by_ingress().len(), names.used_by_enricher().len()), (22, 21));
    }

    #[test]
    fn prefix_list_and_every_single_name_can_be_set() {
        let names = names(
            "prefix = 'prod.mews'\ndiscriminators = ['New']\nnames.quarantine = 'odd'\nnames.'events.New' = 'new-events'",
        )
        .unwrap();
        assert_eq!((&*names.events("New"), &*names.quarantine()), ("new-events", "odd"));
        assert_eq!(&*names.events("CustomerAdded"), "prod.mews.events.unrecognized");
    }

    #[test]
    fn names_that_kafka_or_the_bridge_cannot_take_are_refused() {
        for wrong in [
            "prefix = 'a b'",
            "names.parked = ''",
            "names.parked = '..'",
            "prefix = 'ü'",
            "discriminators = ['a/b']",
        ] {
            assert!(matches!(names(wrong), Err(ConfigError::Name(_))), "{wrong}");
        }
        let long = format!("names.parked = '{}'", "x".repeat(250));
        assert!(matches!(names(&long), Err(ConfigError::Name(_))));
        for wrong in [
            "names.parked = 'mews.quarantine'",
            "discriminators = ['A', 'A']",
            "discriminators = ['unrecognized']",
        ] {
            assert!(matches!(names(wrong), Err(ConfigError::Shared { .. })), "{wrong}");
        }
        for wrong in ["names.events = 'x'", "names.'events.No' = 'x'", "settings.no.'a' = 'x'"] {
            assert!(matches!(names(wrong), Err(ConfigError::Unknown { .. })), "{wrong}");
        }
        assert_eq!(names("prefix = ''").unwrap_err(), ConfigError::NoPrefix);
        assert_eq!(names("partitions = 0").unwrap_err(), ConfigError::Number("partitions"));
        assert_eq!(names("replication_factor = 0").unwrap_err(), ConfigError::Number("replication_factor"));
    }

    #[test]
    fn topics_are_made_with_what_the_design_says() {
        let names = names("settings.entities.'min.insync.replicas' = 2").unwrap();
        let spec = |name: &str| names.all().find(|spec| spec.logical == name).unwrap().clone();
        let config = |name: &str, key: &str| spec(name).configs.get(key).cloned();
        assert_eq!(config("events.unrecognized", "retention.ms").as_deref(), Some("604800000"));
        assert_eq!(config("integrations.IntegrationEnabled", "cleanup.policy").as_deref(), Some("delete"));
        assert_eq!(config("quarantine", "retention.ms").as_deref(), Some("2592000000"));
        assert_eq!(config("dead-letters", "max.message.bytes").as_deref(), Some("16777216"));
        for compacted in ["credentials", "parked", "entities.customers"] {
            assert_eq!(config(compacted, "cleanup.policy").as_deref(), Some("compact"));
            assert_eq!(config(compacted, "retention.ms"), None);
        }
        assert_eq!(config("entities.customers", "min.insync.replicas").as_deref(), Some("2"));
        assert_eq!(spec("parked").affinity, super::super::topics::Affinity::Bound);
    }

    #[test]
    fn a_policy_that_the_bridge_rests_on_stays_as_it_is() {
        let error = names("settings.parked.'cleanup.policy' = 'delete'").unwrap_err();
        assert_eq!(error, ConfigError::Fixed("parked".into()));
    }
}
