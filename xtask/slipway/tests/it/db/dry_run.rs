//! `db migrate --dry-run`: what is pending, tried on a copy.

use crate::case::{Case, Ran};

fn case() -> Case {
    Case::with_service().file(
        "app/migrations/0001_links.sql",
        "create table links (slug text); insert into links values ('wiki'), ('wiki');",
    )
}

fn sql(case: &Case, sql: &str) -> Ran {
    case.run_words(&["db", "psql", "--", "-qAtc", sql]).code(0)
}

fn nothing_is_left(case: &Case) {
    sql(case, "select count(*) from pg_database where datname ~ '[.]try$'").prints("0\n");
    let data = case.status("data");
    let state = std::path::Path::new(&data).ancestors().nth(2).unwrap();
    assert!(!state.join("try.dump").exists());
}

#[test]
fn it_applies_to_a_copy_while_others_are_connected() {
    let case = case();
    case.run("db migrate").code(0).says(&["applied", "0001_links"]);
    case.run("db migrate -n").code(0).prints("").says(&["0 pending, nothing applied"]);
    let case = case.file("app/migrations/0002_note.sql", "alter table links add note text;");
    let mut session = case.start_words(&["db", "psql", "--", "-c", "select 1", "-c", "select pg_sleep(60)"]);
    session.until("1 row");
    // What a killed run left is ours, and goes.
    sql(&case, "create database \"tiny.try\"");
    case.run("db migrate -n").code(0).prints("0002_note.sql\n").says(&[
        "tried",
        "0002_note 1 ms",
        "1 pending, nothing applied: a copy of tiny took them",
    ]);
    sql(&case, "select count(*) from pg_attribute where attrelid = 'links'::regclass and attname = 'note'")
        .prints("0\n");
    nothing_is_left(&case);
    case.run("db status").code(0).says(&["1 pending: 0002_note.sql"]);
}

#[test]
fn what_fails_on_the_data_fails_there_and_changes_nothing() {
    let case = case();
    case.run("db migrate").code(0);
    let case = case
        .file("app/migrations/0002_note.sql", "alter table links add note text;")
        .file("app/migrations/0003_unique.sql", "create unique index on links (slug);");
    case.run("db migrate -n").code(1).prints("0002_note.sql\n0003_unique.sql\n").says(&[
        "error: a copy of tiny was not migrated; tiny itself is as it was",
        "could not create unique index",
        "(wiki) is duplicated",
    ]);
    nothing_is_left(&case);
    sql(&case, "select max(version) from _sqlx_migrations").prints("1\n");
}

#[test]
fn without_a_database_it_starts_from_an_empty_one() {
    let case = case();
    case.run("db migrate -n").code(0).prints("0001_links.sql\n").says(&["0001_links 1 ms", "1 pending"]);
    case.run("db url").code(0);
    sql(&case, "select to_regclass('links') is null").prints("t\n");
    nothing_is_left(&case);
}
