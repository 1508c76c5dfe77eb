//! Services (contract 4.8): one bookable and one additional a hotel.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Entity;
use crate::simulator::hotel::Hotel;

/// `ServiceType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// What reservations are of.
    Bookable,
    /// What other service orders are of.
    Additional,
}

impl Service {
    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let (name, discriminator, value) = match self {
            Self::Bookable => (
                "Stay",
                "Bookable",
                json!({
                    "StartOffset": "P0M0DT14H0M0S", "EndOffset": "P0M1DT10H0M0S",
                    "OccupancyStartOffset": "P0M0DT0H0M0S", "OccupancyEndOffset": "P0M1DT0H0M0S",
                    "TimeUnitPeriod": "Day",
                }),
            ),
            Self::Additional => ("Extras", "Additional", json!({ "Promotions": { "AfterCheckIn": true } })),
        };
        Record {
            id: entity.id,
            enterprise_id: hotel.id,
            is_active: entity.is_active(),
            name,
            names: [(hotel.language, name)].into(),
            short_names: BTreeMap::new(),
            descriptions: BTreeMap::new(),
            ordering: 0,
            external_identifier: None,
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            options: json!({ "BillAsPackage": false }),
            data: json!({ "Discriminator": discriminator, "Value": value }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    enterprise_id: Uuid,
    is_active: bool,
    name: &'static str,
    names: BTreeMap<&'static str, &'static str>,
    short_names: BTreeMap<&'static str, &'static str>,
    descriptions: BTreeMap<&'static str, &'static str>,
    ordering: u32,
    external_identifier: Option<String>,
    created_utc: String,
    updated_utc: String,
    options: Value,
    data: Value,
}
