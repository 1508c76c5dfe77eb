//! Integration webhooks: the life of one hotel's connection, one event a request.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Unclear,
    shape::{Text, id, object},
};

/// What happened to an integration (reference: "Integration Webhooks").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It came to be, with its first access token.
    Created,
    /// Its access token works from now on.
    Enabled,
    /// Its access token is refused until it is enabled again.
    Disabled,
    /// The hotel cancelled it.
    Canceled,
    /// It is back after a cancellation.
    Reinstated,
    /// It is gone for good.
    Deleted,
    /// It has a new access token; the former one is dead.
    ApiKeyCreated,
}

impl Action {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Enabled,
        Self::Disabled,
        Self::Canceled,
        Self::Reinstated,
        Self::Deleted,
        Self::ApiKeyCreated,
    ];

    /// The value of `Action` on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "IntegrationCreated",
            Self::Enabled => "IntegrationEnabled",
            Self::Disabled => "IntegrationDisabled",
            Self::Canceled => "IntegrationCanceled",
            Self::Reinstated => "IntegrationReinstated",
            Self::Deleted => "IntegrationDeleted",
            Self::ApiKeyCreated => "IntegrationApiKeyCreated",
        }
    }

    /// The action of that name, if it is one that Mews documents.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// One Integration webhook.
#[derive(Debug)]
pub struct Integration<'a> {
    /// The whole webhook, as it came or with its secrets sealed.
    pub text: &'a str,
    /// `Action`, escapes resolved; [`Action::named`] says whether it is a known one.
    pub action: Cow<'a, str>,
    /// The connection, in the one spelling of [`super::id::normal`].
    pub integration_id: Cow<'a, str>,
    /// The hotel or chain; only `IntegrationCreated` carries it.
    pub enterprise_id: Option<Cow<'a, str>>,
    /// The access token as a JSON literal, where the action brings one: a string, or what sealing made of it.
    pub access_token: Option<&'a RawValue>,
    /// Whether the integration is in use, where the webhook says so.
    pub is_enabled: Option<bool>,
}

impl<'a> Integration<'a> {
    pub(super) fn read(
        text: &'a str,
        action: &'a RawValue,
        data: Option<&'a RawValue>,
    ) -> Result<Self, Unclear> {
        let Text(action) = serde_json::from_str(action.get())
            .map_err(|_| Unclear::UnknownShape("Action is not a string"))?;
        if !super::id::usable(&action) {
            return Err(Unclear::UnknownShape("Action is empty, too long or holds control characters"));
        }
        let data: Data<'a> =
            data.and_then(object).ok_or(Unclear::UnknownShape("Data is not an object of known members"))?;
        Ok(Self {
            text,
            integration_id: data
                .integration
                .and_then(named_id)
                .ok_or(Unclear::UnknownShape("Data.Integration has no usable Id"))?,
            enterprise_id: data.enterprise.and_then(named_id),
            access_token: match Action::named(&action) {
                Some(Action::Created) => data.access_token,
                Some(Action::ApiKeyCreated) => data.api_key.or(data.access_token),
                _ => None,
            },
            is_enabled: data.is_enabled.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            action,
        })
    }
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "Integration")]
    integration: Option<&'a RawValue>,
    #[serde(borrow, rename = "Enterprise")]
    enterprise: Option<&'a RawValue>,
    #[serde(borrow, rename = "AccessToken")]
    access_token: Option<&'a RawValue>,
    #[serde(borrow, rename = "ApiKey")]
    api_key: Option<&'a RawValue>,
    #[serde(borrow, rename = "IsEnabled")]
    is_enabled: Option<&'a RawValue>,
}

/// The id in `{"Id", "Name"}`.
fn named_id(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, rename = "Id")]
        id: &'a RawValue,
    }
    id(Some(object::<Named<'_>>(raw)?.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Webhook, shape};

    fn integration(text: &str) -> Integration<'_> {
        match shape::read(text).unwrap() {
            Webhook::Integration(integration) => integration,
            Webhook::General(_) => panic!("a General webhook"),
        }
    }

    #[test]
    fn every_documented_action_is_known_by_its_name() {
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(action));
        }
        assert_eq!(Action::named("IntegrationUpgraded"), None);
    }

    #[test]
    fn only_the_actions_that_bring_a_token_have_one() {
        let created = integration(
            r#"{"Action":"IntegrationCreated","Data":{"AccessToken":"a","ApiKey":"b","Requestor":null,
                "Enterprise":{"Id":"E","Name":"n"},"Integration":{"Id":"I","Name":"n"},"IsEnabled":true}}"#,
        );
        assert_eq!(created.access_token.unwrap().get(), "\"a\"");
        assert_eq!((created.enterprise_id.as_deref(), created.is_enabled), (Some("E"), Some(true)));
        let rekeyed = integration(
            r#"{"Action":"IntegrationApiKeyCreated","Data":{"ApiKey":{"Sealed":"x"},"Integration":{"Id":"I"}}}"#,
        );
        assert_eq!(rekeyed.access_token.unwrap().get(), r#"{"Sealed":"x"}"#);
        let disabled = integration(
            r#"{"Action":"IntegrationDisabled","Data":{"AccessToken":"a","Enterprise":null,"Integration":{"Id":"I"}}}"#,
        );
        assert!(disabled.access_token.is_none() && disabled.enterprise_id.is_none());
    }

    #[test]
    fn an_unknown_action_is_an_integration_webhook_all_the_same() {
        let text = r#"{"Action":"IntegrationMoved","Data":{"Integration":{"Id":"I"},"New":{}}}"#;
        assert_eq!(integration(text).action, "IntegrationMoved");
    }

    #[test]
    fn a_webhook_about_nothing_has_an_unknown_shape() {
        for text in [
            r#"{"Action":7,"Data":{"Integration":{"Id":"I"}}}"#,
            r#"{"Action":"","Data":{"Integration":{"Id":"I"}}}"#,
            r#"{"Action":"IntegrationDeleted"}"#,
            r#"{"Action":"IntegrationDeleted","Data":[]}"#,
            r#"{"Action":"IntegrationDeleted","Data":{"Integration":null}}"#,
            r#"{"Action":"IntegrationDeleted","Data":{"Integration":{"Id":""}}}"#,
            r#"{"Action":"IntegrationCreated","Data":{"AccessToken":"a","AccessToken":"b","Integration":{"Id":"I"}}}"#,
        ] {
            assert_eq!(shape::read(text).unwrap_err().reason(), "unknown_shape", "{text}");
        }
    }
}
