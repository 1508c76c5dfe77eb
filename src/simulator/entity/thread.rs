//! Message threads (contract 4.3): nothing is told of them, but messages are found through them.

use serde::Serialize;
use uuid::Uuid;

use super::Entity;
use crate::simulator::{chance::pick, invented};

/// What changes about a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Thread {
    /// Whether this client began it: others' it never sees.
    pub is_own: bool,
    pub is_resolved: bool,
}

impl Thread {
    pub fn record<'a>(&'a self, entity: &'a Entity) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        let (first, ..) = pick(&invented::FIRST_NAMES, &mut chance);
        Record {
            id: entity.id,
            original_sender: format!("{first} {}", pick(&invented::LAST_NAMES, &mut chance)),
            subject: pick(&invented::SUBJECTS, &mut chance),
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            is_resolved: self.is_resolved,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    original_sender: String,
    subject: &'static str,
    created_utc: String,
    updated_utc: String,
    is_resolved: bool,
}
