//! The kinds of entities, by the words of the topics and by those of the Connector API.

use serde::{Deserialize, Deserializer, de::Error as _};

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A stay, which is one kind of service order.
    Reservation,
    /// A service order that is no reservation (contract 1.3: told of by the same discriminator).
    ProductServiceOrder,
    /// A room.
    Resource,
    /// A room that cannot be sold for a while.
    ResourceBlock,
    /// A conversation with a guest.
    MessageThread,
    /// One message of a thread.
    Message,
    /// A guest; belongs to a chain, not to a hotel (contract 4.5).
    Customer,
    /// Money that came or went.
    Payment,
    /// Something that is sold beside a stay.
    Product,
    /// What products and reservations belong to.
    Service,
    /// A hotel.
    Enterprise,
}

/// What happened, as far as discriminators tell it apart (contract 1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It came to be.
    Added,
    /// It changed.
    Updated,
    /// It was deleted.
    Deleted,
}

impl Kind {
    /// All of them; the order is that of [`Kind::index`].
    pub const ALL: [Self; 11] = [
        Self::Reservation,
        Self::ProductServiceOrder,
        Self::Resource,
        Self::ResourceBlock,
        Self::MessageThread,
        Self::Message,
        Self::Customer,
        Self::Payment,
        Self::Product,
        Self::Service,
        Self::Enterprise,
    ];

    /// Its place in tables over all kinds.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word of topics and of the control endpoints.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reservation => "reservations",
            Self::ProductServiceOrder => "product-service-orders",
            Self::Resource => "resources",
            Self::ResourceBlock => "resource-blocks",
            Self::MessageThread => "message-threads",
            Self::Message => "messages",
            Self::Customer => "customers",
            Self::Payment => "payments",
            Self::Product => "products",
            Self::Service => "services",
            Self::Enterprise => "enterprises",
        }
    }

    /// A kind by its word, or by the Connector API's (`resourceBlocks`).
    pub fn of_word(word: &str) -> Option<Self> {
        let same = |kind: &Self| kind.word().replace('-', "").eq_ignore_ascii_case(&word.replace('-', ""));
        Self::ALL.into_iter().find(same)
    }

    /// What webhooks call it when this happens: a creation is always an update as well, and only
    /// customers and messages have a word for it (contract 1.3, 1.4). Nothing is told of threads,
    /// services and hotels.
    pub const fn discriminators(self, happening: Happening) -> &'static [&'static str] {
        match (self, happening) {
            (Self::Reservation | Self::ProductServiceOrder, _) => &["ServiceOrderUpdated"],
            (Self::Resource, Happening::Deleted) => &["ResourceDeleted"],
            (Self::Resource, _) => &["ResourceUpdated"],
            (Self::ResourceBlock, _) => &["ResourceBlockUpdated"],
            (Self::Message, _) => &["MessageAdded"],
            (Self::Customer, Happening::Added) => &["CustomerAdded", "CustomerUpdated"],
            (Self::Customer, _) => &["CustomerUpdated"],
            (Self::Payment, _) => &["PaymentUpdated"],
            (Self::Product, Happening::Deleted) => &["ProductDeleted"],
            (Self::Product, _) => &["ProductUpdated"],
            (Self::MessageThread | Self::Service | Self::Enterprise, _) => &[],
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::of_word(&word).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|kind| kind.word()).collect();
            D::Error::custom(format_args!("{word:?} is no kind; there are {}", all.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_both_words() {
        for kind in Kind::ALL {
            assert_eq!(Kind::ALL[kind.index()], kind);
            assert_eq!(Kind::of_word(kind.word()), Some(kind));
        }
        assert_eq!(Kind::of_word("resourceBlocks"), Some(Kind::ResourceBlock));
        assert_eq!(Kind::of_word("rooms"), None);
    }

    #[test]
    fn every_discriminator_is_one_that_the_bridge_knows() {
        let known = crate::webhook::Discriminators::default();
        for kind in Kind::ALL {
            for happening in [Happening::Added, Happening::Updated, Happening::Deleted] {
                for discriminator in kind.discriminators(happening) {
                    assert!(known.knows(discriminator), "{discriminator}");
                }
            }
        }
    }
}
