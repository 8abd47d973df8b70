//! `[image]`: what goes into the image, and where it is pushed.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use toml::Spanned;

use super::actions::is_below;
use super::wrong;
use crate::failure::Failure;
use crate::workspace::CONFIG_FILE;

/// The targets that can be linked statically, and their architecture in the field's own words.
pub const TARGETS: &[(&str, &str)] = &[
    ("x86_64-unknown-linux-gnu", "amd64"),
    ("x86_64-unknown-linux-musl", "amd64"),
    ("aarch64-unknown-linux-gnu", "arm64"),
    ("aarch64-unknown-linux-musl", "arm64"),
];

/// `[image]`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Image {
    /// The repository that `image push` pushes to; nowhere when it is empty.
    pub push: Option<Spanned<String>>,
    /// Whose certificates the image trusts.
    pub ca: Option<Spanned<Roots>>,
    /// A file of certificates, from the root: the whole bundle with `rds`, more of them with `mozilla`.
    pub ca_file: Option<Spanned<String>>,
    /// What rustc builds for; this machine's architecture with glibc where nothing is said.
    pub target: Option<Spanned<String>>,
    /// The exact version of rustc, without which there is no image.
    pub rustc: Option<Spanned<String>>,
}

/// Whose certificates an image trusts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Roots {
    /// Nobody's: the image opens no TLS connection.
    None,
    /// The public ones, as Mozilla keeps them.
    #[default]
    Mozilla,
    /// Those of Amazon RDS, which Mozilla's list does not have, from `ca-file`.
    Rds,
}

impl Image {
    /// Whose certificates the image trusts.
    pub fn roots(&self) -> Roots {
        self.ca.as_ref().map_or(Roots::default(), |ca| *ca.get_ref())
    }

    /// What rustc builds for.
    pub fn target(&self) -> &str {
        let own = if cfg!(target_arch = "aarch64") { TARGETS[2].0 } else { TARGETS[0].0 };
        self.target.as_ref().map_or(own, |target| target.get_ref())
    }

    /// What a look at the `ca-file` of the repository in `root` shows to be wrong, with its place.
    pub fn wrong_ca_file(&self, root: &Path, why: &str) -> Failure {
        let text = std::fs::read_to_string(root.join(CONFIG_FILE)).unwrap_or_default();
        let (span, name) = self.ca_file.as_ref().map_or((0..0, ""), |file| (file.span(), file.get_ref()));
        wrong(&text, span, &format!("{name}: {why}"))
    }

    pub(super) fn check(&self, text: &str) -> Result<()> {
        if let Some(target) = &self.target
            && !TARGETS.iter().any(|(name, _)| name == target.get_ref())
        {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            let what = format!("`{}` is no target that an image can be built for", target.get_ref());
            return Err(wrong(text, target.span(), &what)
                .next(format!("one of {}", names.join(", ")))
                .into());
        }
        if let Some(rustc) = &self.rustc
            && semver::Version::parse(rustc.get_ref()).is_err()
        {
            let what = format!("`{}` is no exact version of rustc", rustc.get_ref());
            return Err(wrong(text, rustc.span(), &what).next("three numbers: rustc = \"1.95.0\"").into());
        }
        if let Some(push) = &self.push
            && is_no_repository(push.get_ref())
        {
            let what = format!("`{}` is no repository of a registry", push.get_ref());
            return Err(wrong(text, push.span(), &what).next("push = \"registry.example.com/links\"").into());
        }
        self.check_roots(text)
    }

    fn check_roots(&self, text: &str) -> Result<()> {
        if let Some(file) = &self.ca_file {
            if !is_below(file.get_ref()) {
                let what = format!("`{}` is no path below the root", file.get_ref());
                return Err(wrong(text, file.span(), &what).next("ca-file = \"app/ca.pem\"").into());
            }
            if self.roots() == Roots::None {
                let what = "`ca` says that nobody is trusted, and `ca-file` whom to trust";
                return Err(wrong(text, file.span(), what).next("remove one of the two").into());
            }
        }
        match &self.ca {
            Some(ca) if *ca.get_ref() == Roots::Rds && self.ca_file.is_none() => {
                let what = "`rds` needs a `ca-file`: this tool does not carry Amazon's certificates";
                Err(wrong(text, ca.span(), what)
                    .next(
                        "curl -fsSo app/rds.pem \
                         https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem",
                    )
                    .next("ca-file = \"app/rds.pem\"")
                    .into())
            }
            _ => Ok(()),
        }
    }
}

/// What is certainly no repository; a push looks closer. Empty is none yet.
fn is_no_repository(text: &str) -> bool {
    let slash = text.split_once('/');
    let wrong = slash.is_none_or(|(_, path)| path.chars().any(|c| c.is_ascii_uppercase()));
    !text.is_empty()
        && (wrong || text.contains(char::is_whitespace) || text.contains("://") || text.contains('@'))
}
