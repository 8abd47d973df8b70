//! `ci`

use crate::case::Case;

#[test]
fn steps_are_groups_with_annotations_and_a_summary_under_actions() {
    let case = Case::with_service()
        .file("src/main.rs", "fn main() {\n    let unused = 1;\n}\n")
        .file("tests/one.rs", "#[test]\nfn fails() {\n    panic!(\"on purpose\")\n}\n")
        .file("build.rs", "fn   main() {}\n");
    let summary = case.root().join("summary.md");
    let case =
        case.env("GITHUB_ACTIONS", "true").env("CI", "true").env("GITHUB_STEP_SUMMARY", summary.display());
    case.run("ci fmt").code(1).says(&[
        "::group::ci fmt",
        "::error file=build.rs,line=1,col=1::",
        "::endgroup::",
        "error: failed: fmt",
    ]);
    case.run("ci lint").code(1).says(&[
        "::group::ci lint",
        "unused variable",
        "::error file=src/main.rs,line=2,col=9::",
        "::endgroup::",
    ]);
    // The service of this case cannot migrate; its test step fails before a test runs, and says why.
    case.run("ci test").code(1).says(&["::group::ci test", "error: ", "::endgroup::"]);
    let written = std::fs::read_to_string(summary).unwrap();
    assert!(written.contains("| ✗ | fmt |") && written.contains("| ✗ | lint |"), "{written}");
}

#[test]
fn a_test_that_panics_is_annotated_where_it_did() {
    let case = Case::with_service()
        .file("tests/one.rs", "#[test]\nfn fails() {\n    panic!(\"on purpose\")\n}\n")
        .env("GITHUB_ACTIONS", "true");
    case.run("ci test")
        .code(1)
        .says(&["::error file=tests/one.rs,line=3,col=5::a test panicked here", "0 passed, 1 failed"]);
}

#[test]
fn elsewhere_there_are_no_commands_of_actions() {
    let ran = Case::with_service().file("src/main.rs", "fn main() {}\n").run("ci fmt").code(0);
    assert!(ran.stderr.contains("✓ fmt") && !ran.stderr.contains("::"), "{}", ran.stderr);
}

#[test]
fn one_failure_does_not_hide_the_others() {
    let case = Case::with_service().file("src/main.rs", "fn main() { let unused = 1; }\n");
    case.run("ci").code(1).says(&[
        "ci fmt",
        "ci lint",
        "ci test",
        "ci actions",
        "error: failed: fmt, lint, test",
    ]);
}
