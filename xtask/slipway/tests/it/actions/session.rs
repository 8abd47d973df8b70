//! One service from its first pull to both ways out of a conflict, as its owner sees it.

use super::source::{HERE, Source, commit, git, here, text, with_line};
use crate::case::Case;

#[test]
fn from_an_empty_repository_to_both_ways_out() {
    let source = Source::new().file("ci.yml", text("ci")).file("deploy.yml", text("deploy")).release("1.0.0");
    let address = source.address();
    // `git init`, and nothing else.
    let case = Case::new().without("xtask.toml");
    let cache = case.folder().join("cache");
    let case = case.env("SLIPWAY_CACHE", cache.display()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    git(&case.root(), &["init", "-q"]);

    // What stands before there is anything to check.
    case.run("sync-actions --check").code(2);
    let ran = case.run(&format!("sync-actions init {address}")).code(0);
    ran.says(&[
        "xtask.toml",
        "[actions] source = ",
        "v1.0.0 (",
        "+ .github/workflows/ci.yml",
        "+12",
        "+ .github/workflows/deploy.yml",
        "2 files and the lock",
    ]);
    let config = std::fs::read_to_string(case.root().join("xtask.toml")).unwrap();
    assert!(config.ends_with(&format!("source = \"{address}\"\nversion = \"1\"\n")), "{config}");
    case.run("sync-actions --check").code(0).says(&["2 files of v1.0.0 as locked"]);
    case.run(&format!("sync-actions init {address}")).code(2).says(&["already"]);
    commit(&case.root());

    // An edit: red, kept, green.
    case.edit(&format!("{HERE}/deploy.yml"), "deploy 12", "to our own cluster");
    case.run("sync-actions --check").code(3).says(&[
        ".github/workflows/deploy.yml",
        "was edited",
        "cargo xtask sync-actions keep .github/workflows/deploy.yml",
        "cargo xtask sync-actions --to 1.0.0 --theirs .github/workflows/deploy.yml",
    ]);
    case.run("sync-actions keep .github/workflows/deploy.yml").code(0).says(&["your edit is kept"]);
    case.run("sync-actions --check").code(0).says(&["2 files of v1.0.0 as locked, 1 of them your own"]);
    commit(&case.root());

    // An upgrade merges with it.
    let new = |line, what: &str| with_line(&text("deploy"), line, what);
    let told =
        "[versions.\"1.1.0\"]\nnotes = \"checkout no longer keeps credentials\"\nseverity = \"security\"\n";
    let source = source.file("deploy.yml", new(3, "theirs")).manifest(told).release("1.1.0");
    case.run("sync-actions --check --online").code(0).says(&["v1.1.0 is out, you have v1.0.0"]);
    case.run("sync-actions").code(0).says(&[
        "v1.0.0 → v1.1.0 (",
        "SECURITY: checkout no longer keeps credentials",
        "~ .github/workflows/deploy.yml",
        "+1 −1",
        "merged with your edit at line 12",
        "1 file and the lock; a look: git diff .github",
        "your edited files as they were: .xtask/actions/backup/",
    ]);
    case.run("sync-actions --check").code(0).says(&["2 files of v1.1.0 as locked, 1 of them your own"]);
    commit(&case.root());

    // The next one is about the same line.
    let _source = source.file("deploy.yml", new(12, "to their cluster")).release("1.2.0");
    case.run("sync-actions").code(4).says(&[
        "v1.1.0 → v1.2.0 (",
        "! .github/workflows/deploy.yml",
        "CONFLICT, line 12",
        "base",
        "deploy 12",
        "yours",
        "to our own cluster",
        "v1.2.0",
        "to their cluster",
        "1 conflict: nothing was written",
        "kept",
        ".xtask/actions/conflict/",
        "cargo xtask sync-actions --ours .github/workflows/deploy.yml",
        "cargo xtask sync-actions --theirs .github/workflows/deploy.yml",
        "cargo xtask sync-actions --markers",
        "cargo xtask sync-actions --to 1.1.0",
    ]);
    assert_eq!(git(&case.root(), &["status", "--porcelain"]), "");
    case.run("sync-actions --check")
        .code(4)
        .says(&["the conflict with v1.2.0 is not decided", "1 conflict open"]);

    // One way out, and, as nothing was committed, the other one.
    case.run("sync-actions --ours .github/workflows/deploy.yml").code(0).says(&[
        "v1.1.0 → v1.2.0",
        "yours where both changed the same",
        "written",
    ]);
    assert!(here(&case, "deploy.yml").unwrap().contains("to our own cluster"));
    case.run("sync-actions --check").code(0).says(&["2 files of v1.2.0 as locked, 1 of them your own"]);
    git(&case.root(), &["checkout", "-q", "--", "."]);
    case.run("sync-actions --theirs .github/workflows/deploy.yml")
        .code(0)
        .says(&["theirs where both changed the same", "your edited files as they were"]);
    assert_eq!(here(&case, "deploy.yml"), Some(new(12, "to their cluster")));
    case.run("sync-actions --check").code(0).says(&["2 files of v1.2.0 as locked"]);
    case.run("sync-actions").code(0).says(&["up to date"]);
}
