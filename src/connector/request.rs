//! Requests, one builder per question: what is not built here cannot be asked.
//!
//! Guarantees: required members are always there, and none that the operation does not define
//! (contract 3.7, 4). Credentials are no part of a request; the client adds them when it sends.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    Answer,
    operation::{IDS_PER_REQUEST_MAX, Operation, Scope},
};
use crate::secret::Secret;

/// Longest interval that is asked for; Mews allows three months (contract 3.5).
pub const INTERVAL_MAX: Duration = Duration::from_secs(88 * 24 * 3600);
/// Longest interval of `messages/getAll`; Mews allows one month (contract 4.3).
pub const MESSAGES_INTERVAL_MAX: Duration = Duration::from_secs(28 * 24 * 3600);

/// Bytes of a body beside secrets, members and cursor: names, quotes, the limit of the page.
const FIXED_BYTES: usize = 192;

/// One request without its credentials. Ids are at most [`IDS_PER_REQUEST_MAX`] and at least one: to
/// some operations an empty list means all there is.
#[derive(Clone)]
pub struct Request {
    operation: Operation,
    members: Vec<(&'static str, Member)>,
    /// Records that are asked for by id; none when they are swept.
    ids: Option<usize>,
    cursor: Option<String>,
}

/// `[start, end)`, to whole seconds outwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first moment in it.
    pub start: SystemTime,
    /// The first moment after it.
    pub end: SystemTime,
}

#[derive(Clone)]
enum Member {
    Ids(Vec<String>),
    Words(&'static [&'static str]),
    Extent(&'static [(&'static str, bool)]),
    Interval(Interval),
}

impl Request {
    /// Reservations by id.
    #[must_use]
    pub fn reservations(enterprise_id: &str, ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::Reservations).enterprise(enterprise_id).ids(ids)
    }

    /// Resources by id, deleted ones too.
    #[must_use]
    pub fn resources(enterprise_id: &str, ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::Resources).enterprise(enterprise_id).ids(ids)
    }

    /// Resource blocks by id, deleted ones too.
    #[must_use]
    pub fn resource_blocks(enterprise_id: &str, ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::ResourceBlocks).enterprise(enterprise_id).ids(ids)
    }

    /// Customers by id, deleted and merged ones too. Portfolio tokens need the chains (contract 3.7);
    /// for the others none are given.
    #[must_use]
    pub fn customers(chain_ids: &[impl AsRef<str>], ids: &[impl AsRef<str>]) -> Self {
        let request = Self::new(Operation::Customers);
        let request =
            if chain_ids.is_empty() { request } else { request.with("ChainIds", Member::ids(chain_ids)) };
        request.ids(ids)
    }

    /// Payments by id.
    #[must_use]
    pub fn payments(enterprise_id: &str, ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::Payments).enterprise(enterprise_id).ids(ids)
    }

    /// Products by id, among those of the given services, which are required (contract 4.7).
    #[must_use]
    pub fn products(enterprise_id: &str, service_ids: &[impl AsRef<str>], ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::Products).enterprise(enterprise_id).services_of(service_ids).ids(ids)
    }

    /// Service orders that are no reservations by id, among those of the given services, which are
    /// required (contract 4.8).
    #[must_use]
    pub fn product_service_orders(service_ids: &[impl AsRef<str>], ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::ProductServiceOrders).services_of(service_ids).ids(ids)
    }

    /// Message threads by id.
    #[must_use]
    pub fn message_threads(enterprise_id: &str, ids: &[impl AsRef<str>]) -> Self {
        Self::new(Operation::MessageThreads).enterprise(enterprise_id).ids(ids)
    }

    /// Message threads that changed in an interval of at most [`INTERVAL_MAX`], newest first.
    #[must_use]
    pub fn message_threads_updated(enterprise_id: &str, updated: Interval) -> Self {
        debug_assert!(updated.length() <= INTERVAL_MAX, "Mews refuses longer intervals");
        Self::new(Operation::MessageThreads)
            .enterprise(enterprise_id)
            .with("UpdatedUtc", Member::Interval(updated))
    }

    /// Messages of the threads that were written in an interval of at most [`MESSAGES_INTERVAL_MAX`],
    /// newest first.
    #[must_use]
    pub fn messages(enterprise_id: &str, thread_ids: &[impl AsRef<str>], created: Interval) -> Self {
        debug_assert!(created.length() <= MESSAGES_INTERVAL_MAX, "Mews refuses longer intervals");
        let request = Self::new(Operation::Messages)
            .enterprise(enterprise_id)
            .ids(thread_ids)
            .with("CreatedUtc", Member::Interval(created));
        // Any number of messages may come for one thread.
        Self { ids: None, ..request }
    }

    /// All services of a hotel.
    #[must_use]
    pub fn services(enterprise_id: &str) -> Self {
        Self::new(Operation::Services).enterprise(enterprise_id)
    }

    /// All hotels of the access token, each with its chain.
    #[must_use]
    pub fn enterprises() -> Self {
        Self::new(Operation::Enterprises)
    }

    /// Whether the access token works at all; the cheapest request there is.
    #[must_use]
    pub fn configuration() -> Self {
        Self::new(Operation::Configuration)
    }

    /// What it asks for.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The same question for what comes behind an answer, if anything can.
    ///
    /// A cursor is null only on an empty page, so "until null" would always cost one request more: a page
    /// that is not full is the last, and so is one with every record that was asked for (contract 3.6).
    #[must_use]
    pub fn next_page(&self, answer: &Answer) -> Option<Self> {
        let all_in = self.ids.is_some_and(|ids| answer.records.len() >= ids);
        if !self.operation.row().is_paged || answer.items < IDS_PER_REQUEST_MAX || all_in {
            return None;
        }
        let cursor = Some(answer.cursor.clone()?);
        Some(Self { cursor, ..self.clone() })
    }

    fn new(operation: Operation) -> Self {
        let row = operation.row();
        let mut members = Vec::new();
        if !row.extent.is_empty() {
            members.push(("Extent", Member::Extent(row.extent)));
        }
        if !row.activity_states.is_empty() {
            members.push(("ActivityStates", Member::Words(row.activity_states)));
        }
        Self { operation, members, ids: None, cursor: None }
    }

    fn with(mut self, name: &'static str, member: Member) -> Self {
        self.members.push((name, member));
        self
    }

    fn enterprise(self, id: &str) -> Self {
        let scope = self.operation.row().scope;
        debug_assert!(matches!(scope, Scope::Enterprise | Scope::EnterpriseAndService));
        self.with("EnterpriseIds", Member::ids(&[id]))
    }

    fn services_of(self, service_ids: &[impl AsRef<str>]) -> Self {
        let scope = self.operation.row().scope;
        debug_assert!(matches!(scope, Scope::Service | Scope::EnterpriseAndService));
        self.with("ServiceIds", Member::ids(service_ids))
    }

    fn ids(self, ids: &[impl AsRef<str>]) -> Self {
        let name =
            self.operation.row().ids.expect("builders by id are those of operations with an id filter");
        Self { ids: Some(ids.len()), ..self.with(name, Member::ids(ids)) }
    }

    /// The body to send, with the credentials in it.
    pub(super) fn body(&self, credentials: &Credentials<'_>) -> Vec<u8> {
        // Enough, so that no copy is left behind when it grows; not much more, for all of it will be wiped.
        let bound = self.size_bound(credentials);
        let mut body = Vec::with_capacity(bound);
        serde_json::to_writer(&mut body, &Body { credentials, request: self })
            .expect("strings and numbers always serialise into memory");
        debug_assert!(body.len() <= bound, "{} bytes, where {bound} were the most", body.len());
        body
    }

    /// Never less than the bytes of its body.
    fn size_bound(&self, credentials: &Credentials<'_>) -> usize {
        let Credentials { client_token, access_token, client } = credentials;
        let texts = [client_token.expose(), access_token.expose(), client];
        let texts: usize = texts.into_iter().chain(self.cursor.as_deref()).map(escaped).sum();
        texts + self.members.iter().map(|(_, member)| member.size_bound()).sum::<usize>() + FIXED_BYTES
    }
}

/// What a text takes as a JSON string.
fn escaped(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        0..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    });
    bytes.sum::<usize>() + 2
}

/// What the client adds to every request (contract 3.2).
pub(super) struct Credentials<'a> {
    pub(super) client_token: &'a Secret,
    pub(super) access_token: &'a Secret,
    pub(super) client: &'a str,
}

/// Says what is asked and how much, not for whom.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("operation", &self.operation)
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

impl Member {
    /// Never less than it takes with its name.
    fn size_bound(&self) -> usize {
        const NAME: usize = 32;
        NAME + match self {
            Self::Ids(ids) => ids.iter().map(|id| escaped(id) + 1).sum(),
            Self::Words(words) => words.iter().map(|word| word.len() + 3).sum(),
            Self::Extent(extent) => extent.iter().map(|(name, _)| name.len() + 9).sum(),
            Self::Interval(_) => 80,
        }
    }

    fn ids(ids: &[impl AsRef<str>]) -> Self {
        debug_assert!(!ids.is_empty() && ids.len() <= IDS_PER_REQUEST_MAX, "{} ids", ids.len());
        Self::Ids(ids.iter().map(|id| id.as_ref().to_owned()).collect())
    }
}

impl Interval {
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }
}

struct Body<'a> {
    credentials: &'a Credentials<'a>,
    request: &'a Request,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { credentials, request } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ClientToken", credentials.client_token.expose())?;
        map.serialize_entry("AccessToken", credentials.access_token.expose())?;
        map.serialize_entry("Client", credentials.client)?;
        for (name, member) in &request.members {
            map.serialize_entry(name, member)?;
        }
        if request.operation.row().is_paged {
            let cursor = request.cursor.as_deref();
            map.serialize_entry("Limitation", &Limitation { count: IDS_PER_REQUEST_MAX, cursor })?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limitation<'a> {
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ids(ids) => ids.serialize(serializer),
            Self::Words(words) => words.serialize(serializer),
            Self::Extent(extent) => serializer.collect_map(extent.iter().copied()),
            Self::Interval(interval) => interval.serialize(serializer),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (start, end) = (since(self.start), since(self.end));
        let end_seconds = end.as_secs() + u64::from(end.subsec_nanos() > 0);
        for (name, seconds) in [("StartUtc", start.as_secs()), ("EndUtc", end_seconds)] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            map.serialize_entry(name, &humantime::format_rfc3339_seconds(time).to_string())?;
        }
        map.end()
    }
}
