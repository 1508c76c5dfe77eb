//! `mews-bridge config check|show`

use figment::Figment;

use super::{
    Exit, Failure,
    arguments::{Config as Command, Process},
    output::{self, List},
};
use crate::config::{Config, Problems, Role, show::settings};

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong: everything that is.
pub fn run(command: &Command, config: &Config, figment: &Figment) -> Result<Exit, Failure> {
    match command {
        Command::Check { process } => {
            check(*process, config, figment)?;
            output::print(b"the configuration is right\n")?;
        }
        Command::Show { output } => {
            let mut list = List::new(&["key", "value", "source"]);
            for setting in settings(figment, is_secret) {
                list.push(vec![setting.key.into(), setting.value.into(), setting.source.into()]);
            }
            list.print(*output)?;
        }
    }
    Ok(Exit::Clean)
}

fn check(process: Option<Process>, config: &Config, figment: &Figment) -> Result<(), Problems> {
    match process {
        Some(Process::Ingress) => config.check_for(Role::Ingress),
        Some(Process::Enricher) => config.check_for(Role::Enricher),
        None => {
            let mut problems = Problems::default();
            problems.absorb(config.check());
            // A section speaks for its process once somebody has written into it.
            for (section, role) in [("ingress", Role::Ingress), ("enricher", Role::Enricher)] {
                if is_present(figment, section) {
                    problems.absorb(config.check_for(role));
                }
            }
            problems.into_result()
        }
    }
}

fn is_present(figment: &Figment, section: &str) -> bool {
    let prefix = format!("{section}.");
    settings(figment, is_secret)
        .iter()
        .any(|setting| setting.key.starts_with(&prefix) && setting.source != crate::config::layers::DEFAULT)
}

/// Whether a key's value must not be shown.
fn is_secret(key: &str) -> bool {
    let is_secret_property = |property| crate::kafka::properties::is_secret(property);
    key.starts_with("ingress.tokens.")
        || key.strip_prefix("kafka.properties.").is_some_and(is_secret_property)
        || matches!(
            key,
            "kafka.security.sasl_password" | "kafka.security.ssl_key_password" | "kafka.oauth.client_secret"
        )
}
