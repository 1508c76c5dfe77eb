//! The bodies that Mews sends, in the forms it documents (contract 1.2, 1.6, 2).

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    integration::{Action, Integration},
    kind::Kind,
    utc::{Precision, Utc},
};

/// One element of `Events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub discriminator: &'static str,
    pub kind: Kind,
    pub id: Uuid,
}

/// A General webhook in its newest form.
pub fn general(enterprise: Uuid, integration: Uuid, events: &[Event]) -> String {
    let events: Vec<_> = events.iter().map(element).collect();
    format!(
        r#"{{"EnterpriseId":"{enterprise}","IntegrationId":"{integration}","Events":[{}]}}"#,
        events.join(",")
    )
}

/// The older form: the entities beside the events, by their lists, and a comma too many as in Mews's own
/// sample (contract 1.6).
pub fn general_with_entities(
    enterprise: Uuid,
    integration: Uuid,
    events: &[Event],
    entities: &BTreeMap<&'static str, Vec<Value>>,
) -> String {
    let mut elements = String::new();
    for event in events {
        let _ = write!(elements, "\n    {},", element(event));
    }
    let entities = serde_json::to_string(entities).expect("names and records are JSON");
    format!(
        "{{\n  \"EnterpriseId\": \"{enterprise}\",\n  \"IntegrationId\": \"{integration}\",\n  \
         \"Events\": [{elements}\n  ],\n  \"Entities\": {entities}\n}}",
    )
}

fn element(event: &Event) -> String {
    format!(r#"{{"Discriminator":"{}","Value":{{"Id":"{}"}}}}"#, event.discriminator, event.id)
}

/// An Integration webhook. Only the one of a creation names the enterprise, only those of a creation and a
/// new key carry the token (contract 2). None for what Mews does not tell.
pub fn integration(
    action: Action,
    integration: &Integration,
    (enterprise, enterprise_name): (Uuid, &str),
    now: Utc,
) -> Option<String> {
    let named = json!({ "Id": integration.id, "Name": integration.name });
    let at = now.text(Precision::Seconds);
    let data: Value = match action {
        Action::Create => json!({
            "Enterprise": { "Id": enterprise, "Name": enterprise_name },
            "Service": null,
            "Requestor": null,
            "AccessToken": integration.access_token,
            "CreatedUtc": at,
            "IsEnabled": integration.is_enabled,
            "Integration": named,
        }),
        Action::Regenerate => json!({ "Integration": named, "ApiKey": integration.access_token }),
        Action::Delete => json!({ "DeletedUtc": at, "Integration": named }),
        _ => json!({ "Integration": named }),
    };
    Some(json!({ "Action": action.webhook()?, "Data": data }).to_string())
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::{
        simulator::{
            chance,
            integration::{Integrations, Scope},
        },
        webhook::{Discriminators, Webhook, shape, text},
    };

    #[test]
    fn the_bridge_understands_every_form() {
        let mut chance = Rng::with_seed(1);
        let events: Vec<_> = Kind::ALL
            .into_iter()
            .flat_map(|kind| {
                let id = chance::id(&mut chance);
                let all = kind.discriminators(crate::simulator::kind::Happening::Added).iter();
                all.map(move |discriminator| Event { discriminator, kind, id })
            })
            .collect();
        let (enterprise, integration_id) = (chance::id(&mut chance), chance::id(&mut chance));
        let entities = BTreeMap::from([("Resources", vec![json!({ "Id": events[0].id })])]);
        for body in [
            general(enterprise, integration_id, &events),
            general_with_entities(enterprise, integration_id, &events, &entities),
        ] {
            let tidied = text::tidy(body.as_bytes()).unwrap();
            let Webhook::General(general) = shape::read(&tidied).unwrap() else { panic!("{body}") };
            assert_eq!(
                (general.len(), general.enterprise_id.as_ref()),
                (events.len(), enterprise.to_string().as_str())
            );
            assert!(general.events(&Discriminators::default()).all(|event| event.is_ok()));
        }
        let mut integrations = Integrations::default();
        let at = integrations.add(Scope::Hotel(0), &[0], &mut chance);
        for action in [Action::Create, Action::Regenerate, Action::Delete, Action::Disable, Action::Reinstate]
        {
            let body =
                integration(action, integrations.at(at), (enterprise, "A \"hotel\""), Utc::now()).unwrap();
            let Webhook::Integration(read) = shape::read(&body).unwrap() else { panic!("{body}") };
            assert_eq!(read.integration_id, integrations.at(at).id.to_string());
        }
        assert!(integration(Action::Revoke, integrations.at(at), (enterprise, ""), Utc::now()).is_none());
    }
}
