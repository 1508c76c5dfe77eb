//! What is known of one integration, as requests need it.

use crate::{credentials::record::AsOf, secret::Secret, telemetry::metrics::connector::IntegrationState};

/// One hotel's connection, and what to ask with.
#[derive(Debug)]
pub struct Integration {
    /// Which one.
    pub integration_id: String,
    /// The hotel or chain, if any source says so.
    pub enterprise_id: Option<String>,
    /// What requests are made with. None: no source has one, or it cannot be opened.
    pub access_token: Option<Secret>,
    /// What to call it where people read.
    pub alias: Option<String>,
    /// Whether there is a point in asking.
    pub state: State,
    /// The newest webhook about it, of whatever kind.
    pub heard: Option<AsOf>,
    /// Grows with every change of any of this; says which token an answer was about.
    pub revision: u64,
}

/// Where an integration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its token should work.
    Active,
    /// Mews refuses its token until it is enabled.
    Disabled,
    /// The hotel cancelled it; it may be reinstated.
    Canceled,
    /// It is gone for good.
    Deleted,
    /// Mews refused every token that is known of it.
    Unauthorized,
}

impl Integration {
    /// Whether there is a point in asking with it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.state == State::Active && self.access_token.is_some()
    }

    /// What can be tried with: a token that was refused too, since Mews may take it again without a word.
    #[must_use]
    pub fn token_to_try(&self) -> Option<&Secret> {
        let has_a_point = matches!(self.state, State::Active | State::Unauthorized);
        self.access_token.as_ref().filter(|_| has_a_point)
    }

    /// Whether nothing is different but the revision.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let same_token = match (&self.access_token, &other.access_token) {
            (Some(one), Some(two)) => one.matches(two.expose().as_bytes()),
            (one, two) => one.is_none() && two.is_none(),
        };
        same_token
            && self.state == other.state
            && self.enterprise_id == other.enterprise_id
            && self.alias == other.alias
            && self.heard == other.heard
    }

    /// What it is counted as.
    pub(super) fn label(&self) -> Option<IntegrationState> {
        match (self.state, &self.access_token) {
            (State::Deleted, _) => None,
            (_, None) => Some(IntegrationState::Unknown),
            (State::Active, _) => Some(IntegrationState::Active),
            (State::Disabled | State::Canceled, _) => Some(IntegrationState::Disabled),
            (State::Unauthorized, _) => Some(IntegrationState::Unauthorized),
        }
    }
}
