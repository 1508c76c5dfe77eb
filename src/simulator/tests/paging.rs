//! Pages, intervals and the other ways of asking.

use serde_json::{Value, json};

use super::harness::World;
use crate::simulator::utc::{Precision, Utc};

const RESERVATIONS: &str = "reservations/getAll/2023-06-06";

/// contract 3.6: newest first, and null only when the page is empty.
#[tokio::test]
async fn the_last_page_is_empty() {
    let world = World::new().await;
    let newest = world.make(json!({ "kind": "reservations" })).await;
    let (mut cursor, mut seen, mut sizes) = (Value::Null, Vec::new(), Vec::new());
    loop {
        let members = json!({ "Limitation": { "Count": 20, "Cursor": cursor } });
        let page = world.call(RESERVATIONS, members).await;
        let ids = page.ids("Reservations");
        sizes.push(ids.len());
        cursor = page.body["Cursor"].clone();
        assert_eq!(cursor.as_str(), ids.last().map(String::as_str), "the oldest one's id");
        seen.extend(page.body["Reservations"].as_array().unwrap().clone());
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [20, 20, 1, 0]);
    assert_eq!(seen[0]["Id"], newest.as_str());
    let created: Vec<_> =
        seen.iter().map(|record| record["CreatedUtc"].as_str().unwrap()[..19].to_owned()).collect();
    assert!(created.is_sorted_by(|a, b| a >= b), "newest first");
    let mut ids: Vec<_> = seen.iter().map(|record| record["Id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 41, "each once");
}

/// contract 6 #13: ids that are not there are left out in silence; contract 3.5: in any case.
#[tokio::test]
async fn ids_are_found_in_any_case_and_others_left_out() {
    let world = World::new().await;
    let id = world.make(json!({ "kind": "reservations" })).await;
    let foreign = world.make(json!({ "kind": "reservations", "hotel": 1 })).await;
    let ids = json!([id.to_uppercase(), foreign, "5f0e1d2c-3b4a-4958-8776-655443322110"]);
    let answer = world.call(RESERVATIONS, json!({ "ReservationIds": ids })).await;
    assert_eq!(answer.ids("Reservations"), [id]);
}

/// contract 3.5: half-open, and equal ends mean that time.
#[tokio::test]
async fn intervals_are_half_open() {
    let world = World::new().await;
    let page = world.call("resources/getAll", json!({ "Extent": { "Resources": true } })).await;
    for record in page.body["Resources"].as_array().unwrap() {
        let (id, at) = (&record["Id"], record["CreatedUtc"].as_str().unwrap());
        let found = |from: &str, to: &str| {
            json!({
                "ResourceIds": [id], "Extent": { "Resources": true },
                "CreatedUtc": { "StartUtc": from, "EndUtc": to },
            })
        };
        let parsed = Utc::parse(at).unwrap();
        let text = |at: Utc| at.text(Precision::Milliseconds);
        let (hour_before, hour_after) = (text(parsed.plus_ms(-3_600_000)), text(parsed.plus_ms(3_600_000)));
        for (from, to, count) in [
            (at, at, 1),
            (hour_before.as_str(), at, 0),
            (at, hour_after.as_str(), 1),
            (hour_before.as_str(), hour_before.as_str(), 0),
        ] {
            let answer = world.call("resources/getAll", found(from, to)).await;
            assert_eq!(answer.ids("Resources").len(), count, "{at} in {from} to {to}");
        }
    }
}

/// contract 4: filters look into the records.
#[tokio::test]
async fn filters_select_what_they_name() {
    let world = World::new().await;
    let all = world.call(RESERVATIONS, json!({})).await;
    let all = all.body["Reservations"].as_array().unwrap();
    for (filter, member) in [
        ("AccountIds", "AccountId"),
        ("States", "State"),
        ("Numbers", "Number"),
        ("ReservationGroupIds", "GroupId"),
        ("ServiceIds", "ServiceId"),
    ] {
        let value = &all[0][member];
        let expected: Vec<_> = all.iter().filter(|record| record[member] == *value).collect();
        let answer = world.call(RESERVATIONS, json!({ filter: [value] })).await;
        let found: Vec<_> = answer.body["Reservations"].as_array().unwrap().iter().collect();
        assert_eq!(found, expected, "{filter}");
    }
    let (start, end) = (&all[0]["ScheduledStartUtc"], &all[0]["ScheduledEndUtc"]);
    let colliding = json!({ "CollidingUtc": { "StartUtc": start, "EndUtc": end } });
    let answer = world.call(RESERVATIONS, colliding).await;
    assert!(answer.ids("Reservations").contains(&all[0]["Id"].as_str().unwrap().to_owned()));
    let services = world.call("services/getAll", json!({ "ServiceType": "Bookable" })).await;
    assert_eq!(services.ids("Services").len(), 1);
}

/// contract 3.2: `Prefer: return=minimal`.
#[tokio::test]
async fn an_empty_page_is_204_for_those_who_prefer_it() {
    let world = World::new().await;
    let url = format!("{}/api/connector/v1/{RESERVATIONS}", world.simulator.platform);
    let ask = async |members: Value| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(&url).header("prefer", "return=minimal");
        request.body(world.body(0, &members).to_string()).send().await.unwrap()
    };
    let nobody = json!({ "ReservationIds": ["5f0e1d2c-3b4a-4958-8776-655443322110"] });
    let answer = ask(nobody).await;
    assert_eq!((answer.status().as_u16(), answer.headers().get("content-type")), (204, None));
    assert!(answer.headers().contains_key("request-id"));
    assert_eq!(ask(json!({})).await.status(), 200);
}
