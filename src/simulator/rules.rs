//! What each operation asks of a request, in one table; [`super::check`] holds requests to it.
//!
//! Everything here is what the contract documents (sections 1.3, 3.6, 3.7 and 4): a newcomer reads the
//! rules in this file. Besides, each operation wants `ClientToken`, `AccessToken` and `Client`, and all but
//! `configuration/get` a `Limitation` (contract 4).

mod rule;

use super::kind::Kind;
pub use rule::{Deleted, Filter, Form, IDS_MAX, Length, LooksAt, Rules, Scoping};
use rule::{
    FEW_IDS_MAX,
    LooksAt::{Created, Deletion, Id, Member, Nothing, Parent, Span, Updated},
    PLAIN, few_ids, ids, texts, within, words,
};

/// Where operations are (contract 3.2).
pub const PREFIX: &str = "/api/connector/v1/";

const STATES: &[&str] =
    &["Inquired", "Confirmed", "Started", "Processed", "Canceled", "Optional", "Requested"];
const PAYMENT_STATES: &[&str] = &["Charged", "Canceled", "Pending", "Failed", "Verifying"];
const ACCOUNTING_STATES: &[&str] = &["Open", "Closed", "Inactive", "Canceled"];
const ACTIVITY_STATES: &[&str] = &["Active", "Deleted"];

/// Every operation that there is here.
pub static OPERATIONS: [Rules; 12] = [
    // contract 4.1
    Rules {
        path: "reservations/getAll/2023-06-06",
        kind: Some(Kind::Reservation),
        array: "Reservations",
        filters: &[
            ids("ReservationIds", Id),
            ids("ServiceIds", Parent),
            ids("ReservationGroupIds", Member("GroupId")),
            ids("AccountIds", Member("AccountId")),
            texts("Numbers", IDS_MAX, "Number"),
            ids("AssignedResourceIds", Member("AssignedResourceId")),
            few_ids("PartnerCompanyIds", "PartnerCompanyId"),
            few_ids("TravelAgencyIds", "TravelAgencyId"),
            few_ids("AvailabilityBlockIds", "AvailabilityBlockId"),
            texts("ChannelNumbers", FEW_IDS_MAX, "ChannelNumber"),
            within("CreatedUtc", Created),
            within("UpdatedUtc", Updated),
            within("CollidingUtc", Span("ScheduledStartUtc", "ScheduledEndUtc")),
            within("ScheduledStartUtc", Member("ScheduledStartUtc")),
            within("ActualStartUtc", Member("ActualStartUtc")),
            within("ScheduledEndUtc", Member("ScheduledEndUtc")),
            within("ActualEndUtc", Member("ActualEndUtc")),
            words("States", STATES, Member("State")),
        ],
        either: &[["ScheduledStartUtc", "ActualStartUtc"], ["ScheduledEndUtc", "ActualEndUtc"]],
        ..PLAIN
    },
    // contract 4.2
    Rules {
        path: "resources/getAll",
        kind: Some(Kind::Resource),
        array: "Resources",
        nulls: &[
            "ResourceCategories",
            "ResourceCategoryAssignments",
            "ResourceCategoryImageAssignments",
            "ResourceFeatures",
            "ResourceFeatureAssignments",
        ],
        extent: &["Resources", "Inactive"],
        deleted: Deleted::ByExtent,
        filters: &[
            ids("ResourceIds", Id),
            texts("Names", IDS_MAX, "Name"),
            within("CreatedUtc", Created),
            within("UpdatedUtc", Updated),
        ],
        ..PLAIN
    },
    // contract 4.3
    Rules {
        path: "messages/getAll",
        kind: Some(Kind::Message),
        array: "Messages",
        filters: &[
            ids("MessageThreadIds", Parent),
            Filter { name: "CreatedUtc", form: Form::Interval(Length::OneMonth), looks_at: Created },
        ],
        required: &["MessageThreadIds"],
        ..PLAIN
    },
    // contract 4.3
    Rules {
        path: "messageThreads/getAll",
        kind: Some(Kind::MessageThread),
        array: "MessageThreads",
        filters: &[ids("MessageThreadIds", Id), within("CreatedUtc", Created), within("UpdatedUtc", Updated)],
        one_of: &["MessageThreadIds", "CreatedUtc", "UpdatedUtc"],
        ..PLAIN
    },
    // contract 4.4
    Rules {
        path: "resourceBlocks/getAll",
        kind: Some(Kind::ResourceBlock),
        array: "ResourceBlocks",
        deleted: Deleted::ByActivityStates,
        filters: &[
            ids("ResourceBlockIds", Id),
            ids("AssignedResourceIds", Member("AssignedResourceId")),
            within("CollidingUtc", Span("StartUtc", "EndUtc")),
            within("CreatedUtc", Created),
            within("UpdatedUtc", Updated),
            words("ActivityStates", ACTIVITY_STATES, Nothing),
        ],
        ..PLAIN
    },
    // contract 4.5
    Rules {
        path: "customers/getAll",
        kind: Some(Kind::Customer),
        array: "Customers",
        nulls: &["Documents"],
        scope: Scoping::Chains,
        extent: &["Customers", "Addresses"],
        deleted: Deleted::ByActivityStates,
        filters: &[
            ids("CustomerIds", Id),
            Filter { name: "CompanyIds", form: Form::Ids(1), looks_at: Member("CompanyId") },
            texts("Emails", IDS_MAX, "Email"),
            texts("FirstNames", IDS_MAX, "FirstName"),
            texts("LastNames", IDS_MAX, "LastName"),
            texts("LoyaltyCodes", IDS_MAX, "LoyaltyCode"),
            within("CreatedUtc", Created),
            within("UpdatedUtc", Updated),
            within("DeletedUtc", Deletion),
            words("ActivityStates", ACTIVITY_STATES, Nothing),
        ],
        one_of: &[
            "CustomerIds",
            "CompanyIds",
            "Emails",
            "FirstNames",
            "LastNames",
            "LoyaltyCodes",
            "CreatedUtc",
            "UpdatedUtc",
            "DeletedUtc",
        ],
        ..PLAIN
    },
    // contract 4.6
    Rules {
        path: "payments/getAll",
        kind: Some(Kind::Payment),
        array: "Payments",
        filters: &[
            ids("PaymentIds", Id),
            ids("BillIds", Member("BillId")),
            ids("ReservationIds", Member("ReservationId")),
            few_ids("AccountIds", "AccountId"),
            within("CreatedUtc", Created),
            within("UpdatedUtc", Updated),
            within("ChargedUtc", Member("ChargedUtc")),
            within("ClosedUtc", Member("ClosedUtc")),
            within("SettlementUtc", Member("SettlementUtc")),
            words("AccountingStates", ACCOUNTING_STATES, Member("AccountingState")),
            words("States", PAYMENT_STATES, Member("State")),
            Filter { name: "Type", form: Form::Text, looks_at: Member("Type") },
            Filter { name: "Recurring", form: Form::Flag, looks_at: Member("Recurring") },
        ],
        one_of: &[
            "EnterpriseIds",
            "PaymentIds",
            "BillIds",
            "ReservationIds",
            "AccountIds",
            "CreatedUtc",
            "UpdatedUtc",
            "ChargedUtc",
            "ClosedUtc",
            "SettlementUtc",
            "AccountingStates",
            "States",
            "Type",
            "Recurring",
        ],
        ..PLAIN
    },
    // contract 4.7
    Rules {
        path: "products/getAll",
        kind: Some(Kind::Product),
        array: "Products",
        filters: &[
            ids("ServiceIds", Parent),
            ids("ProductIds", Id),
            within("UpdatedUtc", Updated),
            Filter { name: "IncludeDefault", form: Form::Flag, looks_at: Nothing },
        ],
        required: &["ServiceIds"],
        ..PLAIN
    },
    // contract 4.8
    Rules {
        path: "services/getAll",
        kind: Some(Kind::Service),
        array: "Services",
        filters: &[
            ids("ServiceIds", Id),
            Filter { name: "ServiceType", form: Form::Text, looks_at: Member("/Data/Discriminator") },
            within("UpdatedUtc", Updated),
        ],
        ..PLAIN
    },
    // contract 4.8
    Rules {
        path: "enterprises/getAll",
        kind: Some(Kind::Enterprise),
        array: "Enterprises",
        filters: &[
            texts("ExternalIdentifiers", IDS_MAX, "ExternalIdentifier"),
            within("LinkedUtc", Member("LinkedUtc")),
            within("UpdatedUtc", Updated),
        ],
        ..PLAIN
    },
    // contract 4.8
    Rules {
        path: "productServiceOrders/getAll",
        kind: Some(Kind::ProductServiceOrder),
        array: "ProductServiceOrders",
        filters: &[
            ids("ServiceIds", Parent),
            ids("ProductServiceOrderIds", Id),
            ids("AccountIds", Member("AccountId")),
            texts("Numbers", IDS_MAX, "Number"),
            within("CreatedUtc", Created),
            within("UpdatedUtc", Updated),
            words("States", STATES, Member("State")),
        ],
        required: &["ServiceIds"],
        ..PLAIN
    },
    // contract 4.8
    Rules { path: "configuration/get", scope: Scoping::Enterprise, ..PLAIN },
];

/// The operation at this path, which begins with [`PREFIX`].
pub fn at(path: &str) -> Option<&'static Rules> {
    let path = path.strip_prefix(PREFIX)?;
    OPERATIONS.iter().find(|rules| rules.path == path)
}

/// The operation of this short name.
pub fn of_name(name: &str) -> Option<&'static Rules> {
    OPERATIONS.iter().find(|rules| rules.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_that_a_rule_names_is_there() {
        for rules in &OPERATIONS {
            let has = |name: &str| {
                rules.filters.iter().any(|filter| filter.name == name)
                    || (name == "EnterpriseIds" && rules.scope == Scoping::Enterprises)
            };
            for name in rules.required.iter().chain(rules.one_of).chain(rules.either.as_flattened()) {
                assert!(has(name), "{} of {}", name, rules.path);
            }
        }
    }

    #[test]
    fn paths_are_exact() {
        assert!(at("/api/connector/v1/resources/getAll").is_some());
        for path in
            ["/api/connector/v1/resources/getall", "/api/connector/v1/resources/getAll/", "/resources/getAll"]
        {
            assert!(at(path).is_none(), "{path}");
        }
    }
}
