//! How the program is built: the flags that make it static, and the same wherever it is built.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::Cmd;

use super::search::{Needle, search};
use crate::failure::{Code, Failure};

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
    /// Those of packages that are neither in the repository nor fetched.
    pub elsewhere: Vec<PathBuf>,
}

impl Folders {
    /// Each folder and its name in the program; of two that fit, the later one counts.
    pub fn names(&self) -> Vec<(PathBuf, &'static str)> {
        let mut names = vec![
            (self.cargo_home.clone(), CRATES),
            (self.root.clone(), WORKSPACE),
            (self.target.clone(), TARGET),
        ];
        let registries = self.cargo_home.join("registry/src");
        // The folder of a registry is named by a hash of its address: a mirror's is another one.
        let each = std::fs::read_dir(&registries).into_iter().flatten().flatten();
        names.extend(each.map(|entry| (entry.path(), CRATES)));
        names.extend([registries, self.cargo_home.join("git/checkouts")].map(|path| (path, CRATES)));
        // What a link leads to is named as well.
        let real: Vec<_> = names
            .iter()
            .filter_map(|(path, name)| Some((path.canonicalize().ok().filter(|real| real != path)?, *name)))
            .collect();
        names.extend(real);
        // A folder in another one must come after it.
        names.sort_by_cached_key(|(path, _)| (path.components().count(), path.clone()));
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
            .env(format!("CXXFLAGS_{}", target.replace('-', "_")), c.join(" "))
            // Generated sources are there; its name is known.
            .env("CARGO_BUILD_BUILD_DIR", &self.target)
            .env("CC_SHELL_ESCAPED_FLAGS", "1")
            // For those who ask all the same.
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("SOURCE_DATE_EPOCH", "0")
    }

    /// Refuses a program that names folders of this machine: its bytes would depend on who built it, and tell it.
    pub(super) fn check(&self, binary: &[u8]) -> Result<()> {
        // A home such as /tmp is everybody's, and a program may name that.
        let home = self.home.iter().filter(|home| home.components().count() > 2 || home.ends_with("root"));
        let paths = [&self.root, &self.cargo_home].into_iter().chain(&self.elsewhere).chain(home);
        let needles: Vec<Needle> = paths
            .map(|path| Needle { name: path.display().to_string(), spellings: spellings(path) })
            .collect();
        let found = search(&needles, &[(String::new(), binary)])?;
        let Some(first) = found.first() else { return Ok(()) };
        let what = "the program names a folder of this machine: elsewhere it would be another one";
        let failure = Failure::new(Code::Failed, what).fact("found", around(binary, first.offset));
        let outside = self.elsewhere.iter().any(|path| path.display().to_string() == first.name);
        Err(match outside {
            true => failure
                .why("a package lies outside the repository, and the compiler writes where")
                .next("move it below the root, or make it a dependency from git"),
            false => failure
                .why("a build script or a macro put it there; what rustc and cc write is renamed already")
                .next("git grep -n -e CARGO_MANIFEST_DIR -e OUT_DIR      (common reasons; else: cargo tree)"),
        }
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

/// The path that starts at `offset`: as much of it as there is here, because what follows it may be another text.
fn around(bytes: &[u8], offset: u64) -> String {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let rest = rest.iter().skip_while(|byte| **byte != b'/').take(200);
    let path: String =
        rest.take_while(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect();
    let there = (1..=path.len()).rev().find(|end| Path::new(&path[..*end]).exists());
    there.map_or(path.clone(), |end| path[..end].trim_end_matches('/').to_owned())
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
            elsewhere: vec!["/work/common".into()],
        };
        for (root, binary, leaks) in [
            ("/src", "crates/serde-1.0/src/lib.rs", false),
            ("/src", "crates/app-1.0/src/app/mod.rs", false),
            ("/src", "not found: /src/app/main.rs", true),
            ("/work/links", "concatenated/work/links/app", true),
            ("/work/links", "/home/dev/.cargo/registry", true),
            ("/work/links", "/home/other", false),
            ("/work/links", "/work/common/src/lib.rs", true),
        ] {
            assert_eq!(folders(root).check(binary.as_bytes()).is_err(), leaks, "{root}: {binary}");
        }
        assert_eq!(around(b"x: /etc/passwdAnother", 2), "/etc/passwd");
        Ok(())
    }
}
