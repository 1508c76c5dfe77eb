//! The kinds of entities that are fetched, and which discriminators speak of them (contract 1.3).

use crate::telemetry::family::Label as _;
pub use crate::telemetry::metrics::connector::Entity;

/// What an event says of its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new or different.
    Updated,
    /// It was deleted; it may still be there to be read.
    Deleted,
}

/// The kind that a discriminator speaks of, and what it says; `None` for those nobody knows.
#[must_use]
pub fn spoken_of(discriminator: &str) -> Option<(Entity, Change)> {
    Some(match discriminator {
        // Reservations, and product orders that only a second operation returns.
        "ServiceOrderUpdated" => (Entity::Reservations, Change::Updated),
        "ResourceUpdated" => (Entity::Resources, Change::Updated),
        "ResourceDeleted" => (Entity::Resources, Change::Deleted),
        "MessageAdded" => (Entity::Messages, Change::Updated),
        "ResourceBlockUpdated" => (Entity::ResourceBlocks, Change::Updated),
        "CustomerAdded" | "CustomerUpdated" => (Entity::Customers, Change::Updated),
        "PaymentUpdated" => (Entity::Payments, Change::Updated),
        "ProductUpdated" => (Entity::Products, Change::Updated),
        "ProductDeleted" => (Entity::Products, Change::Deleted),
        _ => return None,
    })
}

/// The kind whose topic has this name.
#[must_use]
pub fn named(name: &str) -> Option<Entity> {
    Entity::ALL.iter().copied().find(|entity| entity.value() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics;

    #[test]
    fn every_discriminator_that_is_known_speaks_of_a_kind_and_every_kind_has_a_topic() {
        for discriminator in &topics::Config::default().discriminators {
            assert!(spoken_of(discriminator).is_some(), "{discriminator}");
        }
        assert!(Entity::ALL.iter().map(|entity| entity.value()).eq(topics::ENTITIES));
        assert!(topics::ENTITIES.iter().all(|name| named(name).is_some()) && named("x").is_none());
    }
}
