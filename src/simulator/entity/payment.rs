//! Payments (contract 4.6): of every type, with the data that goes with it.

use fastrand::Rng;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Entity, amount::Amount};
use crate::simulator::{
    chance::{self, pick},
    hotel::Hotel,
    utc::Utc,
};

/// What changes about a payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    pub customer: Uuid,
    pub reservation: Option<Uuid>,
    pub form: Form,
    pub state: State,
    pub charged: Option<Utc>,
    pub settled: Option<Utc>,
    /// Hundredths; money received is negative (contract 4.6).
    pub hundredths: i32,
}

/// `Type`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Form {
    Payment,
    CreditCardPayment,
    AlternativePayment,
    CashPayment,
    InvoicePayment,
    ExternalPayment,
    GhostPayment,
    TaxDeductedPayment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    Charged,
    Canceled,
    Pending,
    Failed,
    Verifying,
}

const FORMS: [Form; 8] = [
    Form::Payment,
    Form::CreditCardPayment,
    Form::AlternativePayment,
    Form::CashPayment,
    Form::InvoicePayment,
    Form::ExternalPayment,
    Form::GhostPayment,
    Form::TaxDeductedPayment,
];
const ORIGINS: [&str; 13] = [
    "Other",
    "System",
    "Operations",
    "AutomaticPayment",
    "PaymentRequest",
    "BookingEngine",
    "Api",
    "Terminal",
    "ChannelManager",
    "OnlineCheckout",
    "BillBalancing",
    "OnlineCheckin",
    "PointOfSales",
];
const ALTERNATIVES: [&str; 6] =
    ["Ideal", "ApplePay", "GooglePay", "SepaDirectDebit", "PayPal", "WireTransfer"];

impl Payment {
    /// Each type in turn, by the hotel's number.
    pub fn new(customer: Uuid, reservation: Option<Uuid>, number: u32, chance: &mut Rng) -> Self {
        Self {
            customer,
            reservation,
            form: FORMS[number as usize % FORMS.len()],
            state: pick(&[State::Pending, State::Verifying], chance),
            charged: None,
            settled: None,
            hundredths: -chance.i32(100..90_000),
        }
    }

    /// Charged or failed, then settled, then noted again.
    pub fn live(&mut self, chance: &mut Rng, now: Utc) {
        match self.state {
            State::Pending | State::Verifying if chance.u32(..8) == 0 => self.state = State::Failed,
            State::Pending | State::Verifying => (self.state, self.charged) = (State::Charged, Some(now)),
            State::Charged if self.settled.is_none() => self.settled = Some(now),
            // The notes count the edits.
            State::Charged | State::Canceled | State::Failed => {}
        }
    }

    pub const fn cancel(&mut self) {
        self.state = State::Canceled;
    }

    pub fn record<'a>(&'a self, entity: &'a Entity, hotel: &'a Hotel) -> impl Serialize + 'a {
        let mut chance = entity.chance();
        let chance = &mut chance;
        let is_by_mews = matches!(self.form, Form::CreditCardPayment | Form::AlternativePayment);
        Record {
            id: entity.id,
            enterprise_id: hotel.id,
            account_id: self.customer,
            account_type: "Customer",
            payment_request_id: None,
            bill_id: (chance.u32(..2) == 0).then(|| chance::related(entity.id, 3)),
            reservation_id: self.reservation,
            accounting_category_id: Some(chance::related(hotel.id, 4)),
            amount: Amount::gross(hotel.currency, self.hundredths),
            original_amount: Amount::gross(hotel.currency, self.hundredths),
            notes: (entity.edits > 2).then(|| format!("Looked at {} times", entity.edits)),
            settlement_id: self.settled.map(|_| format!("SETTLEMENT-{}", chance.u32(1000..10_000))),
            consumed_utc: Some(entity.time(entity.created)),
            closed_utc: None,
            created_utc: entity.time(entity.created),
            updated_utc: entity.time(entity.updated),
            charged_utc: self.charged.map(|at| entity.time(at)),
            settlement_utc: self.settled.map(|at| entity.time(at)),
            accounting_state: if self.state == State::Canceled { "Canceled" } else { "Open" },
            state: self.state,
            identifier: (!is_by_mews).then(String::new),
            r#type: self.form,
            kind: is_by_mews.then_some("Payment"),
            data: self.data(entity, hotel),
            payment_origin: Some(pick(&ORIGINS, chance)),
            recurring: false,
        }
    }

    /// A discriminator, one filled object beside it, the rest null (contract 4.6).
    fn data(&self, entity: &Entity, hotel: &Hotel) -> Option<Value> {
        let mut chance = entity.chance();
        let (discriminator, filled) = match self.form {
            Form::CreditCardPayment => (
                "CreditCard",
                json!({
                    "CreditCardId": chance::related(self.customer, 1),
                    "Transaction": self.charged.map(|at| json!({
                        "PaymentId": format!("PSP-{:08}", chance.u32(..100_000_000)),
                        "SettlementId": null,
                        "SettledUtc": self.settled.map(|at| entity.time(at)),
                        "Fee": null,
                        "AdjustedFee": null,
                        "ChargedAmount": Amount::gross(hotel.currency, -self.hundredths),
                        "SettledAmount": null,
                        "ChargedUtc": entity.time(at),
                    })),
                }),
            ),
            Form::InvoicePayment => {
                ("Invoice", json!({ "InvoiceId": chance::related(entity.id, 6), "Type": "InvoicePayment" }))
            }
            Form::ExternalPayment => {
                ("External", json!({ "Type": "BankCharges", "ExternalIdentifier": null }))
            }
            Form::GhostPayment => ("Ghost", json!({ "OriginalPaymentId": chance::related(entity.id, 7) })),
            Form::AlternativePayment => {
                ("Alternative", json!({ "Type": pick(&ALTERNATIVES, &mut chance), "Transaction": null }))
            }
            Form::Payment | Form::CashPayment | Form::TaxDeductedPayment => return None,
        };
        let mut data = json!({
            "Discriminator": discriminator,
            "CreditCard": null, "Invoice": null, "External": null, "Ghost": null, "Alternative": null,
        });
        data[discriminator] = filled;
        Some(data)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    id: Uuid,
    enterprise_id: Uuid,
    account_id: Uuid,
    account_type: &'static str,
    payment_request_id: Option<Uuid>,
    bill_id: Option<Uuid>,
    reservation_id: Option<Uuid>,
    accounting_category_id: Option<Uuid>,
    amount: Amount,
    original_amount: Amount,
    notes: Option<String>,
    settlement_id: Option<String>,
    consumed_utc: Option<String>,
    closed_utc: Option<String>,
    created_utc: String,
    updated_utc: String,
    charged_utc: Option<String>,
    settlement_utc: Option<String>,
    accounting_state: &'static str,
    state: State,
    identifier: Option<String>,
    r#type: Form,
    kind: Option<&'static str>,
    data: Option<Value>,
    payment_origin: Option<&'static str>,
    recurring: bool,
}
