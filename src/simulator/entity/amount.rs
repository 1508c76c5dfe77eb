//! Money (contract 3.5): net, gross, taxes and their breakdown, as JSON numbers.

use serde::Serialize;

/// `Amount`
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Amount {
    currency: &'static str,
    net_value: f64,
    gross_value: f64,
    tax_values: [TaxValue; 1],
    breakdown: Breakdown,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaxValue {
    code: &'static str,
    value: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Breakdown {
    items: [Item; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    tax_rate_code: Option<&'static str>,
    net_value: f64,
    tax_value: f64,
}

/// An invented tax of a tenth.
const TAX: &str = "INVENTED-10";

impl Amount {
    /// A gross amount in hundredths of the currency.
    pub fn gross(currency: &'static str, hundredths: i32) -> Self {
        let tax = hundredths / 11;
        let units = |hundredths: i32| f64::from(hundredths) / 100.0;
        let (net_value, tax_value) = (units(hundredths - tax), units(tax));
        Self {
            currency,
            net_value,
            gross_value: units(hundredths),
            tax_values: [TaxValue { code: TAX, value: tax_value }],
            breakdown: Breakdown { items: [Item { tax_rate_code: Some(TAX), net_value, tax_value }] },
        }
    }
}
