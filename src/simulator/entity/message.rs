//! Messages (contract 4.3): they never change, and have neither `UpdatedUtc` nor `EnterpriseId`.

use serde::Serialize;
use uuid::Uuid;

use super::Entity;
use crate::simulator::{chance::pick, invented};

/// A message of the thread that is its parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Whether its thread is this client's own.
    pub is_own: bool,
}

impl Message {
    pub fn record<'a>(&'a self, entity: &'a Entity) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        Record {
            id: entity.id,
            message_thread_id: entity.parent,
            text: pick(&invented::MESSAGES, &mut chance),
            sender: Sender { discriminator: pick(&["Enterprise", "Application"], &mut chance), value: None },
            created_utc: entity.time(entity.created),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    message_thread_id: Option<Uuid>,
    text: &'static str,
    sender: Sender,
    created_utc: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sender {
    discriminator: &'static str,
    value: Option<()>,
}
