//! Fan out of every form that a webhook has.

use super::*;
use crate::{
    kafka::{Record, TopicNames, topics},
    relay::draft::Form,
};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

const ENTERPRISE: &str = "0a6b1c7e-5b0d-4a4e-9f10-3d2c1b0a9f01";
const INTEGRATION: &str = "7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718";
const CUSTOMER: &str = "e1d2c3b4-a596-4877-8695-a4b3c2d1e0f9";
const DELIVERY: &str = "01966aaa-0000-7000-8000-000000000001";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The documented names.
fn names() -> TopicNames {
    TopicNames::new(&topics::Config::default(), 8 << 20).unwrap()
}

fn delivery(content: Content, body: &str) -> Delivery {
    Delivery {
        id: Uuid::try_parse(DELIVERY).unwrap(),
        accepted_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_360_130_250),
        content,
        traceparent: TRACE.into(),
        first_index: 0,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn records(content: Content, body: &str) -> Vec<Record> {
    let fan_out = fan_out(&delivery(content, body).encode(), &Discriminators::default());
    let drafts = fan_out.drafts.iter().chain(&fan_out.news);
    drafts.map(|draft| draft.record(&fan_out.source, &Form::Whole, &names())).collect()
}

fn shown(record: &Record) -> (&str, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (&record.topic, text(&record.key), text(record.value.as_ref().unwrap()))
}

fn headers(record: &Record) -> Vec<String> {
    record.headers.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn an_event_keeps_its_bytes_and_carries_its_context() {
    // The hotel in another spelling, an entity of the older form, odd white space and numbers.
    let body = format!(
        r#"{{ "EnterpriseId": "{}", "IntegrationId": "{INTEGRATION}", "Events": [
        {{ "Discriminator": "PaymentUpdated", "Value": {{ "Id" : "p", "x": 1.50 }} }},
        {{ "Discriminator": "CustomerAdded", "Value": {{"Id":"{CUSTOMER}"}} }} ],
        "Entities": {{ "Customers": [ {{ "Id": "{CUSTOMER}", "n": 1e2 }} ] }} }}"#,
        ENTERPRISE.to_uppercase()
    );
    let records = records(Content::General, &body);
    assert_eq!(
        shown(&records[0]),
        (
            "mews.events.PaymentUpdated",
            ENTERPRISE,
            &*format!(
                r#"{{"EnterpriseId":"{ENTERPRISE}","IntegrationId":"{INTEGRATION}","Discriminator":"PaymentUpdated","Value":{{ "Id" : "p", "x": 1.50 }}}}"#
            )
        )
    );
    assert_eq!(
        shown(&records[1]).2,
        format!(
            r#"{{"EnterpriseId":"{ENTERPRISE}","IntegrationId":"{INTEGRATION}","Discriminator":"CustomerAdded","Value":{{"Id":"{CUSTOMER}"}},"Entity":{{ "Id": "{CUSTOMER}", "n": 1e2 }}}}"#
        )
    );
    assert_eq!(
        headers(&records[1]),
        [
            "content-type=application/json".to_owned(),
            "ce_specversion=1.0".into(),
            format!("ce_id={DELIVERY}-1"),
            format!("ce_source=/mews/enterprises/{ENTERPRISE}"),
            "ce_type=com.mews.connector.CustomerAdded".into(),
            format!("ce_subject={CUSTOMER}"),
            "ce_time=2026-03-01T10:15:30.250Z".into(),
            format!("ce_enterpriseid={ENTERPRISE}"),
            format!("ce_integrationid={INTEGRATION}"),
            format!("ce_partitionkey={ENTERPRISE}"),
            format!("traceparent={TRACE}"),
        ]
    );
}

#[test]
fn a_discriminator_outside_the_list_makes_no_topic_and_keeps_its_type() {
    let body =
        r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[{"Discriminator":"New\"ly","Value":null}]}"#;
    let records = records(Content::General, body);
    assert_eq!(
        shown(&records[0]),
        (
            "mews.events.unrecognized",
            "e",
            r#"{"EnterpriseId":"e","IntegrationId":"i","Discriminator":"New\"ly","Value":null}"#
        )
    );
    let headers = headers(&records[0]);
    assert_eq!(headers[4], "ce_type=com.mews.connector.New\"ly");
    assert!(!headers.iter().any(|header| header.starts_with("ce_subject")));
}

#[test]
fn a_bad_event_is_quarantined_alone_in_its_envelope() {
    let body = r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[{"Discriminator":"CustomerAdded","Value":{"Id":"c"}}, { "Discriminator":"CustomerAdded" , "Value":{}}, 7]}"#;
    let records = records(Content::General, body);
    assert_eq!(shown(&records[0]).0, "mews.events.CustomerAdded");
    assert_eq!(
        shown(&records[1]),
        (
            "mews.quarantine",
            DELIVERY,
            r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[{ "Discriminator":"CustomerAdded" , "Value":{}}]}"#
        )
    );
    assert_eq!(
        headers(&records[1]),
        [
            "content-type=application/json".to_owned(),
            "ce_specversion=1.0".into(),
            format!("ce_id={DELIVERY}-1"),
            "ce_source=/mews/bridge".into(),
            "ce_type=com.mews.bridge.quarantined".into(),
            "ce_time=2026-03-01T10:15:30.250Z".into(),
            "ce_enterpriseid=e".into(),
            "ce_integrationid=i".into(),
            format!("ce_partitionkey={DELIVERY}"),
            format!("traceparent={TRACE}"),
            "quarantine_reason=bad_event".into(),
            "quarantine_detail=Value has no usable Id".into(),
        ]
    );
    assert_eq!(shown(&records[2]).2, r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[7]}"#);
}

#[test]
fn an_integration_webhook_shows_no_secret_and_is_news_of_its_integration() {
    let body = format!(
        r#"{{"Action":"IntegrationCreated","Data":{{"Enterprise":{{"Id":"{ENTERPRISE}","Name":"n"}},"Service":null,
        "Requestor":null,"AccessToken":{{"Sealed":"QQ=="}},"Other":{{"ApiKeys":{{"Discarded":true}}}},"IsEnabled":true,
        "Integration":{{"Id":"{INTEGRATION}","Name":"n"}}}}}}"#
    );
    let records = records(Content::Integration, &body);
    let published = body.replace(r#"{"Sealed":"QQ=="}"#, r#"{"Sealed":true}"#);
    assert_eq!(shown(&records[0]), ("mews.integrations.IntegrationCreated", ENTERPRISE, &*published));
    assert_eq!(
        headers(&records[0])[2..6],
        [
            format!("ce_id={DELIVERY}-0"),
            format!("ce_source=/mews/integrations/{INTEGRATION}"),
            "ce_type=com.mews.integration.IntegrationCreated".into(),
            format!("ce_subject={INTEGRATION}"),
        ]
    );
    let (topic, key, value) = shown(&records[1]);
    assert_eq!((topic, key), ("mews.credentials", INTEGRATION));
    assert!(value.contains(r#""AccessToken":{"Sealed":"QQ=="}"#) && value.contains(r#""State":"created""#));
    assert_eq!(headers(&records[1])[2..6], headers(&records[0])[2..6]);
    assert!(headers(&records[1]).contains(&format!("ce_partitionkey={INTEGRATION}")));
}

#[test]
fn an_integration_webhook_without_a_hotel_is_keyed_by_its_integration() {
    for (action, topic, news) in [
        ("IntegrationDisabled", "mews.integrations.IntegrationDisabled", 1),
        ("IntegrationMoved", "mews.integrations.unrecognized", 0),
    ] {
        let body = format!(r#"{{"Action":"{action}","Data":{{"Integration":{{"Id":"{INTEGRATION}"}}}}}}"#);
        let records = records(Content::Integration, &body);
        assert_eq!(shown(&records[0]), (topic, INTEGRATION, &*body));
        assert_eq!(headers(&records[0])[4], format!("ce_type=com.mews.integration.{action}"));
        assert_eq!(records.len(), 1 + news);
    }
}

#[test]
fn a_body_in_quarantine_is_the_record_and_may_be_empty() {
    for body in [r#"{"Sealed":"QQ=="}"#, ""] {
        let content = Content::Quarantined { reason: "not_json".into(), detail: "line 1".into() };
        let records = records(content, body);
        assert_eq!(shown(&records[0]), ("mews.quarantine", DELIVERY, body));
        assert_eq!(
            headers(&records[0])[2..],
            [
                format!("ce_id={DELIVERY}-0"),
                "ce_source=/mews/bridge".into(),
                "ce_type=com.mews.bridge.quarantined".into(),
                "ce_time=2026-03-01T10:15:30.250Z".into(),
                format!("ce_partitionkey={DELIVERY}"),
                format!("traceparent={TRACE}"),
                "quarantine_reason=not_json".into(),
                "quarantine_detail=line 1".into(),
            ]
        );
    }
}

#[test]
fn a_body_that_is_not_what_the_head_says_is_undecodable() {
    let integration = r#"{"Action":"IntegrationEnabled","Data":{"Integration":{"Id":"i"}}}"#;
    for (content, body) in [
        (Content::General, integration),
        (Content::General, "{"),
        (Content::Integration, r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[]}"#),
    ] {
        let fan_out = fan_out(&delivery(content, body).encode(), &Discriminators::default());
        let [Draft { part: Part::Undecodable { .. }, .. }] = &fan_out.drafts[..] else { panic!("{body}") };
        let record = fan_out.drafts[0].record(&fan_out.source, &Form::Whole, &names());
        assert_eq!(shown(&record).1, DELIVERY);
        assert_eq!(record.value.unwrap(), body);
    }
}

#[test]
fn bytes_of_another_version_keep_their_id_over_a_restart() {
    let payload = Bytes::from_static(b"\x09from tomorrow");
    let id = || fan_out(&payload, &Discriminators::default()).source.delivery.id;
    assert_eq!(id(), id());
    assert_ne!(id(), fan_out(&Bytes::new(), &Discriminators::default()).source.delivery.id);
}

/// JSON text of an object with an id, and whatever else.
fn any_value() -> impl Strategy<Value = String> {
    let other = prop_oneof![
        Just(" null ".to_owned()),
        any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("[ 1,\t{} ]".to_owned()),
    ];
    ("[a-zA-Z0-9]{1,8}", prop::collection::vec(other, 0..4)).prop_map(|(id, others)| {
        let others = others.iter().enumerate().map(|(n, other)| format!(",\n \"m{n}\" :{other}"));
        format!("{{ \"Id\":\"{id}\"{} }}", others.collect::<String>())
    })
}

fn any_discriminator() -> impl Strategy<Value = String> {
    let known = Discriminators::default().iter().map(str::to_owned).collect::<Vec<_>>();
    prop_oneof![prop::sample::select(known), "[A-Za-z\"\\\\é]{1,12}"]
}

proptest! {
    #[test]
    fn what_is_fanned_out_carries_exactly_the_bytes_that_came_in(
        events in prop::collection::vec((any_discriminator(), any_value()), 0..8),
        enterprise in "[a-z\"\\\\]{1,20}",
    ) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let elements: Vec<_> = events
            .iter()
            .map(|(discriminator, value)| format!("{{\"Discriminator\": {},\"Value\":{value}}}", quoted(discriminator)))
            .collect();
        let body = format!(
            r#"{{"EnterpriseId":{},"IntegrationId":"i","Events":[{}]}}"#,
            quoted(&enterprise),
            elements.join(" ,")
        );
        let payload = delivery(Content::General, &body).encode();
        let fan_out = fan_out(&payload, &Discriminators::default());
        prop_assert_eq!(fan_out.drafts.len(), events.len());
        for (draft, (discriminator, value)) in fan_out.drafts.iter().zip(&events) {
            let record = draft.record(&fan_out.source, &Form::Whole, &names());
            let expected = format!(
                r#"{{"EnterpriseId":{},"IntegrationId":"i","Discriminator":{},"Value":{value}}}"#,
                quoted(&enterprise),
                quoted(discriminator)
            );
            prop_assert_eq!(shown(&record), (&*names().events(discriminator), &*enterprise, &*expected));
            prop_assert!(record.size() <= draft.size_bound(&fan_out.source, &Form::Whole));
        }
    }

    #[test]
    fn any_payload_at_all_ends_in_records_within_their_bound(
        payload in prop::collection::vec(any::<u8>(), 0..60),
        body in "\\PC{0,60}", kind in 0..3,
    ) {
        let content = match kind {
            0 => Content::General,
            1 => Content::Integration,
            _ => Content::Quarantined { reason: body.clone(), detail: body.clone() },
        };
        for payload in [Bytes::from(payload), delivery(content, &body).encode()] {
            let fan_out = fan_out(&payload, &Discriminators::default());
            prop_assert_eq!(fan_out.drafts.len(), 1);
            let record = fan_out.drafts[0].record(&fan_out.source, &Form::Whole, &names());
            prop_assert!(record.size() <= fan_out.drafts[0].size_bound(&fan_out.source, &Form::Whole));
        }
    }
}

#[test]
fn an_event_that_is_replayed_alone_keeps_its_index() {
    let body = r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[{"Discriminator":"New","Value":1}]}"#;
    let alone = Delivery { first_index: 3, ..delivery(Content::General, body) };
    let fan_out = fan_out(&alone.encode(), &Discriminators::default());
    let names = TopicNames::new(&topics::Config::default(), 8 << 20).unwrap();
    let record = fan_out.drafts[0].record(&fan_out.source, &Form::Whole, &names);
    assert_eq!(record.headers.get("ce_id"), Some(&*format!("{DELIVERY}-3")));
}
