//! What a body is: a General webhook, an Integration webhook, or a reason why it is neither.
//!
//! One pass over the top level finds the members; their values stay raw text until the kind is known.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{General, Integration};

/// A body that was understood.
#[derive(Debug)]
pub enum Webhook<'a> {
    /// `Events` at the top level.
    General(General<'a>),
    /// `Action` at the top level.
    Integration(Integration<'a>),
}

/// Why a body was not understood; each variant is one `quarantine_reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// A syntax error, forgiven commas aside.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// More brackets open at once than [`super::text::OPEN_BRACKETS_MAX`].
    #[error("more than {} brackets are open at once", super::text::OPEN_BRACKETS_MAX)]
    TooDeep,
    /// JSON, but neither kind of webhook.
    #[error("{0}")]
    UnknownShape(&'static str),
    /// A top-level member that is given twice, so that readers could differ on which one counts.
    #[error("top-level member {0:?} is given twice")]
    DuplicateMember(String),
}

impl Unclear {
    /// The value of the `quarantine_reason` header.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not_json",
            Self::TooDeep => "too_deep",
            Self::UnknownShape(_) => "unknown_shape",
            Self::DuplicateMember(_) => "duplicate_member",
        }
    }

    /// Whether the bytes could not even be read as JSON, so that no search for secrets is possible.
    #[must_use]
    pub const fn is_undecodable(&self) -> bool {
        matches!(self, Self::NotJson(_) | Self::TooDeep)
    }
}

/// Longest member name that an error repeats.
const NAME_SHOWN_MAX: usize = 64;

/// Reads text that [`super::text::tidy`] has passed.
///
/// # Errors
/// The reason why the text is no webhook.
pub fn read(text: &str) -> Result<Webhook<'_>, Unclear> {
    let top: Top<'_> = match serde_json::from_str(text) {
        Ok(top) => top,
        // Anything but an object is refused by the visitor without a look at the rest of the text.
        Err(error) if error.is_data() => return Err(no_object(text)),
        Err(error) => return Err(Unclear::NotJson(error.to_string())),
    };
    if let Some(name) = top.given_twice {
        return Err(Unclear::DuplicateMember(name.chars().take(NAME_SHOWN_MAX).collect()));
    }
    match (top.events, top.action) {
        (Some(events), None) => {
            General::read(top.enterprise_id, top.integration_id, events, top.entities).map(Webhook::General)
        }
        (None, Some(action)) => Integration::read(text, action, top.data).map(Webhook::Integration),
        (Some(_), Some(_)) => Err(Unclear::UnknownShape("has both Events and Action")),
        (None, None) => Err(Unclear::UnknownShape("has neither Events nor Action")),
    }
}

fn no_object(text: &str) -> Unclear {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Unclear::UnknownShape("is not an object"),
        Err(error) => Unclear::NotJson(error.to_string()),
    }
}

/// A value as an object of known members; `None` when it is none, or a member has the wrong type.
///
/// serde also takes a list for a struct, which is never meant here.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

/// A string value, escapes resolved; `None` when it is no string or not [usable](super::id::usable) as an id.
pub(super) fn id(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    match text(raw?)?.0 {
        Cow::Borrowed(text) if super::id::is_normal_uuid(text) => Some(Cow::Borrowed(text)),
        text if !super::id::usable(&text) => None,
        Cow::Borrowed(text) => Some(super::id::normal(text)),
        Cow::Owned(text) => Some(Cow::Owned(super::id::normal(&text).into_owned())),
    }
}

/// A string value, escapes resolved.
fn text(raw: &RawValue) -> Option<Text<'_>> {
    // The literal is known to be JSON: without an escape, what stands between the quotes is the string.
    let plain = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match plain {
        Some(plain) if !plain.contains('\\') => Some(Text(plain.into())),
        Some(_) | None => serde_json::from_str(raw.get()).ok(),
    }
}

/// A string that is borrowed unless it holds escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[derive(Default)]
struct Top<'a> {
    enterprise_id: Option<&'a RawValue>,
    integration_id: Option<&'a RawValue>,
    events: Option<&'a RawValue>,
    entities: Option<&'a RawValue>,
    action: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    given_twice: Option<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Top<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TopVisitor;
        impl<'de> Visitor<'de> for TopVisitor {
            type Value = Top<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'de>, A::Error> {
                let mut top = Top::default();
                let mut others = HashSet::new();
                while let Some(Text(name)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    let place = match &*name {
                        "EnterpriseId" => &mut top.enterprise_id,
                        "IntegrationId" => &mut top.integration_id,
                        "Events" => &mut top.events,
                        "Entities" => &mut top.entities,
                        "Action" => &mut top.action,
                        "Data" => &mut top.data,
                        _ => {
                            if let Some(twice) = others.replace(name) {
                                top.given_twice.get_or_insert(twice.into_owned());
                            }
                            continue;
                        }
                    };
                    if place.replace(value).is_some() {
                        top.given_twice.get_or_insert(name.into_owned());
                    }
                }
                Ok(top)
            }
        }
        deserializer.deserialize_map(TopVisitor)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any JSON value of moderate size.
    pub(in crate::webhook) fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(".{0,12}", inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn reason(text: &str) -> &'static str {
        read(text).expect_err("not a webhook").reason()
    }

    #[test]
    fn what_is_no_webhook_has_its_reason() {
        assert_eq!(reason(""), "not_json");
        assert_eq!(reason("{\"Events\":[}"), "not_json");
        assert_eq!(reason("{} {}"), "not_json");
        assert_eq!(reason("[1, 2"), "not_json");
        assert_eq!(reason("[1, 2]"), "unknown_shape");
        assert_eq!(reason("\"Events\""), "unknown_shape");
        assert_eq!(reason("{}"), "unknown_shape");
        assert_eq!(reason(r#"{"Events":[],"Action":"x"}"#), "unknown_shape");
        assert_eq!(reason(r#"{"Events":[],"IntegrationId":"i"}"#), "unknown_shape");
        assert_eq!(reason(r#"{"Events":{},"IntegrationId":"i","EnterpriseId":"e"}"#), "unknown_shape");
        assert_eq!(reason(r#"{"Events":[],"IntegrationId":"","EnterpriseId":"e"}"#), "unknown_shape");
        assert_eq!(reason(r#"{"Events":[],"IntegrationId":"i","EnterpriseId":7}"#), "unknown_shape");
        assert_eq!(reason(r#"{"Events":[],"EnterpriseId":"e","\u0045vents":[]}"#), "duplicate_member");
        assert_eq!(reason(r#"{"x":1,"x":2,"Events":[]}"#), "duplicate_member");
    }

    #[test]
    fn more_events_than_anybody_sends_are_no_webhook() {
        let body = |events: usize| {
            format!(r#"{{"EnterpriseId":"e","IntegrationId":"i","Events":[1{}]}}"#, ",1".repeat(events - 1))
        };
        assert!(read(&body(100_000)).is_ok());
        assert_eq!(reason(&body(100_001)), "unknown_shape");
    }

    #[test]
    fn a_syntax_error_after_the_webhook_is_still_one() {
        assert_eq!(reason(r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[]}x"#), "not_json");
    }

    proptest! {
        #[test]
        fn any_json_ends_in_an_answer(value in any_json()) {
            let _ = read(&value.to_string());
        }
    }
}
