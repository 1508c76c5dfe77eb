//! CloudEvents 1.0 over Kafka, binary mode: the record's value is the data, its headers the context.
//!
//! Every record that the bridge writes carries these headers, and nothing else carries the context,
//! so a subscriber needs no wrapper around `Value` (reference: CloudEvents Kafka protocol binding 3.2).

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    time::SystemTime,
};

use uuid::{Uuid, fmt::Hyphenated};

/// The headers of one record, in order; names and values are UTF-8.
///
/// All values lie in one buffer: a record has eleven of them, and a string for each would be most of
/// what producing a record costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Each name, and where in `values` its value ends.
    ends: Vec<(Cow<'static, str>, usize)>,
    values: String,
}

impl Headers {
    /// With room for so many headers, and for so many bytes of values.
    #[must_use]
    pub fn with_capacity(headers: usize, value_bytes: usize) -> Self {
        Self { ends: Vec::with_capacity(headers), values: String::with_capacity(value_bytes) }
    }

    /// Adds one.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: &str) {
        self.values.push_str(value);
        self.ends.push((name.into(), self.values.len()));
    }

    /// Adds one whose value is in parts.
    pub fn join(&mut self, name: &'static str, parts: &[&str]) {
        parts.iter().for_each(|part| self.values.push_str(part));
        self.ends.push((name.into(), self.values.len()));
    }

    /// Adds one, its value written in place.
    pub fn write(&mut self, name: &'static str, value: fmt::Arguments<'_>) {
        self.values.write_fmt(value).expect("a string takes what is written to it");
        self.ends.push((name.into(), self.values.len()));
    }

    /// Adds one as it was read from a record; what is not UTF-8 in it is replaced. Those of an
    /// [`Envelope`] take no memory for their names.
    pub fn take(&mut self, name: &str, value: &[u8]) {
        self.values.push_str(&String::from_utf8_lossy(value));
        let known = NAMES.iter().find(|known| **known == name);
        let name = known.map_or_else(|| Cow::Owned(name.to_owned()), |known| Cow::Borrowed(*known));
        self.ends.push((name, self.values.len()));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        self.ends.iter().zip(begins).map(|((name, end), begin)| (&**name, &self.values[begin..*end]))
    }

    /// The value of the first of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.ends.iter().map(|(name, _)| name.len()).sum::<usize>() + self.values.len()
    }
}

impl<N: Into<Cow<'static, str>>, V: AsRef<str>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut all = Self::default();
        headers.into_iter().for_each(|(name, value)| all.push(name, value.as_ref()));
        all
    }
}

/// The context of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `content-type` of the value.
    pub content_type: &'static str,
    /// `ce_id`: the same after a crash, see [`event_id`].
    pub id: Cow<'a, str>,
    /// `ce_source`: whose record it is, in two parts.
    pub source: [&'a str; 2],
    /// `ce_type`: what kind of record it is, in two parts.
    pub kind: [&'a str; 2],
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

/// `content-type` of a value that is JSON.
pub const JSON: &str = "application/json";

/// `ce_id` of the record that element `index` of a delivery's `Events` becomes.
#[must_use]
pub fn event_id(delivery: Uuid, index: usize) -> String {
    let mut id = String::with_capacity(2 * Hyphenated::LENGTH);
    id.push_str(delivery.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    write!(id, "-{index}").expect("a string takes what is written to it");
    id
}

/// The headers of an [`Envelope`], in their order.
const NAMES: [&str; 11] = [
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_subject",
    "ce_time",
    "ce_enterpriseid",
    "ce_integrationid",
    "ce_partitionkey",
    "traceparent",
];
/// Room for the headers of an [`Envelope`] and some of the caller's own.
const HEADERS: usize = 13;
/// Room for their values, as Mews's ids and names are.
const VALUE_BYTES: usize = 512;

impl Envelope<'_> {
    /// The headers in a fixed order; what is not known has no header.
    #[must_use]
    pub fn headers(self) -> Headers {
        let mut headers = Headers::with_capacity(HEADERS, VALUE_BYTES);
        headers.push("content-type", self.content_type);
        headers.push("ce_specversion", "1.0");
        headers.push("ce_id", &self.id);
        headers.join("ce_source", &self.source);
        headers.join("ce_type", &self.kind);
        if let Some(subject) = &self.subject {
            headers.push("ce_subject", subject);
        }
        headers.write("ce_time", format_args!("{}", humantime::format_rfc3339_millis(self.time)));
        if let Some(id) = &self.enterprise_id {
            headers.push("ce_enterpriseid", id);
        }
        if let Some(id) = &self.integration_id {
            headers.push("ce_integrationid", id);
        }
        headers.push("ce_partitionkey", &self.partition_key);
        headers.push("traceparent", &self.traceparent);
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn headers_that_were_read_are_those_that_were_written() {
        let mut headers = Headers::default();
        headers.take("ce_id", b"d-3");
        headers.take("odd", &[b'a', 0xff]);
        let shown: Vec<_> = headers.iter().collect();
        assert_eq!(shown, [("ce_id", "d-3"), ("odd", "a\u{fffd}")]);
        assert!(matches!(headers.ends[0].0, Cow::Borrowed(_)));
    }

    #[test]
    fn headers_are_those_of_the_binding() {
        let envelope = Envelope {
            content_type: JSON,
            id: event_id(Uuid::nil(), 3).into(),
            source: ["/mews/enterprises/", "e"],
            kind: ["com.mews.connector.", "CustomerAdded"],
            subject: Some("c".into()),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            enterprise_id: Some("e".into()),
            integration_id: None,
            partition_key: "e".into(),
            traceparent: "00-1-2-01".into(),
        };
        let headers = envelope.headers();
        let shown: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(headers.size() + headers.len(), shown.concat().len());
        assert!(headers.iter().all(|(name, _)| NAMES.contains(&name)));
        assert_eq!(headers.get("ce_type"), Some("com.mews.connector.CustomerAdded"));
        assert_eq!(
            shown,
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
