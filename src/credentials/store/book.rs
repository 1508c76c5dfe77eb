//! What is known of each integration, from all sources, and which of it counts. Pure: no file, no topic.
//!
//! Of one integration the file and the topic may each bring a token. **The newer counts**: an entry of the
//! file is as old as the file was when this token first stood in it, a token of the topic as old as its
//! webhook. Writing the file again for another hotel makes no old token newer. A token that Mews refused
//! gives way to the other source's, so that a clock or a forgotten entry cannot lock a hotel out. A
//! standing (disabled, cancelled, deleted) counts when it is newer than the file's entry: whoever writes
//! an entry says that it works.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::SystemTime,
};

use super::{Integration, State};
use crate::{
    credentials::{
        file::Entry,
        record::{self, Known},
    },
    secret::Secret,
};

/// All integrations.
#[derive(Debug, Default)]
pub struct Book {
    file: HashMap<String, Filed>,
    topic: HashMap<String, Told>,
    /// Tokens that Mews refused and that still stand in a source.
    refused: HashMap<String, Vec<Secret>>,
    /// What counts, by integration.
    counts: HashMap<String, Arc<Integration>>,
    /// The integrations of each enterprise.
    of_enterprise: HashMap<String, BTreeSet<String>>,
    last_revision: u64,
}

#[derive(Debug)]
struct Filed {
    entry: Entry,
    since: SystemTime,
}

/// What the topic says of an integration, its token opened.
#[derive(Clone, Debug)]
pub struct Told {
    /// The record.
    pub known: Known,
    /// The token that counts for it, and since when.
    pub token: Option<(SystemTime, Secret)>,
}

/// That what counts of an integration is something else now.
#[derive(Debug)]
pub struct Change {
    /// Which.
    pub integration_id: String,
    /// What counted before.
    pub before: Option<Arc<Integration>>,
    /// What counts now; `None` when no source knows it any more.
    pub after: Option<Arc<Integration>>,
}

impl Book {
    /// Takes over the whole file, which was last written at that time.
    pub fn file(&mut self, entries: Vec<Entry>, written_at: SystemTime) -> Vec<Change> {
        let mut before = std::mem::take(&mut self.file);
        for entry in entries {
            let former = before.remove(&entry.integration_id);
            let is_same =
                |filed: &Filed| filed.entry.access_token.matches(entry.access_token.expose().as_bytes());
            let since = former.filter(is_same).map_or(written_at, |filed| filed.since);
            self.file.insert(entry.integration_id.clone(), Filed { entry, since });
        }
        let ids: BTreeSet<_> = self.file.keys().cloned().chain(before.into_keys()).collect();
        ids.into_iter().filter_map(|id| self.settle(id)).collect()
    }

    /// What the topic said last of an integration.
    #[must_use]
    pub fn told(&self, integration_id: &str) -> Option<&Told> {
        self.topic.get(integration_id)
    }

    /// Everything that the topic said last.
    pub fn all_told(&self) -> impl Iterator<Item = &Told> {
        self.topic.values()
    }

    /// Takes over what the topic says now. News of any kind are a reason to try a refused token again.
    pub fn tell(&mut self, integration_id: &str, told: Option<Told>) -> Option<Change> {
        let is_news =
            self.topic.get(integration_id).map(|told| &told.known) != told.as_ref().map(|told| &told.known);
        if is_news {
            self.refused.remove(integration_id);
        }
        match told {
            Some(told) => drop(self.topic.insert(integration_id.to_owned(), told)),
            None => drop(self.topic.remove(integration_id)),
        }
        self.settle(integration_id.to_owned())
    }

    /// Mews refused the token of that revision. A later revision has another one, of which nothing is known.
    pub fn refuse(&mut self, integration_id: &str, revision: u64) -> Option<Change> {
        let token =
            self.counts.get(integration_id).filter(|now| now.revision == revision)?.access_token.clone()?;
        self.refused.entry(integration_id.to_owned()).or_default().push(token);
        self.settle(integration_id.to_owned())
    }

    /// Mews took the token of that revision.
    pub fn accept(&mut self, integration_id: &str, revision: u64) -> Option<Change> {
        let token =
            self.counts.get(integration_id).filter(|now| now.revision == revision)?.access_token.clone()?;
        let refused = self.refused.get_mut(integration_id)?;
        refused.retain(|each| !each.matches(token.expose().as_bytes()));
        self.settle(integration_id.to_owned())
    }

    /// What counts of an integration.
    #[must_use]
    pub fn get(&self, integration_id: &str) -> Option<&Arc<Integration>> {
        self.counts.get(integration_id)
    }

    /// The integrations of an enterprise, in the order of their ids.
    pub fn of_enterprise(&self, enterprise_id: &str) -> impl Iterator<Item = &Arc<Integration>> {
        self.of_enterprise.get(enterprise_id).into_iter().flatten().filter_map(|id| self.counts.get(id))
    }

    /// All of them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Integration>> {
        self.counts.values()
    }

    /// Works out anew what counts of an integration; says so if it is something else.
    fn settle(&mut self, id: String) -> Option<Change> {
        let before = self.counts.remove(&id);
        let after = self.judge(&id).map(|integration| match &before {
            Some(before) if before.is_like(&integration) => Arc::clone(before),
            _ => {
                self.last_revision += 1;
                Arc::new(Integration { revision: self.last_revision, ..integration })
            }
        });
        if let Some(enterprise) = before.as_ref().and_then(|before| before.enterprise_id.as_ref())
            && let Some(ids) = self.of_enterprise.get_mut(enterprise)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_enterprise.remove(enterprise);
            }
        }
        if let Some(after) = &after {
            self.counts.insert(id.clone(), Arc::clone(after));
            if let Some(enterprise) = &after.enterprise_id {
                self.of_enterprise.entry(enterprise.clone()).or_default().insert(id.clone());
            }
        }
        let revision =
            |integration: &Option<Arc<Integration>>| integration.as_ref().map(|each| each.revision);
        (revision(&before) != revision(&after)).then_some(Change { integration_id: id, before, after })
    }

    fn judge(&mut self, id: &str) -> Option<Integration> {
        let (filed, told) = (self.file.get(id), self.topic.get(id));
        if filed.is_none() && told.is_none() {
            self.refused.remove(id);
            return None;
        }
        let of_file = filed.map(|filed| (filed.since, &filed.entry.access_token));
        let of_topic = told.and_then(|told| told.token.as_ref()).map(|(since, token)| (*since, token));
        let mut tokens: Vec<_> = of_file.into_iter().chain(of_topic).collect();
        // Stable, so that the file counts at one time.
        tokens.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
        let is_one_of =
            |refused: &Secret| tokens.iter().any(|(_, token)| token.matches(refused.expose().as_bytes()));
        let refused = self.refused.entry(id.to_owned()).or_default();
        refused.retain(is_one_of);
        let is_refused = |token: &Secret| refused.iter().any(|each| each.matches(token.expose().as_bytes()));
        let good = tokens.iter().find(|(_, token)| !is_refused(token));
        let access_token = good.or(tokens.first()).map(|(_, token)| (*token).clone());
        let standing = told
            .and_then(|told| told.known.standing.as_ref())
            .filter(|standing| filed.is_none_or(|filed| standing.as_of.accepted_at > filed.since));
        let state = match standing.map_or(State::Active, |standing| state(standing.value)) {
            State::Active if good.is_none() && access_token.is_some() => State::Unauthorized,
            state => state,
        };
        if refused.is_empty() {
            self.refused.remove(id);
        }
        let told_enterprise = told.and_then(|told| told.known.enterprise_id.as_ref());
        Some(Integration {
            integration_id: id.to_owned(),
            enterprise_id: filed
                .and_then(|filed| filed.entry.enterprise_id.clone())
                .or_else(|| told_enterprise.map(|aspect| aspect.value.clone())),
            access_token,
            alias: filed.and_then(|filed| filed.entry.alias.clone()),
            state,
            heard: told.and_then(|told| heard(&told.known)),
            revision: 0,
        })
    }
}

/// Every webhook is a reason to try again what waits, even if it changes nothing that counts.
fn heard(known: &Known) -> Option<record::AsOf> {
    let Known { enterprise_id, standing, access_token, .. } = known;
    let enterprise_id = enterprise_id.as_ref().map(|aspect| aspect.as_of);
    let standing = standing.as_ref().map(|aspect| aspect.as_of);
    enterprise_id.max(standing).max(access_token.as_ref().map(|aspect| aspect.as_of))
}

fn state(standing: record::Standing) -> State {
    match (standing.state, standing.is_enabled) {
        (record::State::Deleted, _) => State::Deleted,
        (record::State::Canceled, _) => State::Canceled,
        (record::State::Disabled, _) => State::Disabled,
        (record::State::Created | record::State::Enabled | record::State::Reinstated, true) => State::Active,
        (record::State::Created | record::State::Enabled | record::State::Reinstated, false) => {
            State::Disabled
        }
    }
}

#[cfg(test)]
mod tests;
