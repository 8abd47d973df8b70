//! Which exact version is downloaded for a major. The table grows with the tool: a release list that is asked
//! at run time answers 403 on a busy day, and another thing tomorrow.

/// Where releases are, unless xtask.toml names a mirror: the releases of theseus-rs/postgresql-binaries. A tag
/// is a folder, without a `v`.
pub const SOURCE: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";

/// The last release of each major there whose assets we have seen named in its `scripts/release.sh`.
const VERSIONS: &[(&str, &str)] = &[("18", "18.3.0"), ("17", "17.9.0"), ("16", "16.13.0"), ("15", "15.17.0")];

/// One release for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// As in `17.9.0`: major, minor, and a number of whoever builds it.
    pub version: String,
    /// The machine, as rustc names it.
    triple: &'static str,
}

impl Release {
    /// The release of a major; of `exact` instead, where that is one of this major.
    pub fn of(major: &str, exact: Option<&str>) -> Option<Self> {
        let exact = exact.filter(|exact| exact.split('.').next() == Some(major));
        let known = VERSIONS.iter().find(|(known, _)| *known == major).map(|(_, version)| *version);
        Some(Release { version: exact.or(known)?.to_owned(), triple: triple()? })
    }

    /// The name of the file.
    pub fn asset(&self) -> String {
        format!("postgresql-{}-{}.tar.gz", self.version, self.triple)
    }

    /// Its address below `base`.
    pub fn url(&self, base: &str) -> String {
        format!("{}/{}/{}", base.trim_end_matches('/'), self.version, self.asset())
    }

    /// What `postgres --version` must say: without the builder's number.
    pub(super) fn said(&self) -> &str {
        self.version.rsplit_once('.').map_or(self.version.as_str(), |(version, _)| version)
    }
}

/// This machine, where builds for it are published.
fn triple() -> Option<&'static str> {
    Some(match () {
        () if cfg!(all(target_os = "macos", target_arch = "x86_64")) => "x86_64-apple-darwin",
        () if cfg!(all(target_os = "macos", target_arch = "aarch64")) => "aarch64-apple-darwin",
        () if !cfg!(target_os = "linux") => return None,
        () if cfg!(all(target_arch = "x86_64", target_env = "gnu")) => "x86_64-unknown-linux-gnu",
        () if cfg!(all(target_arch = "x86_64", target_env = "musl")) => "x86_64-unknown-linux-musl",
        () if cfg!(all(target_arch = "aarch64", target_env = "gnu")) => "aarch64-unknown-linux-gnu",
        () if cfg!(all(target_arch = "aarch64", target_env = "musl")) => "aarch64-unknown-linux-musl",
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_published_layout() {
        let Some(triple) = triple() else { return };
        let release = Release::of("17", None);
        assert_eq!(
            release.as_ref().map(|release| release.url(SOURCE)),
            Some(format!("{SOURCE}/17.9.0/postgresql-17.9.0-{triple}.tar.gz"))
        );
        assert_eq!(release.as_ref().map(Release::said), Some("17.9"));
        // A mirror may hold another one, of the major it is of.
        for (major, exact, version) in [
            ("15", Some("15.18.0"), Some("15.18.0")),
            ("16", Some("15.18.0"), Some("16.13.0")),
            ("9", None, None),
        ] {
            let version = version.map(str::to_owned);
            assert_eq!(Release::of(major, exact).map(|release| release.version), version);
        }
    }
}
