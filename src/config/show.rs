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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn shown(file: Option<&str>) -> Vec<(String, String)> {
        let sources = Sources { file: file.map(Into::into), ..Sources::default() };
        let (_, figment) = load(&sources).unwrap();
        settings(&figment, |_| false).into_iter().map(|setting| (setting.key, setting.value)).collect()
    }

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/mews-bridge.toml");

    #[test]
    fn the_sample_file_says_what_the_defaults_are() {
        let spelled_alike = |value: &str| value.replace("75s", "1m 15s").replace("60s", "1m");
        let sample: Vec<_> =
            shown(Some(SAMPLE)).into_iter().map(|(key, value)| (key, spelled_alike(&value))).collect();
        assert_eq!(sample, shown(None));
    }

    #[test]
    fn the_sample_file_names_every_key_and_no_other() {
        let text = std::fs::read_to_string(SAMPLE).unwrap();
        for (key, _) in shown(None) {
            let name = key.rsplit('.').next().unwrap();
            let has = |line: &str| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{name} =")) || line.starts_with(&format!("[{key}]"))
            };
            assert!(text.lines().any(has), "{key} is not in the sample");
        }
        // What stands behind a # is a key as well.
        let is_setting = |line: &str| {
            line.strip_prefix("# ").is_some_and(|line| {
                line.starts_with('[') || line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '))
            })
        };
        let uncommented: String = text
            .lines()
            .map(|line| if is_setting(line) { &line[2..] } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("all.toml");
        std::fs::write(&file, uncommented).unwrap();
        let all = load(&Sources { file: Some(file), ..Sources::default() });
        assert!(all.is_ok(), "{}", all.unwrap_err());
    }
}
