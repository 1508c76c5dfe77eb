//! What is sent: the exact JSON of every builder, and the head.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{server::reply, *};

fn body(request: &Request) -> Value {
    let (client_token, access_token) = (Secret::new("c".into()), Secret::new("a".into()));
    let credentials =
        request::Credentials { client_token: &client_token, access_token: &access_token, client: "n 1" };
    serde_json::from_slice(&request.body(&credentials)).unwrap()
}

/// The credentials and the paging that every body has, with more members.
fn with(members: &Value) -> Value {
    let mut whole =
        json!({"ClientToken": "c", "AccessToken": "a", "Client": "n 1", "Limitation": {"Count": 1000}});
    whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    whole
}

fn interval() -> Interval {
    let second = |millis| UNIX_EPOCH + Duration::from_millis(millis);
    Interval { start: second(1_700_000_000_999), end: second(1_700_000_100_001) }
}

const NO_CHAINS: [&str; 0] = [];

#[test]
fn every_builder_says_what_its_operation_defines_and_nothing_else() {
    let states = json!(["Active", "Deleted"]);
    let utc = json!({"StartUtc": "2023-11-14T22:13:20Z", "EndUtc": "2023-11-14T22:15:01Z"});
    let rows = [
        (
            Request::reservations("e", &["1", "2"]),
            json!({"EnterpriseIds": ["e"], "ReservationIds": ["1", "2"]}),
        ),
        (
            Request::resources("e", &["1"]),
            json!({"EnterpriseIds": ["e"], "ResourceIds": ["1"], "Extent": {"Resources": true, "Inactive": true}}),
        ),
        (
            Request::resource_blocks("e", &["1"]),
            json!({"EnterpriseIds": ["e"], "ResourceBlockIds": ["1"], "ActivityStates": states}),
        ),
        (
            Request::customers(&NO_CHAINS, &["1"]),
            json!({"CustomerIds": ["1"], "Extent": {"Customers": true, "Addresses": false}, "ActivityStates": states}),
        ),
        (
            Request::customers(&["chain"], &["1"]),
            json!({"ChainIds": ["chain"], "CustomerIds": ["1"], "Extent": {"Customers": true, "Addresses": false},
                "ActivityStates": states}),
        ),
        (Request::payments("e", &["1"]), json!({"EnterpriseIds": ["e"], "PaymentIds": ["1"]})),
        (
            Request::products("e", &["s"], &["1"]),
            json!({"EnterpriseIds": ["e"], "ServiceIds": ["s"], "ProductIds": ["1"]}),
        ),
        (
            Request::product_service_orders(&["s", "t"], &["1"]),
            json!({"ServiceIds": ["s", "t"], "ProductServiceOrderIds": ["1"]}),
        ),
        (Request::message_threads("e", &["1"]), json!({"EnterpriseIds": ["e"], "MessageThreadIds": ["1"]})),
        (
            Request::message_threads_updated("e", interval()),
            json!({"EnterpriseIds": ["e"], "UpdatedUtc": utc}),
        ),
        (
            Request::messages("e", &["t"], interval()),
            json!({"EnterpriseIds": ["e"], "MessageThreadIds": ["t"], "CreatedUtc": utc}),
        ),
        (Request::services("e"), json!({"EnterpriseIds": ["e"]})),
        (Request::enterprises(), json!({})),
    ];
    for (request, members) in rows {
        assert_eq!(body(&request), with(&members), "{request:?}");
    }
    let configuration = json!({"ClientToken": "c", "AccessToken": "a", "Client": "n 1"});
    assert_eq!(body(&Request::configuration()), configuration);
}

fn page(ids: usize, cursor: Option<&str>) -> Answer {
    let list: Vec<_> = (0..ids).map(|n| format!(r#"{{"Id":"{n}"}}"#)).collect();
    let text = format!(r#"{{"Services":[{}],"MessageThreads":[{}]}}"#, list.join(","), list.join(","));
    let read = answer::read(Operation::Services, &text.into()).unwrap();
    Answer { cursor: cursor.map(str::to_owned), ..read.answer }
}

#[test]
fn the_last_page_is_known_without_asking_for_one_more() {
    let request = Request::services("e");
    assert!(request.next_page(&page(999, Some("x"))).is_none(), "it is not full");
    assert!(request.next_page(&page(0, None)).is_none());
    let next = request.next_page(&page(1000, Some("999"))).unwrap();
    assert_eq!(body(&next)["Limitation"], json!({"Count": 1000, "Cursor": "999"}));
    let third = next.next_page(&page(1000, Some("1999"))).unwrap();
    assert_eq!(body(&third)["Limitation"]["Cursor"], "1999");
    let ids: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    let all = Request::message_threads("e", &ids);
    assert!(all.next_page(&page(1000, Some("999"))).is_none(), "all that were asked for are in");
    assert!(Request::configuration().next_page(&page(1000, Some("x"))).is_none());
}

#[tokio::test]
async fn a_request_goes_to_its_path_over_a_kept_connection() {
    let server = Server::start(vec![reply(200, "", br#"{"Reservations":[],"Enterprise":{"Id":"e"}}"#)]).await;
    let (client, _) = client_with(&server, |config| config.platform_address.push('/'));
    client.call(&access_token(), &reservations()).await.unwrap();
    client.call(&access_token(), &Request::configuration()).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].head.starts_with("POST /api/connector/v1/reservations/getAll/2023-06-06 HTTP/1.1\r\n"));
    assert!(seen[1].head.starts_with("POST /api/connector/v1/configuration/get HTTP/1.1\r\n"));
    for seen in &seen {
        let head = seen.head.to_lowercase();
        assert!(
            head.contains("content-type: application/json\r\n") && head.contains("accept-encoding: gzip\r\n")
        );
        assert!(!seen.head.contains(CANARY), "credentials are no headers");
        assert_eq!(seen.connection, 0);
    }
    assert_eq!(seen[0].body["AccessToken"], access_token().expose());
    assert_eq!(seen[0].body["ClientToken"], client_token().get().expose());
    assert_eq!(seen[0].body["Client"], "test 1.0");
}

/// The body asserts its bound itself: grown, it would leave a copy of the secrets that nobody wipes.
#[test]
fn a_body_never_outgrows_its_buffer() {
    let (client_token, access_token) = (Secret::new("\u{1}".repeat(300)), Secret::new("\"".repeat(300)));
    let credentials =
        request::Credentials { client_token: &client_token, access_token: &access_token, client: "\u{1f}" };
    let ids = vec!["\"\\\u{1}".repeat(85); operation::IDS_PER_REQUEST_MAX];
    let requests = [
        Request::configuration(),
        Request::customers(&ids, &ids),
        Request::products(&ids[0], &ids, &ids),
        Request::messages(&ids[0], &ids, interval()),
        Request::message_threads_updated("", interval()),
    ];
    for request in requests {
        assert!(!request.body(&credentials).is_empty());
    }
}
