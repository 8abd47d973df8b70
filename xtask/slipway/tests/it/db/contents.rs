//! `db status, new, migrate, reset, dump, restore`: what is in the database.

use crate::case::{CONFIG, Case};

#[test]
fn status_starts_nothing_and_says_what_is_pending() {
    let case = Case::new().file("app/migrations/0001_links.sql", "select 1;");
    case.run("db status").code(0).says(&["no cluster yet"]);
    assert_eq!(case.status("running"), "false");
    case.run("db url").code(0);
    case.run("db status").code(0).says(&["is up", "1 pending: 0001_links.sql"]);
    case.run_words(&["db", "psql", "--", "-qc", &account(&[(1, "links", true, "select 1;")])]).code(0);
    case.run("db status").code(0).says(&["1 applied, none pending"]);
}

/// The account of migrations as sqlx keeps it: version, description, success, and the text that was applied.
fn account(rows: &[(i64, &str, bool, &str)]) -> String {
    let table =
        "create table _sqlx_migrations (version bigint, description text, success bool, checksum bytea);";
    let rows = rows.iter().map(|(version, description, success, text)| {
        format!(
            "insert into _sqlx_migrations values ({version}, '{description}', {success}, sha384('{text}'));"
        )
    });
    table.to_owned() + &rows.collect::<String>()
}

#[test]
fn status_tells_edited_late_foreign_and_unfinished_migrations_and_broken_indexes() {
    let case = Case::new()
        .file("app/migrations/0001_links.sql", "select 1;")
        .file("app/migrations/0002_edited.sql", "select 'after';")
        .file("app/migrations/0003_late.sql", "select 3;")
        .file("app/migrations/0005_cut_off.sql", "select 5;")
        .file("app/migrations/0009_next.sql", "select 9;")
        .file("app/migrations/notes.sql", "select 0;");
    let rows = [
        (1, "links", true, "select 1;"),
        (2, "edited", true, "select before;"),
        (4, "of the other branch", true, ""),
        (5, "cut off", false, ""),
    ];
    case.run_words(&["db", "psql", "--", "-qc", &account(&rows)]).code(0);
    let broken = "create table t (i int); create index t_i on t (i); \
                  update pg_index set indisvalid = false where indexrelid = 't_i'::regclass";
    case.run_words(&["db", "psql", "--", "-qc", broken]).code(0);
    case.run("db url").code(0);
    case.run("db status").code(0).says(&[
        "1 pending: 0009_next.sql",
        "next      cargo xtask db migrate",
        "1 edited after they were applied: 0002_edited.sql",
        "next      cargo xtask db reset",
        "1 out of order, a later one is applied: 0003_late.sql",
        "next      mv app/migrations/0003_late.sql app/migrations/0010_late.sql",
        "1 from another branch: 0004_of_the_other_branch.sql",
        "next      cargo xtask db reset",
        "1 begun and not finished: 0005_cut_off.sql",
        "1 invalid: t_i",
        "next      drop index concurrently t_i",
        "notes.sql: no number at the start",
    ]);
    let json = case.run("db status --json").code(0).stdout;
    for part in [
        "\"applied\":[\"0001_links.sql\"]",
        "\"edited\":[\"0002_edited.sql\"]",
        "\"out_of_order\":[\"0003_late.sql\"]",
        "\"other_branch\":[\"0004_of_the_other_branch.sql\"]",
        "\"invalid_indexes\":[\"t_i\"]",
        "\"not_migrations\":[\"notes.sql\"]",
    ] {
        assert!(json.contains(part), "{part}: {json}");
    }
}

#[test]
fn new_numbers_on_from_the_last_and_works_from_a_sub_directory() {
    let case = Case::new().below("app/src");
    case.run("db new links").code(0).prints("app/migrations/0001_links.sql\n");
    case.run_words(&["db", "new", "Add notes"]).code(0).prints("app/migrations/0002_add_notes.sql\n");
    assert!(case.root().join("app/migrations/0002_add_notes.sql").is_file());
}

#[test]
fn dry_runs_change_nothing() {
    let case = Case::with_service().file("app/migrations/0001_links.sql", "select 1;");
    case.run_words(&["db", "psql", "--", "-qc", "create table keep (i int)"]).code(0);
    case.run("db reset -n").code(0).says(&["would drop"]);
    case.run("db migrate -n").code(0).says(&["1 pending, nothing applied"]).prints_line("0001_links.sql");
    case.run_words(&["db", "psql", "--", "-Atc", "select count(*) from keep"]).code(0).prints("0\n");
}

#[test]
fn reset_makes_a_new_database_with_the_demo_data() {
    let case = Case::with_service()
        .file("xtask.toml", format!("{CONFIG}[dev]\ndemo-data = \"demo.sql\"\n"))
        .file("demo.sql", "create table demo as select 7 as i;");
    case.run_words(&["db", "psql", "--", "-qc", "create table old (i int)"]).code(0);
    case.run("db reset --yes").code(0).says(&["is new", "demo data loaded"]);
    case.run_words(&["db", "psql", "--", "-Atc", "select to_regclass('old') is null, i from demo"])
        .prints("t|7\n");
}

#[test]
fn a_reset_that_cannot_build_or_load_costs_no_data() {
    let case = Case::with_service()
        .file("xtask.toml", format!("{CONFIG}[dev]\ndemo-data = \"demo.sql\"\n"))
        .file("demo.sql", "select nonsense;");
    case.run_words(&["db", "psql", "--", "-qc", "create table keep (i int)"]).code(0);
    case.run("db reset --yes").code(1).says(&["psql failed", "demo.sql:1", "nonsense"]);
    let case =
        case.file("src/main.rs", "fn main() { oops }").file("app/migrations/0001_new.sql", "select 1;");
    case.run("db reset --yes").code(1).says(&["does not build"]);
    case.run_words(&["db", "psql", "--", "-Atc", "select count(*) from keep"]).code(0).prints("0\n");
}

#[test]
fn a_reset_copies_what_was_migrated_once_until_a_migration_changes() {
    let case = Case::with_service();
    case.run("db reset --yes").code(0).says(&["✓ build", "is new"]);
    let broken = case.file("src/main.rs", "fn main() { oops }");
    broken.run_words(&["db", "psql", "--", "-qc", "create table old (i int)"]).code(0);
    broken.run("db reset --yes").code(0).says(&["is new"]);
    broken
        .run_words(&["db", "psql", "--", "-Atc", "select to_regclass('old') is null"])
        .code(0)
        .prints("t\n");
    let changed = broken.file("app/migrations/0001_new.sql", "select 1;");
    changed.run("db reset --yes").code(1).says(&["does not build"]);
}

#[test]
fn a_reset_cuts_off_whoever_is_connected() {
    let case = Case::with_service();
    let mut session = case.start_words(&["db", "psql", "--", "-c", "select 1", "-c", "select pg_sleep(60)"]);
    session.until("1 row");
    case.run("db reset --yes").code(0).says(&["is new"]);
    assert_ne!(session.end(), 0);
    case.run_words(&[
        "db",
        "psql",
        "--",
        "-Atc",
        "select count(*) from pg_database where datname ~ '[.](new|old)$'",
    ])
    .prints("0\n");
}

#[test]
fn what_is_dumped_comes_back_in_either_format() {
    let case = Case::new().below("sub");
    case.run_words(&["db", "psql", "--", "-qc", "create table t as select 7 as i"]).code(0);
    for file in ["before.dump", "before.sql"] {
        case.run(&format!("db dump {file}")).code(0).says(&["✓ dumped", file]);
        assert!(case.root().join("sub").join(file).is_file());
        case.run(&format!("db dump {file}")).code(2).says(&["Overwrite", "--yes"]);
        case.run(&format!("db dump {file} --yes")).code(0);
        case.run_words(&["db", "psql", "--", "-qc", "update t set i = 8"]).code(0);
        case.run(&format!("db restore {file}")).code(2).says(&["Replace the development database", "--yes"]);
        case.run(&format!("db restore -n {file}")).code(0).says(&["would replace"]);
        case.run(&format!("db restore --yes {file}")).code(0).says(&["✓ restored"]);
        case.run_words(&["db", "psql", "--", "-Atc", "select i from t"]).code(0).prints("7\n");
    }
}

#[test]
fn a_dump_that_is_broken_costs_no_data() {
    let case = Case::new();
    case.run_words(&["db", "psql", "--", "-qc", "create table t as select 7 as i"]).code(0);
    case.run("db dump whole.dump").code(0);
    let whole = std::fs::read(case.root().join("whole.dump")).unwrap();
    let case =
        case.file("cut.dump", &whole[..whole.len() / 2]).file("bad.sql", "select 1;\nselect nonsense;");
    case.run("db dump whole.sql").code(0);
    let whole = std::fs::read(case.root().join("whole.sql")).unwrap();
    let case = case.file("cut.sql", &whole[..whole.len() * 4 / 5]).file("empty.sql", "");
    for (file, texts) in [
        ("cut.dump", ["error: tiny is as it was: pg_restore failed", "next"]),
        ("bad.sql", ["error: tiny is as it was: psql failed", "bad.sql:2"]),
        ("cut.sql", ["error: tiny is as it was: the dump is cut off", "next"]),
        ("empty.sql", ["error: tiny is as it was: the file makes no table", "next"]),
    ] {
        case.run(&format!("db restore --yes {file}")).code(1).says(&texts);
    }
    case.run_words(&["db", "psql", "--", "-Atc", "select count(*) from pg_database where datname ~ '[.]'"])
        .code(0)
        .prints("0\n");
    case.run("db restore --yes gone.dump").code(2).says(&["error: cannot read gone.dump", "next"]);
    case.run_words(&["db", "psql", "--", "-Atc", "select i from t"]).code(0).prints("7\n");
}
