//! The configuration in force, a line a key: its value, unless it is a secret, and where it came from.

use figment::{
    Figment,
    value::{Dict, Value},
};

use super::layers::{DEFAULT, place};

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `section.key`, deeper for tables.
    pub key: String,
    /// The value as TOML spells it, or `<hidden>`.
    pub value: String,
    /// Which layer it came from.
    pub source: String,
}

/// What stands for a secret.
pub const HIDDEN: &str = "<hidden>";

/// Every key in its order; `is_secret` is asked with the whole key.
#[must_use]
pub fn settings(figment: &Figment, is_secret: impl Fn(&str) -> bool) -> Vec<Setting> {
    let Ok(sections) = figment.extract::<Dict>() else { return Vec::new() };
    let mut settings = Vec::new();
    for (section, value) in sections {
        collect(figment, &section, &value, &is_secret, &mut settings);
    }
    settings
}

fn collect(
    figment: &Figment,
    key: &str,
    value: &Value,
    is_secret: &impl Fn(&str) -> bool,
    settings: &mut Vec<Setting>,
) {
    if let Value::Dict(_, members) = value
        && !members.is_empty()
    {
        for (name, value) in members {
            collect(figment, &format!("{key}.{name}"), value, is_secret, settings);
        }
        return;
    }
    let source = figment.get_metadata(value.tag());
    settings.push(Setting {
        key: key.to_owned(),
        value: if is_secret(key) { HIDDEN.to_owned() } else { spell(value) },
        source: source.map_or_else(|| DEFAULT.to_owned(), |source| place(source, key)),
    });
}

fn spell(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, char) => format!("{:?}", char.to_string()),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(number), _, _) => number.to_string(),
            (_, Some(number), _) => number.to_string(),
            (_, _, number) => number.map(|number| number.to_string()).unwrap_or_default(),
        },
        Value::Empty(..) => "none".to_owned(),
        Value::Dict(..) => "{}".to_owned(),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(spell).collect::<Vec<_>>().join(", "))
        }
    }
}
