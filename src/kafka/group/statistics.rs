//! The part of librdkafka's statistics that speaks of a group (its STATISTICS.md).

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use super::Place;

/// What a client says of itself, once a second.
#[derive(Debug, Deserialize)]
pub(super) struct GroupStatistics {
    time: u64,
    cgrp: Option<Membership>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Debug, Deserialize)]
struct Membership {
    state: String,
    join_state: String,
}

#[derive(Debug, Deserialize)]
struct Topic {
    partitions: HashMap<String, Partition>,
}

/// One partition; its offsets are negative where they are not known.
#[derive(Debug, Deserialize)]
pub(super) struct Partition {
    fetch_state: String,
    /// From where is fetched next.
    pub(super) next_offset: i64,
    committed_offset: i64,
    lo_offset: i64,
    ls_offset: i64,
}

impl GroupStatistics {
    /// When they were made; whole seconds.
    pub(super) fn made_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.time)
    }

    /// Whether the member is one and waits for nothing, be it without partitions.
    pub(super) fn is_settled(&self) -> bool {
        self.cgrp.as_ref().is_some_and(|cgrp| cgrp.state == "up" && cgrp.join_state == "steady")
    }

    /// What is said of a partition.
    pub(super) fn of(&self, place: &Place) -> Option<&Partition> {
        self.topics.get(&*place.topic)?.partitions.get(&place.partition.to_string())
    }
}

impl Partition {
    /// Whether it is being read, or about to be.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self.fetch_state.as_str(), "none" | "stopped")
    }

    /// Records that are not committed, as far as a consumer may see; None when it is not known.
    pub(super) fn lag(&self) -> Option<i64> {
        // A group without a commit has all of it before it.
        let next = if self.committed_offset >= 0 { self.committed_offset } else { self.lo_offset };
        (next >= 0 && self.ls_offset >= 0).then(|| (self.ls_offset - next).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_not_committed() {
        let lag = |committed_offset, lo_offset, ls_offset| {
            let fetch_state = "active".to_owned();
            Partition { fetch_state, next_offset: 0, committed_offset, lo_offset, ls_offset }.lag()
        };
        assert_eq!(lag(5, 0, 12), Some(7));
        assert_eq!(lag(-1001, 3, 12), Some(9));
        assert_eq!(lag(12, 0, 9), Some(0));
        assert_eq!((lag(-1001, -1001, 9), lag(5, 0, -1001)), (None, None));
    }

    #[test]
    fn only_a_steady_member_with_a_coordinator_is_settled() {
        let text = r#"{"time":7,"cgrp":{"state":"up","join_state":"steady"},"topics":{"t":{"partitions":
            {"3":{"fetch_state":"none","next_offset":4,"committed_offset":2,"lo_offset":0,"ls_offset":9,"other":[]}}}}}"#;
        let statistics: GroupStatistics = serde_json::from_str(text).unwrap();
        assert!(statistics.is_settled());
        assert_eq!(statistics.made_at(), SystemTime::UNIX_EPOCH + Duration::from_secs(7));
        let at = |partition| Place { topic: "t".into(), partition };
        assert_eq!(statistics.of(&at(3)).map(|partition| partition.next_offset), Some(4));
        assert!(statistics.of(&at(4)).is_none() && statistics.of(&at(3)).is_some_and(|each| !each.is_read()));
        let lost: GroupStatistics = serde_json::from_str(&text.replace("\"up\"", "\"query-coord\"")).unwrap();
        assert!(!lost.is_settled());
    }
}
