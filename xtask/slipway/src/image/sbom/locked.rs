//! Cargo.lock: which packages there are, where they come from, and who needs whom.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::purl;

/// A Cargo.lock.
#[derive(Deserialize)]
pub struct Lock {
    #[serde(default, rename = "package")]
    packages: Vec<Locked>,
}

/// A package in it.
#[derive(Deserialize)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its archive; what is not from a registry has none.
    pub checksum: Option<String>,
    source: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    /// Reads the text of a Cargo.lock.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("Cargo.lock cannot be read")
    }

    /// The package of this name and version. Should there be two, from two sources, it is the first.
    pub fn find(&self, name: &str, version: &str) -> Option<&Locked> {
        self.packages.iter().find(|found| found.name == name && found.version == version)
    }

    /// What a package needs, on any platform, also to be built and tested. The lock says `name`, where that is
    /// enough to tell it, else `name version`, else `name version (source)`.
    pub fn needs(&self, package: &Locked) -> impl Iterator<Item = &Locked> {
        package.dependencies.iter().filter_map(|needed| {
            let mut words = needed.split(' ');
            let (name, version, source) = (words.next()?, words.next(), words.next());
            let source = source.map(|source| source.trim_matches(['(', ')']));
            self.packages.iter().find(|found| {
                found.name == name
                    && version.is_none_or(|version| found.version == version)
                    && source.is_none_or(|source| found.source.as_deref() == Some(source))
            })
        })
    }
}

impl Locked {
    /// What it is called in the document.
    pub fn id(&self) -> String {
        self.purl().unwrap_or_else(|| format!("{}@{}", self.name, self.version))
    }

    /// Its package URL. What is of this repository has none: scanners would take it for the public package of
    /// that name.
    pub fn purl(&self) -> Option<String> {
        let purl = purl::of("cargo", &self.name, &self.version);
        let (kind, address) = self.source.as_deref()?.split_once('+')?;
        Some(match kind {
            "git" => {
                let (place, commit) = address.split_once('#').unwrap_or((address, ""));
                let place = without_user(place.split('?').next().unwrap_or(place));
                purl::qualified(&purl, "vcs_url", &format!("git+{place}@{commit}"))
            }
            // The registry that a purl without qualifiers means.
            _ if address.ends_with("/crates.io-index") => purl,
            _ => purl::qualified(&purl, "repository_url", &without_user(address)),
        })
    }
}

/// An address without what some people write before its host: a token.
fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_told_by_as_much_as_the_lock_says() -> Result<()> {
        let lock = Lock::parse(
            r#"
            version = 4
            [[package]]
            name = "links"
            version = "0.1.0"
            dependencies = ["one", "two 1.0.0", "two 2.0.0 (git+https://t0ken@example.org/two?branch=main#0a1b)"]
            [[package]]
            name = "one"
            version = "1.0.0"
            source = "registry+https://example.org/index"
            [[package]]
            name = "two"
            version = "1.0.0"
            [[package]]
            name = "two"
            version = "2.0.0"
            [[package]]
            name = "two"
            version = "2.0.0"
            source = "git+https://t0ken@example.org/two?branch=main#0a1b"
            "#,
        )?;
        let links = lock.find("links", "0.1.0").context("no links")?;
        let needs: Vec<String> = lock.needs(links).map(Locked::id).collect();
        assert_eq!(
            needs,
            [
                "pkg:cargo/one@1.0.0?repository_url=https://example.org/index",
                "two@1.0.0",
                "pkg:cargo/two@2.0.0?vcs_url=git%2Bhttps://example.org/two%400a1b"
            ]
        );
        Ok(())
    }
}
