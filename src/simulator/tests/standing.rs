//! 401 in its meanings, the life of integrations, and portfolio tokens.

use serde_json::{Value, json};

use super::harness::World;
use crate::simulator::Config;

const RESERVATIONS: &str = "reservations/getAll/2023-06-06";

async fn act(world: &World, id: &Value, action: &str) -> Value {
    world.control(&format!("integrations/{}", id.as_str().unwrap()), json!({ "action": action })).await
}

/// contract 3.3
#[tokio::test]
async fn four_things_are_401() {
    let world = World::new().await;
    let connection = world.connection(0);
    let (integration, enterprise) = (json!(connection.integration_id), json!(connection.enterprise_id));
    let said = async || {
        let answer = world.call(RESERVATIONS, json!({})).await;
        if answer.status == 200 {
            "ok".to_owned()
        } else {
            format!("{} {}", answer.status, answer.refusal().1)
        }
    };
    assert_eq!(said().await, "ok");
    act(&world, &integration, "disable").await;
    assert_eq!(said().await, "401 Integration is disabled.");
    act(&world, &integration, "enable").await;
    assert_eq!(said().await, "ok");
    act(&world, &integration, "cancel").await;
    assert_eq!(said().await, "401 Integration is disabled.");
    act(&world, &integration, "reinstate").await;
    act(&world, &enterprise, "disable-enterprise").await;
    assert_eq!(said().await, "401 Enterprise is disabled.");
    act(&world, &enterprise, "enable-enterprise").await;
    let refused = json!({ "not_permitted": { integration.as_str().unwrap(): ["reservations"] } });
    world.control("knobs", refused).await;
    assert_eq!(said().await, "401 Operation is not permitted for this integration.");
    assert_eq!(world.call("services/getAll", json!({})).await.status, 200, "another operation");
    assert_eq!(world.call_as(1, RESERVATIONS, json!({})).await.status, 200, "another integration");
    world.control("knobs", json!({ "not_permitted": null })).await;
    act(&world, &integration, "revoke").await;
    assert_eq!(said().await, "401 Invalid AccessToken.");
    act(&world, &integration, "regenerate").await;
    assert_eq!(said().await, "ok", "with the new token");
    act(&world, &integration, "delete").await;
    assert_eq!(said().await, "401 Invalid AccessToken.");
}

#[tokio::test]
async fn a_hotel_may_have_several_integrations() {
    let config = Config { second_integrations: 1, ..Config::default() };
    let world = World::with(config).await;
    let enterprise = world.connection(0).enterprise_id;
    assert_eq!(world.connection(3).enterprise_id, enterprise);
    let third = act(&world, &json!(enterprise), "create").await;
    assert_eq!(third["EnterpriseId"], json!(enterprise));
    let [first, other] =
        [world.call_as(3, RESERVATIONS, json!({})).await, world.call_as(4, RESERVATIONS, json!({})).await];
    assert_eq!((first.status, &first.text), (200, &other.text));
}

fn portfolio() -> Config {
    Config { hotels: 4, portfolio_hotels: 2, ..Config::default() }
}

/// contract 3.7
#[tokio::test]
async fn a_portfolio_token_covers_its_hotels() {
    let world = World::with(portfolio()).await;
    let hotels = world.read("hotels").await[0].clone();
    let token = 2;
    assert_eq!(world.connection(token).enterprise_id, None);
    let all = world.call_as(token, "enterprises/getAll", json!({})).await.ids("Enterprises");
    assert_eq!(json!(all), json!([hotels[3]["EnterpriseId"], hotels[2]["EnterpriseId"]]));
    let both = world.call_as(token, RESERVATIONS, json!({})).await.ids("Reservations").len();
    let one = json!({ "EnterpriseIds": [hotels[2]["EnterpriseId"]] });
    let one = world.call_as(token, RESERVATIONS, one).await.ids("Reservations").len();
    assert_eq!((both, one), (80, 40));
    let foreign = json!({ "EnterpriseIds": [hotels[0]["EnterpriseId"]] });
    let answer = world.call_as(token, RESERVATIONS, foreign).await;
    assert_eq!(answer.refusal(), (400, "Invalid EnterpriseIds."));
    let placeholder = world.call_as(token, "configuration/get", json!({})).await;
    assert_eq!(placeholder.body["Enterprise"]["IsPortfolio"], true);
    let hotel = json!({ "EnterpriseId": hotels[2]["EnterpriseId"] });
    let configuration = world.call_as(token, "configuration/get", hotel).await;
    assert_eq!(configuration.body["Enterprise"]["Id"], hotels[2]["EnterpriseId"]);
    assert!(configuration.body["NowUtc"].is_string());
}

/// contract 4.5: `ChainIds` is required with a portfolio token.
#[tokio::test]
async fn customers_of_a_portfolio_want_their_chain() {
    let world = World::with(portfolio()).await;
    let hotels = world.read("hotels").await[0].clone();
    let id = world.make(json!({ "kind": "customers", "hotel": 3 })).await;
    let asking =
        |chain: Value| json!({ "CustomerIds": [id], "Extent": { "Customers": true }, "ChainIds": chain });
    let answer = world.call_as(2, "customers/getAll", asking(Value::Null)).await;
    assert_eq!(answer.refusal(), (400, "Invalid ChainIds."));
    let answer = world.call_as(2, "customers/getAll", asking(json!([hotels[0]["ChainId"]]))).await;
    assert_eq!(answer.refusal(), (400, "Invalid ChainIds."));
    let answer = world.call_as(2, "customers/getAll", asking(json!([hotels[2]["ChainId"]]))).await;
    assert_eq!(answer.ids("Customers"), [id]);
}
