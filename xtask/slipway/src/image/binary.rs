//! How the program is built: the flags that make it static, and the same wherever it is built.

use std::path::{Path, PathBuf};

use xshell::Cmd;

use super::search::{Needle, search};
use crate::failure::{Code, Failure};
use anyhow::Result;

/// What the names of this machine's folders become in the program. No absolute path is among them, so whatever looks
/// like one of this machine's is one.
const CRATES: &str = "crates";
const WORKSPACE: &str = "workspace";
/// Where generated sources are.
const TARGET: &str = "target";

/// The folders whose names could get into a program.
pub struct Folders {
    /// The repository.
    pub root: PathBuf,
    /// Where cargo keeps what it fetches.
    pub cargo_home: PathBuf,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// Where this build's artifacts are: apart from those of `dev`, whose flags are others.
    pub target: PathBuf,
}

impl Folders {
    /// Each folder and its name in the program; of two that fit, the later one counts.
    fn names(&self) -> Vec<(PathBuf, &'static str)> {
        let mut names = vec![
            (self.cargo_home.clone(), CRATES),
            (self.root.clone(), WORKSPACE),
            (self.target.clone(), TARGET),
        ];
        for kind in ["registry/src", "git/checkouts"] {
            // The folder of a registry is named by a hash of its address: a mirror's is another one.
            names.push((self.cargo_home.join(kind), CRATES));
            let found =
                std::fs::read_dir(self.cargo_home.join("registry/src")).into_iter().flatten().flatten();
            names.extend(found.filter(|_| kind == "registry/src").map(|entry| (entry.path(), CRATES)));
        }
        // What a link leads to is named as well.
        let real: Vec<_> = names
            .iter()
            .filter_map(|(path, name)| Some((path.canonicalize().ok().filter(|real| real != path)?, *name)))
            .collect();
        names.extend(real);
        // A folder in another one must come after it.
        names.sort_by_key(|(path, _)| path.components().count());
        names.dedup();
        names
    }

    /// Whether cargo has fetched nothing yet, so that the names of its folders cannot be known.
    pub fn are_unknown(&self) -> bool {
        let sources = std::fs::read_dir(self.cargo_home.join("registry/src"));
        sources.map_or(true, |mut found| found.next().is_none())
    }

    /// Adds to `cargo build` what an image needs.
    pub fn shape<'a>(&self, command: Cmd<'a>, target: &str) -> Cmd<'a> {
        let names = self.names();
        let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
        flags.extend(
            names.iter().map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display())),
        );
        let c: Vec<String> = names
            .iter()
            .map(|(path, name)| {
                crate::process::quote(&format!("-ffile-prefix-map={}={name}", path.display()))
            })
            .collect();
        // The plain variable can be read and pasted; it cannot hold a path with a space.
        let (variable, separator) = match flags.iter().any(|flag| flag.contains(char::is_whitespace)) {
            true => ("CARGO_ENCODED_RUSTFLAGS", "\x1f"),
            false => ("RUSTFLAGS", " "),
        };
        command
            .args(["--profile", "image", "--locked", "--target", target, "--target-dir"])
            .arg(&self.target)
            .env(variable, flags.join(separator))
            .env(format!("CFLAGS_{}", target.replace('-', "_")), c.join(" "))
            .env("CC_SHELL_ESCAPED_FLAGS", "1")
            // For those who ask all the same.
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("SOURCE_DATE_EPOCH", "0")
    }

    /// Refuses a program that names folders of this machine: its bytes would depend on who built it, and tell it.
    pub(super) fn check(&self, binary: &[u8]) -> Result<()> {
        let home = self.home.iter().filter(|home| home.components().count() > 1);
        let paths = [&self.root, &self.cargo_home].into_iter().chain(home);
        let needles: Vec<Needle> = paths
            .map(|path| Needle { name: path.display().to_string(), spellings: spellings(path) })
            .collect();
        let found = search(&needles, &[(String::new(), binary)])?;
        let Some(first) = found.first() else { return Ok(()) };
        Err(Failure::new(
            Code::Failed,
            "the program names a folder of this machine: elsewhere it would be another one",
        )
        .fact("found", around(binary, first.offset))
        .why("a build script or a macro put it there; what rustc and cc write is renamed already")
        .next("cargo tree      (which crate is it? CARGO_MANIFEST_DIR is a common reason)")
        .into())
    }
}

/// How the program would name a folder. `/src/` alone is in the name of every crate's sources: there the path must begin.
fn spellings(folder: &Path) -> Vec<Vec<u8>> {
    let name = folder.display().to_string();
    if folder.components().count() > 2 {
        return vec![name.into_bytes()];
    }
    "\0\n \"'(=:".chars().map(|before| format!("{before}{name}/").into_bytes()).collect()
}

/// The printable text that starts at `offset`.
fn around(bytes: &[u8], offset: u64) -> String {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let path = rest.iter().position(|byte| *byte == b'/').unwrap_or_default();
    rest.iter()
        .skip(path)
        .take(96)
        .take_while(|byte| byte.is_ascii_graphic())
        .map(|byte| char::from(*byte))
        .collect()
}

/// Whether a unit that cargo built is in the program: the others ran while it was built.
pub fn is_inside(files: &[PathBuf], target_dir: &Path, target: &str) -> bool {
    files.iter().any(|file| file.starts_with(target_dir.join(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shallow_folder_is_found_where_a_path_begins() -> Result<()> {
        let folders = |root: &str| Folders {
            root: root.into(),
            cargo_home: "/home/dev/.cargo".into(),
            home: Some("/".into()),
            target: root.into(),
        };
        for (root, binary, leaks) in [
            ("/src", "crates/serde-1.0/src/lib.rs", false),
            ("/src", "crates/app-1.0/src/app/mod.rs", false),
            ("/src", "not found: /src/app/main.rs", true),
            ("/work/links", "concatenated/work/links/app", true),
            ("/work/links", "/home/dev/.cargo/registry", true),
            ("/work/links", "/home/other", false),
        ] {
            assert_eq!(folders(root).check(binary.as_bytes()).is_err(), leaks, "{root}: {binary}");
        }
        assert_eq!(around(b"x: /src/app/main.rs\0", 2), "/src/app/main.rs");
        Ok(())
    }
}
