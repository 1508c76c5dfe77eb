//! General webhooks: an envelope of two ids around a list of events, and in the older form the
//! entities themselves beside them.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Unclear,
    shape::{id, object},
};

/// Events of one delivery. Mews sends hundreds at most (reference: "Delivery semantics"), and the
/// largest body of real ones that the default limit lets in has some 75 000.
pub const EVENTS_MAX: usize = 100_000;

/// The discriminators that Mews documents (reference: "General Webhooks", state of August 2026).
pub const KNOWN_DISCRIMINATORS: [&str; 10] = [
    "ServiceOrderUpdated",
    "ResourceUpdated",
    "ResourceDeleted",
    "MessageAdded",
    "ResourceBlockUpdated",
    "CustomerAdded",
    "CustomerUpdated",
    "PaymentUpdated",
    "ProductUpdated",
    "ProductDeleted",
];

/// The discriminators that have a topic of their own; any other one goes to `unrecognized`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discriminators(Vec<String>);

impl Discriminators {
    /// A list from the configuration, in its order.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Whether the discriminator has a topic of its own.
    #[must_use]
    pub fn knows(&self, discriminator: &str) -> bool {
        self.0.iter().any(|name| name == discriminator)
    }

    /// The names in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Default for Discriminators {
    fn default() -> Self {
        Self(KNOWN_DISCRIMINATORS.map(str::to_owned).to_vec())
    }
}

/// One General webhook.
#[derive(Debug)]
pub struct General<'a> {
    /// The hotel, in the one spelling of [`super::id::normal`]: the Kafka key.
    pub enterprise_id: Cow<'a, str>,
    /// The connection of the hotel to this client.
    pub integration_id: Cow<'a, str>,
    events: Vec<&'a RawValue>,
    entities: Option<&'a RawValue>,
}

/// One element of `Events` that can be fanned out.
#[derive(Debug)]
pub struct Event<'a> {
    /// What happened, escapes resolved.
    pub discriminator: Cow<'a, str>,
    /// `Value` exactly as it came.
    pub value: &'a RawValue,
    /// `Value.Id`, where there is a usable one: always under a known discriminator.
    pub entity_id: Option<Cow<'a, str>>,
}

/// One element of `Events` that cannot be fanned out, and why.
#[derive(Debug)]
pub struct BadEvent<'a> {
    /// The element exactly as it came.
    pub raw: &'a RawValue,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl<'a> General<'a> {
    pub(super) fn read(
        enterprise_id: Option<&'a RawValue>,
        integration_id: Option<&'a RawValue>,
        events: &'a RawValue,
        entities: Option<&'a RawValue>,
    ) -> Result<Self, Unclear> {
        let events: Vec<_> =
            serde_json::from_str(events.get()).map_err(|_| Unclear::UnknownShape("Events is not a list"))?;
        if events.len() > EVENTS_MAX {
            return Err(Unclear::UnknownShape("has more than 100000 events"));
        }
        Ok(Self {
            enterprise_id: id(enterprise_id).ok_or(Unclear::UnknownShape("has no usable EnterpriseId"))?,
            integration_id: id(integration_id).ok_or(Unclear::UnknownShape("has no usable IntegrationId"))?,
            events,
            entities,
        })
    }

    /// How many elements `Events` has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether `Events` is empty, which is a valid webhook.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The elements of `Events` in order.
    pub fn events(&self, known: &Discriminators) -> impl Iterator<Item = Result<Event<'a>, BadEvent<'a>>> {
        self.events.iter().map(move |raw| Event::read(raw, known).map_err(|detail| BadEvent { raw, detail }))
    }

    /// The entities that the older form carries, to look up by discriminator and id.
    #[must_use]
    pub fn entities(&self) -> Entities<'a> {
        Entities::read(self.entities)
    }
}

impl<'a> Event<'a> {
    fn read(raw: &'a RawValue, known: &Discriminators) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Header<'a> {
            #[serde(borrow, rename = "Discriminator")]
            discriminator: Cow<'a, str>,
            // Not an Option: `"Value": null` is a value, and the text `null` is what stands there.
            #[serde(borrow, rename = "Value")]
            value: &'a RawValue,
        }
        let Header { discriminator, value } =
            object(raw).ok_or("not an object with one Discriminator and one Value")?;
        if !super::id::usable(&discriminator) {
            return Err("Discriminator is empty, too long or holds control characters");
        }
        let entity_id = entity_id(value);
        if entity_id.is_none() && known.knows(&discriminator) {
            return Err("Value has no usable Id");
        }
        Ok(Self { discriminator, value, entity_id })
    }
}

fn entity_id(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Identified<'a> {
        #[serde(borrow, rename = "Id")]
        id: &'a RawValue,
    }
    id(Some(object::<Identified<'_>>(value)?.id))
}

/// The entities of the older form, by collection and id.
#[derive(Debug, Default)]
pub struct Entities<'a>(HashMap<Cow<'a, str>, HashMap<Cow<'a, str>, &'a RawValue>>);

impl<'a> Entities<'a> {
    /// Any subset of collections, `null` and `{}` are taken; what has another shape is left out.
    fn read(raw: Option<&'a RawValue>) -> Self {
        let collections: HashMap<Cow<'a, str>, &'a RawValue> = raw.and_then(object).unwrap_or_default();
        let by_id = |list: &'a RawValue| {
            let list: Vec<&'a RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
            list.into_iter().filter_map(|entity| Some((entity_id(entity)?, entity))).collect()
        };
        Self(collections.into_iter().map(|(collection, list)| (collection, by_id(list))).collect())
    }

    /// The entity that an event speaks of, exactly as it came.
    #[must_use]
    pub fn of(&self, event: &Event<'_>) -> Option<&'a RawValue> {
        let collection = self.0.get(collection(&event.discriminator)?)?;
        collection.get(event.entity_id.as_deref()?).copied()
    }
}

/// Under which member of `Entities` the older form put what a discriminator speaks of.
fn collection(discriminator: &str) -> Option<&'static str> {
    match discriminator {
        "ServiceOrderUpdated" => Some("ServiceOrders"),
        "ResourceUpdated" | "ResourceDeleted" => Some("Resources"),
        "MessageAdded" => Some("Messages"),
        "ResourceBlockUpdated" => Some("ResourceBlocks"),
        "CustomerAdded" | "CustomerUpdated" => Some("Customers"),
        "PaymentUpdated" => Some("Payments"),
        "ProductUpdated" | "ProductDeleted" => Some("Products"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Webhook, shape};

    fn general(text: &str) -> General<'_> {
        match shape::read(text).unwrap() {
            Webhook::General(general) => general,
            Webhook::Integration(_) => panic!("an Integration webhook"),
        }
    }

    #[test]
    fn values_and_entities_are_the_bytes_that_came() {
        let text = r#"{"EnterpriseId":"E","IntegrationId":"i","New":[1],"Events":[
            {"Discriminator":"ResourceUpdated","Value":{ "Id" : "AA" , "x":1.50 }}],
            "Entities":{"Resources":[{"Id":"BB"},{ "Id": "AA", "n":1e2 }],"ServiceOrders":null}}"#;
        let general = general(text);
        let events: Vec<_> = general.events(&Discriminators::default()).map(Result::unwrap).collect();
        assert_eq!(events[0].value.get(), r#"{ "Id" : "AA" , "x":1.50 }"#);
        let entity = general.entities().of(&events[0]).unwrap();
        assert_eq!(entity.get(), r#"{ "Id": "AA", "n":1e2 }"#);
    }

    #[test]
    fn odd_entities_are_left_out() {
        for odd in ["null", "{}", "[]", "7", r#"{"Resources":7}"#, r#"{"Resources":[7,{"Id":7}]}"#] {
            let text = format!(
                r#"{{"EnterpriseId":"e","IntegrationId":"i","Entities":{odd},
                   "Events":[{{"Discriminator":"ResourceUpdated","Value":{{"Id":"a"}}}}]}}"#
            );
            let general = general(&text);
            let event = general.events(&Discriminators::default()).next().unwrap().unwrap();
            assert!(general.entities().of(&event).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_known_discriminator_wants_an_id_and_an_unknown_one_takes_any_value() {
        let judge = |event: &str| {
            let text = format!(r#"{{"EnterpriseId":"e","IntegrationId":"i","Events":[{event}]}}"#);
            general(&text).events(&Discriminators::default()).next().unwrap().is_ok()
        };
        for bad in [
            "7",
            "[]",
            r#"["CustomerAdded",{"Id":"a"}]"#,
            r#"{"Value":{"Id":"a"}}"#,
            r#"{"Discriminator":"CustomerAdded"}"#,
            r#"{"Discriminator":"New"}"#,
            r#"{"Discriminator":7,"Value":{"Id":"a"}}"#,
            r#"{"Discriminator":"","Value":{"Id":"a"}}"#,
            r#"{"Discriminator":"CustomerAdded","Value":null}"#,
            r#"{"Discriminator":"CustomerAdded","Value":["a"]}"#,
            r#"{"Discriminator":"CustomerAdded","Value":{"Id":""}}"#,
            r#"{"Discriminator":"CustomerAdded","Value":{"Id":7}}"#,
            r#"{"Discriminator":"CustomerAdded","Value":{"Id":"a","Id":"b"}}"#,
        ] {
            assert!(!judge(bad), "{bad}");
        }
        for good in [
            r#"{"Discriminator":"CustomerAdded","Value":{"Id":"a"}}"#,
            r#"{"Discriminator":"New","Value":null}"#,
            r#"{"Discriminator":"New","Value":[1]}"#,
            r#"{"Discriminator":"New","Value":{"No":"Id"},"More":1}"#,
        ] {
            assert!(judge(good), "{good}");
        }
    }

    #[test]
    fn ids_have_one_spelling() {
        let text =
            r#"{"EnterpriseId":"851DF8C890F24C4A8E01A4FC46B25178","IntegrationId":"\u0041b","Events":[]}"#;
        let general = general(text);
        assert_eq!(general.enterprise_id, "851df8c8-90f2-4c4a-8e01-a4fc46b25178");
        assert_eq!(general.integration_id, "Ab");
        assert!(general.is_empty());
    }
}
