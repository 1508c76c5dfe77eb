//! Enterprises (contract 4.8): the hotels themselves, as `enterprises/getAll` and `configuration/get` show them.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Entity;
use crate::simulator::hotel::Hotel;

/// A hotel's own state is what [`Hotel`] holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Enterprise {
    /// The placeholder of a portfolio (contract 3.7).
    pub is_portfolio: bool,
}

impl Enterprise {
    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let is_net = hotel.currency == "USD";
        Record {
            id: entity.id,
            external_identifier: None,
            holding_key: None,
            chain_id: hotel.chain_id,
            chain_name: format!("Chain {}", hotel.chain + 1),
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            linked_utc: entity.time(hotel.linked),
            name: &hotel.name,
            time_zone_identifier: hotel.time_zone,
            legal_environment_code: hotel.legal_environment,
            accommodation_environment_code: &hotel.legal_environment[..2],
            accounting_environment_code: &hotel.legal_environment[..2],
            tax_environment_code: hotel.legal_environment,
            default_language_code: hotel.language,
            pricing: if is_net { "Net" } else { "Gross" },
            tax_precision: None,
            website_url: "https://hotels.example",
            email: "desk@hotels.example",
            phone: "+44 20 7946 0000",
            logo_image_id: None,
            cover_image_id: None,
            address_id: None,
            currencies: json!([{ "Currency": hotel.currency, "IsDefault": true, "IsEnabled": true }]),
            group_names: [],
            is_portfolio: self.is_portfolio,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    id: Uuid,
    external_identifier: Option<String>,
    holding_key: Option<String>,
    chain_id: Uuid,
    chain_name: String,
    created_utc: String,
    updated_utc: String,
    linked_utc: String,
    name: &'a str,
    time_zone_identifier: &'static str,
    legal_environment_code: &'static str,
    accommodation_environment_code: &'static str,
    accounting_environment_code: &'static str,
    tax_environment_code: &'static str,
    default_language_code: &'static str,
    pricing: &'static str,
    tax_precision: Option<u8>,
    website_url: &'static str,
    email: &'static str,
    phone: &'static str,
    logo_image_id: Option<Uuid>,
    cover_image_id: Option<Uuid>,
    address_id: Option<Uuid>,
    currencies: Value,
    group_names: [&'static str; 0],
    is_portfolio: bool,
}
