//! One webhook request as the journal keeps it: who it is, when it came, what it is, and its body.
//!
//! ```text
//! version u8 | head length u32 le | head, JSON | body, as it will be fanned out
//! ```
//!
//! The head is JSON so that a later version can add members and an earlier one can still read it.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What this build writes; it also reads no other one yet.
const VERSION: u8 = 1;
const HEAD_AT: usize = 5;

/// An accepted delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// A UUIDv7 given at accept; the `ce_id` of every record begins with it.
    pub id: Uuid,
    /// When it was accepted, to the millisecond: `ce_time`.
    pub accepted_at: SystemTime,
    /// What the ingress found the body to be.
    pub content: Content,
    /// W3C trace context, taken over from the request or begun by the ingress.
    pub traceparent: String,
    /// Index of its first event in the webhook that it came in; not 0 only when one event of a webhook
    /// is replayed alone, so that its `ce_id` stays what it was.
    pub first_index: u32,
    /// The body: JSON, its secrets sealed where it can carry some. Empty if it was discarded.
    pub body: Bytes,
}

/// What a delivery's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Events to fan out.
    General,
    /// One integration event.
    Integration,
    /// A body that was not understood.
    Quarantined {
        /// One of the closed list of `quarantine_reason`.
        reason: String,
        /// What exactly was wrong, for a person.
        detail: String,
    },
}

/// Why a journal payload is no delivery.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It ends before its head does.
    #[error("payload of {0} bytes ends inside its head")]
    Short(usize),
    /// Written by another version.
    #[error("payload has version {0}, this build reads {VERSION}")]
    Version(u8),
    /// The head is not what this build writes.
    #[error("payload head cannot be read")]
    Head(#[from] serde_json::Error),
    /// A quarantined body without the reason why it is.
    #[error("payload head gives no reason for the quarantine")]
    Reason,
}

/// Flat, and not an enum within: serde would keep every member in a buffer of its own until it has
/// seen them all, for each delivery once more.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    id: Uuid,
    at: u64,
    #[serde(borrow)]
    trace: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    first: u32,
    kind: Kind,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    General,
    Integration,
    Quarantined,
}

impl Content {
    fn parts(&self) -> (Kind, Option<&str>, Option<&str>) {
        match self {
            Self::General => (Kind::General, None, None),
            Self::Integration => (Kind::Integration, None, None),
            Self::Quarantined { reason, detail } => (Kind::Quarantined, Some(reason), Some(detail)),
        }
    }
}

impl Delivery {
    /// The bytes that the journal keeps.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, reason, detail) = self.content.parts();
        let head = Head {
            id: self.id,
            at: millis(self.accepted_at),
            trace: self.traceparent.as_str().into(),
            first: self.first_index,
            kind,
            reason: reason.map(Cow::Borrowed),
            detail: detail.map(Cow::Borrowed),
        };
        let mut payload = BytesMut::with_capacity(HEAD_AT + 192 + self.body.len());
        payload.put_u8(VERSION);
        payload.put_u32_le(0);
        serde_json::to_writer((&mut payload).writer(), &head)
            .expect("strings and numbers always serialise into memory");
        let length = u32::try_from(payload.len() - HEAD_AT)
            .expect("details are bounded, so a head is far below 4 GiB");
        payload[1..HEAD_AT].copy_from_slice(&length.to_le_bytes());
        payload.put_slice(&self.body);
        payload.freeze()
    }

    /// Reads what [`Self::encode`] wrote; the body shares the payload's memory.
    ///
    /// # Errors
    /// When another version or something else wrote the payload.
    pub fn decode(payload: &Bytes) -> Result<Self, DecodeError> {
        let short = || DecodeError::Short(payload.len());
        match payload.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(DecodeError::Version(other)),
            None => return Err(short()),
        }
        let length: [u8; 4] =
            payload.get(1..HEAD_AT).and_then(|bytes| bytes.try_into().ok()).ok_or_else(short)?;
        let body_at = HEAD_AT + u32::from_le_bytes(length) as usize;
        let head = payload.get(HEAD_AT..body_at).ok_or_else(short)?;
        let Head { id, at, trace, first, kind, reason, detail } = serde_json::from_slice(head)?;
        let content = match (kind, reason, detail) {
            (Kind::General, ..) => Content::General,
            (Kind::Integration, ..) => Content::Integration,
            (Kind::Quarantined, Some(reason), Some(detail)) => {
                Content::Quarantined { reason: reason.into_owned(), detail: detail.into_owned() }
            }
            (Kind::Quarantined, ..) => return Err(DecodeError::Reason),
        };
        Ok(Self {
            id,
            accepted_at: SystemTime::UNIX_EPOCH + Duration::from_millis(at),
            content,
            traceparent: trace.into_owned(),
            first_index: first,
            body: payload.slice(body_at..),
        })
    }
}

fn is_zero(index: &u32) -> bool {
    *index == 0
}

/// Milliseconds since 1970; 0 for a clock that stands before it.
#[must_use]
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_content() -> impl Strategy<Value = Content> {
        prop_oneof![
            Just(Content::General),
            Just(Content::Integration),
            ("[a-z_]{1,12}", ".{0,40}").prop_map(|(reason, detail)| Content::Quarantined { reason, detail }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            id in any::<u128>(), at in 0u64..1 << 45, content in any_content(),
            traceparent in "[0-9a-f-]{0,55}", first_index in 0u32..3, body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let delivery = Delivery {
                id: Uuid::from_u128(id),
                accepted_at: SystemTime::UNIX_EPOCH + Duration::from_millis(at),
                content,
                traceparent,
                first_index,
                body: body.into(),
            };
            prop_assert_eq!(Delivery::decode(&delivery.encode()).unwrap(), delivery);
        }

        #[test]
        fn any_payload_at_all_ends_in_an_answer(payload in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Delivery::decode(&payload.into());
        }
    }

    fn payload(head: &str, body: &str) -> Bytes {
        let length = u32::try_from(head.len()).unwrap().to_le_bytes();
        [&[VERSION][..], &length, head.as_bytes(), body.as_bytes()].concat().into()
    }

    #[test]
    fn the_head_is_one_flat_object_that_may_have_more_members() {
        let reason = ("unknown_shape".to_owned(), "has \"neither\"".to_owned());
        let delivery = Delivery {
            id: Uuid::nil(),
            accepted_at: SystemTime::UNIX_EPOCH + Duration::from_millis(7),
            content: Content::Quarantined { reason: reason.0, detail: reason.1 },
            traceparent: "00-1-2-01".into(),
            first_index: 3,
            body: Bytes::from_static(b"{}"),
        };
        let head = concat!(
            r#"{"id":"00000000-0000-0000-0000-000000000000","at":7,"trace":"00-1-2-01","first":3,"#,
            r#""kind":"quarantined","reason":"unknown_shape","detail":"has \"neither\""}"#
        );
        assert_eq!(delivery.encode(), payload(head, "{}"));
        let newer = head.replacen('{', r#"{"new":[1],"#, 1);
        assert_eq!(Delivery::decode(&payload(&newer, "{}")).unwrap(), delivery);
    }

    #[test]
    fn a_quarantined_delivery_has_a_reason() {
        let head = r#"{"id":"00000000-0000-0000-0000-000000000000","at":7,"trace":"","kind":"quarantined"}"#;
        assert!(matches!(Delivery::decode(&payload(head, "")), Err(DecodeError::Reason)));
        let other = head.replace("quarantined", "unheard_of");
        assert!(matches!(Delivery::decode(&payload(&other, "")), Err(DecodeError::Head(_))));
    }

    #[test]
    fn another_version_is_named() {
        let error = Delivery::decode(&Bytes::from_static(&[9, 0, 0, 0, 0])).unwrap_err();
        assert_eq!(error.to_string(), "payload has version 9, this build reads 1");
    }
}
