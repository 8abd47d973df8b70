//! The values that the service is given. For now there are development defaults only; they are no secrets.

use std::collections::BTreeMap;

use crate::config::Secrets;

mod spellings;

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
}

/// The development defaults. What is provided is not among them: the tool sets it, from the local cluster,
/// and nothing else may.
///
/// `shell` is asked for the names that are not masked, so that `LOG_LEVEL=debug cargo xtask dev` does what
/// it says; tests pass a function that knows nothing.
pub fn development(secrets: &Secrets, shell: impl Fn(&str) -> Option<String>) -> Values {
    let mut found = Values::default();
    for (name, declared) in &secrets.names {
        let declared = declared.get_ref();
        if declared.masked {
            found.masked.push(name.clone());
        }
        if declared.provided {
            continue;
        }
        let own = if declared.masked { None } else { shell(name) };
        match own.or_else(|| declared.dev.clone()) {
            Some(value) => drop(found.values.insert(name.clone(), value)),
            None => found.missing.push(format!("{name} ({})", declared.about)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn provided_names_are_never_looked_up_and_masked_ones_never_in_the_shell() -> anyhow::Result<()> {
        let text = r#"
            [service]
            name = "links"
            [secrets.names]
            DATABASE_URL = { about = "", provided = true, masked = false }
            EDIT_TOKEN = { about = "", dev = "dev-only" }
            LOG_LEVEL = { about = "", dev = "info", masked = false }
            MAIL_KEY = { about = "sends mail" }
        "#;
        let secrets = Config::parse(text)?.secrets;
        let asked = std::cell::RefCell::new(Vec::new());
        let found = development(&secrets, |name| {
            asked.borrow_mut().push(name.to_owned());
            Some("from the shell".to_owned())
        });
        assert_eq!(asked.into_inner(), ["LOG_LEVEL"]);
        assert_eq!(found.values.get("EDIT_TOKEN").map(String::as_str), Some("dev-only"));
        assert_eq!(found.values.get("LOG_LEVEL").map(String::as_str), Some("from the shell"));
        assert_eq!(found.values.get("DATABASE_URL"), None);
        assert_eq!(found.missing, ["MAIL_KEY (sends mail)"]);
        assert_eq!(found.masked, ["EDIT_TOKEN", "MAIL_KEY"]);
        Ok(())
    }
}
