//! What is told about the version that is here.

use super::source::{Source, commit, git, text};

#[test]
fn a_withdrawn_version_fails_the_check_that_looks() {
    let source = Source::new().file("ci.yml", text("ci")).release("1.0.0");
    let case = source.consumer("tag = \"v1.0.0\"");
    case.run("sync-actions").code(0);
    // What a later slipway understands does not hide it.
    let more = "key = 1\n[versions.\"1.0.0\"]\nwithdrawn = \"publishes from forks\"\n";
    let _source = source.manifest(more).release("1.1.0");
    case.run("sync-actions --check").code(0);
    case.run("sync-actions --check --online").code(3).says(&["unknown field", "v1.0.0 was withdrawn"]);
    case.run("ci actions").code(3).says(&["publishes from forks"]);
    case.run("sync-actions status").code(0).says(&["withdrawn", "publishes from forks"]);
}

#[test]
fn a_moved_tag_fails_the_check_that_looks() {
    let source = Source::new().file("ci.yml", text("ci")).release("1.0.0");
    let case = source.pulled();
    let source = source.file("ci.yml", "other\n");
    let new = commit(source.folder());
    git(source.folder(), &["tag", "-f", "v1.0.0"]);
    case.run("sync-actions --check --online").code(3).says(&["the tag v1.0.0 was moved", &new]);
    case.run("ci actions").code(3);
    case.run("sync-actions status").code(0).says(&["moved", &new]);
    case.run("sync-actions").code(1);
}

#[test]
fn a_minimum_fails_where_the_newest_one_says_so() {
    let minimum = |fail: &str| {
        format!("minimum = {{ version = \"1.1.0\", warn = \"2020-01-01\", fail = \"{fail}\" }}\n")
    };
    let source = Source::new().file("ci.yml", text("ci")).manifest(&minimum("2020-02-01")).release("1.0.0");
    let case = source.pulled();
    case.run("sync-actions --check").code(0).says(&["v1.0.0 is older than v1.1.0"]);
    case.run("ci actions").code(3);
    let _source = source.manifest(&minimum("2999-01-01")).release("1.1.0");
    case.run("ci actions").code(0).says(&["v1.0.0 is older than v1.1.0"]);
}
