//! Service orders that are no reservations (contract 1.3, 4.8): only `productServiceOrders/getAll` returns them.

use serde::Serialize;
use uuid::Uuid;

use super::{Entity, reservation::State};
use crate::simulator::{chance, hotel::Hotel, utc::Utc};

/// What changes about an order of products.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub state: State,
    pub customer: Uuid,
    pub number: u32,
    pub linked_reservation: Option<Uuid>,
    pub cancelled: Option<Utc>,
}

impl Order {
    pub const fn new(customer: Uuid, number: u32, linked_reservation: Option<Uuid>) -> Self {
        Self { state: State::Confirmed, customer, number, linked_reservation, cancelled: None }
    }

    /// Confirmed, then processed, then looked at again: an order has no other fields that move.
    pub const fn live(&mut self) {
        self.state = match self.state {
            State::Confirmed => State::Processed,
            _ => State::Confirmed,
        };
    }

    pub const fn cancel(&mut self, now: Utc) {
        self.state = State::Canceled;
        self.cancelled = Some(now);
    }

    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        Record {
            id: entity.id,
            service_id: hotel.extras,
            account_id: self.customer,
            account_type: "Customer",
            creator_profile_id: chance::related(hotel.id, 1),
            updater_profile_id: chance::related(hotel.id, 2),
            booker_id: None,
            number: self.number.to_string(),
            state: self.state,
            origin: "Commander",
            commander_origin: Some("InPerson"),
            origin_details: None,
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            cancelled_utc: self.cancelled.map(|at| entity.time(at)),
            voucher_id: None,
            business_segment_id: None,
            linked_reservation_id: self.linked_reservation,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    service_id: Uuid,
    account_id: Uuid,
    account_type: &'static str,
    creator_profile_id: Uuid,
    updater_profile_id: Uuid,
    booker_id: Option<Uuid>,
    number: String,
    state: State,
    origin: &'static str,
    commander_origin: Option<&'static str>,
    origin_details: Option<&'static str>,
    created_utc: String,
    updated_utc: String,
    cancelled_utc: Option<String>,
    voucher_id: Option<Uuid>,
    business_segment_id: Option<Uuid>,
    linked_reservation_id: Option<Uuid>,
}
