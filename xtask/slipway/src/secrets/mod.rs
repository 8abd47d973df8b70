//! The values that the service is given: development defaults, or Doppler's for one environment.
//!
//! ```text
//! doppler    asks Doppler, through its own program, for declared names and nothing else
//! diagnosis  why it did not answer, told apart without the words of its server where that is possible
//! mask       hides values in a stream of output
//! payload    how values come back from behind `doppler run`
//! spellings  the forms in which a value can be in a text
//! ```

use std::collections::BTreeMap;

use crate::config::{Environment, Secrets};

mod diagnosis;
mod doppler;
mod mask;
mod payload;
#[cfg(test)]
mod random;
mod spellings;

pub use doppler::{Doppler, Fetch, Outcome};
pub use mask::Mask;
pub use payload::{VERB as VALUES_VERB, write as write_values};
pub use spellings::{is_searchable, spellings};

/// The values of a run, and which of them output must not show.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Value by name.
    pub values: BTreeMap<String, String>,
    /// Names whose values are hidden.
    pub masked: Vec<String>,
    /// Names that are declared, but have no value here, with what they are for.
    pub missing: Vec<String>,
    /// The names whose values are Doppler's.
    pub fetched: Vec<String>,
    /// The names whose values are the shell's.
    pub shell: Vec<String>,
}

impl Values {
    /// Values that are no development defaults and that output must not show.
    pub fn secret(&self) -> impl Iterator<Item = (&str, &str)> {
        let secret = self.fetched.iter().filter(|name| self.masked.contains(name));
        secret.filter_map(|name| Some((name.as_str(), self.values.get(name)?.as_str())))
    }

    /// The names of those that are not hidden all the same: short and everyday ones, which would hide half of a log.
    pub fn shown(&self) -> Vec<&str> {
        let shown = self.secret().filter(|(_, value)| !value.trim().is_empty() && !is_searchable(value));
        shown.map(|(name, _)| name).collect()
    }
}

/// The development defaults. What is provided is not among them: the tool sets it, from the local cluster,
/// and nothing else may.
///
/// `shell` is asked for the names that are not masked, so that `LOG_LEVEL=debug cargo xtask dev` does what
/// it says; tests pass a function that knows nothing.
pub fn development(secrets: &Secrets, shell: impl Fn(&str) -> Option<String>) -> Values {
    choose(secrets, Environment::Dev, &BTreeMap::new(), shell)
}

/// The values of `environment`: what Doppler has given, and in dev what the shell says of names that are not masked,
/// before it, and the development defaults, after it. Elsewhere nothing is mixed in.
pub fn choose(
    secrets: &Secrets,
    environment: Environment,
    doppler: &BTreeMap<String, String>,
    shell: impl Fn(&str) -> Option<String>,
) -> Values {
    let mut found = Values::default();
    let masked = secrets.names.iter().filter(|(_, declared)| declared.get_ref().masked);
    found.masked = masked.map(|(name, _)| name.clone()).collect();
    let is_dev = environment == Environment::Dev;
    for (name, declared) in secrets.within(environment) {
        let own = if declared.masked || !is_dev { None } else { shell(name) };
        if own.is_some() {
            found.shell.push(name.to_owned());
        }
        let fetched = if own.is_none() { doppler.get(name).cloned() } else { None };
        if fetched.is_some() {
            found.fetched.push(name.to_owned());
        }
        let default = || declared.dev.clone().filter(|_| is_dev);
        match own.or(fetched).or_else(default) {
            Some(value) => drop(found.values.insert(name.to_owned(), value)),
            // A setting that is no secret need not be set in dev: the service has a default of its own.
            None if is_dev && !declared.masked => {}
            None => found.missing.push(format!("{name} ({})", declared.about)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NAMES: &str = r#"
        [service]
        name = "links"
        [secrets.names]
        DATABASE_URL = { about = "", provided = true, masked = false }
        EDIT_TOKEN = { about = "", dev = "dev-only" }
        LOG_LEVEL = { about = "", dev = "info", masked = false }
        MAIL_KEY = { about = "sends mail" }
        PAGER_KEY = { about = "wakes people", in = ["prd"] }
        PUBLIC_URL = { about = "", in = ["dev"], masked = false }
    "#;

    #[test]
    fn provided_names_are_never_looked_up_and_masked_ones_never_in_the_shell() -> anyhow::Result<()> {
        let secrets = Config::parse(NAMES)?.secrets;
        let asked = std::cell::RefCell::new(Vec::new());
        let found = development(&secrets, |name| {
            asked.borrow_mut().push(name.to_owned());
            Some("from the shell".to_owned())
        });
        assert_eq!(asked.into_inner(), ["LOG_LEVEL", "PUBLIC_URL"]);
        assert_eq!(found.values.get("EDIT_TOKEN").map(String::as_str), Some("dev-only"));
        assert_eq!(found.values.get("LOG_LEVEL").map(String::as_str), Some("from the shell"));
        assert_eq!(found.values.get("DATABASE_URL"), None);
        assert_eq!(found.missing, ["MAIL_KEY (sends mail)"]);
        assert_eq!(found.masked, ["EDIT_TOKEN", "MAIL_KEY", "PAGER_KEY"]);
        assert_eq!(found.secret().next(), None);
        let unset = development(&secrets, |_| None);
        assert!(!unset.values.contains_key("PUBLIC_URL"));
        assert_eq!(unset.missing, found.missing);
        Ok(())
    }

    #[test]
    fn defaults_and_the_shell_stay_in_dev() -> anyhow::Result<()> {
        let secrets = Config::parse(NAMES)?.secrets;
        let doppler = BTreeMap::from([("EDIT_TOKEN".to_owned(), "real".to_owned())]);
        let shell = |_: &str| Some("from the shell".to_owned());
        let dev = choose(&secrets, Environment::Dev, &doppler, shell);
        assert_eq!(dev.values.len(), 3);
        assert_eq!(dev.secret().collect::<Vec<_>>(), [("EDIT_TOKEN", "real")]);
        let prd = choose(&secrets, Environment::Prd, &doppler, shell);
        assert_eq!(prd.values, doppler);
        assert_eq!(prd.missing, ["LOG_LEVEL ()", "MAIL_KEY (sends mail)", "PAGER_KEY (wakes people)"]);
        Ok(())
    }
}
