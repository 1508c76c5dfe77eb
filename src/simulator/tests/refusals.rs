//! A refused call per rule, and the words of its refusal.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::harness::World;
use crate::simulator::rules::{Form, IDS_MAX, OPERATIONS, Rules, Scoping};

/// A request that an operation answers, for a hotel with these services.
fn right(rules: &Rules, services: &Value) -> Value {
    let mut members = json!({});
    for name in rules.required.iter().chain(rules.one_of.first()) {
        members[name] = json!(["5f0e1d2c-3b4a-4958-8776-655443322110"]);
    }
    if rules.required.contains(&"ServiceIds") {
        members["ServiceIds"] = services.clone();
    }
    if rules.one_of.first() == Some(&"EnterpriseIds") {
        members["EnterpriseIds"] = Value::Null;
        members["PaymentIds"] = json!(["5f0e1d2c-3b4a-4958-8776-655443322110"]);
    }
    if let Some(main) = rules.extent.first() {
        members["Extent"] = json!({ *main: true });
    }
    members
}

/// Those members with some replaced.
fn but(members: &Value, other: &Value) -> Value {
    let mut members = members.clone();
    for (name, value) in other.as_object().unwrap() {
        members[name] = value.clone();
    }
    members
}

async fn services(world: &World) -> Value {
    world.read("hotels").await[0][0]["ServiceIds"].clone()
}

#[tokio::test]
async fn every_operation_answers_what_is_right() {
    let world = World::new().await;
    let services = services(&world).await;
    for rules in &OPERATIONS {
        let answer = world.call(rules.path, right(rules, &services)).await;
        assert_eq!(answer.status, 200, "{}: {}", rules.path, answer.text);
        assert!(answer.headers.contains_key("request-id"), "contract 3.3");
        assert_eq!(answer.headers["content-type"], "application/json", "contract 3.3");
    }
}

/// contract 3.2
#[tokio::test]
async fn addresses_are_exact_and_post_only() {
    let world = World::new().await;
    let body = world.body(0, &json!({})).to_string();
    for path in [
        "/api/connector/v1/reservations/getAll",
        "/api/connector/v1/reservations/getAll/2023-06-06/",
        "/api/connector/v1/Reservations/getAll/2023-06-06",
        "/api/connector/v2/services/getAll",
        "/services/getAll",
        "/simulators",
        "/",
    ] {
        let answer = world.send("POST", path, body.clone()).await;
        assert_eq!(answer.refusal(), (404, "Resource does not exist."), "{path}");
    }
    let answer = world.send("GET", "/api/connector/v1/services/getAll", "").await;
    assert_eq!(answer.refusal().0, 404);
}

/// contract 3.2
#[tokio::test]
async fn json_is_strict_and_not_too_large() {
    let world = World::new().await;
    let path = "/api/connector/v1/services/getAll";
    for body in ["", "[]", "{,}", "{\"Client\":\"x\",}"] {
        let answer = world.send("POST", path, body).await;
        assert_eq!(answer.refusal(), (400, "Invalid JSON."), "{body}");
    }
    let large = " ".repeat((1 << 20) + 1);
    assert_eq!(world.send("POST", path, large).await.refusal(), (413, "Request body is too large."));
}

/// contract 3.2
#[tokio::test]
async fn credentials_are_in_the_body() {
    let world = World::new().await;
    for name in ["ClientToken", "AccessToken", "Client"] {
        let answer = world.call("services/getAll", json!({ name: null })).await;
        assert_eq!(answer.refusal(), (400, format!("Invalid {name}.").as_str()));
    }
    for name in ["ClientToken", "AccessToken"] {
        let answer = world.call("services/getAll", json!({ name: "wrong" })).await;
        assert_eq!(answer.refusal(), (401, format!("Invalid {name}.").as_str()));
    }
    for (members, status) in [
        (json!({ "LanguageCode": "en-GB" }), 400),
        (json!({ "CultureCode": "en-GB" }), 400),
        (json!({ "CultureCode": "en-GB", "LanguageCode": "en-GB" }), 200),
    ] {
        assert_eq!(world.call("services/getAll", members).await.status, status);
    }
}

/// contract 3.6
#[tokio::test]
async fn a_limitation_is_required_but_for_the_configuration() {
    let world = World::new().await;
    let services = services(&world).await;
    for rules in OPERATIONS.iter().filter(|rules| rules.is_paged()) {
        for limitation in [json!(null), json!({}), json!({ "Count": 0 }), json!({ "Count": 1001 }), json!(5)]
        {
            let members = but(&right(rules, &services), &json!({ "Limitation": limitation }));
            let answer = world.call(rules.path, members).await;
            assert_eq!(answer.refusal(), (400, "Invalid Limitation."), "{} {limitation}", rules.path);
        }
        for cursor in [json!("x"), json!(5), json!("5f0e1d2c-3b4a-4958-8776-655443322110")] {
            let limitation = json!({ "Limitation": { "Count": 5, "Cursor": cursor } });
            let answer = world.call(rules.path, but(&right(rules, &services), &limitation)).await;
            assert_eq!(answer.refusal(), (400, "Invalid Cursor."), "{} {cursor}", rules.path);
        }
    }
    let answer = world.call("configuration/get", json!({ "Limitation": null })).await;
    assert_eq!(answer.status, 200);
}

/// contract 4: what each operation requires.
#[tokio::test]
async fn what_is_required_is_missed() {
    let world = World::new().await;
    let services = services(&world).await;
    let mut missed = HashMap::new();
    for rules in &OPERATIONS {
        for name in rules.required.iter().chain(rules.one_of) {
            let mut members = right(rules, &services);
            for name in rules.one_of.iter().chain([name]) {
                members[name] = Value::Null;
            }
            let answer = world.call(rules.path, members).await;
            assert_eq!(answer.refusal().0, 400, "{} without {name}", rules.path);
            missed.insert(rules.name(), answer.refusal().1.to_owned());
        }
        if !rules.extent.is_empty() {
            for extent in [json!(null), json!(true), json!({ rules.extent[0]: 1 })] {
                let answer =
                    world.call(rules.path, but(&right(rules, &services), &json!({ "Extent": extent }))).await;
                assert_eq!(answer.refusal(), (400, "Invalid Extent."), "{}", rules.path);
            }
        }
    }
    for (operation, message) in [
        ("messages", "Invalid MessageThreadIds."),
        ("messageThreads", "Invalid MessageThreadIds."),
        ("customers", "Invalid CustomerIds."),
        ("payments", "Invalid EnterpriseIds."),
        ("products", "Invalid ServiceIds."),
        ("productServiceOrders", "Invalid ServiceIds."),
    ] {
        assert_eq!(missed[operation], message);
    }
}

/// contract 4: how many and what a filter may hold.
#[tokio::test]
async fn every_filter_has_its_form_and_its_limit() {
    let world = World::new().await;
    let services = services(&world).await;
    let id = "5f0e1d2c-3b4a-4958-8776-655443322110";
    for rules in &OPERATIONS {
        for filter in rules.filters {
            let wrong = match filter.form {
                Form::Ids(most) => {
                    vec![json!(vec![id; most + 1]), json!([]), json!(["x"]), json!(id), json!([1])]
                }
                Form::Texts(most) => vec![json!(vec!["a"; most + 1]), json!([]), json!("a")],
                Form::Words(_) => vec![json!(["Nonsense"]), json!([]), json!("Active")],
                Form::Interval(_) => vec![
                    json!({ "StartUtc": "2026-01-01T00:00:00Z" }),
                    json!({ "StartUtc": "2026-01-02T00:00:00Z", "EndUtc": "2026-01-01T00:00:00Z" }),
                    json!({ "StartUtc": "2026-01-01T00:00:00Z", "EndUtc": "2026-04-02T00:00:01Z" }),
                    json!({ "StartUtc": "2026-01-01", "EndUtc": "2026-01-02" }),
                    json!({ "StartUtc": "9999-12-01T00:00:00Z", "EndUtc": "9999-12-31T00:00:00Z" }),
                ],
                Form::Text => vec![json!(["a"]), json!(1)],
                Form::Flag => vec![json!("true")],
            };
            for value in wrong {
                let members = but(&right(rules, &services), &json!({ filter.name: value }));
                let answer = world.call(rules.path, members).await;
                let message = format!("Invalid {}.", filter.name);
                assert_eq!(answer.refusal(), (400, message.as_str()), "{}", rules.path);
            }
            if let Form::Ids(most @ IDS_MAX) = filter.form {
                let members = but(&right(rules, &services), &json!({ filter.name: vec![id; most] }));
                assert_eq!(world.call(rules.path, members).await.status, 200, "{}", filter.name);
            }
        }
    }
}

/// contract 3.5: 3M1D, and one month for messages.
#[tokio::test]
async fn intervals_have_a_greatest_length() {
    let world = World::new().await;
    let thread = json!(["5f0e1d2c-3b4a-4958-8776-655443322110"]);
    for (operation, end, status) in [
        ("reservations/getAll/2023-06-06", "2026-04-02T00:00:00Z", 200),
        ("reservations/getAll/2023-06-06", "2026-04-02T00:00:01Z", 400),
        ("messages/getAll", "2026-02-01T00:00:00Z", 200),
        ("messages/getAll", "2026-02-01T00:00:01Z", 400),
    ] {
        let interval = json!({ "StartUtc": "2026-01-01T00:00:00Z", "EndUtc": end });
        let mut members = json!({ "CreatedUtc": interval });
        if operation == "messages/getAll" {
            members["MessageThreadIds"] = thread.clone();
        }
        assert_eq!(world.call(operation, members).await.status, status, "{operation} {end}");
    }
}

/// contract 4.1, 4.5
#[tokio::test]
async fn some_filters_exclude_or_need_each_other() {
    let world = World::new().await;
    let day = json!({ "StartUtc": "2026-01-01T00:00:00Z", "EndUtc": "2026-01-02T00:00:00Z" });
    for end in ["Start", "End"] {
        let (scheduled, actual) = (format!("Scheduled{end}Utc"), format!("Actual{end}Utc"));
        let answer =
            world.call("reservations/getAll/2023-06-06", json!({ scheduled: day, &actual: day })).await;
        assert_eq!(answer.refusal(), (400, format!("Invalid {actual}.").as_str()));
    }
    let members = json!({ "Extent": { "Customers": true }, "DeletedUtc": day });
    let answer = world.call("customers/getAll", members.clone()).await;
    assert_eq!(answer.refusal(), (400, "Invalid ActivityStates."));
    let answer =
        world.call("customers/getAll", but(&members, &json!({ "ActivityStates": ["Deleted"] }))).await;
    assert_eq!(answer.status, 200);
}

/// contract 3.7: no common scope for all operations.
#[tokio::test]
async fn each_operation_has_its_own_scope() {
    let world = World::new().await;
    let services = services(&world).await;
    for rules in &OPERATIONS {
        for (name, scoping) in [
            ("EnterpriseIds", Scoping::Enterprises),
            ("ChainIds", Scoping::Chains),
            ("EnterpriseId", Scoping::Enterprise),
        ] {
            let id = "5f0e1d2c-3b4a-4958-8776-655443322110";
            let value = if name == "EnterpriseId" { json!(id) } else { json!([id]) };
            let answer = world.call(rules.path, but(&right(rules, &services), &json!({ name: value }))).await;
            // Chains are ignored by tokens of one hotel.
            let status = if rules.scope == scoping && scoping == Scoping::Chains { 200 } else { 400 };
            assert_eq!(answer.status, status, "{} {name}: {}", rules.path, answer.text);
        }
    }
}
