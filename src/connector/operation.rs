//! The table of operations: what each one is called, takes and gives (contract 4).
//!
//! Everything that differs between operations and is not a value of one request stands here, so that a
//! change of the Connector API is a change of one row. The bridge calls no operation that writes.

pub use crate::telemetry::metrics::connector::Operation;

/// Ids asked for per request, and records returned per page. Mews allows 1000 (contract 3.6, 4).
pub const IDS_PER_REQUEST_MAX: usize = 1000;

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// Behind `/api/connector/v1/`; Mews compares case and version exactly (contract 3.2).
    pub path: &'static str,
    /// The filter by id, if it has one; it takes [`IDS_PER_REQUEST_MAX`].
    pub ids: Option<&'static str>,
    /// How a request is narrowed to a hotel.
    pub scope: Scope,
    /// Members of the required `Extent` object.
    pub extent: &'static [(&'static str, bool)],
    /// What `ActivityStates` must say for deleted records to be returned.
    pub activity_states: &'static [&'static str],
    /// Whether `Limitation` is taken, and so whether answers come in pages.
    pub is_paged: bool,
    /// Where the records are in an answer.
    pub records: Records,
    /// Whether an answer may be without them, when there are none.
    pub is_optional: bool,
}

/// How a request is narrowed to a hotel. There is no scope that all operations take: a member that one
/// of them does not define is an error there (contract 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// By `EnterpriseIds`.
    Enterprise,
    /// By `ChainIds`; only portfolio tokens need it.
    Chain,
    /// By the required `ServiceIds`.
    Service,
    /// By the required `ServiceIds`, and by `EnterpriseIds`.
    EnterpriseAndService,
    /// By the access token alone.
    Token,
}

/// Where the records are in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// In these arrays, which may repeat each other's records.
    Arrays(&'static [&'static str]),
    /// One record, in this member.
    Member(&'static str),
}

impl Records {
    /// The member in which they are, or the first of those.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arrays([first, ..]) => first,
            Self::Arrays([]) => "records",
            Self::Member(member) => member,
        }
    }
}

const ACTIVE_AND_DELETED: &[&str] = &["Active", "Deleted"];

impl Operation {
    /// Its row of the table.
    #[must_use]
    pub const fn row(self) -> Row {
        const fn row(path: &'static str, scope: Scope, records: &'static [&'static str]) -> Row {
            let records = Records::Arrays(records);
            Row {
                path,
                ids: None,
                scope,
                extent: &[],
                activity_states: &[],
                is_paged: true,
                records,
                is_optional: false,
            }
        }
        match self {
            Self::Reservations => Row {
                ids: Some("ReservationIds"),
                ..row("reservations/getAll/2023-06-06", Scope::Enterprise, &["Reservations"])
            },
            // Without `Inactive` a deleted resource is not returned.
            Self::Resources => Row {
                ids: Some("ResourceIds"),
                extent: &[("Resources", true), ("Inactive", true)],
                is_optional: true,
                ..row("resources/getAll", Scope::Enterprise, &["Resources"])
            },
            // By threads only; there is no filter by message.
            Self::Messages => Row {
                ids: Some("MessageThreadIds"),
                ..row("messages/getAll", Scope::Enterprise, &["Messages"])
            },
            Self::MessageThreads => Row {
                ids: Some("MessageThreadIds"),
                ..row("messageThreads/getAll", Scope::Enterprise, &["MessageThreads"])
            },
            Self::ResourceBlocks => Row {
                ids: Some("ResourceBlockIds"),
                activity_states: ACTIVE_AND_DELETED,
                ..row("resourceBlocks/getAll", Scope::Enterprise, &["ResourceBlocks"])
            },
            Self::Customers => Row {
                ids: Some("CustomerIds"),
                extent: &[("Customers", true), ("Addresses", false)],
                activity_states: ACTIVE_AND_DELETED,
                ..row("customers/getAll", Scope::Chain, &["Customers"])
            },
            Self::Payments => {
                Row { ids: Some("PaymentIds"), ..row("payments/getAll", Scope::Enterprise, &["Payments"]) }
            }
            Self::Products => Row {
                ids: Some("ProductIds"),
                ..row("products/getAll", Scope::EnterpriseAndService, &["Products", "CustomerProducts"])
            },
            Self::Services => row("services/getAll", Scope::Enterprise, &["Services"]),
            Self::Enterprises => row("enterprises/getAll", Scope::Token, &["Enterprises"]),
            Self::ProductServiceOrders => Row {
                ids: Some("ProductServiceOrderIds"),
                ..row("productServiceOrders/getAll", Scope::Service, &["ProductServiceOrders"])
            },
            Self::Configuration => Row {
                is_paged: false,
                records: Records::Member("Enterprise"),
                ..row("configuration/get", Scope::Token, &[])
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::family::Label as _;

    #[test]
    fn a_label_is_its_path_without_the_version() {
        for operation in Operation::ALL {
            let path = operation.row().path;
            assert_eq!(path.splitn(3, '/').take(2).collect::<Vec<_>>().join("/"), operation.value());
            assert!(!path.starts_with('/') && !path.ends_with('/'), "{path}");
        }
    }
}
