//! `links migrate`

use crate::database::Database;
use crate::service::BINARY;
use links::migrate::MIGRATIONS;
use serde_json::Value;
use sqlx::Executor;
use std::process::Command;

/// The exit code, stdout and stderr.
fn migrate(database: &Database, flags: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    command.arg("migrate").args(flags).env_clear().env("DATABASE_URL", database.url());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn pending_ones_are_listed_applied_once_and_reported() {
    let database = Database::empty().await;
    let (code, out, _) = migrate(&database, &["--check"]);
    assert_eq!((code, out.lines().next()), (3, Some("pending 0001_links.sql")));
    let tables: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(&mut database.connect().await)
        .await
        .unwrap();
    assert_eq!(tables, 0, "a check writes nothing");

    let (code, out, err) = migrate(&database, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut lines = out.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("applied 0001_links.sql ") && first.ends_with(" ms"), "{out}");
    assert_eq!(
        lines.next_back(),
        Some(format!("up to date, {} migrations", MIGRATIONS.iter().count()).as_str())
    );

    assert_eq!(migrate(&database, &["--check"]).0, 0);
    let (code, out, _) = migrate(&database, &["--json"]);
    assert_eq!((code, out.as_str()), (0, "{\"applied\":[],\"pending\":[],\"up_to_date\":true}\n"));
}

#[tokio::test]
async fn json_is_one_object() {
    let database = Database::empty().await;
    let (code, out, _) = migrate(&database, &["--check", "--json"]);
    let check: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 3);
    assert_eq!(check["pending"][0], serde_json::json!({ "version": 1, "name": "0001_links" }));
    let (code, out, _) = migrate(&database, &["--json"]);
    let run: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &run["up_to_date"], &run["applied"][0]["name"]),
        (0, &true.into(), &"0001_links".into())
    );
    assert!(run["applied"][0]["ms"].is_u64());
}

#[tokio::test]
async fn ten_at_once_apply_each_migration_once() {
    let database = Database::empty().await;
    let runs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(|| migrate(&database, &["--json"]))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut applied = 0;
    for (code, out, err) in runs {
        assert_eq!(code, 0, "{err}");
        applied += serde_json::from_str::<Value>(&out).unwrap()["applied"].as_array().unwrap().len();
    }
    assert_eq!(applied, MIGRATIONS.iter().count());
}

#[tokio::test]
async fn what_does_not_match_is_an_error_that_says_what_to_do() {
    for (change, text) in [
        (
            "update _sqlx_migrations set checksum = '\\x00' where version = 1",
            "error: 0001_links.sql was edited after it was applied\n  next  put the file back",
        ),
        (
            "insert into _sqlx_migrations values (9999, 'later', now(), true, '\\x00', 0)",
            "error: version 9999 is applied, but this binary has no such migration\n  next  run the newer",
        ),
        ("delete from _sqlx_migrations where version = 1", "error: 0001_links comes before 00"),
    ] {
        let database = Database::new().await;
        database.connect().await.execute(change).await.unwrap();
        for flags in [&[][..], &["--check"]] {
            let (code, _, err) = migrate(&database, flags);
            assert_eq!(code, 1, "{change}");
            assert!(err.starts_with(text), "{change}: {err}");
        }
    }
}

#[tokio::test]
async fn a_failing_migration_changes_nothing_and_the_next_run_goes_on() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    connection.execute("create table clicks (in_the_way int)").await.unwrap();
    let (code, out, err) = migrate(&database, &[]);
    assert_eq!(code, 1);
    assert!(out.starts_with("applied 0001_links.sql"), "{out}");
    assert!(err.starts_with("error: 0002_clicks.sql: ") && err.contains("already exists"), "{err}");
    connection.execute("drop table clicks").await.unwrap();
    let (code, out, _) = migrate(&database, &[]);
    assert_eq!(code, 0);
    assert!(out.starts_with("applied 0002_clicks.sql"), "{out}");
}
