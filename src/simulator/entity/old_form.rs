//! Entities as the old form of webhooks has them beside the events (contract 1.6): in older shapes.

use serde_json::{Value, json};

use super::{Detail, Entity, reservation::Reservation};
use crate::simulator::hotel::Hotel;

/// Members that resources of today have and those of then had not.
const NEW_MEMBERS: [&str; 4] = ["EnterpriseId", "ExternalNames", "Directions", "DeletedUtc"];

/// The list of `Entities` that the entity is in, and its latest state. None for kinds that have none, and
/// for what the client may not see.
pub fn of(entity: &Entity, hotel: &Hotel) -> Option<(&'static str, Value)> {
    if entity.has_vanished || !entity.is_visible() {
        return None;
    }
    let today = || serde_json::from_str::<Value>(&entity.record(hotel)).expect("records are JSON");
    Some(match &entity.detail {
        Detail::Reservation(stay) => ("ServiceOrders", reservation(stay, entity, &today())),
        Detail::Resource(_) => {
            let mut record = today();
            if let Some(record) = record.as_object_mut() {
                record.retain(|name, _| !NEW_MEMBERS.contains(&name.as_str()));
            }
            ("Resources", record)
        }
        Detail::Message(_) => ("Messages", today()),
        Detail::ResourceBlock(_) => ("ResourceBlocks", today()),
        _ => return None,
    })
}

/// The reservation of 2017: other names for some members, and persons counted in two kinds.
fn reservation(stay: &Reservation, entity: &Entity, today: &Value) -> Value {
    json!({
        "Id": entity.id,
        "ServiceId": today["ServiceId"],
        "GroupId": today["GroupId"],
        "Number": today["Number"],
        "ChannelNumber": today["ChannelNumber"],
        "ChannelManagerNumber": today["ChannelManagerNumber"],
        "State": today["State"],
        "Origin": today["Origin"],
        "CreatedUtc": today["CreatedUtc"],
        "UpdatedUtc": today["UpdatedUtc"],
        "CancelledUtc": today["CancelledUtc"],
        "StartUtc": today["StartUtc"],
        "EndUtc": today["EndUtc"],
        "ReleasedUtc": today["ReleasedUtc"],
        "RequestedCategoryId": today["RequestedResourceCategoryId"],
        "AssignedResourceId": today["AssignedResourceId"],
        "AssignedResourceLocked": today["AssignedResourceLocked"],
        "RateId": today["RateId"],
        "AdultCount": stay.adults,
        "ChildCount": 0,
        "CustomerId": stay.customer,
        "CompanyId": null,
        "Purpose": today["Purpose"],
    })
}
