//! What decides a program's bytes beside the sources and Cargo.lock: the compilers and the C library.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Cmd, cmd};

use super::digest;
use crate::failure::{Code, Failure};
use crate::process::{Kind, Launcher};

/// How the labels of an image begin that name its inputs.
const LABEL: &str = "slipway.";

/// The inputs of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// `1.95.0 (59807616e 2026-04-14)`.
    pub rustc: String,
    /// The first line of `cc --version`.
    pub cc: String,
    /// `glibc 2.36` and the digest of libc.a, or that rustc brings its own.
    pub libc: String,
}

impl Inputs {
    /// Asks the compilers: the programs of rustc and of the C compiler. `wanted` is rustc's exact version, if one is.
    ///
    /// # Errors
    /// Code 5: a compiler, the target's standard library or a static libc is missing, or the version is another one.
    pub fn look(
        launcher: &Launcher<'_>,
        target: &str,
        [rustc, cc]: [&str; 2],
        wanted: Option<&str>,
    ) -> Result<Self> {
        let sh = &launcher.shell;
        let version = launcher.read(cmd!(sh, "{rustc} --version"), Kind::Cargo)?;
        let version = version.trim_start_matches("rustc ").to_owned();
        if let Some(wanted) = wanted
            && version.split(' ').next() != Some(wanted)
        {
            return Err(Failure::new(
                Code::Missing,
                format!("rustc {version} is not the {wanted} of xtask.toml [image]"),
            )
            .why("another compiler makes other bytes")
            .next(format!(
                "rustc = \"{}\" in xtask.toml, if that is meant",
                version.split(' ').next().unwrap_or_default()
            ))
            .next(format!(
                "rustup toolchain install {wanted} && RUSTUP_TOOLCHAIN={wanted} cargo xtask image build"
            ))
            .into());
        }
        let library =
            launcher.read(cmd!(sh, "{rustc} --print target-libdir --target {target}"), Kind::Cargo)?;
        if !Path::new(&library).is_dir() {
            return Err(Failure::new(Code::Missing, format!("rustc has no standard library for {target}"))
                .next(format!("rustup target add {target}"))
                .into());
        }
        // Words, as the cc crate reads them: `ccache gcc`.
        let cc: Vec<&str> = cc.split_whitespace().collect();
        let compiler = launcher.read(words(launcher, &cc).arg("--version"), Kind::Tool)?;
        let compiler = named_alike(compiler.lines().next().unwrap_or_default(), &cc);
        let libc = match target.ends_with("-musl") {
            true => format!("musl of rustc {}", version.split(' ').next().unwrap_or_default()),
            false => glibc(launcher, &cc)?,
        };
        Ok(Inputs { rustc: version, cc: compiler, libc })
    }

    /// The labels that an image carries for them.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let pairs = [("cc", &self.cc), ("libc", &self.libc), ("rustc", &self.rustc)];
        pairs.into_iter().map(|(name, value)| (format!("{LABEL}{name}"), value.clone())).collect()
    }

    /// The inputs that an image's labels name.
    pub(super) fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let get = |name: &str| labels.get(&format!("{LABEL}{name}")).cloned();
        Some(Inputs { rustc: get("rustc")?, cc: get("cc")?, libc: get("libc")? })
    }

    /// Each input that is not the same in `other`: its name, ours and theirs.
    pub fn differences(&self, other: &Inputs) -> Vec<(&'static str, String, String)> {
        let pairs = [
            ("rustc", &self.rustc, &other.rustc),
            ("cc", &self.cc, &other.cc),
            ("libc", &self.libc, &other.libc),
        ];
        let differ = pairs.into_iter().filter(|(_, ours, theirs)| ours != theirs);
        differ.map(|(name, ours, theirs)| (name, ours.clone(), theirs.clone())).collect()
    }
}

/// A command of these words.
fn words<'a>(launcher: &'a Launcher<'_>, words: &[&str]) -> Cmd<'a> {
    let (program, args) = words.split_first().unwrap_or((&"cc", &[]));
    launcher.shell.cmd(program).args(args)
}

/// gcc begins with the name that it was called by: `cc` and `gcc` are the same compiler.
fn named_alike(line: &str, cc: &[&str]) -> String {
    let called = cc.last().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
    match line.split_once(' ') {
        Some((name, rest)) if name == called => format!("cc {rest}"),
        _ => line.to_owned(),
    }
}

/// The static glibc that `cc` links.
fn glibc(launcher: &Launcher<'_>, cc: &[&str]) -> Result<String> {
    let sh = &launcher.shell;
    let path = launcher.read(words(launcher, cc).arg("-print-file-name=libc.a"), Kind::Tool)?;
    // Where there is none, the compiler prints the name as it was asked.
    if !Path::new(&path).is_absolute() {
        return Err(Failure::new(Code::Missing, "there is no static C library (libc.a) here")
            .next("apt-get install libc6-dev      (Fedora: dnf install glibc-static)")
            .next("or [image] target = \"x86_64-unknown-linux-musl\", which brings its own: rustup target add …")
            .into());
    }
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let sum = digest(&bytes);
    let short = sum.get(..7 + 12).unwrap_or(&sum);
    // "glibc 2.36"; where it cannot be told, the digest says enough.
    let name = launcher
        .read(cmd!(sh, "getconf GNU_LIBC_VERSION"), Kind::Tool)
        .unwrap_or_else(|_| "glibc".to_owned());
    if is_too_old(&name) {
        return Err(Failure::new(
            Code::Missing,
            format!("{name} cannot be linked statically into a service"),
        )
        .why("before 2.34 it loads its resolver at run time, from files that the image does not have")
        .next("[image] target = \"x86_64-unknown-linux-musl\" in xtask.toml, or build on a newer system")
        .into());
    }
    Ok(format!("{name} (libc.a {short})"))
}

/// Before 2.34 names were resolved by libraries that libc.a loads at run time.
fn is_too_old(name: &str) -> bool {
    let numbers = name.trim_start_matches("glibc ").split('.').map(|number| number.parse::<u32>().ok());
    let numbers: Option<Vec<u32>> = numbers.collect();
    numbers.is_some_and(|numbers| numbers < vec![2, 34])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_the_same_by_every_name() {
        for (line, cc, named) in [
            ("cc (Debian 12.2.0-14) 12.2.0", &["cc"][..], "cc (Debian 12.2.0-14) 12.2.0"),
            ("gcc (Debian 12.2.0-14) 12.2.0", &["ccache", "/usr/bin/gcc"], "cc (Debian 12.2.0-14) 12.2.0"),
            ("Debian clang version 14.0.6", &["clang"], "Debian clang version 14.0.6"),
        ] {
            assert_eq!(named_alike(line, cc), named);
        }
    }

    #[test]
    fn an_old_glibc_is_known() {
        for (name, old) in
            [("glibc 2.31", true), ("glibc 2.34", false), ("glibc 2.41", false), ("glibc", false)]
        {
            assert_eq!(is_too_old(name), old, "{name}");
        }
    }
}
