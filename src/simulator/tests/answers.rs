//! What is in the answers: documented fields, the odd ones of each operation, and the truth byte for byte.

use serde_json::{Value, json, value::RawValue};

use super::harness::World;
use crate::simulator::utc::{Precision, Utc};

/// Members that the contract documents for a record (contract 4), those that most easily go missing.
const MEMBERS: [(&str, &str, &str); 7] = [
    (
        "reservations/getAll/2023-06-06",
        "Reservations",
        "ServiceId AccountId AccountType CreatorProfileId UpdaterProfileId BookerId Number State \
         Origin CommanderOrigin OriginDetails CreatedUtc UpdatedUtc CancelledUtc VoucherId \
         BusinessSegmentId Options RateId CreditCardId GroupId RequestedResourceCategoryId \
         AssignedResourceId AssignedResourceLocked AvailabilityBlockId PartnerCompanyId \
         TravelAgencyId ChannelNumber ChannelManagerNumber CancellationReason ReleasedUtc \
         ScheduledStartUtc ScheduledEndUtc ActualStartUtc ActualEndUtc Purpose QrCodeData \
         PersonCounts StartUtc EndUtc",
    ),
    (
        "resources/getAll",
        "Resources",
        "EnterpriseId IsActive ParentResourceId Name State Descriptions ExternalNames Directions \
         CreatedUtc UpdatedUtc DeletedUtc Data",
    ),
    (
        "resourceBlocks/getAll",
        "ResourceBlocks",
        "EnterpriseId AssignedResourceId IsActive Type StartUtc EndUtc CreatedUtc UpdatedUtc \
         DeletedUtc Name Notes",
    ),
    (
        "customers/getAll",
        "Customers",
        "ChainId Number Title CustomTitleName CustomTitleId Sex FirstName SecondLastName LastName \
         NationalityCode PreferredLanguageCode LanguageCode BirthDate BirthPlace BirthCountryCode \
         BirthCountrySubdivisionCode Occupation Email Phone HasOtaEmail TaxIdentificationNumber \
         LoyaltyCode AccountingCode BillingCode CarRegistrationNumber DietaryRequirements CreatedUtc \
         UpdatedUtc AddressId Classifications Options ItalianDestinationCode ItalianFiscalCode \
         ItalianLotteryCode CompanyId MergeTargetId IsActive PreferredSpaceFeatures CreatorProfileId \
         UpdaterProfileId Passport IdentityCard Visa DriversLicense Address ActivityState Notes",
    ),
    (
        "payments/getAll",
        "Payments",
        "EnterpriseId AccountId AccountType PaymentRequestId BillId ReservationId \
         AccountingCategoryId Amount OriginalAmount Notes SettlementId Identifier Recurring \
         ConsumedUtc ClosedUtc ChargedUtc CreatedUtc UpdatedUtc SettlementUtc AccountingState State \
         Type Kind Data PaymentOrigin",
    ),
    (
        "products/getAll",
        "Products",
        "ServiceId CategoryId AccountingCategoryId IsActive Names ExternalNames ShortNames \
         Descriptions ChargingMode PostingMode Options Promotions Classifications Price ImageIds \
         Ordering ExternalIdentifier TaxExemptionReason TaxExemptionLegalReference CreatedUtc \
         UpdatedUtc ConsumptionMoment IsDefault Name ExternalName ShortName Description Charging \
         Posting Pricing",
    ),
    ("messageThreads/getAll", "MessageThreads", "OriginalSender Subject CreatedUtc UpdatedUtc IsResolved"),
];

async fn everything(world: &World) -> Value {
    let services = world.read("hotels").await[0][0]["ServiceIds"].clone();
    let month = |from: &str, to: &str| json!({ "StartUtc": from, "EndUtc": to });
    let now = Utc::now();
    let text = |days| now.plus_days(days).text(Precision::Seconds);
    json!({
        "Extent": { "Resources": true, "Inactive": true, "Customers": true },
        "ServiceIds": services,
        "CreatedUtc": month(&text(-60), &text(1)),
        "IncludeDefault": true,
    })
}

#[tokio::test]
async fn records_have_every_documented_member() {
    let world = World::new().await;
    let members = everything(&world).await;
    for (operation, array, names) in MEMBERS {
        let answer = world.call(operation, members.clone()).await;
        let records = answer.body[array].as_array().unwrap_or_else(|| panic!("{operation}: {}", answer.text));
        assert!(!records.is_empty(), "{operation}");
        for record in records {
            let record = record.as_object().unwrap();
            let missing: Vec<_> = names.split(' ').filter(|name| !record.contains_key(*name)).collect();
            assert!(missing.is_empty() && record.contains_key("Id"), "{operation}: {missing:?}");
        }
    }
}

#[tokio::test]
async fn reservations_are_there_in_every_state_and_payments_of_every_type() {
    let world = World::new().await;
    let members = everything(&world).await;
    let values = async |operation: &str, array: &str, member: &str| {
        let mut values: Vec<String> = Vec::new();
        for hotel in 0..3 {
            let mut members = members.clone();
            members["ServiceIds"] = world.read("hotels").await[0][hotel]["ServiceIds"].clone();
            let answer = world.call_as(hotel, operation, members).await;
            let records = answer.body[array].as_array().unwrap().clone();
            values.extend(records.iter().map(|record| record[member].as_str().unwrap().to_owned()));
        }
        values.sort();
        values.dedup();
        values
    };
    let states = values("reservations/getAll/2023-06-06", "Reservations", "State").await;
    assert_eq!(
        states,
        ["Canceled", "Confirmed", "Inquired", "Optional", "Processed", "Requested", "Started"]
    );
    assert_eq!(values("payments/getAll", "Payments", "Type").await.len(), 8);
}

/// The truth's record is what the API returns, byte for byte.
#[tokio::test]
async fn the_truth_is_what_is_returned() {
    let world = World::new().await;
    for (kind, operation, filter, array) in [
        ("reservations", "reservations/getAll/2023-06-06", "ReservationIds", "Reservations"),
        ("resources", "resources/getAll", "ResourceIds", "Resources"),
        ("customers", "customers/getAll", "CustomerIds", "Customers"),
        ("payments", "payments/getAll", "PaymentIds", "Payments"),
        ("resource-blocks", "resourceBlocks/getAll", "ResourceBlockIds", "ResourceBlocks"),
        (
            "product-service-orders",
            "productServiceOrders/getAll",
            "ProductServiceOrderIds",
            "ProductServiceOrders",
        ),
    ] {
        let id = world.make(json!({ "kind": kind })).await;
        world.control("changes", json!({ "kind": kind, "id": id, "count": 3 })).await;
        let mut members = everything(&world).await;
        members[filter] = json!([id]);
        let first = world.call(operation, members.clone()).await;
        let again = world.call(operation, members).await;
        assert_eq!(first.text, again.text, "one state, the same bytes");
        let truth = world.send("GET", &format!("/simulator/truth/{kind}/{id}"), "").await;
        let whole: std::collections::HashMap<String, Box<RawValue>> =
            serde_json::from_str(&truth.text).unwrap();
        assert!(first.text.contains(whole["Record"].get()), "{kind}: {}", first.text);
        assert_eq!(first.ids(array), [id]);
        assert_eq!(truth.body["State"], "present");
    }
    let never =
        world.send("GET", "/simulator/truth/reservations/5f0e1d2c-3b4a-4958-8776-655443322110", "").await;
    assert_eq!(never.status, 404);
}

/// contract 1.3: what is deleted is returned to those who ask for it.
#[tokio::test]
async fn the_deleted_are_returned_to_those_who_ask() {
    let world = World::new().await;
    for (kind, operation, filter, array, asking) in [
        (
            "resources",
            "resources/getAll",
            "ResourceIds",
            "Resources",
            json!({ "Extent": { "Resources": true, "Inactive": true } }),
        ),
        (
            "resource-blocks",
            "resourceBlocks/getAll",
            "ResourceBlockIds",
            "ResourceBlocks",
            json!({ "ActivityStates": ["Active", "Deleted"] }),
        ),
        (
            "customers",
            "customers/getAll",
            "CustomerIds",
            "Customers",
            json!({ "ActivityStates": ["Deleted"], "Extent": { "Customers": true } }),
        ),
    ] {
        let id = world.make(json!({ "kind": kind })).await;
        world.control("changes", json!({ "kind": kind, "id": id, "action": "delete" })).await;
        let plain = json!({ filter: [id], "Extent": { "Resources": true, "Customers": true } });
        assert!(world.call(operation, plain).await.ids(array).is_empty(), "{kind}");
        let mut asking = asking;
        asking[filter] = json!([id]);
        let answer = world.call(operation, asking).await;
        assert_eq!(answer.body[array][0]["IsActive"], false, "{kind}: {}", answer.text);
    }
}

/// contract 4.2, 4.5
#[tokio::test]
async fn without_its_extent_an_answer_has_a_cursor_and_no_data() {
    let world = World::new().await;
    let id = world.make(json!({ "kind": "customers" })).await;
    let members = json!({ "CustomerIds": [id], "Extent": { "Customers": false } });
    let answer = world.call("customers/getAll", members).await;
    assert_eq!(answer.body, json!({ "Customers": null, "Documents": null, "Cursor": id }));
}

/// contract 4.7: two arrays that may overlap, and default products only for those who ask.
#[tokio::test]
async fn products_come_in_two_arrays() {
    let world = World::new().await;
    world.control("changes", json!({ "kind": "products", "count": 60 })).await;
    let members = everything(&world).await;
    let answer = world.call("products/getAll", members.clone()).await;
    let (products, of_customers) = (answer.ids("Products"), answer.ids("CustomerProducts"));
    let both = products.iter().filter(|id| of_customers.contains(id)).count();
    assert!(both > 0 && both < of_customers.len() && of_customers.len() < products.len());
    let mut plain = members.clone();
    plain["IncludeDefault"] = json!(null);
    let fewer = world.call("products/getAll", plain.clone()).await.ids("Products");
    assert!(fewer.len() < products.len());
    plain["ProductIds"] = json!(products);
    assert_eq!(world.call("products/getAll", plain).await.ids("Products"), products);
}

/// contract 4.3: threads of other clients are not seen, nor are their messages.
#[tokio::test]
async fn messages_are_found_through_own_threads_only() {
    let world = World::new().await;
    for (own, count) in [(true, 1), (false, 0)] {
        let thread = world.make(json!({ "kind": "message-threads", "own": own })).await;
        let message = world.make(json!({ "kind": "messages", "into": thread })).await;
        let threads = world.call("messageThreads/getAll", json!({ "MessageThreadIds": [thread] })).await;
        let messages = world.call("messages/getAll", json!({ "MessageThreadIds": [thread] })).await;
        assert_eq!((threads.ids("MessageThreads").len(), messages.ids("Messages").len()), (count, count));
        let truth = world.read(&format!("truth/messages/{message}")).await;
        assert_eq!(truth[0]["State"], if own { "present" } else { "invisible" });
    }
}

/// contract 1.3: a service order that is no reservation is found by its own operation only.
#[tokio::test]
async fn orders_are_no_reservations() {
    let world = World::new().await;
    let made = world.control("changes", json!({ "kind": "product-service-orders" })).await;
    assert_eq!(made["Changes"][0]["Discriminators"], json!(["ServiceOrderUpdated"]));
    let id = &made["Changes"][0]["Id"];
    let answer = world.call("reservations/getAll/2023-06-06", json!({ "ReservationIds": [id] })).await;
    assert!(answer.ids("Reservations").is_empty());
}

#[tokio::test]
async fn what_vanished_or_merged_says_so() {
    let world = World::new().await;
    let [one, two] =
        [world.make(json!({ "kind": "customers" })).await, world.make(json!({ "kind": "customers" })).await];
    let merged = world
        .control("changes", json!({ "kind": "customers", "id": one, "action": "merge", "into": two }))
        .await;
    assert_eq!(merged["Count"], 2);
    let truth = world.read(&format!("truth/customers/{one}")).await;
    assert_eq!((&truth[0]["State"], &truth[0]["Record"]["MergeTargetId"]), (&json!("merged"), &json!(two)));
    for (action, state, count) in [("vanish", "vanished", 0), ("return", "present", 1)] {
        world.control("changes", json!({ "kind": "customers", "id": two, "action": action })).await;
        let truth = world.read(&format!("truth/customers/{two}")).await;
        assert_eq!(truth[0]["State"], state);
        let members = json!({ "CustomerIds": [two], "Extent": { "Customers": true } });
        assert_eq!(world.call("customers/getAll", members).await.ids("Customers").len(), count);
    }
}
