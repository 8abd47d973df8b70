//! `[secrets]`: the names that the service is given, and where their values come from. Values are never here,
//! but for development defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use anyhow::Result;
use serde::Deserialize;
use toml::Spanned;

use super::wrong;
use crate::process::is_kept;

/// `[secrets]`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Secrets {
    /// The project in Doppler; its configs bear the names of our environments. Without one Doppler is not asked.
    pub project: Option<Spanned<String>>,
    /// Files and folders, from the root, that `secrets scan` passes over; `COMMIT:PATH` for what is in the history only.
    pub accepted: Vec<Spanned<String>>,
    /// Environment variables by name.
    pub names: BTreeMap<String, Spanned<SecretName>>,
}

/// One declared name.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a table, such as { about = \"who may change links\" }")]
pub struct SecretName {
    /// What it is for.
    pub about: String,
    /// The environments that have it.
    #[serde(rename = "in", default = "everywhere")]
    pub within: Vec<Environment>,
    /// The value that development and tests use where Doppler is not asked.
    pub dev: Option<String>,
    /// Set by the tool itself, from the local cluster: never fetched, no default.
    #[serde(default)]
    pub provided: bool,
    /// Whether its value is hidden in output.
    #[serde(default = "masked")]
    pub masked: bool,
}

/// Where the service runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Development, on people's machines and in the cloud.
    #[default]
    Dev,
    /// Staging.
    Stg,
    /// Production.
    Prd,
}

impl Environment {
    /// All of them, in the order in which a change passes them.
    pub const ALL: [Environment; 3] = [Environment::Dev, Environment::Stg, Environment::Prd];

    /// Its name, which is also that of its config in Doppler.
    pub fn name(self) -> &'static str {
        match self {
            Environment::Dev => "dev",
            Environment::Stg => "stg",
            Environment::Prd => "prd",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether `accepted` can have it: a path below the root, or one as a commit had it. The path may be any that
/// `secrets scan` shows, so also one with `:`, or with what it escapes by `\`.
fn is_acceptable(entry: &str) -> bool {
    let (_, path) = Secrets::accepted_parts(entry);
    !path.is_empty()
        && !path.contains(char::is_control)
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

fn everywhere() -> Vec<Environment> {
    Environment::ALL.to_vec()
}

fn masked() -> bool {
    true
}

/// How names begin that make a program load or run something else: a dynamic linker's, an interpreter's or a
/// tool's own settings. Whoever may set a secret must not choose what code runs.
#[rustfmt::skip]
const DANGEROUS_STARTS: &[&str] = &[
    "BASH_", "BUN_", "CARGO_", "COMPLUS_", "CORECLR_", "DOPPLER_", "DOTNET_", "DYLD_", "ENCLAVE_", "ERL_",
    "GIT_", "GLIBC_", "LD_", "LUA_", "MALLOC_", "NPM_CONFIG_", "PERL", "PHP", "PIP_", "PSQL", "PYTHON", "RUBY", "RUSTC",
    "RUSTUP_", "SLIPWAY_",
];

/// And such names as a whole; all that Doppler's own program warns of is among them (its
/// `pkg/controllers/secrets.go`). The list grows with what is found.
#[rustfmt::skip]
const DANGEROUS: &[&str] = &[
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BASHOPTS", "BROWSER", "CC", "CDPATH", "CLASSPATH", "CURL_CA_BUNDLE", "CURL_HOME", "CXX", "EDITOR",
    "ENV", "FPATH", "GCONV_PATH", "GEM_HOME", "GEM_PATH", "GNUPGHOME", "GOFLAGS", "GRADLE_OPTS", "HOSTALIASES", "HOSTNAME",
    "IFS", "JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "KUBECONFIG", "LESSCLOSE", "LESSOPEN", "LIBPATH",
    "LOCPATH", "MAKEFLAGS", "MAVEN_OPTS", "NLSPATH", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "NODE_PATH",
    "NODE_TLS_REJECT_UNAUTHORIZED", "NODE_VERSION", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES", "PAGER",
    "PROMPT_COMMAND", "PS1", "PS4", "RESOLV_HOST_CONF", "RUSTFLAGS", "SHELLOPTS", "SHLIB_PATH", "SSH_ASKPASS", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSLKEYLOGFILE",
    "TERMINFO", "USERPROFILE", "VISUAL", "WGETRC", "WINDIR", "XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "ZDOTDIR",
];

fn is_dangerous(name: &str) -> bool {
    DANGEROUS.contains(&name) || DANGEROUS_STARTS.iter().any(|start| name.starts_with(start)) || is_kept(name)
}

fn is_name(name: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(upper)
}

impl Secrets {
    /// Commit and path of an entry of `accepted`. Without at least 7 hexadecimal digits and `:` before it, all is path.
    pub fn accepted_parts(entry: &str) -> (Option<&str>, &str) {
        let hex = |commit: &str| commit.len() >= 7 && commit.chars().all(|c| c.is_ascii_hexdigit());
        let (commit, path) = match entry.split_once(':') {
            Some((commit, path)) if hex(commit) => (Some(commit), path),
            _ => (None, entry),
        };
        // "/x" stays as it is: no path below the root.
        (commit, path.trim_start_matches("./").trim_end_matches('/'))
    }

    /// Whether a name can be declared, wherever it came from.
    pub fn may_declare(name: &str) -> bool {
        is_name(name) && !is_dangerous(name)
    }

    /// The project in Doppler, if one is named.
    pub fn project(&self) -> Option<&str> {
        self.project.as_ref().map(|project| project.get_ref().as_str())
    }

    /// What an environment has and the tool does not set itself: the names to ask for.
    pub fn within(&self, environment: Environment) -> impl Iterator<Item = (&str, &SecretName)> {
        let all = self.names.iter().map(|(name, declared)| (name.as_str(), declared.get_ref()));
        all.filter(move |(_, declared)| !declared.provided && declared.within.contains(&environment))
    }

    pub(super) fn check(&self, text: &str) -> Result<()> {
        if let Some(project) = &self.project {
            let name = project.get_ref();
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            // What begins with a dash would be an option of Doppler's.
            if name.is_empty() || name.starts_with('-') || !name.chars().all(known) {
                let what = format!("`{name}` cannot be a project of Doppler");
                return Err(wrong(text, project.span(), &what)
                    .next("letters, digits, - and _, as `doppler projects` shows it; or remove the line")
                    .into());
            }
        }
        if let Some(entry) = self.accepted.iter().find(|entry| !is_acceptable(entry.get_ref())) {
            let what = format!("`{}` is no path below the root, nor COMMIT:PATH", entry.get_ref());
            return Err(wrong(text, entry.span(), &what)
                .next("accepted = [\"tests/fixtures/\", \"b5a5ff1642:old/.env\"]")
                .into());
        }
        self.names.iter().try_for_each(|(name, declared)| check_name(text, name, declared))
    }
}

fn check_name(text: &str, name: &str, declared: &Spanned<SecretName>) -> Result<()> {
    let refuse = |what: String, next: &str| Err(wrong(text, declared.span(), &what).next(next).into());
    if !is_name(name) {
        return refuse(
            format!("`{name}` is not the name of an environment variable"),
            "upper-case letters, digits and _, a letter first",
        );
    }
    if is_dangerous(name) {
        return refuse(
            format!("programs obey {name}: it cannot be a secret's name"),
            "a name of the service's own, such as LINKS_…, and read that one in its configuration",
        );
    }
    let SecretName { within, dev, provided, .. } = declared.get_ref();
    if *provided && dev.is_some() {
        let what = format!("{name} is provided by this tool and cannot have a `dev` value");
        return refuse(what, "remove `dev`, or `provided`");
    }
    if within.is_empty() {
        return refuse(format!("{name} is in no environment"), "in = [\"dev\", \"stg\", \"prd\"]");
    }
    if dev.is_some() && !within.contains(&Environment::Dev) {
        let what = format!("{name} has a `dev` value and is not in dev");
        return refuse(what, "add \"dev\" to `in`, or remove `dev`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn refusal(line: &str) -> Option<String> {
        let text = format!("[service]\nname = \"links\"\n[secrets.names]\n{line}\n");
        Config::parse(&text).err().map(|error| error.to_string())
    }

    #[test]
    fn names_that_choose_what_code_runs_are_refused() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "NODE_OPTIONS",
            "BASH_ENV",
            "ENV",
            "PROMPT_COMMAND",
            "RUSTC_WRAPPER",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "GIT_SSH_COMMAND",
            "PYTHONPATH",
            "PERL5OPT",
            "JAVA_TOOL_OPTIONS",
            "HOME",
            "DOPPLER_TOKEN",
            "DOPPLER_PROJECT",
            "HOSTNAME",
            "PHPRC",
            "NODE_VERSION",
            "KUBECONFIG",
            "SSH_ASKPASS",
        ] {
            let said = refusal(&format!("{name} = {{ about = \"\" }}")).unwrap_or_default();
            assert!(said.contains(name) && said.contains("xtask.toml:4:"), "{name}: {said}");
        }
        for name in [
            "EDIT_TOKEN",
            "PATHS",
            "LDAP_URL",
            "GITHUB_TOKEN",
            "DATABASE_URL",
            "ENVIRONMENT",
            "NODE_ENV",
            "AWS_SECRET_ACCESS_KEY",
            "SSH_PRIVATE_KEY",
        ] {
            assert_eq!(refusal(&format!("{name} = {{ about = \"\" }}")), None);
        }
    }

    #[test]
    fn what_is_accepted_is_below_the_root() {
        for (entry, fits) in [
            ("tests/fixtures/", true),
            ("old/.env", true),
            ("b5a5ff1642:old/.env", true),
            ("main:old/.env", true),
            ("-odd/a:b\\\\n.env", true),
            ("b5a5ff1642:/etc", false),
            ("b5a5ff1642:", false),
            ("/etc", false),
            ("./", false),
            ("../x", false),
            ("", false),
        ] {
            let text = format!("[service]\nname = \"links\"\n[secrets]\naccepted = [\"{entry}\"]\n");
            assert_eq!(Config::parse(&text).is_ok(), fits, "{entry}");
        }
    }

    #[test]
    fn environments_and_defaults_must_fit() {
        for (line, part) in [
            ("A = { about = \"\", in = [] }", "in no environment"),
            ("A = { about = \"\", in = [\"prd\"], dev = \"x\" }", "not in dev"),
            ("A = { about = \"\", in = [\"prod\"] }", "prod"),
            ("A = { about = \"\", provided = true, dev = \"x\" }", "provided by this tool"),
            ("a = { about = \"\" }", "environment variable"),
        ] {
            let said = refusal(line).unwrap_or_default();
            assert!(said.contains(part), "{line}: {said}");
        }
        assert_eq!(refusal("A = { about = \"\", in = [\"stg\", \"prd\"], masked = false }"), None);
    }

    #[test]
    fn a_value_in_the_wrong_place_is_not_said() {
        for line in [
            "A = \"s3cretToken42\"",
            "A = \"s3cret\\\"Token42\"",
            "A = s3cretToken42",
            "A = { about = \"\", prd = \"s3cretToken42\" }",
            "A = { about = [\"s3cretToken42\"] }",
            "A = { about = \"\", masked = \"s3cretToken42\" }",
            "A = { about = \"\", in = [\"s3cretToken42\"] }",
            "A = 912345678Token42",
            "A = 91234567842",
        ] {
            let said = refusal(line).unwrap_or_default();
            assert!(said.contains("xtask.toml:4:") && !said.contains("Token42"), "{line}: {said}");
            assert!(!said.contains("91234567"), "{line}: {said}");
        }
    }
}
