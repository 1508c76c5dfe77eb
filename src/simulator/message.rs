//! The bodies that Mews sends, in the forms it documents.

use std::fmt::Write as _;

use super::population::{Change, Hotel};

/// A General webhook in its newest form.
#[must_use]
pub fn general(hotel: &Hotel, changes: &[Change]) -> String {
    let events: Vec<_> = changes.iter().map(event).collect();
    format!(
        r#"{{"EnterpriseId":"{}","IntegrationId":"{}","Events":[{}]}}"#,
        hotel.enterprise_id,
        hotel.integration_id,
        events.join(",")
    )
}

/// The older form: entities beside the events, and a comma too many as in Mews's own sample
/// (reference: "Old form with Entities").
#[must_use]
pub fn general_with_entities(hotel: &Hotel, changes: &[Change]) -> String {
    let mut events = String::new();
    for change in changes {
        let _ = write!(events, "\n    {},", event(change));
    }
    let entities = |discriminator: &str, rest: &str| {
        let changed = changes.iter().filter(|change| change.discriminator == discriminator);
        changed
            .map(|change| format!(r#"{{"Id":"{}",{rest}}}"#, change.entity_id))
            .collect::<Vec<_>>()
            .join(",")
    };
    format!(
        "{{\n  \"EnterpriseId\": \"{}\",\n  \"IntegrationId\": \"{}\",\n  \"Events\": [{events}\n  ],\n  \
         \"Entities\": {{\n    \"ServiceOrders\": [{}],\n    \"Resources\": [{}]\n  }}\n}}",
        hotel.enterprise_id,
        hotel.integration_id,
        entities("ServiceOrderUpdated", r#""State":"Confirmed","AdultCount":2,"ChildCount":0"#),
        entities("ResourceUpdated", r#""State":"Dirty","Name":"101""#),
    )
}

fn event(change: &Change) -> String {
    format!(r#"{{"Discriminator":"{}","Value":{{"Id":"{}"}}}}"#, change.discriminator, change.entity_id)
}

/// The Integration webhook that begins a connection; the token is as invented as the hotel.
#[must_use]
pub fn integration_created(hotel: &Hotel) -> String {
    let hotel_name = serde_json::Value::from(hotel.name.as_str());
    let simple = hotel.integration_id.simple().to_string().to_uppercase();
    format!(
        r#"{{"Action":"IntegrationCreated","Data":{{"Enterprise":{{"Id":"{}","Name":{hotel_name}}},"Service":null,"Requestor":null,"AccessToken":"{simple}-INVENTED0000000000000000000000","CreatedUtc":"2026-03-01T10:15:30Z","IsEnabled":true,"Integration":{{"Id":"{}","Name":"Kafka bridge"}}}}}}"#,
        hotel.enterprise_id, hotel.integration_id,
    )
}

/// An Integration webhook that only names the integration.
#[must_use]
pub fn integration(hotel: &Hotel, action: &str) -> String {
    format!(
        r#"{{"Action":"{action}","Data":{{"Integration":{{"Id":"{}","Name":"Kafka bridge"}}}}}}"#,
        hotel.integration_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        simulator::population::Population,
        webhook::{Discriminators, Webhook, shape, text},
    };

    #[test]
    fn the_bridge_understands_every_form() {
        let (hotel, changes) = Population::new(3, 1).step();
        for body in [general(&hotel, &changes), general_with_entities(&hotel, &changes)] {
            let tidied = text::tidy(body.as_bytes()).unwrap();
            let Webhook::General(general) = shape::read(&tidied).unwrap() else { panic!("{body}") };
            assert_eq!(general.len(), changes.len());
            assert!(general.events(&Discriminators::default()).all(|event| event.is_ok()));
        }
        for body in [integration_created(&hotel), integration(&hotel, "IntegrationDisabled")] {
            assert!(matches!(shape::read(&body), Ok(Webhook::Integration(_))), "{body}");
        }
    }
}
