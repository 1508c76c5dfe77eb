//! Resource blocks (contract 4.4).

use fastrand::Rng;
use serde::Serialize;
use uuid::Uuid;

use super::Entity;
use crate::simulator::{chance::pick, hotel::Hotel, utc::Utc};

/// What changes about a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub resource: Uuid,
    pub start: Utc,
    pub end: Utc,
}

impl Block {
    pub fn new(resource: Uuid, chance: &mut Rng, now: Utc) -> Self {
        let start = now.midnight().plus_days(chance.i64(0..20));
        Self { resource, start, end: start.plus_days(chance.i64(1..6)) }
    }

    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        Record {
            id: entity.id,
            enterprise_id: hotel.id,
            assigned_resource_id: self.resource,
            is_active: entity.is_active(),
            r#type: pick(&["OutOfOrder", "InternalUse"], &mut chance),
            start_utc: entity.time(self.start),
            end_utc: entity.time(self.end),
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            deleted_utc: entity.deleted.map(|at| entity.time(at)),
            name: pick(&["Painting", "Broken tap", "For the plumber"], &mut chance),
            notes: (chance.u32(..2) == 0).then_some("Invented by the simulator"),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    enterprise_id: Uuid,
    assigned_resource_id: Uuid,
    is_active: bool,
    r#type: &'static str,
    start_utc: String,
    end_utc: String,
    created_utc: String,
    updated_utc: String,
    deleted_utc: Option<String>,
    name: &'static str,
    notes: Option<&'static str>,
}
