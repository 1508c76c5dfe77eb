//! One thing that the Connector API can return, and the bytes it is returned as.
//!
//! A record is a pure function of the entity and its hotel: one state has the same bytes in every
//! answer and in the truth. What never changes about an entity is drawn from its id again for every
//! record, so that a hundred thousand of them cost little memory. Each kind has a file with what
//! changes about it, how it changes, and its record with every documented field (contract 4).

pub mod amount;
pub mod block;
pub mod customer;
pub mod enterprise;
pub mod message;
pub mod old_form;
pub mod order;
pub mod payment;
pub mod product;
pub mod reservation;
pub mod resource;
pub mod service;
pub mod thread;

use fastrand::Rng;
use serde::Serialize;
use uuid::Uuid;

use super::{
    chance,
    hotel::Hotel,
    kind::Kind,
    utc::{Precision, Utc},
};

/// An entity in one state.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// `Id`
    pub id: Uuid,
    /// The place of its hotel; a customer's is the one it first came to.
    pub hotel: u32,
    /// What it belongs to: the service of an order or product, the thread of a message.
    pub parent: Option<Uuid>,
    pub created: Utc,
    /// Never goes back.
    pub updated: Utc,
    pub deleted: Option<Utc>,
    /// Whether the API still returns it. What has vanished is gone without a trace (contract 6 #13).
    pub has_vanished: bool,
    /// Changes so far.
    pub edits: u32,
    pub detail: Detail,
}

/// What differs by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    Reservation(reservation::Reservation),
    ProductServiceOrder(order::Order),
    Resource(resource::Resource),
    ResourceBlock(block::Block),
    MessageThread(thread::Thread),
    Message(message::Message),
    Customer(customer::Customer),
    Payment(payment::Payment),
    Product(product::Product),
    Service(service::Service),
    Enterprise(enterprise::Enterprise),
}

impl Entity {
    /// An entity at its creation.
    pub fn new(id: Uuid, hotel: u32, created: Utc, detail: Detail) -> Self {
        Self {
            id,
            hotel,
            parent: None,
            created,
            updated: created,
            deleted: None,
            has_vanished: false,
            edits: 0,
            detail,
        }
    }

    /// Says what it belongs to.
    pub fn of(mut self, parent: Uuid) -> Self {
        self.parent = Some(parent);
        self
    }

    pub const fn kind(&self) -> Kind {
        match self.detail {
            Detail::Reservation(_) => Kind::Reservation,
            Detail::ProductServiceOrder(_) => Kind::ProductServiceOrder,
            Detail::Resource(_) => Kind::Resource,
            Detail::ResourceBlock(_) => Kind::ResourceBlock,
            Detail::MessageThread(_) => Kind::MessageThread,
            Detail::Message(_) => Kind::Message,
            Detail::Customer(_) => Kind::Customer,
            Detail::Payment(_) => Kind::Payment,
            Detail::Product(_) => Kind::Product,
            Detail::Service(_) => Kind::Service,
            Detail::Enterprise(_) => Kind::Enterprise,
        }
    }

    /// `IsActive`, where a record has it.
    pub const fn is_active(&self) -> bool {
        self.deleted.is_none()
    }

    /// The profile that this one was merged into.
    pub const fn merged_into(&self) -> Option<Uuid> {
        match &self.detail {
            Detail::Customer(customer) => customer.merge_target,
            _ => None,
        }
    }

    /// Whether this client may see it: threads of other clients it may not (contract 4.3).
    pub const fn is_visible(&self) -> bool {
        match &self.detail {
            Detail::MessageThread(thread) => thread.is_own,
            Detail::Message(message) => message.is_own,
            _ => true,
        }
    }

    /// Notes a change: the time never goes back, not even with the clock.
    pub fn touch(&mut self, now: Utc) {
        self.updated = self.updated.max(now);
        self.edits += 1;
    }

    /// Something about it changes as it does in a hotel. False when it is of a kind that does not.
    pub fn live(&mut self, chance: &mut Rng, now: Utc) -> bool {
        match &mut self.detail {
            Detail::Reservation(reservation) => reservation.live(chance, now),
            Detail::ProductServiceOrder(order) => order.live(),
            Detail::Resource(resource) => resource.live(chance),
            Detail::ResourceBlock(block) => block.end = block.end.plus_days(1),
            Detail::MessageThread(thread) => thread.is_resolved = !thread.is_resolved,
            Detail::Payment(payment) => payment.live(chance, now),
            // Their records show the number of edits.
            Detail::Customer(_) | Detail::Product(_) => {}
            Detail::Message(_) | Detail::Service(_) | Detail::Enterprise(_) => return false,
        }
        self.touch(now);
        true
    }

    /// It is deleted as its kind is: a state, or no longer active (contract 1.4). False when it
    /// cannot be deleted.
    pub fn delete(&mut self, now: Utc) -> bool {
        match &mut self.detail {
            Detail::Reservation(reservation) => reservation.cancel(now),
            Detail::ProductServiceOrder(order) => order.cancel(now),
            Detail::Payment(payment) => payment.cancel(),
            Detail::Resource(_) | Detail::ResourceBlock(_) | Detail::Customer(_) | Detail::Product(_) => {
                self.deleted = Some(now);
            }
            Detail::Message(_) | Detail::MessageThread(_) | Detail::Service(_) | Detail::Enterprise(_) => {
                return false;
            }
        }
        self.touch(now);
        true
    }

    /// The bytes that the Connector API returns it as.
    pub fn record(&self, hotel: &Hotel) -> String {
        match &self.detail {
            Detail::Reservation(reservation) => json(&reservation.record(self, hotel)),
            Detail::ProductServiceOrder(order) => json(&order.record(self, hotel)),
            Detail::Resource(resource) => json(&resource.record(self, hotel)),
            Detail::ResourceBlock(block) => json(&block.record(self, hotel)),
            Detail::MessageThread(thread) => json(&thread.record(self)),
            Detail::Message(message) => json(&message.record(self)),
            Detail::Customer(customer) => json(&customer.record(self, hotel)),
            Detail::Payment(payment) => json(&payment.record(self, hotel)),
            Detail::Product(product) => json(&product.record(self, hotel)),
            Detail::Service(service) => json(&service.record(self, hotel)),
            Detail::Enterprise(enterprise) => json(&enterprise.record(self, hotel)),
        }
    }

    /// The chance of what never changes about it.
    pub fn chance(&self) -> Rng {
        chance::of(self.id)
    }

    /// One record in four has milliseconds (contract 6 #32).
    pub const fn precision(&self) -> Precision {
        if self.id.as_bytes()[15].is_multiple_of(4) { Precision::Milliseconds } else { Precision::Seconds }
    }

    /// A time as its record shows it.
    pub fn time(&self, at: Utc) -> String {
        at.text(self.precision())
    }
}

fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("records have string keys and finite numbers")
}
