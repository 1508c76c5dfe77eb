//! The four layers, and how an error in one of them names its key and its source.

use std::path::PathBuf;

use figment::{
    Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Map, Value},
};

use super::{Config, Problem, Problems};

/// What the environment calls a key: `MEWS_BRIDGE__INGRESS__LISTEN` is `ingress.listen`.
const PREFIX: &str = "MEWS_BRIDGE__";

/// The lowest layer.
pub const DEFAULT: &str = "default";

/// Where the layers above the defaults come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, of `--config` or `MEWS_BRIDGE_CONFIG`.
    pub file: Option<PathBuf>,
    /// Variables of the environment, all of them.
    pub environment: Vec<(String, String)>,
    /// `section.key=value` of `--set`, in their order.
    pub flags: Vec<String>,
}

/// Reads all layers.
///
/// # Errors
/// Every problem that one reading finds: a file that cannot be read or is not TOML, an unknown key,
/// a value of the wrong form.
pub fn load(sources: &Sources) -> Result<(Config, Figment), Problems> {
    let defaults = Serialized::defaults(Config::default());
    let mut figment = Figment::from(Named { name: DEFAULT.to_owned(), inner: defaults });
    if let Some(file) = &sources.file {
        // A file that was named must be there; figment would take a missing one for an empty one.
        let text = std::fs::read_to_string(file).map_err(|error| {
            Problems::one(format!("configuration file {}", file.display()), error.to_string())
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // Before figment reads it, whose error would quote the line, with the secret that may stand in it.
        if let Err(error) = toml::from_str::<toml::Table>(text) {
            return Err(Problems::one(
                format!("configuration file {}", file.display()),
                misspelled(&error, text),
            ));
        }
        figment =
            figment.merge(Named { name: format!("TOML file {}", file.display()), inner: Toml::string(text) });
    }
    figment = figment.merge(Environment(&sources.environment));
    for flag in &sources.flags {
        figment = figment.merge(Flag::parse(flag)?);
    }
    match figment.extract() {
        Ok(config) => Ok((config, figment)),
        Err(errors) => Err(problems(errors, &figment)),
    }
}

/// What is wrong with a file that is no TOML, and where: never what stands there.
fn misspelled(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("is no TOML at line {line}, column {column}: {}", error.message().replace('\n', ", "))
}

fn problems(errors: figment::Error, figment: &Figment) -> Problems {
    let mut problems = Problems::default();
    for error in errors {
        let mut key = error.path.join(".");
        let mut what = error.kind.to_string();
        if let Kind::UnknownField(name, expected) = &error.kind {
            if error.path.last() != Some(name) {
                key = error.path.iter().chain([name]).map(String::as_str).collect::<Vec<_>>().join(".");
            }
            what = format!("is no known key{}", nearest(name, expected));
        }
        if let Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) = &error.kind {
            // What was found may be a secret in the wrong place.
            what = format!("has the wrong form: expected {expected}");
        }
        let source = error.metadata.as_ref().or_else(|| figment.find_metadata(&key));
        if let Some(source) = source {
            what = format!("{what} (in {})", place(source, &key));
        }
        let key = if key.is_empty() { "configuration".to_owned() } else { key };
        problems.push(Problem { key, what });
    }
    problems
}

/// The source, and of the environment the very variable.
pub(super) fn place(source: &Metadata, key: &str) -> String {
    if source.name == Environment::NAME {
        return format!("environment variable {PREFIX}{}", key.to_uppercase().replace('.', "__"));
    }
    source.name.to_string()
}

fn nearest(name: &str, expected: &[&str]) -> String {
    let alike = |known: &&&str| {
        let common = known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        common >= 3 || known.contains(name) || name.contains(**known)
    };
    match expected.iter().find(alike) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => format!("; known here: {}", expected.join(", ")),
    }
}

/// A provider under a name that a person knows it by.
struct Named<P> {
    name: String,
    inner: P,
}

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.inner.data()
    }
}

struct Environment<'a>(&'a [(String, String)]);

impl Environment<'_> {
    const NAME: &'static str = "environment";
}

impl Provider for Environment<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(Self::NAME)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (name, value) in self.0 {
            if let Some(key) = name.strip_prefix(PREFIX) {
                let path: Vec<_> = key.split("__").map(str::to_lowercase).collect();
                insert(&mut dict, &path, scalar(value));
            }
        }
        Ok(Profile::Default.collect(dict))
    }
}

struct Flag(Dict);

impl Flag {
    fn parse(flag: &str) -> Result<Self, Problems> {
        let Some((key, value)) = flag.split_once('=') else {
            return Err(Problems::one("--set", "one of them is not of the form section.key=value"));
        };
        let path: Vec<_> = key.trim().splitn(PATH_DEPTH_MAX, '.').map(str::to_owned).collect();
        let mut dict = Dict::new();
        insert(&mut dict, &path, scalar(value));
        Ok(Self(dict))
    }
}

/// `kafka.properties.linger.ms` is one property, `linger.ms`.
const PATH_DEPTH_MAX: usize = 3;

impl Provider for Flag {
    fn metadata(&self) -> Metadata {
        Metadata::named("flag --set")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(dict.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let inner = dict.entry(first.clone()).or_insert_with(|| Dict::new().into());
            if !matches!(inner, Value::Dict(..)) {
                *inner = Dict::new().into();
            }
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// A value that only text can spell: a whole number or a flag where nothing of the text is lost, a
/// list or table in brackets, else the text itself, so that the token `00123` stays what it is.
fn scalar(text: &str) -> Value {
    if let Ok(flag) = text.parse::<bool>() {
        return flag.into();
    }
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return number.into();
    }
    bracketed(text).unwrap_or_else(|| text.into())
}

/// A list or table as TOML spells it.
fn bracketed(text: &str) -> Option<Value> {
    if !text.starts_with(['[', '{']) {
        return None;
    }
    let mut profiles = Toml::string(&format!("value = {text}")).data().ok()?;
    profiles.get_mut(&Profile::Default)?.remove("value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(toml: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Config, Problems> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bridge.toml");
        std::fs::write(&file, toml).unwrap();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let sources = Sources {
            file: Some(file),
            environment: environment.iter().map(pair).collect(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        load(&sources).map(|(config, _)| config)
    }

    #[test]
    fn each_layer_overrides_the_one_before() {
        let toml = "[topics]\nprefix = \"file\"\npartitions = 3\n[kafka]\nbootstrap_servers = \"file:1\"";
        let environment = [
            ("MEWS_BRIDGE__TOPICS__PREFIX", "env"),
            ("MEWS_BRIDGE__TOPICS__PARTITIONS", "5"),
            ("OTHER", "x"),
        ];
        let config = load_with(toml, &environment, &["topics.prefix=flag"]).unwrap();
        assert_eq!(config.topics.prefix, "flag");
        assert_eq!(config.topics.partitions, 5);
        assert_eq!(config.kafka.bootstrap_servers, "file:1");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_source() {
        let said = |result: Result<Config, Problems>| result.unwrap_err().to_string();
        let in_file = said(load_with("[ingress]\nlisten_on = \"x\"", &[], &[]));
        assert!(in_file.contains("ingress.listen_on") && in_file.contains("bridge.toml"), "{in_file}");
        let section = said(load_with("[ingres]\nlisten = \"x\"", &[], &[]));
        assert!(section.contains("ingres") && section.contains("did you mean \"ingress\"?"), "{section}");
        let in_env = said(load_with("", &[("MEWS_BRIDGE__JOURNAL__PLACE", "x")], &[]));
        assert!(
            in_env.contains("journal.place") && in_env.contains("MEWS_BRIDGE__JOURNAL__PLACE"),
            "{in_env}"
        );
        let in_flag = said(load_with("", &[], &["admin.port=1"]));
        assert!(in_flag.contains("admin.port") && in_flag.contains("--set"), "{in_flag}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_source() {
        let wrong = load_with("[shutdown]\ntimeout = 25", &[], &[]).unwrap_err().to_string();
        assert!(
            wrong.contains("shutdown.timeout") && wrong.contains("bridge.toml") && wrong.contains("unit"),
            "{wrong}"
        );
        assert!(load_with("[shutdown\n", &[], &[]).unwrap_err().to_string().contains("bridge.toml"));
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_where_and_not_what_stands_there() {
        for broken in ["main = \"canary\nother = 1", "main = \"canary\"\nmain = \"canary2\"", "main = canary"]
        {
            let toml = format!("[ingress.tokens]\n{broken}\n");
            let said = load_with(&toml, &[], &[]).unwrap_err().to_string();
            assert!(
                said.contains("bridge.toml") && said.contains("line 2") != said.contains("line 3"),
                "{said}"
            );
            assert!(!said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn a_token_in_the_environment_stays_as_it_is_spelled() {
        for token in ["00123", "1e5", "true", "9007199254740993", "a=b"] {
            let config = load_with("", &[("MEWS_BRIDGE__INGRESS__TOKENS__MAIN", token)], &[]).unwrap();
            assert_eq!(config.ingress.tokens["main"].expose(), token);
        }
    }

    #[test]
    fn a_list_in_the_environment_is_one() {
        let config =
            load_with("", &[("MEWS_BRIDGE__TOPICS__DISCRIMINATORS", "[\"A\", \"B\"]")], &[]).unwrap();
        assert_eq!(config.topics.discriminators, ["A", "B"]);
    }

    #[test]
    fn a_byte_order_mark_is_forgiven() {
        assert_eq!(load_with("\u{feff}[topics]\nprefix = \"p\"", &[], &[]).unwrap().topics.prefix, "p");
    }
}
