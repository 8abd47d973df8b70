//! Migrations on the way of a save: applied with the new binary before the swap, explained where they cannot be.

use super::{answers, in_order, served};
use crate::case::{Case, get};
use crate::dev::{READY, config, url};
use crate::terminal::Terminal;

fn case() -> Case {
    Case::with_service()
        .file("xtask.toml", config(""))
        .file("app/migrations/0001_links.sql", "create table links (slug text)")
        .file("app/migrations/0002_clicks.sql", "create table clicks (slug text)")
}

#[test]
fn a_new_one_is_applied_before_the_swap() {
    let case = case();
    let (mut dev, _) = served(&case);
    case.edit("src/main.rs", "\"tiny\"", "\"with notes\"");
    let case = case.file("app/migrations/0003_notes.sql", "create table notes (slug text)");
    dev.until("swap      ✓ ");
    in_order(
        &dev.text,
        &[
            "change    app/migrations/0003_notes.sql, src/main.rs",
            "build     ✓ ",
            "migrate   ✓ 0003_notes.sql 1 ms",
            "swap",
        ],
    );
    case.run("db status").code(0).says(&["3 applied, none pending"]);
}

#[test]
fn one_that_fails_keeps_the_old_version() {
    let case = case();
    let (mut dev, url) = served(&case);
    case.edit("src/main.rs", "\"tiny\"", "\"with notes\"");
    let case = case.file("app/migrations/0003_notes.sql", "create table links (slug text)");
    dev.until("keeps serving").until("already exists");
    assert_eq!(get(&url).1, "tiny");
    let _case = case.file("app/migrations/0003_notes.sql", "create table notes (slug text)");
    dev.until("migrate   ✓ 0003_notes.sql").until("swap      ✓ ");
    answers(&url, "with notes");
}

#[test]
fn one_without_a_statement_waits_until_it_is_written() {
    let case = case();
    let (mut dev, url) = served(&case);
    case.run("db new notes").code(0);
    dev.until("migrate   · 0003_notes.sql has no statement yet: write it, and save; the build of");
    assert_eq!(get(&url).1, "tiny");
    let case = case.file("app/migrations/0003_notes.sql", "create table notes (slug text)");
    dev.until("migrate   ✓ 0003_notes.sql");
    case.run("db status").code(0).says(&["3 applied, none pending"]);
    answers(&format!("{url}/problem"), "");
}

#[test]
fn an_edited_one_is_explained_with_the_way_out() {
    let case = case();
    let git = |words: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"];
        let mut command = std::process::Command::new("git");
        assert!(command.arg("-C").arg(case.root()).args(identity).args(words).status().unwrap().success());
    };
    git(&["init", "-q"]);
    git(&["add", "app"]);
    git(&["commit", "-qm", "one"]);
    let (mut dev, url) = served(&case);
    let case = case.file("app/migrations/0002_clicks.sql", "create table clicks (slug text, count int)");
    case.edit("src/main.rs", "\"tiny\"", "\"with counts\"");
    dev.until("next   cargo xtask db reset");
    in_order(
        &dev.text,
        &[
            "migrate   ✗ 0002_clicks.sql was edited after it was applied; the build of",
            "next   git checkout app/migrations/0002_clicks.sql",
            "next   cargo xtask db reset",
        ],
    );
    assert_eq!(get(&url).1, "tiny");
    assert!(get(&format!("{url}/problem")).1.contains("git checkout app/migrations/0002_clicks.sql"));
    let _case = case.file("app/migrations/0002_clicks.sql", "create table clicks (slug text)");
    dev.until("swap      ✓ ");
    answers(&url, "with counts");
}

#[test]
fn what_was_built_is_started_by_m_when_its_migration_can_be_applied() {
    let terminal = Terminal::new();
    let case = case();
    let mut dev = case.start_in(terminal.other_end(), &["dev"]);
    dev.until(READY);
    let url = url(&dev);
    dev.text.clear();
    case.edit("src/main.rs", "\"tiny\"", "\"with notes\"");
    let case = case
        .file("app/migrations/0003_notes.sql", "create table notes (at int); insert into other values (1)");
    dev.until("does not exist");
    // m alone does not make it well.
    dev.text.clear();
    terminal.press("m");
    dev.until("does not exist");
    assert!(get(&format!("{url}/problem")).1.contains("does not exist"));
    // What it lacked is there now: no file was saved.
    case.run_words(&["db", "psql", "--", "-qc", "create table other (at int)"]).code(0);
    terminal.press("m");
    dev.until("migrate   ✓ 0003_notes.sql").until("swap      ✓ ");
    answers(&url, "with notes");
    answers(&format!("{url}/problem"), "");
}

#[test]
fn one_that_came_late_is_explained_with_its_new_name() {
    let case = case().without("app/migrations/0001_links.sql");
    let (mut dev, _) = served(&case);
    let case = case.file("app/migrations/0001_links.sql", "create table links (slug text)");
    dev.until("next   mv");
    in_order(
        &dev.text,
        &[
            "migrate   ✗ 0001_links.sql is out of order",
            "next   mv app/migrations/0001_links.sql app/migrations/0003_links.sql",
        ],
    );
    let _case = case
        .without("app/migrations/0001_links.sql")
        .file("app/migrations/0003_links.sql", "create table links ()");
    dev.until("migrate   ✓ 0003_links.sql");
}

#[test]
fn one_of_another_branch_is_named_and_stops_only_new_ones() {
    let case = case();
    let (mut dev, url) = served(&case);
    let case = case.without("app/migrations/0002_clicks.sql");
    case.edit("src/main.rs", "\"tiny\"", "\"of main\"");
    dev.until("swap      ✓ ");
    in_order(
        &dev.text,
        &["migrate   · 0002_clicks.sql of another branch is applied: cargo xtask db reset", "swap"],
    );
    answers(&url, "of main");
    dev.text.clear();
    let _case = case.file("app/migrations/0003_notes.sql", "create table notes ()");
    dev.until("keeps serving").until("db reset");
    in_order(
        &dev.text,
        &["migrate   ✗ 0003_notes.sql waits: 0002_clicks.sql of another branch is applied; the build of"],
    );
}

#[test]
fn db_reset_in_another_terminal_lets_the_edited_one_through() {
    let case = case();
    let (mut dev, url) = served(&case);
    let case = case.file("app/migrations/0002_clicks.sql", "create table clicks (slug text, count int)");
    case.edit("src/main.rs", "\"tiny\"", "\"with counts\"");
    dev.until("next   cargo xtask db reset");
    case.run("db reset --yes").code(0);
    dev.until("migrate   · the database has changed").until("swap      ✓ ");
    answers(&url, "with counts");
    answers(&format!("{url}/problem"), "");
}

#[test]
fn a_number_that_another_branch_has_taken_is_not_called_an_edit_and_not_given_again() {
    let case = case();
    let (mut dev, _) = served(&case);
    let case = case.without("app/migrations/0002_clicks.sql");
    case.run("db new notes").code(0).prints("app/migrations/0003_notes.sql\n");
    let case = case
        .without("app/migrations/0003_notes.sql")
        .file("app/migrations/0002_notes.sql", "create table notes ()");
    dev.until("0002_notes.sql has the number of another one, which is applied");
    dev.until("next   mv app/migrations/0002_notes.sql app/migrations/0003_notes.sql");
    assert!(case.run("db status --json").code(0).stdout.contains("\"taken\":[\"0002_notes.sql\"]"));
    let _case = case.file("app/migrations/notes.sql", "select 1");
    dev.until("notes.sql has no number at its start: it is never applied");
}

#[test]
fn two_files_of_one_number_are_named_with_the_way_out() {
    let case = case();
    let (mut dev, _) = served(&case);
    let _case = case.file("app/migrations/0002_notes.sql", "create table notes ()");
    dev.until("migrate   ✗ two migrations have the number 2: 0002_clicks.sql and 0002_notes.sql");
    dev.until("0003_notes.sql");
}

#[test]
fn a_new_name_for_what_is_applied_is_no_change() {
    let case = case();
    let (mut dev, _) = served(&case);
    let case = case
        .without("app/migrations/0002_clicks.sql")
        .file("app/migrations/0002_hits.sql", "create table clicks (slug text)");
    dev.until("nothing that the service is made of has changed");
    case.run("db status").code(0).says(&["2 applied, none pending"]);
}
