//! What a body is, and the form in which it is kept: pure, from bytes to a value.
//!
//! Guarantees: a General webhook that is in order is kept byte for byte (forgiven commas and a byte
//! order mark aside) and without a copy; in everything that can carry a secret the secrets are sealed
//! before anybody else sees it; every body at all ends in something that can be kept.

use std::{borrow::Cow, convert::Infallible, ops::Range};

use bytes::Bytes;

use super::repeats::Fingerprint;
use crate::{
    credentials::seal::Sealer,
    telemetry::metrics::Webhook as Kind,
    webhook::{Content, Discriminators, General, Unclear, Webhook, secrets, shape, text},
};

/// A body that was judged.
#[derive(Debug)]
pub(super) struct Judged {
    /// General or Integration; `Unknown` when it is neither.
    pub kind: Kind,
    /// What the journal is told it is.
    pub content: Content,
    /// What the journal keeps.
    pub body: Bytes,
    /// Its events, where it has some.
    pub events: Events,
    /// Set when the bytes could not be read, and so must be refused although they are kept.
    pub unreadable: Option<(Unclear, Fingerprint)>,
}

/// How many events of which discriminator.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// Elements of `Events`, those that are quarantined as well.
    pub all: usize,
    /// By the order of the configured discriminators, and in the last place those outside of it.
    pub by_discriminator: Vec<u64>,
}

/// Said of a body that was thrown away because nothing in it could be told from a secret.
const DISCARDED: &str = "; the body was discarded, since secrets are";

/// Judges the bytes of a body.
pub(super) fn judge(body: &Bytes, sealer: &Sealer, known: &Discriminators) -> Judged {
    match text::tidy(body) {
        Ok(text) => match shape::read(&text) {
            Ok(Webhook::General(general)) => {
                let (events, sealed) = read_events(&general, &text, sealer, known);
                let body = sealed.map_or_else(|| keep(body, text), Bytes::from);
                Judged { kind: Kind::General, content: Content::General, body, events, unreadable: None }
            }
            Ok(Webhook::Integration(_)) => {
                sealed(body, text, sealer, Kind::Integration, Content::Integration)
            }
            Err(unclear) if unclear.is_undecodable() => unreadable(body, sealer, unclear),
            Err(unclear) => sealed(body, text, sealer, Kind::Unknown, quarantined(&unclear)),
        },
        Err(unclear) => unreadable(body, sealer, unclear),
    }
}

/// Counts the events, and seals the secrets of those that will be quarantined, if there are any.
fn read_events(
    general: &General<'_>,
    text: &str,
    sealer: &Sealer,
    known: &Discriminators,
) -> (Events, Option<String>) {
    let names = known.iter().count();
    let mut by_discriminator = vec![0; names + 1];
    let mut bad = Vec::new();
    for event in general.events(known) {
        match event {
            Ok(event) => {
                let at = known.iter().position(|name| *name == event.discriminator).unwrap_or(names);
                by_discriminator[at] += 1;
            }
            Err(event) => bad.push(range_in(text, event.raw.get())),
        }
    }
    let sealed = (!bad.is_empty()).then(|| seal_ranges(text, &bad, sealer));
    (Events { all: general.len(), by_discriminator }, sealed)
}

/// Where a part of a text stands in it. `part` must be borrowed from `text`.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

/// The text with the secrets within the ranges sealed; `ranges` are in order and do not overlap.
fn seal_ranges(text: &str, ranges: &[Range<usize>], sealer: &Sealer) -> String {
    let mut sealed = String::with_capacity(text.len());
    let mut from = 0;
    for range in ranges {
        sealed.push_str(&text[from..range.start]);
        sealed.push_str(&seal(&text[range.clone()], sealer));
        from = range.end;
    }
    sealed.push_str(&text[from..]);
    sealed
}

fn seal<'a>(text: &'a str, sealer: &Sealer) -> Cow<'a, str> {
    let Ok(sealed) =
        secrets::replace(text, |literal| Ok::<_, Infallible>(sealer.conceal(literal.as_bytes())));
    sealed
}

/// A body that is JSON and can carry secrets.
fn sealed(body: &Bytes, text: Cow<'_, str>, sealer: &Sealer, kind: Kind, content: Content) -> Judged {
    let body = match seal(&text, sealer) {
        Cow::Borrowed(_) => keep(body, text),
        Cow::Owned(sealed) => sealed.into(),
    };
    Judged { kind, content, body, events: Events::default(), unreadable: None }
}

/// A body in which secrets cannot be searched: sealed whole, or thrown away.
fn unreadable(body: &Bytes, sealer: &Sealer, unclear: Unclear) -> Judged {
    let mut content = quarantined(&unclear);
    let kept = match sealer {
        Sealer::Seal(_) => sealer.conceal(body).into(),
        Sealer::Discard => {
            if let Content::Quarantined { detail, .. } = &mut content {
                detail.push_str(DISCARDED);
            }
            Bytes::new()
        }
    };
    Judged {
        kind: Kind::Unknown,
        content,
        body: kept,
        events: Events::default(),
        unreadable: Some((unclear, Fingerprint::of(body))),
    }
}

fn quarantined(unclear: &Unclear) -> Content {
    Content::Quarantined { reason: unclear.reason().to_owned(), detail: unclear.to_string() }
}

/// The tidied text as bytes: where nothing was taken out of the middle, the memory of the body itself.
fn keep(body: &Bytes, text: Cow<'_, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::seal::KeyRing;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn sealer() -> Sealer {
        Sealer::Seal(KeyRing::of(&[[7; 32]]))
    }

    fn judged(body: &[u8]) -> Judged {
        judge(&Bytes::copy_from_slice(body), &sealer(), &Discriminators::default())
    }

    fn reason(judged: &Judged) -> &str {
        match &judged.content {
            Content::Quarantined { reason, .. } => reason,
            Content::General | Content::Integration => "",
        }
    }

    fn opened(sealed: &Value) -> String {
        let Sealer::Seal(keys) = sealer() else { panic!("a sealer that seals") };
        String::from_utf8(keys.open(&sealed.to_string()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_general_webhook_is_the_bytes_that_came() {
        let body = Bytes::from_static(
            br#" { "EnterpriseId":"e", "IntegrationId":"i", "Events":[
            {"Discriminator":"CustomerAdded","Value":{"Id":"c","apiKey":"stays"}},
            {"Discriminator":"Novel","Value":1}, {"Discriminator":"CustomerAdded","Value":{"Id":"d"}} ] }"#,
        );
        let judged = judge(&body, &sealer(), &Discriminators::default());
        assert_eq!((judged.kind, &judged.content), (Kind::General, &Content::General));
        assert_eq!(judged.body, body);
        assert_eq!(judged.body.as_ptr(), body.as_ptr(), "not copied");
        let customers =
            Discriminators::default().iter().position(|name| name == "CustomerAdded").expect("known");
        let counts = &judged.events.by_discriminator;
        assert_eq!((judged.events.all, counts[customers], *counts.last().unwrap()), (3, 2, 1));
    }

    #[test]
    fn only_the_secrets_of_bad_events_are_sealed_and_all_else_stays() {
        let text = r#"{"EnterpriseId":"e","IntegrationId":"i","myKey":"outside","Events":[ {"Discriminator":"CustomerAdded","Value":{"Id":"c","token":"good"}} , {"Discriminator":"CustomerAdded","Value":{"token":"ä\u0001"}},{"Secret":[1]}]}"#;
        let judged = judged(text.as_bytes());
        assert_eq!(judged.content, Content::General);
        let kept = std::str::from_utf8(&judged.body).unwrap();
        let (before, after) = text.split_once(r#""ä\u0001""#).unwrap();
        assert!(
            kept.starts_with(before) && kept.ends_with("]}") && kept.contains("},{\"Secret\":{\"Sealed\":")
        );
        assert!(after.starts_with("}},"), "the text of the test");
        let kept: Value = serde_json::from_str(kept).unwrap();
        assert_eq!(opened(&kept["Events"][1]["Value"]["token"]), r#""ä\u0001""#);
        assert_eq!(opened(&kept["Events"][2]["Secret"]), "[1]");
        assert_eq!(kept["Events"][0]["Value"]["token"], "good");
        assert_eq!(judged.events.by_discriminator.iter().sum::<u64>(), 1);
    }

    #[test]
    fn the_secrets_of_an_integration_webhook_and_of_an_unknown_shape_are_sealed() {
        let integration =
            json!({"Action":"IntegrationCreated","Data":{"Integration":{"Id":"i"},"AccessToken":"canary"}});
        let judged_body = judged(integration.to_string().as_bytes());
        assert_eq!(judged_body.content, Content::Integration);
        let kept: Value = serde_json::from_slice(&judged_body.body).unwrap();
        assert_eq!(opened(&kept["Data"]["AccessToken"]), "\"canary\"");
        let unknown = judged(br#"{"Hello":1,"deep":[{"x":{"API_KEY":"canary"}}]}"#);
        assert_eq!((reason(&unknown), unknown.kind), ("unknown_shape", Kind::Unknown));
        assert!(unknown.unreadable.is_none());
        assert!(!String::from_utf8_lossy(&unknown.body).contains("canary"));
        assert_eq!(reason(&judged(br#"{"a":1,"a":{"token":"canary"}}"#)), "duplicate_member");
    }

    #[test]
    fn what_cannot_be_read_is_sealed_whole() {
        for (body, why) in
            [("", "not_json"), ("{\"token\":\"x\"", "not_json"), (&*"[".repeat(65), "too_deep")]
        {
            let judged = judged(body.as_bytes());
            assert_eq!(reason(&judged), why, "{body}");
            assert!(judged.unreadable.is_some());
            assert_eq!(opened(&serde_json::from_slice(&judged.body).unwrap()), body);
        }
    }

    #[test]
    fn when_secrets_are_discarded_so_is_what_cannot_be_read() {
        let judged = judge(&Bytes::from_static(b"oops"), &Sealer::Discard, &Discriminators::default());
        assert!(judged.body.is_empty());
        let Content::Quarantined { detail, .. } = judged.content else { panic!("quarantined") };
        assert!(detail.ends_with(DISCARDED), "{detail}");
    }

    #[test]
    fn forgiven_commas_and_a_byte_order_mark_are_all_that_goes() {
        let body = b"\xef\xbb\xbf{\"EnterpriseId\":\"e\",\"IntegrationId\":\"i\",\"Events\":[],}";
        assert_eq!(judged(body).body, br#"{"EnterpriseId":"e","IntegrationId":"i","Events":[]}"#[..]);
        let marked =
            Bytes::from_static(b"\xef\xbb\xbf{\"EnterpriseId\":\"e\",\"IntegrationId\":\"i\",\"Events\":[]}");
        let judged = judge(&marked, &sealer(), &Discriminators::default());
        assert_eq!(judged.body.as_ptr().addr(), marked.as_ptr().addr() + 3);
    }

    proptest! {
        #[test]
        fn every_body_can_be_kept(body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            r#"\{"(Events|Action|x)":(\[(1|\{"token":"canary"\})\]|\{\}|"y"),"EnterpriseId":"e","IntegrationId":"i"\}"#
                .prop_map(String::into_bytes),
        ]) {
            let judged = judged(&body);
            prop_assert!(serde_json::from_slice::<Value>(&judged.body).is_ok());
            prop_assert!(!judged.body.windows(6).any(|window| window == b"canary"));
        }
    }
}
