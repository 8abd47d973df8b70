//! Files and rows that do not match.

use super::{files, migrate, rows, run, say};
use crate::database::Database;
use serde_json::Value;

#[tokio::test]
async fn what_does_not_match_is_an_error_that_says_what_to_do() {
    for (change, text) in [
        (
            "update _sqlx_migrations set checksum = '\\x00' where version = 1",
            "error: 0001_links.sql was edited after it was applied\n  next  put the file back",
        ),
        (
            "insert into _sqlx_migrations values (0, 'before', now(), true, '\\x00', 0)",
            "error: version 0 is applied, but this binary has no such migration\n  next  run the newer",
        ),
        (
            "insert into _sqlx_migrations values (9999, 'later', now(), true, '\\x00', 0); \
             delete from _sqlx_migrations where version = 2",
            "error: version 9999 is applied, but this binary has no such migration\n  next  run the newer",
        ),
        ("delete from _sqlx_migrations where version = 1", "error: 0001_links.sql comes before version "),
    ] {
        let database = Database::new().await;
        say(&database, change).await;
        for flags in [&[][..], &["--check"]] {
            let (code, _, err) = migrate(&database, flags);
            assert_eq!(code, 1, "{change}");
            assert!(err.starts_with(text), "{change}: {err}");
        }
    }
}

#[tokio::test]
async fn after_a_rollback_the_old_binary_has_nothing_to_do() {
    let database = Database::new().await;
    say(&database, "insert into _sqlx_migrations values (9999, 'later', now(), true, '\\x00', 0)").await;
    for flags in [&[][..], &["--check"]] {
        let (code, out, err) = migrate(&database, flags);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(
            out.starts_with("ahead 9999: applied by a newer version of this service\nup to date, "),
            "{out}"
        );
    }
    let (code, out, _) = migrate(&database, &["--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["ahead"], &report["up_to_date"]),
        (0, &serde_json::json!([9999]), &true.into())
    );
}

#[tokio::test]
async fn a_late_file_is_named_with_the_command_that_mends_it() {
    let database = Database::empty().await;
    let (one, two, three) =
        (("0001_a.sql", "select 1"), ("0002_late.sql", "select 2"), ("0003_c.sql", "select 3"));
    run(&database, &files(&[one, three]).await).await.unwrap();
    assert_eq!(
        run(&database, &files(&[one, two, three]).await).await.unwrap_err(),
        "0002_late.sql comes before version 3, which is applied already\n\
         git mv app/migrations/0002_late.sql app/migrations/0004_late.sql"
    );
    // After the newest file, applied or not.
    let error =
        run(&database, &files(&[one, two, three, ("0007_d.sql", "select 7")]).await).await.unwrap_err();
    assert!(error.ends_with("app/migrations/0008_late.sql"), "{error}");
    assert_eq!(rows(&database).await, ["1 true", "3 true"]);
}

#[tokio::test]
async fn two_files_of_one_number_are_refused_before_anything_is_applied() {
    let database = Database::empty().await;
    let twice = files(&[("0001_a.sql", "create table a ()"), ("0001_b.sql", "create table b ()")]).await;
    let error = run(&database, &twice).await.unwrap_err();
    assert!(error.starts_with("0001_a.sql and 0001_b.sql have the same number\n"), "{error}");
    say(&database, "create table a (); create table b ()").await;
}

#[tokio::test]
async fn a_file_that_is_not_written_yet_is_not_taken_for_applied() {
    let database = Database::empty().await;
    for text in ["", "-- add notes\n\n", "-- no-transaction\n"] {
        let migrations = files(&[("0001_a.sql", "create table a ()"), ("0002_notes.sql", text)]).await;
        let refused = run(&database, &migrations).await.unwrap_err();
        assert!(refused.starts_with("0002_notes.sql has no statement yet\nwrite it"), "{refused}");
    }
    let migrations =
        files(&[("0001_a.sql", "create table a ()"), ("0002_notes.sql", "-- why\ncreate table b ()")]).await;
    assert_eq!(run(&database, &migrations).await.unwrap(), ["0001_a", "0002_notes"]);
}
