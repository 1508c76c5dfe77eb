//! What is known of one integration, as a record of `mews.credentials` holds it.
//!
//! The topic is compacted and keyed by IntegrationId, so only the last record of an integration is
//! sure to stay: each holds everything, not only what its webhook said.
//!
//! ```json
//! { "IntegrationId": "7d9f…", "EnterpriseId": "0a6b…", "EnterpriseIdUtc": "…", "EnterpriseIdDelivery": "…",
//!   "State": "disabled", "IsEnabled": false, "StateUtc": "…", "StateDelivery": "…",
//!   "AccessToken": {"Sealed":"…"}, "AccessTokenUtc": "…", "AccessTokenDelivery": "…" }
//! ```
//!
//! Three aspects, each with the delivery that it is from: `…Utc` is when that was accepted, `…Delivery`
//! its id. An aspect that no webhook has spoken of is not there. `AccessToken` is `{"Discarded":true}`
//! when secrets are not kept, and not there once the integration is deleted. The relay merges and writes
//! these records, the enricher reads them; nothing here opens a token.

use std::{borrow::Cow, fmt, time::SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::webhook::{Integration, integration::Action};

/// What is known of one integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The record's key.
    pub integration_id: String,
    /// The hotel or chain.
    pub enterprise_id: Option<Aspect<String>>,
    /// Where the integration stands.
    pub standing: Option<Aspect<Standing>>,
    /// The access token; `None` inside an aspect means that there is none any more.
    pub access_token: Option<Aspect<Option<Token>>>,
}

/// One thing that is known, and which delivery it is from. Of two, the greater is the newer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aspect<T> {
    /// Which delivery said so.
    pub as_of: AsOf,
    /// What it said.
    pub value: T,
}

/// A delivery's place in time: the later accepted is the newer; at one time, the greater id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsOf {
    /// When it was accepted, to the millisecond.
    pub accepted_at: SystemTime,
    /// Its id.
    pub delivery: Uuid,
}

/// Where an integration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// The last action that changed it.
    pub state: State,
    /// Whether Mews takes its access token.
    pub is_enabled: bool,
}

/// What last happened to an integration, other than a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It came to be.
    Created,
    /// Its token works.
    Enabled,
    /// Its token is refused.
    Disabled,
    /// The hotel cancelled it.
    Canceled,
    /// It is back after a cancellation.
    Reinstated,
    /// It is gone for good.
    Deleted,
}

/// An access token as a record may hold it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// What [`super::seal`] made of it, the base64 text in `{"Sealed":"<base64>"}`.
    Sealed(String),
    /// It was forgotten; all that is known is that there is one.
    Discarded,
}

/// Why bytes are no such record.
#[derive(Debug, thiserror::Error)]
#[error("not a credentials record")]
pub struct Error(#[source] serde_json::Error);

impl Known {
    /// What one Integration webhook says; `None` for an action that is not documented.
    #[must_use]
    pub fn of(integration: &Integration<'_>, as_of: AsOf) -> Option<Self> {
        let action = Action::named(&integration.action)?;
        let standing = |state, is_enabled| Some(Aspect { as_of, value: Standing { state, is_enabled } });
        let token = integration.access_token.map(|literal| Some(Token::of(literal.get())));
        Some(Self {
            integration_id: integration.integration_id.to_string(),
            enterprise_id: integration
                .enterprise_id
                .as_ref()
                .map(|id| Aspect { as_of, value: id.to_string() }),
            standing: match action {
                Action::Created => standing(State::Created, integration.is_enabled.unwrap_or(true)),
                Action::Enabled => standing(State::Enabled, true),
                Action::Disabled => standing(State::Disabled, false),
                Action::Canceled => standing(State::Canceled, false),
                Action::Reinstated => standing(State::Reinstated, true),
                Action::Deleted => standing(State::Deleted, false),
                Action::ApiKeyCreated => None,
            },
            access_token: match action {
                Action::Deleted => Some(None),
                Action::Created
                | Action::Enabled
                | Action::Disabled
                | Action::Canceled
                | Action::Reinstated
                | Action::ApiKeyCreated => token,
            }
            .map(|value| Aspect { as_of, value }),
        })
    }

    /// The newest of either per aspect. The order and number of merges make no difference.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            integration_id: self.integration_id,
            enterprise_id: self.enterprise_id.max(other.enterprise_id),
            standing: self.standing.max(other.standing),
            access_token: self.access_token.max(other.access_token),
        }
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// When it is not what [`Self::to_json`] writes.
    pub fn parse(value: &[u8]) -> Result<Self, Error> {
        let wire: Wire = serde_json::from_slice(value).map_err(Error)?;
        let standing =
            wire.state.map(|state| Standing { state, is_enabled: wire.is_enabled.unwrap_or(false) });
        Ok(Self {
            integration_id: wire.integration_id,
            enterprise_id: aspect(wire.enterprise_id_utc, wire.enterprise_id_delivery, wire.enterprise_id),
            standing: aspect(wire.state_utc, wire.state_delivery, standing),
            access_token: aspect(
                wire.access_token_utc,
                wire.access_token_delivery,
                Some(wire.access_token.map(Token::from)),
            ),
        })
    }

    /// The record's value.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (enterprise_id, enterprise_id_utc, enterprise_id_delivery) = parts(self.enterprise_id.as_ref());
        let (standing, state_utc, state_delivery) = parts(self.standing.as_ref());
        let (access_token, access_token_utc, access_token_delivery) = parts(self.access_token.as_ref());
        let wire = Wire {
            integration_id: self.integration_id.clone(),
            enterprise_id,
            enterprise_id_utc,
            enterprise_id_delivery,
            state: standing.map(|standing| standing.state),
            is_enabled: standing.map(|standing| standing.is_enabled),
            state_utc,
            state_delivery,
            access_token: access_token.flatten().map(Into::into),
            access_token_utc,
            access_token_delivery,
        };
        serde_json::to_string(&wire).expect("strings and booleans always serialise into memory")
    }
}

impl Token {
    /// What stands in a journaled webhook in place of the token.
    ///
    /// A literal that neither sealing nor discarding left there is forgotten, since it could be the
    /// token itself.
    fn of(literal: &str) -> Self {
        match serde_json::from_str(literal) {
            Ok(WireToken::Sealed(base64)) => Self::Sealed(base64),
            Ok(WireToken::Discarded(_)) | Err(_) => Self::Discarded,
        }
    }

    /// The literal that a key ring opens, unless it was discarded.
    #[must_use]
    pub fn sealed_literal(&self) -> Option<String> {
        match self {
            Self::Sealed(base64) => Some(format!("{{\"Sealed\":\"{base64}\"}}")),
            Self::Discarded => None,
        }
    }
}

/// Says only which kind it is: what is sealed is nobody's business either.
impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sealed(_) => "<sealed>",
            Self::Discarded => "<discarded>",
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire {
    integration_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enterprise_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enterprise_id_utc: Option<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enterprise_id_delivery: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_utc: Option<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_delivery: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token: Option<WireToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_utc: Option<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_delivery: Option<Uuid>,
}

#[derive(Serialize, Deserialize)]
enum WireToken {
    Sealed(String),
    Discarded(bool),
}

impl From<WireToken> for Token {
    fn from(wire: WireToken) -> Self {
        match wire {
            WireToken::Sealed(base64) => Self::Sealed(base64),
            WireToken::Discarded(_) => Self::Discarded,
        }
    }
}

impl From<Token> for WireToken {
    fn from(token: Token) -> Self {
        match token {
            Token::Sealed(base64) => Self::Sealed(base64),
            Token::Discarded => Self::Discarded(true),
        }
    }
}

/// A time as RFC 3339 writes it, to the millisecond.
#[derive(Clone, Copy)]
struct Utc(SystemTime);

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(self.0))
    }
}

impl<'de> Deserialize<'de> for Utc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map(Self).map_err(D::Error::custom)
    }
}

/// An aspect, if all of it is there.
fn aspect<T>(utc: Option<Utc>, delivery: Option<Uuid>, value: Option<T>) -> Option<Aspect<T>> {
    let as_of = AsOf { accepted_at: utc?.0, delivery: delivery? };
    Some(Aspect { as_of, value: value? })
}

fn parts<T: Clone>(aspect: Option<&Aspect<T>>) -> (Option<T>, Option<Utc>, Option<Uuid>) {
    (
        aspect.map(|aspect| aspect.value.clone()),
        aspect.map(|aspect| Utc(aspect.as_of.accepted_at)),
        aspect.map(|aspect| aspect.as_of.delivery),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Webhook, shape};
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(second: u64, delivery: u128) -> AsOf {
        AsOf {
            accepted_at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            delivery: Uuid::from_u128(delivery),
        }
    }

    fn said(action: &str, more: &str, as_of: AsOf) -> Option<Known> {
        let text = format!(r#"{{"Action":"{action}","Data":{{"Integration":{{"Id":"i"}}{more}}}}}"#);
        match shape::read(&text).unwrap() {
            Webhook::Integration(integration) => Known::of(&integration, as_of),
            Webhook::General(_) => panic!("a General webhook"),
        }
    }

    fn any_aspect<T: fmt::Debug + Clone>(
        value: impl Strategy<Value = T>,
    ) -> impl Strategy<Value = Option<Aspect<T>>> {
        // Few moments and ids, so that they meet.
        prop::option::of(
            (0u64..3, 0u128..3, value)
                .prop_map(|(second, delivery, value)| Aspect { as_of: at(second, delivery), value }),
        )
    }

    fn any_known() -> impl Strategy<Value = Known> {
        let states = [State::Created, State::Enabled, State::Disabled, State::Canceled, State::Deleted];
        let standing = (prop::sample::select(states.to_vec()), any::<bool>())
            .prop_map(|(state, is_enabled)| Standing { state, is_enabled });
        let token = prop::option::of(prop_oneof![
            Just(Token::Discarded),
            "[A-Za-z0-9+/]{1,8}".prop_map(Token::Sealed)
        ]);
        (any_aspect("[a-z\"]{1,4}"), any_aspect(standing), any_aspect(token)).prop_map(
            |(enterprise_id, standing, access_token)| Known {
                integration_id: "i".into(),
                enterprise_id,
                standing,
                access_token,
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_and_number_of_merges_make_no_difference(a in any_known(), b in any_known(), c in any_known()) {
            let merged = a.clone().merge(b.clone()).merge(c.clone());
            prop_assert_eq!(&c.clone().merge(b.clone().merge(a.clone())), &merged);
            prop_assert_eq!(&b.merge(merged.clone()), &merged);
            prop_assert_eq!(&merged.clone().merge(merged.clone()), &merged);
        }

        #[test]
        fn what_was_written_is_read(known in any_known()) {
            prop_assert_eq!(Known::parse(known.to_json().as_bytes()).unwrap(), known);
        }
    }

    #[test]
    fn a_record_about_the_state_still_carries_the_token() {
        let enterprise = r#","Enterprise":{"Id":"e"},"IsEnabled":true,"AccessToken":{"Sealed":"QQ=="}"#;
        let known = said("IntegrationCreated", enterprise, at(1, 1)).unwrap();
        let known = known.merge(said("IntegrationDisabled", "", at(2, 2)).unwrap());
        assert_eq!(
            known.to_json(),
            concat!(
                r#"{"IntegrationId":"i","EnterpriseId":"e","EnterpriseIdUtc":"1970-01-01T00:00:01.000Z","#,
                r#""EnterpriseIdDelivery":"00000000-0000-0000-0000-000000000001","State":"disabled","IsEnabled":false,"#,
                r#""StateUtc":"1970-01-01T00:00:02.000Z","StateDelivery":"00000000-0000-0000-0000-000000000002","#,
                r#""AccessToken":{"Sealed":"QQ=="},"AccessTokenUtc":"1970-01-01T00:00:01.000Z","#,
                r#""AccessTokenDelivery":"00000000-0000-0000-0000-000000000001"}"#,
            )
        );
    }

    #[test]
    fn a_deleted_integration_has_no_token_and_older_news_do_not_bring_it_back() {
        let deleted = said("IntegrationDeleted", "", at(5, 1)).unwrap();
        let older = said("IntegrationApiKeyCreated", r#","ApiKey":{"Sealed":"QQ=="}"#, at(4, 9)).unwrap();
        let known = older.merge(deleted);
        assert_eq!(known.access_token.as_ref().unwrap().value, None);
        assert_eq!(known.standing.as_ref().unwrap().value.state, State::Deleted);
        assert!(!known.to_json().contains("AccessToken\":"));
        let newer = said("IntegrationCreated", r#","AccessToken":{"Sealed":"Qg=="}"#, at(6, 1)).unwrap();
        assert_eq!(known.merge(newer).access_token.unwrap().value, Some(Token::Sealed("Qg==".into())));
    }

    #[test]
    fn a_literal_that_was_not_sealed_is_forgotten() {
        for literal in [r#""plain""#, r#"{"Discarded":true}"#, r#"{"Other":1}"#] {
            let known =
                said("IntegrationCreated", &format!(r#","AccessToken":{literal}"#), at(1, 1)).unwrap();
            assert!(known.to_json().contains(r#""AccessToken":{"Discarded":true}"#), "{literal}");
        }
    }

    #[test]
    fn an_action_that_is_not_documented_says_nothing() {
        assert_eq!(said("IntegrationMoved", "", at(1, 1)), None);
    }

    #[test]
    fn debug_shows_no_token() {
        let known = said("IntegrationCreated", r#","AccessToken":{"Sealed":"canary"}"#, at(1, 1));
        assert!(!format!("{known:?}").contains("canary"));
    }
}
