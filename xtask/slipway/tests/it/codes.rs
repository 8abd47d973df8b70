//! The exit codes, and `help`.

use crate::case::Case;

#[test]
fn help_codes_lists_every_code() {
    let ran = Case::new().run("help codes").code(0);
    let codes: Vec<&str> = ran.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "130", "143"]);
}

#[test]
fn the_overview_is_the_same_by_every_way_and_fits_a_terminal() {
    let case = Case::new();
    let overview = case.run("--help").code(0).stdout;
    assert_eq!(case.run("help").code(0).stdout.trim(), overview.trim());
    assert_eq!(case.run("").code(2).stderr.trim(), overview.trim());
    for line in overview.lines() {
        assert!(line.chars().count() <= 96, "{line}");
    }
}

#[test]
fn every_verb_has_help_with_an_example() {
    let case = Case::new();
    for verb in [
        "dev",
        "test",
        "db",
        "ci",
        "doctor",
        "help",
        "sync-actions",
        "sync-actions keep",
        "sync-actions status",
        "sync-actions init",
        "db url",
        "db psql",
        "db status",
        "db migrate",
        "db new",
        "db reset",
        "db dump",
        "db restore",
        "db start",
        "db stop",
        "db upgrade-server",
        "secrets",
        "secrets run",
        "secrets check",
        "secrets scan",
        "image",
        "image build",
        "image load",
        "image inspect",
        "image verify",
        "image push",
    ] {
        let ran = case.run(&format!("help {verb}")).code(0);
        assert!(
            ran.stdout.contains("Example") && ran.stdout.contains("cargo xtask"),
            "{verb}: {}",
            ran.stdout
        );
    }
}

#[test]
fn the_version_is_one_line_on_stdout() {
    Case::new().run("--version").code(0).prints(&format!("slipway {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn colour_is_a_choice() {
    let case = Case::new().file("xtask.toml", "x = 1");
    assert!(!case.run("dev").stderr.contains('\x1b'));
    assert!(case.run("--color always dev").stderr.contains('\x1b'));
    let forced = Case::new().file("xtask.toml", "x = 1").env("CLICOLOR_FORCE", 1);
    assert!(forced.run("dev").stderr.contains('\x1b'));
    let refused = forced.env("NO_COLOR", 1);
    assert!(!refused.run("dev").stderr.contains('\x1b'));
}
