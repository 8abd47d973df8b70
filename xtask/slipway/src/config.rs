//! xtask.toml: read whole, refused with the place of the mistake. Every key: docs/xtask-toml.md.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Component, Path};

use anyhow::{Context as _, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::{Code, Failure, nearest};
use crate::workspace::CONFIG_FILE;

mod actions;
mod image;
mod secrets;

pub use actions::{Actions, Asked, Source, read_source};
pub use image::{Image, Roots, TARGETS};
pub use secrets::{Environment, Secrets};

/// All that the tool knows of a repository.
#[derive(Debug, Deserialize)]
pub struct Config {
    /// `[service]`
    pub service: Service,
    /// `[postgres]`
    #[serde(default)]
    pub postgres: Postgres,
    /// `[dev]`
    #[serde(default)]
    pub dev: Dev,
    /// `[secrets]`
    #[serde(default)]
    pub secrets: Secrets,
    /// `[actions]`
    pub actions: Option<Actions>,
    /// `[image]`
    #[serde(default)]
    pub image: Image,
}

/// `[service]`: what the repository builds.
#[derive(Debug, Deserialize)]
pub struct Service {
    /// Package, binary and database.
    pub name: Spanned<String>,
    /// Where `dev` listens on 127.0.0.1; it takes the next free port when this one is busy.
    #[serde(default = "default_port")]
    pub port: Spanned<u16>,
}

fn default_port() -> Spanned<u16> {
    Spanned::new(0..0, 8080)
}

/// `[postgres]`: which server to run.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Postgres {
    /// Major versions in order of preference; the first is what prd runs.
    pub versions: Spanned<Vec<String>>,
    /// A folder with `postgres` and `initdb` in it, instead of a search.
    pub bin: Option<Spanned<String>>,
    /// Where a server comes from when none is installed.
    pub download: Spanned<Download>,
    /// The line of `versions`, where it is given.
    #[serde(skip)]
    pub versions_line: Option<usize>,
}

/// `download = false`, or `[postgres.download]`.
#[derive(Debug, Default)]
pub struct Download {
    /// Whether it is forbidden.
    pub forbidden: bool,
    /// A mirror's base address.
    pub url: Option<Spanned<String>>,
    /// An exact version, instead of the one that the tool knows.
    pub version: Option<Spanned<String>>,
}

impl<'de> Deserialize<'de> for Download {
    // By hand: serde's untagged enums lose the places.
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Table {
            url: Option<Spanned<String>>,
            version: Option<Spanned<String>>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Download;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("false, or a table with `url`")
            }

            fn visit_bool<E>(self, allowed: bool) -> Result<Download, E> {
                Ok(Download { forbidden: !allowed, ..Download::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Download, A::Error> {
                let Table { url, version } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Download { forbidden: false, url, version })
            }
        }
        source.deserialize_any(Either)
    }
}

impl Default for Postgres {
    fn default() -> Self {
        let versions = ["17", "16", "15", "18"].map(String::from).to_vec();
        let download = Spanned::new(0..0, Download::default());
        Postgres { versions: Spanned::new(0..0, versions), bin: None, download, versions_line: None }
    }
}

/// `[dev]`: what `cargo xtask dev` does beside running the service.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Dev {
    /// SQL that is loaded once into a new development database.
    pub demo_data: Option<Spanned<String>>,
    /// Files and folders, from the root: a change at or below them rebuilds the service.
    pub watch: Spanned<Vec<String>>,
    /// Shell commands to run beside the service, by the name that prefixes their output.
    pub processes: BTreeMap<String, Spanned<String>>,
}

impl Default for Dev {
    fn default() -> Self {
        // `src`: of a repository that is one package.
        let watch = ["app", "src", "Cargo.toml", "Cargo.lock"].map(String::from).to_vec();
        let watch = Spanned::new(0..0, watch);
        Dev { demo_data: None, watch, processes: BTreeMap::new() }
    }
}

/// The known keys of each table. `*` stands for names that the repository chooses.
const KEYS: &[(&str, &[&str])] = &[
    ("", &["service", "postgres", "dev", "secrets", "actions", "image"]),
    ("actions", &["source", "subdir", "version", "tag", "branch", "rev"]),
    ("image", &["push", "ca", "ca-file", "target", "rustc"]),
    ("service", &["name", "port"]),
    ("postgres", &["versions", "bin", "download"]),
    ("postgres.download", &["url", "version"]),
    ("dev", &["demo-data", "processes", "watch"]),
    ("dev.processes", &["*"]),
    ("secrets", &["project", "accepted", "names"]),
    ("secrets.names", &["*"]),
    ("secrets.names.*", &["about", "in", "dev", "provided", "masked"]),
];

/// PostgreSQL's 63 bytes, less the longest ending of ours: `.migrated-` and 16 digits.
const LONGEST_NAME: usize = 37;

impl Config {
    /// Reads xtask.toml below `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(CONFIG_FILE);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::new(Code::Usage, format!("{CONFIG_FILE} is not UTF-8 text")))?;
        Self::parse(&text)
    }

    /// Reads the text of an xtask.toml. Errors carry file, line and column.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |error: toml::de::Error| {
            let place = place(text, error.span().unwrap_or(0..0));
            Failure::new(
                Code::Usage,
                format!("{place}: {}", without_value(error.message()).replace('\n', "; ")),
            )
            .next("every key and its type: docs/xtask-toml.md")
        };
        let document = DeTable::parse(text).map_err(refuse)?;
        check_keys(text, "", document.get_ref())?;
        let mut config: Config = toml::from_str(text).map_err(refuse)?;
        config.check(text)?;
        let versions = config.postgres.versions.span();
        config.postgres.versions_line = (!versions.is_empty()).then(|| line(text, versions.start));
        Ok(config)
    }

    /// Becomes `new`, but for what a running `dev` cannot change; gives the tables in which `new` changes that.
    pub fn take(&mut self, mut new: Config) -> Vec<&'static str> {
        let service =
            |config: &Config| (config.service.name.get_ref().clone(), *config.service.port.get_ref());
        let postgres = |config: &Config| {
            let Postgres { versions, bin, download, .. } = &config.postgres;
            let Download { forbidden, url, version } = download.get_ref();
            let texts = [bin, url, version].map(|text| text.as_ref().map(|text| text.get_ref().clone()));
            (versions.get_ref().clone(), *forbidden, texts)
        };
        let processes = |config: &Config| {
            let named = config.dev.processes.iter();
            named.map(|(name, run)| (name.clone(), run.get_ref().clone())).collect::<Vec<_>>()
        };
        let later = [
            ("[service]", service(self) != service(&new)),
            ("[postgres]", postgres(self) != postgres(&new)),
            ("[dev.processes]", processes(self) != processes(&new)),
        ];
        std::mem::swap(&mut self.service, &mut new.service);
        std::mem::swap(&mut self.postgres, &mut new.postgres);
        *self = Config { service: new.service, postgres: new.postgres, ..new };
        later.into_iter().filter_map(|(table, differs)| differs.then_some(table)).collect()
    }

    fn check(&self, text: &str) -> Result<()> {
        let name = self.service.name.get_ref();
        let start = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !start || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c)) {
            let what = format!("`{name}` cannot name a package and a database");
            return Err(wrong(text, self.service.name.span(), &what)
                .next("lower-case letters, digits, - and _, a letter first")
                .into());
        }
        if name.len() > LONGEST_NAME {
            // PostgreSQL cuts longer names off: two databases of ours would be one.
            let what =
                format!("a name of {} bytes is too long for a database and what goes with it", name.len());
            return Err(wrong(text, self.service.name.span(), &what)
                .next(format!("at most {LONGEST_NAME} bytes"))
                .into());
        }
        if *self.service.port.get_ref() == 0 {
            return Err(wrong(text, self.service.port.span(), "port 0 is no port to open in a browser")
                .next("port = 8080")
                .into());
        }
        self.check_versions(text)?;
        self.check_download(text)?;
        self.check_watch(text)?;
        if let Some(actions) = &self.actions {
            actions.check(text)?;
        }
        self.image.check(text)?;
        self.secrets.check(text)?;
        for (name, command) in &self.dev.processes {
            if command.get_ref().trim().is_empty() {
                let what = format!("the process `{name}` has no command");
                return Err(wrong(text, command.span(), &what).next("a command, or remove the line").into());
            }
        }
        Ok(())
    }

    fn check_versions(&self, text: &str) -> Result<()> {
        let versions = &self.postgres.versions;
        if versions.get_ref().is_empty() {
            return Err(wrong(text, versions.span(), "`versions` names no version")
                .next("versions = [\"17\", \"16\", \"15\"]")
                .into());
        }
        match versions.get_ref().iter().find(|version| version.parse::<u8>().is_err()) {
            None => Ok(()),
            Some(version) => {
                let what = format!("`{version}` is not a major version of PostgreSQL");
                Err(wrong(text, versions.span(), &what).next("majors only: \"17\", not \"17.2\"").into())
            }
        }
    }

    fn check_watch(&self, text: &str) -> Result<()> {
        let watch = &self.dev.watch;
        let outside = |path: &&String| {
            let parts = Path::new(path).components();
            path.is_empty()
                || parts.into_iter().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        };
        match watch.get_ref().iter().find(outside) {
            None => Ok(()),
            Some(path) => {
                let what = format!("`{path}` is no path below the root");
                Err(wrong(text, watch.span(), &what).next("watch = [\"app\", \"Cargo.toml\"]").into())
            }
        }
    }

    fn check_download(&self, text: &str) -> Result<()> {
        let Download { url, version, .. } = self.postgres.download.get_ref();
        if let Some(url) = url {
            let (scheme, rest) = url.get_ref().split_once("://").unwrap_or_default();
            let known = ["https", "http", "file"].contains(&scheme) && !rest.is_empty();
            if !known || url.get_ref().contains(char::is_whitespace) {
                let what = format!("`{}` is no address to download from", url.get_ref());
                return Err(wrong(text, url.span(), &what)
                    .next("https://…, http://… or file:///…: the folder that has a folder for each version")
                    .into());
            }
        }
        if let Some(version) = version {
            let numbers: Vec<&str> = version.get_ref().split('.').collect();
            if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u16>().is_err()) {
                let what = format!("`{}` is no exact version", version.get_ref());
                return Err(wrong(text, version.span(), &what)
                    .next("three numbers, as the release is called: version = \"17.9.0\"")
                    .into());
            }
            if !self.postgres.versions.get_ref().iter().any(|major| *major == numbers[0]) {
                let what = format!("`versions` does not have {}, and `version` is one of it", numbers[0]);
                return Err(wrong(text, version.span(), &what)
                    .next(format!("add \"{}\" to `versions`, or remove `version`", numbers[0]))
                    .into());
            }
        }
        Ok(())
    }
}

/// Refuses a key that nothing reads: a typing error there would otherwise be silent.
fn check_keys(text: &str, table: &str, found: &DeTable<'_>) -> Result<()> {
    let Some((_, known)) = KEYS.iter().find(|(name, _)| *name == table) else { return Ok(()) };
    for (key, value) in found {
        let name = key.get_ref().as_ref();
        let free = known.contains(&"*");
        if !free && !known.contains(&name) {
            let at = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
            let keys = known.join(", ");
            let environments = Environment::ALL.map(Environment::name);
            let next = match nearest(name, known.iter().copied()) {
                _ if table == "secrets.names.*" && environments.contains(&name) && name != "dev" => {
                    format!("values of {name} belong in Doppler; known keys: {keys}")
                }
                Some(near) => format!("did you mean `{near}`? known keys: {keys}"),
                None => format!("known keys: {keys}"),
            };
            return Err(wrong(text, key.span(), &format!("unknown key `{name}`{at}")).next(next).into());
        }
        if let DeValue::Table(inner) = value.get_ref() {
            let below = if free { "*" } else { name };
            let path = if table.is_empty() { below.to_owned() } else { format!("{table}.{below}") };
            check_keys(text, &path, inner)?;
        }
    }
    Ok(())
}

/// serde quotes what stands where it expects something else. A long one may be a secret in the wrong place.
fn without_value(message: &str) -> String {
    const SHORT: usize = 8;
    let Some((before, expected)) = message.split_once(", expected") else { return message.to_owned() };
    let quoted = ['"', '`'].iter().find_map(|quote| {
        let (kind, rest) = before.split_once(*quote)?;
        rest.strip_suffix(*quote).map(|value| (kind, value))
    });
    match quoted {
        Some((kind, value)) if value.len() >= SHORT => format!("{}, expected{expected}", kind.trim_end()),
        _ => message.to_owned(),
    }
}

fn wrong(text: &str, span: Range<usize>, what: &str) -> Failure {
    // It may quote the file, and a terminal obeys control characters.
    let what = what.replace(|c: char| c.is_control() && c != '\n', "?");
    Failure::new(Code::Usage, format!("{}: {what}", place(text, span)))
}

/// `xtask.toml:7:1` for a range of bytes.
fn place(text: &str, span: Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{CONFIG_FILE}:{}:{column}", line(text, span.start))
}

fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
