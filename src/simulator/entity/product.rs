//! Products (contract 4.7): found only by those who know the services, and answered in two arrays.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Entity, amount::Amount};
use crate::simulator::{chance, hotel::Hotel, invented};

/// What changes about a product: its price, with every edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub number: u32,
}

/// The arrays of the answer that a product is in: they may overlap (contract 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    Products,
    CustomerProducts,
    Both,
}

impl Product {
    pub const fn shelf(&self) -> Shelf {
        match self.number % 6 {
            4 => Shelf::Both,
            5 => Shelf::CustomerProducts,
            _ => Shelf::Products,
        }
    }

    /// Left out unless `IncludeDefault` asks for it.
    pub const fn is_default(&self) -> bool {
        self.number.is_multiple_of(7)
    }

    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let (name, charging, moment, class) =
            invented::PRODUCTS[self.number as usize % invented::PRODUCTS.len()];
        let hundredths = 500 + i32::try_from(self.number % 50 + entity.edits % 1000).unwrap_or(0) * 25;
        let named = |name: String| BTreeMap::from([(hotel.language, name)]);
        let is = |what: &str| class == what;
        Record {
            id: entity.id,
            service_id: entity.parent,
            category_id: None,
            accounting_category_id: Some(chance::related(hotel.id, 4)),
            is_active: entity.is_active(),
            names: named(format!("{name} {}", self.number)),
            external_names: BTreeMap::new(),
            short_names: named(name.to_owned()),
            descriptions: None,
            charging_mode: charging,
            posting_mode: if charging == "Once" { "Once" } else { "PerTimeUnit" },
            options: json!({ "BillAsPackage": false, "ExcludePriceFromOffer": false }),
            promotions: json!({
                "BeforeCheckIn": true, "AfterCheckIn": true, "DuringStay": true,
                "BeforeCheckOut": false, "AfterCheckOut": false, "DuringCheckOut": false,
            }),
            classifications: json!({
                "Food": is("Food"), "Beverage": is("Beverage"), "Wellness": is("Wellness"),
                "CityTax": is("CityTax"), "Fee": is("Fee"),
            }),
            price: Amount::gross(hotel.currency, hundredths),
            image_ids: None,
            ordering: self.number,
            external_identifier: None,
            tax_exemption_reason: None,
            tax_exemption_legal_reference: None,
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            consumption_moment: moment,
            is_default: self.is_default(),
            name: format!("{name} {}", self.number),
            external_name: None,
            short_name: Some(name),
            description: None,
            charging,
            posting: if charging == "Once" { "Once" } else { "PerTimeUnit" },
            pricing: json!({ "Discriminator": "Absolute", "Value": Amount::gross(hotel.currency, hundredths) }),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    service_id: Option<Uuid>,
    category_id: Option<Uuid>,
    accounting_category_id: Option<Uuid>,
    is_active: bool,
    names: BTreeMap<&'static str, String>,
    external_names: BTreeMap<&'static str, String>,
    short_names: BTreeMap<&'static str, String>,
    descriptions: Option<()>,
    charging_mode: &'static str,
    posting_mode: &'static str,
    options: Value,
    promotions: Value,
    classifications: Value,
    price: Amount,
    image_ids: Option<()>,
    ordering: u32,
    external_identifier: Option<String>,
    tax_exemption_reason: Option<String>,
    tax_exemption_legal_reference: Option<String>,
    created_utc: String,
    updated_utc: String,
    consumption_moment: &'static str,
    /// Deprecated, as all after it.
    is_default: bool,
    name: String,
    external_name: Option<String>,
    short_name: Option<&'static str>,
    description: Option<String>,
    charging: &'static str,
    posting: &'static str,
    pricing: Value,
}
