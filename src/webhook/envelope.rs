//! CloudEvents 1.0 over Kafka, binary mode: the record's value is the data, its headers the context.
//!
//! Every record that the bridge writes carries these headers, and nothing else carries the context,
//! so a subscriber needs no wrapper around `Value` (reference: CloudEvents Kafka protocol binding 3.2).

use std::{borrow::Cow, time::SystemTime};

use uuid::Uuid;

/// One record header: names and values are UTF-8.
pub type Header = (&'static str, String);

/// The context of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `ce_id`: the same after a crash, see [`event_id`].
    pub id: Cow<'a, str>,
    /// `ce_source`: whose record it is.
    pub source: Cow<'a, str>,
    /// `ce_type`: what kind of record it is.
    pub kind: Cow<'a, str>,
    /// `ce_subject`: the entity or integration, where there is one.
    pub subject: Option<Cow<'a, str>>,
    /// `ce_time`, to the millisecond.
    pub time: SystemTime,
    /// `ce_enterpriseid`: the hotel, where it is known.
    pub enterprise_id: Option<Cow<'a, str>>,
    /// `ce_integrationid`: the connection, where it is known.
    pub integration_id: Option<Cow<'a, str>>,
    /// `ce_partitionkey`: the record's key.
    pub partition_key: Cow<'a, str>,
    /// `traceparent`, as W3C trace context writes it.
    pub traceparent: Cow<'a, str>,
}

/// `ce_id` of the record that element `index` of a delivery's `Events` becomes.
#[must_use]
pub fn event_id(delivery: Uuid, index: usize) -> String {
    format!("{delivery}-{index}")
}

/// Headers an [`Envelope`] needs at most, so that callers can reserve room for their own.
pub const HEADERS_MAX: usize = 11;

impl Envelope<'_> {
    /// The headers in a fixed order; what is not known has no header.
    #[must_use]
    pub fn headers(self) -> Vec<Header> {
        let mut headers = Vec::with_capacity(HEADERS_MAX + 2);
        headers.push(("content-type", "application/json".to_owned()));
        headers.push(("ce_specversion", "1.0".to_owned()));
        headers.push(("ce_id", self.id.into_owned()));
        headers.push(("ce_source", self.source.into_owned()));
        headers.push(("ce_type", self.kind.into_owned()));
        let mut optional = |name, value: Option<Cow<'_, str>>| {
            if let Some(value) = value {
                headers.push((name, value.into_owned()));
            }
        };
        optional("ce_subject", self.subject);
        optional("ce_time", Some(humantime::format_rfc3339_millis(self.time).to_string().into()));
        optional("ce_enterpriseid", self.enterprise_id);
        optional("ce_integrationid", self.integration_id);
        optional("ce_partitionkey", Some(self.partition_key));
        optional("traceparent", Some(self.traceparent));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn headers_are_those_of_the_binding() {
        let envelope = Envelope {
            id: event_id(Uuid::nil(), 3).into(),
            source: "/mews/enterprises/e".into(),
            kind: "com.mews.connector.CustomerAdded".into(),
            subject: Some("c".into()),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            enterprise_id: Some("e".into()),
            integration_id: None,
            partition_key: "e".into(),
            traceparent: "00-1-2-01".into(),
        };
        let headers: Vec<_> =
            envelope.headers().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            headers,
            [
                "content-type=application/json",
                "ce_specversion=1.0",
                "ce_id=00000000-0000-0000-0000-000000000000-3",
                "ce_source=/mews/enterprises/e",
                "ce_type=com.mews.connector.CustomerAdded",
                "ce_subject=c",
                "ce_time=1970-01-01T00:00:01.500Z",
                "ce_enterpriseid=e",
                "ce_partitionkey=e",
                "traceparent=00-1-2-01",
            ]
        );
    }
}
