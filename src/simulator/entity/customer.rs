//! Customers (contract 4.5): of a chain, not of a hotel.

use fastrand::Rng;
use serde::Serialize;
use uuid::Uuid;

use super::Entity;
use crate::simulator::{
    chance::{self, pick},
    hotel::Hotel,
    invented,
};

/// What changes about a guest; the number of edits shows in the notes and the phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    pub number: u32,
    /// The profile that took this one over (contract 4.5, `MergeTargetId`).
    pub merge_target: Option<Uuid>,
}

const CLASSIFICATIONS: [&str; 8] = [
    "LoyaltyProgram",
    "Returning",
    "FriendOrFamily",
    "Important",
    "VeryImportant",
    "Student",
    "InRoom",
    "WaitingForRoom",
];
const OPTIONS: [&str; 4] =
    ["SendMarketingEmails", "Invoiceable", "BillAddressObjection", "SendMarketingPostalMail"];

impl Customer {
    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        let chance = &mut chance;
        let (first_name, title, sex) = pick(&invented::FIRST_NAMES, chance);
        let rarely = |chance: &mut Rng| chance.u32(..6) == 0;
        let country = &hotel.language[3..];
        Record {
            id: entity.id,
            chain_id: hotel.chain_id,
            number: self.number.to_string(),
            title: (chance.u32(..4) > 0).then_some(title),
            custom_title_name: None,
            custom_title_id: None,
            sex: (chance.u32(..3) > 0).then_some(sex),
            first_name: (!rarely(chance)).then_some(first_name),
            last_name: pick(&invented::LAST_NAMES, chance),
            second_last_name: None,
            nationality_code: Some(country),
            preferred_language_code: Some(hotel.language),
            language_code: Some(hotel.language),
            birth_date: rarely(chance)
                .then(|| format!("19{:02}-0{}-1{}", chance.u8(40..99), chance.u8(1..10), chance.u8(..10))),
            birth_country_code: None,
            birth_country_subdivision_code: None,
            birth_place: None,
            occupation: rarely(chance).then_some("Lighthouse keeper"),
            email: (!rarely(chance)).then(|| format!("{}@guests.example", entity.id.simple())),
            has_ota_email: rarely(chance),
            // Numbers that are set aside for fiction.
            phone: Some(format!("+44 20 7946 0{:03}", (chance.u32(..1000) + entity.edits) % 1000)),
            tax_identification_number: None,
            loyalty_code: rarely(chance).then(|| format!("LOYAL-{}", self.number)),
            accounting_code: None,
            billing_code: None,
            notes: (entity.edits > 0).then(|| format!("Seen {} times", entity.edits)),
            car_registration_number: None,
            dietary_requirements: rarely(chance).then_some("No nuts"),
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            passport: None,
            identity_card: None,
            visa: None,
            drivers_license: None,
            address: None,
            address_id: rarely(chance).then(|| chance::related(entity.id, 2)),
            classifications: rarely(chance).then(|| pick(&CLASSIFICATIONS, chance)).into_iter().collect(),
            options: vec![pick(&OPTIONS, chance)],
            italian_destination_code: None,
            italian_fiscal_code: None,
            italian_lottery_code: None,
            company_id: rarely(chance).then(|| chance::related(hotel.chain_id, 5)),
            merge_target_id: self.merge_target,
            is_active: entity.is_active(),
            activity_state: if entity.is_active() { "Active" } else { "Deleted" },
            preferred_space_features: Vec::new(),
            creator_profile_id: chance::related(hotel.id, 1),
            updater_profile_id: chance::related(hotel.id, 2),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    id: Uuid,
    chain_id: Uuid,
    number: String,
    title: Option<&'static str>,
    custom_title_name: Option<&'static str>,
    custom_title_id: Option<Uuid>,
    sex: Option<&'static str>,
    first_name: Option<&'static str>,
    last_name: &'static str,
    second_last_name: Option<&'static str>,
    nationality_code: Option<&'a str>,
    preferred_language_code: Option<&'a str>,
    language_code: Option<&'a str>,
    birth_date: Option<String>,
    birth_country_code: Option<&'static str>,
    birth_country_subdivision_code: Option<&'static str>,
    birth_place: Option<&'static str>,
    occupation: Option<&'static str>,
    email: Option<String>,
    #[serde(rename = "HasOtaEmail")]
    has_ota_email: bool,
    phone: Option<String>,
    tax_identification_number: Option<&'static str>,
    loyalty_code: Option<String>,
    accounting_code: Option<&'static str>,
    billing_code: Option<&'static str>,
    notes: Option<String>,
    car_registration_number: Option<&'static str>,
    dietary_requirements: Option<&'static str>,
    created_utc: String,
    updated_utc: String,
    /// Deprecated, as the three after it.
    passport: Option<()>,
    identity_card: Option<()>,
    visa: Option<()>,
    drivers_license: Option<()>,
    /// Deprecated.
    address: Option<()>,
    address_id: Option<Uuid>,
    classifications: Vec<&'static str>,
    options: Vec<&'static str>,
    italian_destination_code: Option<&'static str>,
    italian_fiscal_code: Option<&'static str>,
    italian_lottery_code: Option<&'static str>,
    company_id: Option<Uuid>,
    merge_target_id: Option<Uuid>,
    is_active: bool,
    /// Deprecated.
    activity_state: &'static str,
    preferred_space_features: Vec<&'static str>,
    creator_profile_id: Uuid,
    updater_profile_id: Uuid,
}
