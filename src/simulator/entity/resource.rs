//! Resources: rooms and what else can be assigned (contract 4.2).

use std::collections::BTreeMap;

use fastrand::Rng;
use serde::Serialize;
use uuid::Uuid;

use super::Entity;
use crate::simulator::{chance::pick, hotel::Hotel};

/// What changes about a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub state: State,
    pub number: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    Dirty,
    Clean,
    Inspected,
    OutOfService,
    OutOfOrder,
}

const STATES: [State; 5] =
    [State::Dirty, State::Clean, State::Inspected, State::OutOfService, State::OutOfOrder];

impl Resource {
    pub fn new(number: u32, chance: &mut Rng) -> Self {
        Self { state: pick(&STATES[..3], chance), number }
    }

    /// Another state than before.
    pub fn live(&mut self, chance: &mut Rng) {
        let others: Vec<_> = STATES.into_iter().filter(|state| *state != self.state).collect();
        self.state = pick(&others, chance);
    }

    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        // Most are rooms; a bicycle is an object, a masseur a person.
        let data = match chance.u32(..10) {
            0 => Data { discriminator: "Object", value: Value::default() },
            1 => Data { discriminator: "Person", value: Value::default() },
            _ => Data {
                discriminator: "Space",
                value: Value {
                    floor_number: Some((self.number / 10 + 1).to_string()),
                    location_notes: Some((chance.u32(..3) == 0).then_some("Beside the invented lift")),
                },
            },
        };
        let name = format!("{}{:02}", self.number / 10 + 1, self.number % 10 + 1);
        Record {
            id: entity.id,
            enterprise_id: hotel.id,
            is_active: entity.is_active(),
            parent_resource_id: None,
            descriptions: [(hotel.language, format!("Room {name}"))].into(),
            external_names: BTreeMap::new(),
            directions: BTreeMap::new(),
            name,
            state: self.state,
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            deleted_utc: entity.deleted.map(|at| entity.time(at)),
            data,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    enterprise_id: Uuid,
    is_active: bool,
    parent_resource_id: Option<Uuid>,
    name: String,
    state: State,
    descriptions: BTreeMap<&'static str, String>,
    external_names: BTreeMap<&'static str, String>,
    directions: BTreeMap<&'static str, String>,
    created_utc: String,
    updated_utc: String,
    deleted_utc: Option<String>,
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    discriminator: &'static str,
    value: Value,
}

/// Objects and persons have none of a space's fields.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    #[serde(skip_serializing_if = "Option::is_none")]
    floor_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_notes: Option<Option<&'static str>>,
}
