//! Hostile sources, configurations and repositories: each is refused in one line, and nothing is written.

mod here;
mod source;
mod told;

use super::crafted::{Crafted, Snapshot, difference, snapshot};
use crate::case::{CONFIG, Case, Ran};

/// A repository that pulls, a source, and a victim beside them.
pub struct World {
    pub case: Case,
    pub source: Crafted,
    /// The table `[actions]`.
    pub actions: String,
}

/// One way to be hostile.
pub struct Bad {
    pub name: &'static str,
    pub code: i32,
    /// The first line names the cause with these words.
    pub says: &'static str,
    pub make: fn(World) -> World,
}

impl World {
    pub fn new() -> Self {
        let case = Case::new();
        let folder = case.folder().to_path_buf();
        std::fs::create_dir(folder.join("victim")).unwrap();
        std::fs::write(folder.join("victim/secret.txt"), "TOP-SECRET\n").unwrap();
        std::fs::write(folder.join("victim.txt"), "TOP-SECRET\n").unwrap();
        let case = case
            .file(".github/own.yml", "on: push\n")
            .env("SLIPWAY_CACHE", folder.join("cache").display())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        let source = Crafted::new(folder.join("source.git"));
        let actions = format!("source = \"{}\"\n", source.address());
        World { case, source, actions }
    }

    /// Runs the tool with the table as it is now.
    pub fn run(&self, line: &str) -> Ran {
        std::fs::write(self.case.root().join("xtask.toml"), format!("{CONFIG}\n[actions]\n{}", self.actions))
            .unwrap();
        self.case.run(line)
    }

    /// Everything of the case but for the tool's own folders.
    pub fn snapshot(&self) -> Snapshot {
        let own = [self.case.root().join(".xtask"), self.case.folder().join("cache")];
        snapshot(self.case.folder(), &own)
    }
}

#[test]
fn whatever_is_hostile_is_refused_in_one_line_and_nothing_is_written() {
    let cases: Vec<&Bad> =
        source::TREES.iter().chain(told::MANIFESTS).chain(told::REFS).chain(here::ALL).collect();
    let mut wrong = Vec::new();
    for Bad { name, code, says, make } in &cases {
        let world = make(World::new());
        std::fs::write(
            world.case.root().join("xtask.toml"),
            format!("{CONFIG}\n[actions]\n{}", world.actions),
        )
        .unwrap();
        let before = world.snapshot();
        let ran = world.run("sync-actions");
        let errors: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        let mut no = |what: String| wrong.push(format!("{name}: {what}\n{}{}", ran.stdout, ran.stderr));
        if ran.code != Some(*code) {
            no(format!("code {:?}, not {code}", ran.code));
        }
        if errors.len() != 1 || !errors[0].contains(says) {
            no(format!("does not say {says:?}"));
        }
        if ran.stderr.contains("panicked") {
            no("a panic".to_owned());
        }
        if ran.stderr.contains(|c: char| c.is_control() && c != '\n') || ran.stderr.contains("TOP-SECRET") {
            no("shows what a terminal obeys, or a secret".to_owned());
        }
        let changed = difference(&before, &world.snapshot());
        if !changed.is_empty() {
            no(format!("changed {changed:?}"));
        }
    }
    println!("{} hostile cases", cases.len());
    assert!(cases.len() >= 90, "{}", cases.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_note_with_escapes_is_shown_without_them() {
    let world = World::new();
    world.source.good(
        "files = [\"workflows/\"]\n[versions.\"1.0.0\"]\nnotes = \"a\\u001b[2Jb\\u009bc\\u202ed\"\nseverity = \"security\"\n",
    );
    for line in ["sync-actions --dry-run", "sync-actions status", "sync-actions", "sync-actions --check"] {
        let ran = world.run(line);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{line}: {said}");
    }
}

#[test]
fn the_environment_of_a_hook_leads_git_nowhere_else() {
    let mut world = World::new();
    world.source.good("files = [\"workflows/\"]\n");
    let victim = Crafted::new(world.case.folder().join("victim.git"));
    victim.good("files = [\"other/\"]\n");
    let folder = world.case.folder().join("victim.git");
    for (name, path) in [
        ("GIT_DIR", folder.clone()),
        ("GIT_INDEX_FILE", folder.join("index")),
        ("GIT_WORK_TREE", world.case.folder().join("victim")),
        ("GIT_OBJECT_DIRECTORY", folder.join("objects")),
    ] {
        world.case = world.case.env(name, path.display());
    }
    let is_outside = |path: &std::path::PathBuf| !path.starts_with("repo");
    let before = world.snapshot();
    world.run("sync-actions").code(0);
    world.run("sync-actions --check").code(0);
    let changed = difference(&before, &world.snapshot());
    assert_eq!(
        changed.iter().filter(|path| is_outside(path)).collect::<Vec<_>>(),
        Vec::<&std::path::PathBuf>::new()
    );
    assert!(world.case.root().join(".github/workflows/ci.yml").is_file());
}
