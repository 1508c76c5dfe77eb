//! Bodies as Mews sends them, in every form that was ever documented, and what must become of each.
//!
//! Ids and tokens are made up. Every sample has an IntegrationId of its own, so that its records can be told apart.

/// The hotel whose partition is known: 3 of 12.
pub const HOTEL: &str = "851df8c8-90f2-4c4a-8e01-a4fc46b25178";
/// An integration, for tests that need just one.
pub const INTEGRATION: &str = "7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718";
/// An entity, for tests that need just one.
pub const ENTITY: &str = "5f0e1d2c-3b4a-4958-8776-655443322110";
/// What every secret of these samples holds, and nothing else does.
pub const CANARY: &str = "CANARY-9e41c7";

/// One request and its records.
pub struct Sample {
    pub name: &'static str,
    pub route: &'static str,
    pub body: Vec<u8>,
    pub status: u16,
    /// In the order in which they leave the delivery.
    pub records: Vec<Expected>,
}

/// One record as the design page describes it.
pub struct Expected {
    /// The topic's name after the prefix.
    pub topic: String,
    pub key: Key,
    pub value: Value,
    pub kind: String,
    pub source: String,
    pub subject: Option<String>,
    pub enterprise: Option<String>,
    pub integration: Option<String>,
    pub index: usize,
    pub quarantine_reason: Option<&'static str>,
}

pub enum Key {
    Is(String),
    DeliveryId,
}

pub enum Value {
    Exactly(String),
    /// The text around one sealed literal.
    SealedBetween(String, String),
}

/// A General body with one event.
pub fn general(hotel: &str, discriminator: &str, value: &str) -> String {
    format!(
        r#"{{"EnterpriseId":"{hotel}","IntegrationId":"{INTEGRATION}","Events":[{{"Discriminator":"{discriminator}","Value":{value}}}]}}"#
    )
}

/// An event record's value.
pub fn event(
    hotel: &str,
    integration: &str,
    discriminator: &str,
    value: &str,
    entity: Option<&str>,
) -> String {
    let entity = entity.map(|entity| format!(",\"Entity\":{entity}")).unwrap_or_default();
    format!(
        r#"{{"EnterpriseId":"{hotel}","IntegrationId":"{integration}","Discriminator":"{discriminator}","Value":{value}{entity}}}"#
    )
}

/// The integration of sample `n`.
fn own(n: u8) -> String {
    format!("7d9f2e31-8c44-4f0b-a1b2-c3d4e5f600{n:02x}")
}

fn expected_event(
    topic: &str,
    integration: &str,
    index: usize,
    (discriminator, value): (&str, &str),
    subject: Option<&str>,
    entity: Option<&str>,
) -> Expected {
    Expected {
        topic: format!("events.{topic}"),
        key: Key::Is(HOTEL.to_owned()),
        value: Value::Exactly(event(HOTEL, integration, discriminator, value, entity)),
        kind: format!("com.mews.connector.{discriminator}"),
        source: format!("/mews/enterprises/{HOTEL}"),
        subject: subject.map(str::to_owned),
        enterprise: Some(HOTEL.to_owned()),
        integration: Some(integration.to_owned()),
        index,
        quarantine_reason: None,
    }
}

fn expected_quarantine(reason: &'static str, index: usize, value: Value) -> Expected {
    Expected {
        topic: "quarantine".to_owned(),
        key: Key::DeliveryId,
        value,
        kind: "com.mews.bridge.quarantined".to_owned(),
        source: "/mews/bridge".to_owned(),
        subject: None,
        enterprise: None,
        integration: None,
        index,
        quarantine_reason: Some(reason),
    }
}

/// All of them.
pub fn all() -> Vec<Sample> {
    let mut samples = vec![
        newest_form(),
        every_discriminator(),
        old_form(),
        trailing_commas(),
        other_spellings(),
        unknown_discriminators(),
        unknown_members(),
        no_events(),
        bad_events(),
    ];
    samples.extend(integrations());
    samples.extend(not_understood());
    samples
}

fn newest_form() -> Sample {
    let integration = own(1);
    let customer = "e1d2c3b4-a596-4877-8695-a4b3c2d1e0f9";
    let id = |id: &str| format!(r#"{{ "Id": "{id}" }}"#);
    let body = format!(
        r#"{{
  "EnterpriseId": "{HOTEL}",
  "IntegrationId": "{integration}",
  "Events": [
    {{ "Discriminator": "ServiceOrderUpdated", "Value": {} }},
    {{ "Discriminator": "CustomerAdded",       "Value": {} }},
    {{ "Discriminator": "CustomerUpdated",     "Value": {} }}
  ]
}}"#,
        id(ENTITY),
        id(customer),
        id(customer)
    );
    let records =
        [("ServiceOrderUpdated", ENTITY), ("CustomerAdded", customer), ("CustomerUpdated", customer)];
    let records = records.iter().enumerate().map(|(index, (discriminator, entity))| {
        expected_event(discriminator, &integration, index, (discriminator, &id(entity)), Some(entity), None)
    });
    Sample {
        name: "General, newest form",
        route: "/webhooks/general",
        body: body.clone().into(),
        status: 202,
        records: records.collect(),
    }
}

fn every_discriminator() -> Sample {
    let integration = own(2);
    let all = [
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
    let value = format!(r#"{{"Id":"{ENTITY}","MessageThreadId":"later versions may say more"}}"#);
    let events: Vec<_> =
        all.iter().map(|name| format!(r#"{{"Discriminator":"{name}","Value":{value}}}"#)).collect();
    let records = all
        .iter()
        .enumerate()
        .map(|(index, name)| expected_event(name, &integration, index, (name, &value), Some(ENTITY), None));
    Sample {
        name: "General, every discriminator",
        route: "/webhooks",
        body: format!(
            r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{integration}","Events":[{}]}}"#,
            events.join(",")
        )
        .into(),
        status: 202,
        records: records.collect(),
    }
}

fn old_form() -> Sample {
    let integration = own(3);
    let order = r#"{"Id":"11111111-1111-4111-8111-111111111111","State":"Confirmed","AdultCount":2,"Price":1.50e1,"Note":"\u00e9 \/ é"}"#;
    let message = r#"{ "Id": "33333333-3333-4333-8333-333333333333", "MessageThreadId": "44444444-4444-4444-8444-444444444444", "Text": "Hello" }"#;
    let value = |id: char| format!(r#"{{"Id":"{}"}}"#, uuid_of(id));
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{integration}","Events":[
{{"Discriminator":"ServiceOrderUpdated","Value":{}}},
{{"Discriminator":"ResourceUpdated","Value":{}}},
{{"Discriminator":"MessageAdded","Value":{}}}],
"Entities":{{"ServiceOrders":[{order}],"Resources":[{{"Id":"99999999-9999-4999-8999-999999999999"}}],"Messages":[{message}],"ResourceBlocks":null}}}}"#,
        value('1'),
        value('2'),
        value('3')
    );
    let record = |index, discriminator: &str, id: char, entity| {
        let event = (discriminator, &*value(id));
        expected_event(discriminator, &integration, index, event, Some(&uuid_of(id)), entity)
    };
    Sample {
        name: "General, older form with entities",
        route: "/webhooks/general",
        body: body.clone().into(),
        status: 202,
        records: vec![
            record(0, "ServiceOrderUpdated", '1', Some(order)),
            record(1, "ResourceUpdated", '2', None),
            record(2, "MessageAdded", '3', Some(message)),
        ],
    }
}

fn uuid_of(digit: char) -> String {
    "dddddddd-dddd-4ddd-8ddd-dddddddddddd".replace('d', &digit.to_string())
}

fn trailing_commas() -> Sample {
    let integration = own(4);
    let value = format!(r#"{{ "Id": "{ENTITY}", "Text": "a,]" }}"#);
    let with_comma = format!(r#"{{ "Id": "{ENTITY}", "Text": "a,]", }}"#);
    let without_comma = format!(r#"{{ "Id": "{ENTITY}", "Text": "a,]" }}"#);
    let body = format!(
        "{{\"EnterpriseId\":\"{HOTEL}\",\"IntegrationId\":\"{integration}\",\"Events\":[\
         {{\"Discriminator\":\"ServiceOrderUpdated\",\"Value\":{value}}},\
         {{\"Discriminator\":\"ResourceUpdated\",\"Value\":{with_comma},}},\n],}}"
    );
    Sample {
        name: "General, Mews's own sample with commas too many",
        route: "/webhooks/general",
        body: body.into(),
        status: 202,
        records: vec![
            expected_event(
                "ServiceOrderUpdated",
                &integration,
                0,
                ("ServiceOrderUpdated", &value),
                Some(ENTITY),
                None,
            ),
            expected_event(
                "ResourceUpdated",
                &integration,
                1,
                ("ResourceUpdated", &without_comma),
                Some(ENTITY),
                None,
            ),
        ],
    }
}

fn other_spellings() -> Sample {
    let integration = own(5);
    let value = format!(r#"{{"Id":"{}"}}"#, ENTITY.to_uppercase());
    let body = format!(
        "\u{feff}{{\"IntegrationId\":\"{{{}}}\",\"EnterpriseId\":\"{}\",\"Events\":[{{\"Value\":{value},\"Discriminator\":\"Customer\\u0041dded\"}}]}}",
        integration.to_uppercase(),
        HOTEL.to_uppercase().replace('-', ""),
    );
    Sample {
        name: "General, ids in other spellings",
        route: "/webhooks/general",
        body: body.into(),
        status: 202,
        records: vec![expected_event(
            "CustomerAdded",
            &integration,
            0,
            ("CustomerAdded", &value),
            Some(ENTITY),
            None,
        )],
    }
}

fn unknown_discriminators() -> Sample {
    let integration = own(6);
    let with_id = format!(r#"{{"Id":"{ENTITY}"}}"#);
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{integration}","Events":[{{"Discriminator":"BillClosed","Value":{with_id}}},{{"Discriminator":"SpaUpdated","Value":[1, 2.50]}},{{"Discriminator":"NightAudit","Value":null}}]}}"#
    );
    let record = |index, discriminator: &str, value: &str, subject| {
        expected_event("unrecognized", &integration, index, (discriminator, value), subject, None)
    };
    Sample {
        name: "General, discriminators that nobody knows yet",
        route: "/webhooks/general",
        body: body.into(),
        status: 202,
        records: vec![
            record(0, "BillClosed", &with_id, Some(ENTITY)),
            record(1, "SpaUpdated", "[1, 2.50]", None),
            record(2, "NightAudit", "null", None),
        ],
    }
}

fn unknown_members() -> Sample {
    let integration = own(7);
    let value = format!(r#"{{"Id":"{ENTITY}","New":{{"a":[1e400,-0.0]}}}}"#);
    let body = format!(
        r#"{{"New":{{}},"EnterpriseId":"{HOTEL}","IntegrationId":"{integration}","Events":[{{"New":1,"Discriminator":"PaymentUpdated","Value":{value}}}],"Entities":{{}}}}"#
    );
    Sample {
        name: "General, members that nobody knows yet",
        route: "/webhooks/general",
        body: body.into(),
        status: 202,
        records: vec![expected_event(
            "PaymentUpdated",
            &integration,
            0,
            ("PaymentUpdated", &value),
            Some(ENTITY),
            None,
        )],
    }
}

fn no_events() -> Sample {
    let body = format!(r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{}","Events":[]}}"#, own(8));
    Sample {
        name: "General, no events",
        route: "/webhooks/general",
        body: body.into(),
        status: 202,
        records: Vec::new(),
    }
}

fn bad_events() -> Sample {
    let integration = own(9);
    let good = format!(r#"{{"Id":"{ENTITY}"}}"#);
    let no_value = r#"{ "Discriminator" : "CustomerAdded" }"#;
    let before = r#"{"Discriminator":"CustomerUpdated","Value":{"Id":7,"AccessToken":"#;
    let after = "}}";
    let with_secret = format!(r#"{before}"{CANARY}-in-an-event"{after}"#);
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{integration}","Events":[{no_value},{{"Discriminator":"CustomerUpdated","Value":{good}}},{with_secret},{{"Discriminator":"CustomerAdded","Value":{good}}}]}}"#
    );
    let envelope = format!(r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{integration}","Events":["#);
    Sample {
        name: "General, two bad events between good ones",
        route: "/webhooks/general",
        body: body.into(),
        status: 202,
        records: vec![
            expected_quarantine("bad_event", 0, Value::Exactly(format!("{envelope}{no_value}]}}"))),
            expected_event(
                "CustomerUpdated",
                &integration,
                1,
                ("CustomerUpdated", &good),
                Some(ENTITY),
                None,
            ),
            expected_quarantine(
                "bad_event",
                2,
                Value::SealedBetween(format!("{envelope}{before}"), format!("{after}]}}")),
            ),
            expected_event("CustomerAdded", &integration, 3, ("CustomerAdded", &good), Some(ENTITY), None),
        ],
    }
}

/// An Integration body; `secret` is what stands for its token, `None` when the action brings none.
fn integration_body(action: &str, integration: &str, secret: Option<(&str, &str)>) -> String {
    let name = format!(r#""Integration": {{ "Id": "{integration}", "Name": "Kafka bridge" }}"#);
    match (action, secret) {
        ("IntegrationCreated", Some((member, literal))) => format!(
            r#"{{
  "Action": "IntegrationCreated",
  "Data": {{
    "Enterprise":  {{ "Id": "{HOTEL}", "Name": "Hotel Lindenhof" }},
    "Service":     {{ "Id": "b2c3d4e5-0617-4283-94a5-b6c7d8e9f001", "Name": "Stay" }},
    "Requestor":   null,
    "{member}": {literal},
    "CreatedUtc":  "2026-03-01T10:15:30Z",
    "IsEnabled":   true,
    {name}
  }}
}}"#
        ),
        (_, Some((member, literal))) => {
            format!(r#"{{"Action":"{action}","Data":{{{name},"{member}":{literal}}}}}"#)
        }
        ("IntegrationDeleted", None) => {
            format!(r#"{{"Action":"{action}","Data":{{"DeletedUtc":"2026-03-01T10:15:30Z",{name}}}}}"#)
        }
        (_, None) => format!(r#"{{"Action":"{action}","Data":{{{name}}}}}"#),
    }
}

fn integrations() -> Vec<Sample> {
    let actions = [
        ("IntegrationCreated", Some("AccessToken")),
        ("IntegrationEnabled", None),
        ("IntegrationDisabled", None),
        ("IntegrationCanceled", None),
        ("IntegrationReinstated", None),
        ("IntegrationDeleted", None),
        ("IntegrationApiKeyCreated", Some("ApiKey")),
        ("IntegrationMoved", None),
        ("IntegrationAudited", Some("ClientSecrets")),
    ];
    let sample = |(n, (action, member)): (usize, (&'static str, Option<&'static str>))| {
        let integration = own(0x20 + u8::try_from(n).expect("a few actions"));
        let literal = match action {
            "IntegrationAudited" => format!(r#"[{{"a":"{CANARY}-deep"}}, "{CANARY}-list"]"#),
            _ => format!(r#""{CANARY}-{action}""#),
        };
        let is_documented = n < 7;
        let carries_hotel = action == "IntegrationCreated";
        Sample {
            name: action,
            route: if n % 2 == 0 { "/webhooks/integration" } else { "/webhooks" },
            body: integration_body(action, &integration, member.map(|member| (member, literal.as_str())))
                .into(),
            status: 202,
            records: vec![Expected {
                topic: format!("integrations.{}", if is_documented { action } else { "unrecognized" }),
                key: Key::Is(if carries_hotel { HOTEL.to_owned() } else { integration.clone() }),
                value: Value::Exactly(integration_body(
                    action,
                    &integration,
                    member.map(|member| (member, r#"{"Sealed":true}"#)),
                )),
                kind: format!("com.mews.integration.{action}"),
                source: format!("/mews/integrations/{integration}"),
                subject: Some(integration.clone()),
                enterprise: carries_hotel.then(|| HOTEL.to_owned()),
                integration: Some(integration),
                index: 0,
                quarantine_reason: None,
            }],
        }
    };
    actions.into_iter().enumerate().map(sample).collect()
}

fn not_understood() -> Vec<Sample> {
    let sample = |name, body: String, status, record| Sample {
        name,
        route: "/webhooks/general",
        body: body.into(),
        status,
        records: vec![record],
    };
    let whole = |reason| expected_quarantine(reason, 0, Value::SealedBetween(String::new(), String::new()));
    let exact = |reason, body: &str| expected_quarantine(reason, 0, Value::Exactly(body.to_owned()));
    let unknown = r#"{"Hello" : "world", "List":[1.0]}"#;
    let twice = format!(r#"{{"Events":[],"EnterpriseId":"{HOTEL}","EnterpriseId":"x"}}"#);
    let (before, after) = (r#"{"Kind":"new","Inner":{"SecretWord":"#, r#"}}"#);
    vec![
        sample("not JSON", format!("Events=all&AccessToken={CANARY}-form"), 400, whole("not_json")),
        sample(
            "cut off",
            format!(r#"{{"EnterpriseId":"{HOTEL}","ApiKey":"{CANARY}-cut"#),
            400,
            whole("not_json"),
        ),
        sample(
            "too deep",
            format!("{}\"{CANARY}-deep\"{}", "[".repeat(65), "]".repeat(65)),
            400,
            whole("too_deep"),
        ),
        sample("unknown shape", unknown.to_owned(), 202, exact("unknown_shape", unknown)),
        sample("a member twice", twice.clone(), 202, exact("duplicate_member", &twice)),
        sample(
            "unknown shape with a secret",
            format!(r#"{before}"{CANARY}-shape"{after}"#),
            202,
            expected_quarantine(
                "unknown_shape",
                0,
                Value::SealedBetween(before.to_owned(), after.to_owned()),
            ),
        ),
    ]
}
