//! Files that begin with `-- no-transaction`.

use super::{files, names, options, rows, run, say};
use crate::database::Database;
use links::migrate;
use sqlx::Executor;
use std::time::Duration;

const TABLE: (&str, &str) = ("0001_t.sql", "create table t (i int); insert into t values (1), (1);");
const UNIQUE: (&str, &str) =
    ("0002_unique.sql", "-- no-transaction\ncreate unique index concurrently t_i on t (i);");
const INDEX: (&str, &str) = ("0002_index.sql", "-- no-transaction\ncreate index concurrently t_i on t (i);");

#[tokio::test]
async fn of_several_statements_it_is_refused_before_anything_is_applied() {
    let database = Database::empty().await;
    let text = "-- no-transaction\nset lock_timeout = '1s';\ncreate index concurrently t_i on t (i);";
    let several = files(&[TABLE, ("0002_two.sql", text)]).await;
    for _ in 0..2 {
        let checked = names(migrate::check(&options(&database), &several).await).unwrap_err();
        assert_eq!(
            checked,
            "0002_two.sql is `-- no-transaction`, and has several statements, which PostgreSQL runs in one \
             transaction\nsplit it, one statement a file; lock_timeout is set on the connection already"
        );
        assert_eq!(run(&database, &several).await.unwrap_err(), checked);
    }
    // One is one, whatever stands in and around it.
    let text = "-- no-transaction\n;; /* a; b */ comment on table t is $a$ c; 'd; $a$; -- e; f\n;";
    let applied = run(&database, &files(&[TABLE, ("0002_one.sql", text)]).await).await;
    assert_eq!(applied, Ok(vec!["0001_t".to_owned(), "0002_one".to_owned()]));
}

#[tokio::test]
async fn a_failed_one_names_the_invalid_index_until_that_is_dropped() {
    let database = Database::empty().await;
    let migrations = files(&[TABLE, UNIQUE]).await;
    let error = run(&database, &migrations).await.unwrap_err();
    assert_eq!(
        error,
        "0002_unique.sql: could not create unique index \"t_i\"; an invalid index is left: t_i\n\
         drop index concurrently t_i; and run it again, the file mended if need be"
    );
    assert_eq!(rows(&database).await, ["1 true", "2 false"]);
    for outcome in [
        names(migrate::run(&options(&database), &migrations, |_| {}).await),
        names(migrate::check(&options(&database), &migrations).await),
    ] {
        let error = outcome.unwrap_err();
        assert!(
            error.starts_with("0002_unique.sql: an earlier run began it and did not end it; an inv"),
            "{error}"
        );
        assert!(error.contains("\ndrop index concurrently t_i;"), "{error}");
    }
    say(&database, "drop index concurrently t_i").await;
    // The data mended, or the file: it was never applied.
    say(&database, "delete from t").await;
    let mended = (UNIQUE.0, "-- no-transaction\ncreate unique index concurrently t_i2 on t (i);");
    assert_eq!(run(&database, &files(&[TABLE, mended]).await).await, Ok(vec!["0002_unique".to_owned()]));
    assert_eq!(rows(&database).await, ["1 true", "2 true"]);
}

#[tokio::test]
async fn a_failed_one_that_left_nothing_leaves_no_row() {
    let database = Database::empty().await;
    let wrong = ("0002_index.sql", "-- no-transaction\ncreate index concurrently t_i on nowhere (i);");
    let error = run(&database, &files(&[TABLE, wrong]).await).await.unwrap_err();
    assert!(
        error.starts_with("0002_index.sql: relation \"nowhere\" does not exist\nmend the file"),
        "{error}"
    );
    assert_eq!(rows(&database).await, ["1 true"]);
    assert_eq!(run(&database, &files(&[TABLE, INDEX]).await).await, Ok(vec!["0002_index".to_owned()]));
}

#[tokio::test]
async fn one_whose_migrator_was_killed_is_run_again() {
    for made in ["", "create index t_i on t (i)"] {
        let database = Database::empty().await;
        run(&database, &files(&[TABLE]).await).await.unwrap();
        let migrations = files(&[TABLE, INDEX]).await;
        // A kill before the statement, and one after it: the server goes on when the migrator is gone.
        sqlx::query("insert into _sqlx_migrations values (2, 'index', now(), false, $1, -1)")
            .bind(&*migrations.iter().next_back().unwrap().checksum)
            .execute(&mut database.connect().await)
            .await
            .unwrap();
        say(&database, made).await;
        assert_eq!(run(&database, &migrations).await, Ok(vec!["0002_index".to_owned()]), "{made}");
        assert_eq!(rows(&database).await, ["1 true", "2 true"]);
    }
}

#[tokio::test]
async fn an_index_of_that_name_is_only_taken_for_its_own() {
    let database = Database::empty().await;
    run(&database, &files(&[TABLE]).await).await.unwrap();
    say(&database, "create index t_i on t (i)").await;
    for _ in 0..2 {
        let error = run(&database, &files(&[TABLE, INDEX]).await).await.unwrap_err();
        assert!(error.starts_with("0002_index.sql: relation \"t_i\" already exists\n"), "{error}");
    }
    assert_eq!(rows(&database).await, ["1 true"]);
}

#[tokio::test]
async fn a_kill_in_the_middle_is_seen_and_the_next_run_waits_for_the_server_and_goes_on() {
    let database = Database::empty().await;
    run(&database, &files(&[TABLE]).await).await.unwrap();
    let mut holder = database.connect().await;
    holder.execute("begin; insert into t values (3)").await.unwrap();
    let options = options(&database);
    let killed = tokio::spawn({
        let options = options.clone();
        async move { migrate::run(&options, &files(&[TABLE, INDEX]).await, |_| {}).await }
    });
    // The index waits for whoever writes to its table.
    while rows(&database).await != ["1 true", "2 false"] {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    killed.abort();
    let migrations = files(&[TABLE, INDEX]).await;
    let (next, ()) = tokio::join!(migrate::run(&options, &migrations, |_| {}), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        holder.execute("commit").await.unwrap();
    });
    assert_eq!(names(next), Ok(vec!["0002_index".to_owned()]));
    assert_eq!(rows(&database).await, ["1 true", "2 true"]);
}
