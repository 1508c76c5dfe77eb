//! What the topics of a cluster lack, judged without a cluster.
//!
//! Guarantees: a difference is either mended by creating something, or only told: nothing is ever
//! shrunk, deleted or configured anew, since only its owner knows why it is as it is.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use super::topics::{Affinity, TopicSpec};

/// What a cluster says of its topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Partitions by topic; a topic that is missing, or hidden from this client, is not there.
    pub partitions: HashMap<String, i32>,
    /// Configuration by topic, where this client may see it.
    pub configs: HashMap<String, BTreeMap<String, String>>,
}

impl Observed {
    /// The largest batch that a topic takes; None when this client may not know.
    #[must_use]
    pub fn message_bytes_max(&self, topic: &str) -> Option<u64> {
        self.configs.get(topic)?.get("max.message.bytes")?.parse().ok()
    }
}

/// One way in which a topic is not what its spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is not there.
    Missing,
    /// It has another number of partitions than the settings say.
    Partitions {
        /// What it has.
        found: i32,
    },
    /// A configuration entry has another value.
    Config {
        /// Its name.
        key: String,
        /// What it has; None when the broker does not know the entry.
        found: Option<String>,
    },
}

/// A topic and its differences; none means that it is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// What it should be.
    pub spec: TopicSpec,
    /// How it differs.
    pub differences: Vec<Difference>,
}

/// All topics of a process, compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the specs.
    pub topics: Vec<Topic>,
}

/// Topics that have to have the same number of partitions do not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{one} has {partitions} partitions and {other} has {found}, where all must have the same number")]
pub struct Unequal {
    /// The first such topic.
    pub one: Arc<str>,
    /// Its partitions.
    pub partitions: i32,
    /// The first that differs from it.
    pub other: Arc<str>,
    /// Its partitions.
    pub found: i32,
}

impl Plan {
    /// Compares what should be with what is.
    #[must_use]
    pub fn new(specs: &[TopicSpec], observed: &Observed) -> Self {
        let compare =
            |spec: &TopicSpec| Topic { spec: spec.clone(), differences: differences(spec, observed) };
        Self { topics: specs.iter().map(compare).collect() }
    }

    /// Specs of the topics that are not there.
    pub fn missing(&self) -> impl Iterator<Item = &TopicSpec> {
        self.topics
            .iter()
            .filter(|topic| topic.differences.contains(&Difference::Missing))
            .map(|topic| &topic.spec)
    }

    /// Specs of the topics that have fewer partitions than they should.
    pub fn too_small(&self) -> impl Iterator<Item = &TopicSpec> {
        let small = |topic: &&Topic| {
            topic.differences.iter().any(
                |difference| matches!(difference, Difference::Partitions { found } if *found < topic.spec.partitions),
            )
        };
        self.topics.iter().filter(small).map(|topic| &topic.spec)
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.topics.iter().all(|topic| topic.differences.is_empty())
    }
}

fn differences(spec: &TopicSpec, observed: &Observed) -> Vec<Difference> {
    let Some(&found) = observed.partitions.get(&*spec.name) else { return vec![Difference::Missing] };
    let mut differences = Vec::new();
    if found != spec.partitions {
        differences.push(Difference::Partitions { found });
    }
    // What this client may not see it cannot judge.
    let Some(configs) = observed.configs.get(&*spec.name) else { return differences };
    for (key, wanted) in &spec.configs {
        let found = configs.get(key);
        if found != Some(wanted) {
            differences.push(Difference::Config { key: key.clone(), found: found.cloned() });
        }
    }
    differences
}

/// The number of partitions on which affinity rests; None when none of the topics exists.
///
/// # Errors
/// When two of the topics that must not differ do.
pub fn affinity(specs: &[TopicSpec], observed: &Observed) -> Result<Option<i32>, Unequal> {
    let mut bound = specs
        .iter()
        .filter(|spec| spec.affinity == Affinity::Bound)
        .filter_map(|spec| Some((&spec.name, *observed.partitions.get(&*spec.name)?)));
    let Some((one, partitions)) = bound.next() else { return Ok(None) };
    match bound.find(|(_, found)| *found != partitions) {
        None => Ok(Some(partitions)),
        Some((other, found)) => {
            Err(Unequal { one: Arc::clone(one), partitions, other: Arc::clone(other), found })
        }
    }
}

impl Topic {
    /// Whether a difference is one on which the enricher could not start.
    #[must_use]
    pub fn breaks_affinity(&self) -> bool {
        self.spec.affinity == Affinity::Bound
            && self.differences.iter().any(|difference| matches!(difference, Difference::Partitions { .. }))
    }
}

/// One line per topic that differs.
impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spec, differences } = self;
        write!(formatter, "{}:", spec.name)?;
        for difference in differences {
            match difference {
                Difference::Missing => write!(formatter, " missing")?,
                Difference::Partitions { found } => {
                    write!(formatter, " {found} partitions instead of {}", spec.partitions)?;
                }
                Difference::Config { key, found } => {
                    let wanted = spec.configs.get(key).map_or("", String::as_str);
                    let found = found.as_deref().unwrap_or("none");
                    write!(formatter, " {key}={found} instead of {wanted}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{names::TopicNames, topics};

    fn specs() -> Vec<TopicSpec> {
        let config = topics::Config { partitions: 6, ..Default::default() };
        TopicNames::new(&config, 1 << 20).unwrap().written_by_ingress()
    }

    fn as_wished(specs: &[TopicSpec]) -> Observed {
        Observed {
            partitions: specs.iter().map(|spec| (spec.name.to_string(), spec.partitions)).collect(),
            configs: specs.iter().map(|spec| (spec.name.to_string(), spec.configs.clone())).collect(),
        }
    }

    #[test]
    fn a_cluster_as_wished_has_nothing_to_plan() {
        let specs = specs();
        let plan = Plan::new(&specs, &as_wished(&specs));
        assert!(plan.is_clean() && plan.missing().count() == 0 && plan.too_small().count() == 0);
        assert_eq!(affinity(&specs, &as_wished(&specs)), Ok(Some(6)));
    }

    #[test]
    fn what_is_not_there_is_missing_and_what_may_not_be_seen_is_not_judged() {
        let specs = specs();
        assert_eq!(Plan::new(&specs, &Observed::default()).missing().count(), specs.len());
        assert_eq!(affinity(&specs, &Observed::default()), Ok(None));
        let hidden = Observed { configs: HashMap::new(), ..as_wished(&specs) };
        assert!(Plan::new(&specs, &hidden).is_clean());
        assert_eq!(hidden.message_bytes_max("mews.quarantine"), None);
        assert_eq!(as_wished(&specs).message_bytes_max("mews.quarantine"), Some(2 << 20));
    }

    #[test]
    fn another_number_of_partitions_breaks_affinity_where_it_matters() {
        let specs = specs();
        let mut observed = as_wished(&specs);
        observed.partitions.insert("mews.events.CustomerAdded".into(), 4);
        observed.partitions.insert("mews.quarantine".into(), 8);
        let plan = Plan::new(&specs, &observed);
        let breaking: Vec<_> =
            plan.topics.iter().filter(|topic| topic.breaks_affinity()).map(ToString::to_string).collect();
        assert_eq!(breaking, ["mews.events.CustomerAdded: 4 partitions instead of 6"]);
        let small: Vec<_> = plan.too_small().map(|spec| &*spec.name).collect();
        assert_eq!(small, ["mews.events.CustomerAdded"], "what is larger is never shrunk");
        let unequal = affinity(&specs, &observed).unwrap_err();
        assert_eq!((unequal.partitions, unequal.found), (6, 4));
    }

    #[test]
    fn a_changed_configuration_is_told_with_both_values() {
        let specs = specs();
        let mut observed = as_wished(&specs);
        let configs = observed.configs.get_mut("mews.credentials").unwrap();
        configs.insert("cleanup.policy".into(), "delete".into());
        let plan = Plan::new(&specs, &observed);
        let told: Vec<_> = plan
            .topics
            .iter()
            .filter(|topic| !topic.differences.is_empty())
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["mews.credentials: cleanup.policy=delete instead of compact"]);
        assert_eq!((plan.is_clean(), plan.missing().count()), (false, 0));
    }
}
