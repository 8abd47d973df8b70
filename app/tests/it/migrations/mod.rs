//! `links migrate`

mod alone;
mod locks;
mod numbers;

use crate::database::Database;
use crate::service::BINARY;
use links::migrate::{self, MIGRATIONS, MigrationFailure, Report, Step};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor};
use std::process::Command;
use std::str::FromStr;

/// A folder's files, as `sqlx::migrate!` would have built them in.
async fn files(files: &[(&str, &str)]) -> Migrator {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Migrator::new(folder.path()).await.unwrap()
}

/// The names of what was applied now, or the error and what to do about it.
async fn run(database: &Database, migrations: &Migrator) -> Result<Vec<String>, String> {
    names(migrate::run(&options(database), migrations, |_| {}).await)
}

fn names(outcome: Result<Report, MigrationFailure>) -> Result<Vec<String>, String> {
    let names = outcome.map(|report| report.applied.into_iter().map(|applied| applied.name).collect());
    names.map_err(|failure| format!("{failure}\n{}", failure.next().unwrap_or_default()))
}

fn options(database: &Database) -> PgConnectOptions {
    PgConnectOptions::from_str(&database.url()).unwrap()
}

async fn say(database: &Database, sql: &str) {
    database.connect().await.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

/// Rows of the account as `version success`.
async fn rows(database: &Database) -> Vec<String> {
    let rows = "select version || ' ' || success from _sqlx_migrations order by version";
    sqlx::query_scalar(rows).fetch_all(&mut database.connect().await).await.unwrap()
}

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
    let end = format!("up to date, {} migrations, ", MIGRATIONS.iter().count());
    assert!(lines.next_back().is_some_and(|line| line.starts_with(&end) && line.ends_with(" ms")), "{out}");

    assert_eq!(migrate(&database, &["--check"]).0, 0);
    let (code, out, _) = migrate(&database, &["--json"]);
    let empty = "{\"applied\":[],\"pending\":[],\"up_to_date\":true,\"ahead\":[],\"ms\":";
    assert!(code == 0 && out.starts_with(empty), "{out}");
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

#[tokio::test]
async fn a_file_and_its_row_are_one_transaction_and_settings_end_with_it() {
    let database = Database::empty().await;
    let migrations = files(&[
        // As in a file that pg_dump wrote.
        ("0001_dump.sql", "select set_config('search_path', '', false); create table public.a (i int);"),
        ("0002_next.sql", "insert into a values (1); set search_path = '';"),
        ("0003_alone.sql", "-- no-transaction\ncreate index concurrently a_i on a (i)"),
        (
            "0004_deferred.sql",
            "create table b (i int primary key, j int references b deferrable initially deferred);",
        ),
        ("0005_fails_at_commit.sql", "insert into b values (1, 2);"),
    ])
    .await;
    let error = run(&database, &migrations).await.unwrap_err();
    assert!(
        error.starts_with("0005_fails_at_commit.sql: insert or update on table \"b\" violates"),
        "{error}"
    );
    assert_eq!(rows(&database).await, ["1 true", "2 true", "3 true", "4 true"]);
    // The row of a file has the number of the transaction that made its table.
    let same: bool = sqlx::query_scalar(
        "select r.xmin = c.xmin from _sqlx_migrations r, pg_class c where version = 1 and relname = 'a'",
    )
    .fetch_one(&mut database.connect().await)
    .await
    .unwrap();
    assert!(same);
}
