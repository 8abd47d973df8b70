//! Which version is pulled, what is refused, and where from.

use super::source::{HERE, Source, commit, consumer, git, here, state, text, with_line};

/// Three versions of one file, whose first line is the version.
fn three() -> Source {
    ["1.0.0", "1.1.0", "2.0.0"].into_iter().fold(Source::new(), |source, version| {
        source.file("ci.yml", with_line(&text("ci"), 1, version)).release(version)
    })
}

#[track_caller]
fn has(case: &crate::case::Case, version: &str) {
    assert_eq!(here(case, "ci.yml"), Some(with_line(&text("ci"), 1, version)));
    case.run("sync-actions --check").code(0);
}

#[test]
fn a_range_a_tag_a_branch_and_a_commit_can_be_asked_for() {
    let source = three();
    let commit_of = |name: &str| git(source.folder(), &["rev-parse", name]);
    let case = source.consumer("version = \"1\"");
    case.run("sync-actions").code(0).says(&["v1.1.0", "v2.0.0 is out: version = \"2\" in xtask.toml"]);
    has(&case, "1.1.0");
    let case = source.consumer("tag = \"v1.0.0\"");
    case.run("sync-actions").code(0);
    has(&case, "1.0.0");
    case.edit("xtask.toml", "tag = \"v1.0.0\"", &format!("rev = \"{}\"", commit_of("v1.1.0")));
    case.run("sync-actions --check").code(3).says(&["xtask.toml asks for the commit"]);
    case.run("sync-actions").code(0);
    has(&case, "1.1.0");
    let case = source.consumer("branch = \"main\"");
    case.run("sync-actions").code(0);
    has(&case, "2.0.0");
    let source = source.file("ci.yml", with_line(&text("ci"), 1, "on the way"));
    commit(source.folder());
    case.run("sync-actions").code(0).says(&["main"]);
    has(&case, "on the way");
    // Nobody is led back by a history that was made anew.
    git(source.folder(), &["reset", "-q", "--hard", "v1.0.0"]);
    commit(source.folder());
    case.run("sync-actions").code(1).says(&["the history of the branch was rewritten", "yours", "there"]);
    has(&case, "on the way");
}

#[test]
fn an_older_version_is_pulled_where_it_is_named() {
    let case = three().consumer_kept("version = \"1\"");
    case.1.run("sync-actions").code(0);
    case.1.run("sync-actions --to v1.0.0").code(0).says(&["v1.1.0 → v1.0.0"]);
    has(&case.1, "1.0.0");
    case.1.run("sync-actions --to 2.0.0").code(2).says(&["2.0.0 is not in the range", "set version = \"2\""]);
    case.1.run("sync-actions --to 1.5.0").code(2).says(&["has no version 1.5.0", "2.0.0, 1.1.0, 1.0.0"]);
    case.1.run("sync-actions").code(0).says(&["v1.0.0 → v1.1.0"]);
    has(&case.1, "1.1.0");
}

impl Source {
    fn consumer_kept(self, which: &str) -> (Source, crate::case::Case) {
        let case = self.consumer(which);
        (self, case)
    }
}

#[test]
fn a_withdrawn_version_is_passed_over_and_refused_where_it_is_named() {
    let source = three().manifest("[versions.\"1.1.0\"]\nwithdrawn = \"publishes from forks\"\n");
    let source = source.release("2.0.1");
    let case = source.consumer("version = \"1\"");
    case.run("sync-actions").code(0);
    has(&case, "1.0.0");
    case.run("sync-actions --to 1.1.0").code(1).says(&["v1.1.0 was withdrawn", "publishes from forks"]);
    has(&case, "1.0.0");
    let case = source.consumer("tag = \"v1.1.0\"");
    case.run("sync-actions").code(1).says(&["v1.1.0 was withdrawn"]);
    assert_eq!(state(&case), "");
}

#[test]
fn a_source_for_another_slipway_is_refused_before_anything_is_written() {
    let source = Source::new().file("ci.yml", "x\n").release("1.0.0");
    let case = source.pulled();
    let more = "requires = \">=99\"\nkey = \"of a later time\"\n";
    let source = source.file("ci.yml", "y\n").manifest(more).release("1.1.0");
    case.run("sync-actions").code(5).says(&["v1.1.0 requires slipway >=99", "newer version of slipway"]);
    assert_eq!(state(&case), "");
    case.run("sync-actions --check").code(0);
    // Who asks for less than the newest still gets it.
    let case = source.consumer("version = \"=1.0.0\"");
    case.run("sync-actions").code(0);
}

#[test]
fn the_tool_that_the_files_call_comes_with_them() {
    let manifest = "[package]\nname = \"xtask\"\n\n[dependencies]\n";
    let line = |version: &str| {
        format!("{manifest}slipway = {{ git = \"https://h/a\", tag = \"v{version}\" }} # ours\n")
    };
    let source = Source::new().file("ci.yml", text("ci")).release("1.0.0");
    let case = source.pulled().file("xtask/Cargo.toml", line("0.1.0"));
    case.edit(&format!("{HERE}/ci.yml"), "ci 03", "ours");
    commit(&case.root());
    let new = with_line(&text("ci"), 3, "theirs");
    let source = source.file("ci.yml", new).manifest("tool = \"0.2.0\"\n").release("1.1.0");
    let tool = || std::fs::read_to_string(case.root().join("xtask/Cargo.toml")).unwrap();
    case.run("sync-actions").code(4).says(&["xtask/Cargo.toml", "slipway 0.1.0 → 0.2.0"]);
    assert_eq!(tool(), line("0.1.0"), "in conflict nothing is written");
    case.run(&format!("sync-actions --ours {HERE}/ci.yml")).code(0).says(&["slipway 0.1.0 → 0.2.0"]);
    assert_eq!(tool(), line("0.2.0"));
    let _source = source.manifest("tool = \"0.1.5\"\n").release("1.2.0");
    case.run("sync-actions").code(0);
    assert_eq!(tool(), line("0.2.0"), "it never goes back");
}

#[test]
fn a_tag_that_moved_is_refused_with_both_commits() {
    let source = three();
    let case = source.consumer("version = \"1\"");
    case.run("sync-actions").code(0);
    commit(&case.root());
    let old = git(source.folder(), &["rev-parse", "v1.1.0"]);
    let source = source.file("ci.yml", "other\n");
    let new = commit(source.folder());
    git(source.folder(), &["tag", "-f", "v1.1.0"]);
    case.run("sync-actions").code(1).says(&[
        "the tag v1.1.0 was moved since you pulled it",
        &old,
        &new,
        "rev = ",
    ]);
    assert_eq!(state(&case), "");
    has(&case, "1.1.0");
}

#[test]
fn a_tag_and_a_branch_of_one_name_are_refused() {
    let source = three();
    git(source.folder(), &["branch", "v1.1.0", "v1.0.0"]);
    let case = source.consumer("version = \"1\"");
    case.run("sync-actions").code(1).says(&["v1.1.0 is a tag and a branch, two things under one name"]);
    assert_eq!(state(&case), "");
    // The others are what they always were.
    case.run("sync-actions --to 1.0.0").code(0);
    has(&case, "1.0.0");
}

#[test]
fn a_folder_is_a_source_and_the_base_is_from_this_repository() {
    let t = text("ci");
    let case = consumer("source = \"shared\"\n")
        .file("shared/templates.toml", "files = [\"workflows/\"]\n")
        .file("shared/workflows/ci.yml", &t);
    case.run("sync-actions").code(0);
    commit(&case.root());
    case.run("sync-actions --check").code(0);
    case.edit(&format!("{HERE}/ci.yml"), "ci 12", "ours");
    case.edit("shared/workflows/ci.yml", "ci 03", "theirs");
    case.run("sync-actions --check").code(3).says(&["was edited", "shared has changed since it was pulled"]);
    case.run("sync-actions").code(0).says(&["merged with your edit at line 12"]);
    assert_eq!(here(&case, "ci.yml"), Some(with_line(&with_line(&t, 3, "theirs"), 12, "ours")));
    case.run(&format!("sync-actions keep {HERE}/ci.yml")).code(0);
    case.run("sync-actions --check").code(0);
    commit(&case.root());
    case.edit("shared/workflows/ci.yml", "ci 12", "theirs too");
    let before = state(&case);
    case.run("sync-actions").code(4).says(&["CONFLICT, line 12"]);
    assert_eq!(state(&case), before);
    case.run("sync-actions --check").code(4);
    case.run(&format!("sync-actions --ours {HERE}/ci.yml")).code(0);
    case.run("sync-actions --check").code(0);
    case.run("sync-actions --to 1.0.0").code(2).says(&["shared is a folder, which has no versions"]);
}

#[test]
fn from_any_folder_and_from_a_worktree() {
    let source = three();
    let case = source.consumer("version = \"=1.0.0\"").below("src/deep");
    case.run("sync-actions").code(0);
    has(&case, "1.0.0");
    case.edit(&format!("{HERE}/ci.yml"), "ci 12", "ours");
    // A path is typed as the shell completes it, or from the root.
    case.run("sync-actions keep ../../.github/workflows/ci.yml").code(0);
    case.run(&format!("sync-actions --theirs {HERE}/ci.yml")).code(0);
    has(&case, "1.0.0");
    commit(&case.root());
    let tree = case.folder().join("tree");
    git(&case.root(), &["worktree", "add", "-q", tree.to_str().unwrap()]);
    let case = case.below("../tree");
    std::fs::write(tree.join(HERE).join("ci.yml"), with_line(&here(&case, "ci.yml").unwrap(), 12, "ours"))
        .unwrap();
    let config = std::fs::read_to_string(tree.join("xtask.toml")).unwrap();
    std::fs::write(tree.join("xtask.toml"), config.replace("=1.0.0", "1")).unwrap();
    case.run("sync-actions").code(0).says(&["v1.0.0 → v1.1.0", "merged with your edit at line 12"]);
    let wanted = with_line(&with_line(&text("ci"), 1, "1.1.0"), 12, "ours");
    assert_eq!(std::fs::read_to_string(tree.join(HERE).join("ci.yml")).unwrap(), wanted);
    case.run("sync-actions keep .github/workflows/ci.yml").code(0);
    case.run("sync-actions --check").code(0);
    // The other tree is as it was.
    assert_eq!(state(&case), "");
}
