//! Every status of contract 3.3, and what is told to the budget, the breaker and the metrics.

use super::{server::reply, *};
use crate::telemetry::{
    family::Label as _,
    metrics::connector::{Code, ThrottledBy},
};

const REFUSAL: &str = r#"{"Message":"Invalid ReservationIds.","RequestId":"c0ffee00-1122","Details":null}"#;

async fn refused(status: u16, headers: &str) -> (Error, Metrics) {
    let server = Server::always(status, headers, REFUSAL).await;
    let (client, metrics) = client(&server);
    let error = client.call(&access_token(), &reservations()).await.unwrap_err();
    assert_eq!(server.seen().len(), 1, "one call is one request");
    (error, metrics)
}

#[tokio::test]
async fn every_status_is_what_can_be_done_about_it() {
    type Is = fn(&Error) -> bool;
    let rows: [(u16, Code, Is); 18] = [
        (400, Code::BadRequest, |error| matches!(error, Error::BadRequest(_))),
        (401, Code::Unauthorized, |error| matches!(error, Error::Unauthorized(_))),
        (403, Code::Forbidden, |error| matches!(error, Error::Forbidden(_))),
        (404, Code::NotFound, |error| matches!(error, Error::WrongAddress(_))),
        (405, Code::OtherClient, |error| matches!(error, Error::WrongAddress(_))),
        (408, Code::Timeout408, |error| matches!(error, Error::TooHeavy(_))),
        (409, Code::Conflict, |error| matches!(error, Error::Conflict(_))),
        (410, Code::Gone, |error| matches!(error, Error::Gone(_))),
        (413, Code::TooLarge, |error| matches!(error, Error::BodyTooLarge(_))),
        (418, Code::OtherClient, |error| matches!(error, Error::BadRequest(_))),
        (429, Code::Throttled, |error| matches!(error, Error::Throttled { retry_after: None, .. })),
        (500, Code::Internal, |error| matches!(error, Error::Unavailable { cause: Cause::Status(500), .. })),
        (502, Code::BadGateway, |error| {
            matches!(error, Error::Unavailable { cause: Cause::Status(502), .. })
        }),
        (503, Code::Unavailable, |error| {
            matches!(error, Error::Unavailable { cause: Cause::Status(503), .. })
        }),
        (504, Code::GatewayTimeout, |error| matches!(error, Error::Unavailable { .. })),
        (520, Code::OtherServer, |error| {
            matches!(error, Error::Unavailable { cause: Cause::Status(520), .. })
        }),
        (302, Code::Redirect, |error| matches!(error, Error::WrongAddress(_))),
        (308, Code::Redirect, |error| matches!(error, Error::WrongAddress(_))),
    ];
    for (status, code, is) in rows {
        let (error, metrics) = refused(status, "location: http://127.0.0.1:1/\r\n").await;
        assert!(is(&error), "{status}: {error:?}");
        assert_eq!(error.said().message.as_deref(), Some("Invalid ReservationIds."), "{status}");
        assert_eq!(error.said().request_id.as_deref(), Some("c0ffee00-1122"), "{status}");
        assert!(error.to_string().ends_with(": Invalid ReservationIds. (request c0ffee00-1122)"), "{error}");
        assert_eq!(metrics.requests.of(Operation::Reservations, code).get(), 1, "{status} {}", code.value());
        assert_eq!(metrics.requests_in_flight.get(), 0);
    }
}

#[tokio::test]
async fn records_are_the_bytes_that_came_with_the_id_of_the_request() {
    let body = r#"{"Reservations": [ {"Id":"r1","Amount":1.10 }, {}, {"Id":"r2"}],"Cursor":"r2"}"#;
    let server = Server::always(200, "request-id: 7f-1\r\n", body).await;
    let (client, metrics) = client(&server);
    let answer = client.call(&access_token(), &reservations()).await.unwrap();
    let bytes: Vec<_> = answer.records.iter().map(|record| record.bytes.as_ref()).collect();
    assert_eq!(bytes, [&br#"{"Id":"r1","Amount":1.10 }"#[..], br#"{"Id":"r2"}"#]);
    assert_eq!((answer.request_id.as_deref(), answer.cursor.as_deref()), (Some("7f-1"), Some("r2")));
    assert_eq!(metrics.parse_errors.of(Operation::Reservations).get(), 1, "the record without an id");
    assert_eq!(metrics.requests.of(Operation::Reservations, Code::Ok).get(), 1);
    assert_eq!(metrics.request_duration.of(Operation::Reservations).get_sample_count(), 1);
}

#[tokio::test]
async fn nothing_is_an_empty_answer() {
    let server =
        Server::start(vec![server::Reply::Bytes(b"HTTP/1.1 204 X\r\nrequest-id: 1\r\n\r\n".to_vec())]).await;
    let answer = client(&server).0.call(&access_token(), &reservations()).await.unwrap();
    assert_eq!((answer.records.len(), answer.request_id.as_deref()), (0, Some("1")));
}

#[tokio::test]
async fn a_body_that_is_no_answer_is_undecodable_and_says_where() {
    for body in ["", "<html>hello</html>", "[]", r#"{"Reservations":{"secret":1}}"#] {
        let server = Server::always(200, "", body).await;
        let (client, metrics) = client(&server);
        let error = client.call(&access_token(), &reservations()).await.unwrap_err();
        assert!(matches!(error, Error::Undecodable { .. }), "{body}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        assert_eq!(metrics.parse_errors.of(Operation::Reservations).get(), 1);
    }
}

#[tokio::test]
async fn a_refusal_in_another_form_is_still_its_status() {
    for body in ["", "<html>", r#"{"Message":7}"#, "[1]"] {
        let server = Server::always(401, "request-id: head\r\n", body).await;
        let error = client(&server).0.call(&access_token(), &reservations()).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized(_)), "{body}");
        assert_eq!(*error.said(), Said { message: None, request_id: Some("head".to_owned()) });
    }
}

#[tokio::test]
async fn retry_after_is_told_and_freezes_the_token() {
    let ok = reply(200, "", br#"{"Reservations":[]}"#);
    let server = Server::start(vec![reply(429, "retry-after: 1\r\n", b""), ok]).await;
    let (client, metrics) = client(&server);
    let error = client.call(&access_token(), &reservations()).await.unwrap_err();
    assert!(
        matches!(error, Error::Throttled { retry_after: Some(wait), .. } if wait == Duration::from_secs(1))
    );
    assert_eq!(metrics.throttled.of(ThrottledBy::Server).get(), 1);
    // Another token is not held up.
    client.call(&Secret::new("other".to_owned()), &reservations()).await.unwrap();
    let began = std::time::Instant::now();
    client.call(&access_token(), &reservations()).await.unwrap();
    assert!(began.elapsed() > Duration::from_millis(700), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_budget_is_the_clients_whoever_calls() {
    let server = Server::always(200, "", r#"{"Reservations":[]}"#).await;
    let (client, _) = client_with(&server, |config| {
        config.requests_per_window = 4;
        config.window = Duration::from_millis(300);
    });
    let began = std::time::Instant::now();
    // Half of four, then four, then one.
    for _ in 0..7 {
        client.clone().call(&access_token(), &reservations()).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
}
