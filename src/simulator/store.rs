//! All entities of one kind, found by id and by whom they belong to, in the order they came.

use std::collections::HashMap;

use uuid::Uuid;

use super::{entity::Entity, utc::Utc};

/// Where an entity is; the later born has the greater one.
pub type Row = usize;

/// Entities of one kind.
#[derive(Debug, Default)]
pub struct Store {
    rows: Vec<Entity>,
    /// What readers still see while the newest state is not visible yet (contract 6 #12).
    stale: HashMap<Row, Stale>,
    by_id: HashMap<Uuid, Row>,
    /// By the hotel's place, for customers the chain's.
    by_owner: HashMap<u32, Vec<Row>>,
}

/// The state before the changes that nobody can read yet.
#[derive(Debug)]
struct Stale {
    /// None: there was nothing yet.
    before: Option<Entity>,
    until: Utc,
}

impl Store {
    /// Adds an entity at its birth.
    pub fn add(&mut self, owner: u32, entity: Entity) -> Row {
        let row = self.rows.len();
        self.by_id.insert(entity.id, row);
        self.by_owner.entry(owner).or_default().push(row);
        self.rows.push(entity);
        row
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Where an entity is.
    pub fn row(&self, id: Uuid) -> Option<Row> {
        self.by_id.get(&id).copied()
    }

    /// The newest state.
    pub fn newest(&self, row: Row) -> &Entity {
        &self.rows[row]
    }

    /// To change the newest state.
    pub fn newest_mut(&mut self, row: Row) -> &mut Entity {
        &mut self.rows[row]
    }

    /// The state that the API shows now.
    pub fn visible(&self, row: Row, now: Utc) -> Option<&Entity> {
        match self.stale.get(&row) {
            Some(stale) if now < stale.until => stale.before.as_ref(),
            _ => Some(&self.rows[row]),
        }
    }

    /// Hides what is about to change, or has just come to be, until then.
    pub fn hide(&mut self, row: Row, before: Option<Entity>, until: Utc, now: Utc) {
        let stale = self.stale.entry(row).or_insert(Stale { before: None, until: now });
        // Changes while a state is hidden leave readers with the one they see.
        if stale.until <= now {
            stale.before = before;
        }
        stale.until = until;
    }

    /// All, the oldest first.
    pub fn all(&self) -> &[Entity] {
        &self.rows
    }

    /// All of one owner, the oldest first.
    pub fn of(&self, owner: u32) -> &[Row] {
        self.by_owner.get(&owner).map_or(&[], Vec::as_slice)
    }
}
