//! Integrations: a hotel's or a chain's connection to this client, its access token and its life (contract 2).

use std::collections::HashMap;

use fastrand::Rng;
use serde::Deserialize;
use uuid::Uuid;

use super::chance;

/// One connection.
#[derive(Clone, Debug)]
pub struct Integration {
    pub id: Uuid,
    pub name: String,
    pub scope: Scope,
    pub access_token: String,
    /// Its token is refused (contract 3.3).
    pub is_enabled: bool,
    /// Nothing is told any more either.
    pub has_ended: bool,
}

/// What an access token gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One hotel, by its place.
    Hotel(u32),
    /// A chain, by its number: a Portfolio Access Token (contract 3.7).
    Chain(u32),
}

/// What can happen to an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Its token becomes invalid, and nobody is told.
    Revoke,
    /// It gets a new token, the old one dies: `IntegrationApiKeyCreated`.
    Regenerate,
    Disable,
    Enable,
    Cancel,
    Reinstate,
    Delete,
    /// A further integration of the hotel.
    Create,
    /// The whole enterprise is switched off, and nobody is told.
    DisableEnterprise,
    EnableEnterprise,
}

impl Action {
    /// The `Action` of the webhook that tells of it (contract 2).
    pub const fn webhook(self) -> Option<&'static str> {
        match self {
            Self::Regenerate => Some("IntegrationApiKeyCreated"),
            Self::Disable => Some("IntegrationDisabled"),
            Self::Enable => Some("IntegrationEnabled"),
            Self::Cancel => Some("IntegrationCanceled"),
            Self::Reinstate => Some("IntegrationReinstated"),
            Self::Delete => Some("IntegrationDeleted"),
            Self::Create => Some("IntegrationCreated"),
            Self::Revoke | Self::DisableEnterprise | Self::EnableEnterprise => None,
        }
    }
}

/// All integrations, by id and by token.
#[derive(Debug, Default)]
pub struct Integrations {
    all: Vec<Integration>,
    by_id: HashMap<Uuid, usize>,
    by_token: HashMap<String, usize>,
    by_hotel: HashMap<u32, Vec<usize>>,
}

impl Integrations {
    /// A new connection for these hotels; its place.
    pub fn add(&mut self, scope: Scope, hotels: &[u32], chance: &mut Rng) -> usize {
        let (id, at) = (chance::id(chance), self.all.len());
        let access_token = token(id, chance);
        self.by_id.insert(id, at);
        self.by_token.insert(access_token.clone(), at);
        for hotel in hotels {
            self.by_hotel.entry(*hotel).or_default().push(at);
        }
        let name = "Kafka bridge".to_owned();
        self.all.push(Integration { id, name, scope, access_token, is_enabled: true, has_ended: false });
        at
    }

    pub fn all(&self) -> &[Integration] {
        &self.all
    }

    pub fn at(&self, place: usize) -> &Integration {
        &self.all[place]
    }

    pub fn of_id(&self, id: Uuid) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// Whose token this is, if it is a valid one.
    pub fn of_token(&self, token: &str) -> Option<usize> {
        self.by_token.get(token).copied()
    }

    /// All that see this hotel.
    pub fn of_hotel(&self, hotel: u32) -> &[usize] {
        self.by_hotel.get(&hotel).map_or(&[], Vec::as_slice)
    }

    /// Lets an action of a standing or a token take place; those of enterprises and creations are others'.
    pub fn act(&mut self, at: usize, action: Action, chance: &mut Rng) {
        let integration = &mut self.all[at];
        match action {
            Action::Revoke => {
                self.by_token.remove(&integration.access_token);
            }
            Action::Regenerate => {
                self.by_token.remove(&integration.access_token);
                integration.access_token = token(integration.id, chance);
                self.by_token.insert(integration.access_token.clone(), at);
            }
            Action::Disable => integration.is_enabled = false,
            Action::Enable => integration.is_enabled = true,
            Action::Cancel => (integration.is_enabled, integration.has_ended) = (false, true),
            Action::Reinstate => (integration.is_enabled, integration.has_ended) = (true, false),
            Action::Delete => {
                (integration.is_enabled, integration.has_ended) = (false, true);
                self.by_token.remove(&integration.access_token);
            }
            Action::Create | Action::DisableEnterprise | Action::EnableEnterprise => {}
        }
    }
}

/// In the form of Mews's samples, where the first half is the integration's id (contract 2).
fn token(integration: Uuid, chance: &mut Rng) -> String {
    let half = |id: Uuid| id.simple().to_string().to_uppercase();
    format!("{}-{}", half(integration), &half(chance::id(chance))[..31])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_token_dies_when_a_new_one_comes() {
        let mut chance = Rng::with_seed(1);
        let mut integrations = Integrations::default();
        let at = integrations.add(Scope::Hotel(0), &[0], &mut chance);
        let old = integrations.at(at).access_token.clone();
        integrations.act(at, Action::Regenerate, &mut chance);
        assert_eq!(integrations.of_token(&old), None);
        assert_eq!(integrations.of_token(&integrations.at(at).access_token), Some(at));
        integrations.act(at, Action::Revoke, &mut chance);
        assert_eq!(integrations.of_token(&integrations.at(at).access_token), None);
    }
}
