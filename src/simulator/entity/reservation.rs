//! Reservations (contract 4.1).

use fastrand::Rng;
use serde::Serialize;
use uuid::Uuid;

use super::Entity;
use crate::simulator::{
    chance::{self, pick},
    hotel::Hotel,
    utc::Utc,
};

/// What changes about a stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    pub state: State,
    pub customer: Uuid,
    pub room: Option<Uuid>,
    pub number: u32,
    pub start: Utc,
    pub end: Utc,
    pub started: Option<Utc>,
    pub ended: Option<Utc>,
    pub cancelled: Option<Utc>,
    pub reason: Option<&'static str>,
    pub adults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    Inquired,
    Confirmed,
    Started,
    Processed,
    Canceled,
    Optional,
    Requested,
}

const ORIGINS: [&str; 6] = ["Distributor", "ChannelManager", "Commander", "Import", "Connector", "Navigator"];
const COMMANDER_ORIGINS: [&str; 8] =
    ["InPerson", "Channel", "Phone", "Email", "Website", "Message", "CallCenter", "RoomingList"];
const PURPOSES: [&str; 3] = ["Leisure", "Business", "Student"];
const REASONS: [&str; 15] = [
    "Other",
    "ConfirmationMissed",
    "BookedElsewhere",
    "ForceMajeure",
    "GuestComplaint",
    "NoShow",
    "PriceTooHigh",
    "ServiceNotAvailable",
    "InputError",
    "InvalidPayment",
    "TravelAgency",
    "RequestedByGuest",
    "Update",
    "BookingAbandoned",
    "RequestedByBooker",
];

impl Reservation {
    /// A stay of some nights, arriving within weeks, in whatever state one begins with.
    pub fn new(customer: Uuid, room: Option<Uuid>, number: u32, chance: &mut Rng, now: Utc) -> Self {
        let start = now.midnight().plus_days(chance.i64(0..40)).plus_ms(14 * 3_600_000);
        let states = [State::Confirmed, State::Confirmed, State::Optional, State::Requested, State::Inquired];
        Self {
            state: pick(&states, chance),
            customer,
            room,
            number,
            start,
            end: start.plus_days(chance.i64(1..9)).plus_ms(-4 * 3_600_000),
            started: None,
            ended: None,
            cancelled: None,
            reason: None,
            adults: chance.u8(1..=3),
        }
    }

    /// One step on: booked, arrived, left; now and then cancelled, and at the end only looked at again.
    pub fn live(&mut self, chance: &mut Rng, now: Utc) {
        match self.state {
            State::Inquired | State::Requested | State::Optional => self.state = State::Confirmed,
            State::Confirmed if chance.u32(..5) == 0 => {
                self.cancel(now);
                self.reason = Some(pick(&REASONS, chance));
            }
            State::Confirmed if chance.u32(..3) == 0 => self.adults = self.adults % 4 + 1,
            State::Confirmed => self.check_in(now),
            State::Started if chance.u32(..2) == 0 => self.end = self.end.plus_days(1),
            State::Started => (self.state, self.ended) = (State::Processed, Some(now)),
            State::Processed | State::Canceled => self.adults = self.adults % 4 + 1,
        }
    }

    /// Nobody arrives before the day: who does has rebooked.
    fn check_in(&mut self, now: Utc) {
        (self.state, self.started) = (State::Started, Some(now));
        if self.start > now {
            let nights = self.end.since(self.start);
            self.start = now.midnight();
            self.end = self.start.plus(nights);
        }
    }

    pub fn cancel(&mut self, now: Utc) {
        self.state = State::Canceled;
        self.cancelled = Some(now);
        self.reason = Some("RequestedByGuest");
    }

    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        let chance = &mut chance;
        let some = |id: Uuid, chance: &mut Rng| (chance.u32(..4) == 0).then_some(id);
        let origin = pick(&ORIGINS, chance);
        let by_channel = origin == "ChannelManager";
        Record {
            id: entity.id,
            service_id: hotel.stay,
            account_id: self.customer,
            account_type: "Customer",
            creator_profile_id: chance::related(hotel.id, 1),
            updater_profile_id: chance::related(hotel.id, 2),
            booker_id: some(self.customer, chance),
            number: self.number.to_string(),
            state: self.state,
            origin,
            commander_origin: (origin == "Commander").then(|| pick(&COMMANDER_ORIGINS, chance)),
            origin_details: by_channel.then_some("An invented channel"),
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            cancelled_utc: self.cancelled.map(|at| entity.time(at)),
            voucher_id: None,
            business_segment_id: some(chance::related(hotel.id, 3), chance),
            options: Options {
                owner_checked_in: self.started.is_some(),
                all_companions_checked_in: self.started.is_some() && self.adults == 1,
                any_companion_checked_in: self.started.is_some(),
                connector_check_in: false,
            },
            rate_id: chance::related(hotel.stay, 1 + u64::from(self.number % 3)),
            credit_card_id: some(chance::related(self.customer, 1), chance),
            group_id: chance::related(entity.id, 4),
            requested_resource_category_id: chance::related(hotel.stay, 10 + u64::from(self.number % 4)),
            assigned_resource_id: self.room,
            assigned_resource_locked: self.started.is_some(),
            availability_block_id: None,
            partner_company_id: None,
            travel_agency_id: None,
            channel_number: by_channel.then(|| format!("CH-{:06}", chance.u32(..1_000_000))),
            channel_manager_number: if by_channel { Some(String::new()) } else { None },
            cancellation_reason: self.reason,
            released_utc: (self.state == State::Optional).then(|| entity.time(self.start.plus_days(-1))),
            scheduled_start_utc: entity.time(self.start),
            scheduled_end_utc: entity.time(self.end),
            actual_start_utc: self.started.map(|at| entity.time(at)),
            actual_end_utc: self.ended.map(|at| entity.time(at)),
            purpose: (chance.u32(..2) == 0).then(|| pick(&PURPOSES, chance)),
            qr_code_data: Some(format!(
                r#"{{"CustomerId":"{}","ReservationId":"{}"}}"#,
                self.customer, entity.id
            )),
            person_counts: [PersonCount {
                age_category_id: chance::related(hotel.stay, 20),
                count: self.adults,
            }],
            start_utc: entity.time(self.start),
            end_utc: entity.time(self.end),
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
    options: Options,
    rate_id: Uuid,
    credit_card_id: Option<Uuid>,
    group_id: Uuid,
    requested_resource_category_id: Uuid,
    assigned_resource_id: Option<Uuid>,
    assigned_resource_locked: bool,
    availability_block_id: Option<Uuid>,
    partner_company_id: Option<Uuid>,
    travel_agency_id: Option<Uuid>,
    channel_number: Option<String>,
    channel_manager_number: Option<String>,
    cancellation_reason: Option<&'static str>,
    released_utc: Option<String>,
    scheduled_start_utc: String,
    scheduled_end_utc: String,
    actual_start_utc: Option<String>,
    actual_end_utc: Option<String>,
    purpose: Option<&'static str>,
    qr_code_data: Option<String>,
    person_counts: [PersonCount; 1],
    /// Deprecated, still sent.
    start_utc: String,
    /// Deprecated, still sent.
    end_utc: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Options {
    owner_checked_in: bool,
    all_companions_checked_in: bool,
    any_companion_checked_in: bool,
    connector_check_in: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PersonCount {
    age_category_id: Uuid,
    count: u8,
}
