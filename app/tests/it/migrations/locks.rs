//! Several migrators, and migrations that wait for others.

use super::{Step, files, migrate as links_migrate, names, options, rows, run};
use crate::database::Database;
use links::migrate;
use sqlx::Executor;
use std::sync::mpsc;
use std::time::Duration;

#[tokio::test]
async fn ten_at_once_make_an_index_concurrently_and_all_succeed() {
    let database = Database::empty().await;
    let migrations = files(&[
        ("0001_t.sql", "create table t as select generate_series(1, 20000) as i"),
        ("0002_index.sql", "-- no-transaction\ncreate index concurrently t_i on t (i)"),
        ("0003_more.sql", "alter table t add j int"),
        ("0004_index.sql", "-- no-transaction\ncreate index concurrently t_j on t (j)"),
    ])
    .await;
    let one = || async { run(&database, &migrations).await.unwrap() };
    let all = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one(), one(), one());
    let all: [Vec<String>; 10] = all.into();
    assert_eq!(all.concat(), ["0001_t", "0002_index", "0003_more", "0004_index"]);
    assert_eq!(rows(&database).await, ["1 true", "2 true", "3 true", "4 true"]);
}

#[tokio::test]
async fn who_waits_for_another_migrator_says_so_and_who_has_nothing_to_do_does_not_wait() {
    let database = Database::empty().await;
    let mut other = database.connect().await;
    let lock = "select pg_advisory_lock(x'6c696e6b7300'::bigint)";
    other.execute(lock).await.unwrap();
    let (sender, said) = mpsc::channel();
    let (migrations, options) = (files(&[("0001_t.sql", "create table t ()")]).await, options(&database));
    let waiting = migrate::run(&options, &migrations, |step| {
        if matches!(step, Step::Waiting) {
            sender.send(()).unwrap();
        }
    });
    let free = async {
        while said.try_recv().is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        other.execute("select pg_advisory_unlock_all()").await.unwrap();
    };
    let (report, ()) = tokio::join!(waiting, free);
    assert_eq!(names(report), Ok(vec!["0001_t".to_owned()]));
    other.execute(lock).await.unwrap();
    assert_eq!(run(&database, &migrations).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_table_that_is_held_is_named_with_who_holds_it() {
    let database = Database::new().await;
    let mut holder = database.connect().await;
    holder.execute("set application_name = 'report'; begin; select from links").await.unwrap();
    let text = "set local lock_timeout = '2500ms'; alter table links add more int";
    let more = {
        let mut all: Vec<_> = migrate::MIGRATIONS.iter().cloned().collect();
        all.extend(files(&[("0900_more.sql", text)]).await.iter().cloned());
        sqlx::migrate::Migrator::with_migrations(all)
    };
    let (options, mut blocked) = (options(&database), Vec::new());
    let outcome = migrate::run(&options, &more, |step| {
        if let Step::Blocked(text) = step {
            blocked.push(text.to_owned());
        }
    });
    let error = names(outcome.await).unwrap_err();
    let [blocked] = &blocked[..] else { panic!("{blocked:?}") };
    assert!(blocked.starts_with("a lock on links; in the way is process "), "{blocked}");
    assert!(blocked.ends_with(" (report, idle in transaction)"), "{blocked}");
    assert!(
        error.starts_with("0900_more.sql: gave up (lock_timeout) waiting for a lock on links; "),
        "{error}"
    );
    assert!(error.contains(blocked) && error.ends_with("nothing of this file is left"), "{error}");
    holder.execute("rollback").await.unwrap();
    assert_eq!(names(migrate::run(&options, &more, |_| {}).await), Ok(vec!["0900_more".to_owned()]));
    // To this binary, that one is of a newer version.
    assert_eq!(links_migrate(&database, &[]).0, 0);
}

#[tokio::test]
async fn the_server_ends_what_a_killed_migrator_began() {
    let database = Database::empty().await;
    let options = options(&database);
    let killed = tokio::spawn(async move {
        let slow = files(&[("0001_slow.sql", "create table slow (); select pg_sleep(600)")]).await;
        migrate::run(&options, &slow, |_| {}).await
    });
    let mut observer = database.connect().await;
    let sleeping = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event = 'PgSleep'";
    for expected in [1, 0] {
        let asking = tokio::time::timeout(Duration::from_secs(60), async {
            while sqlx::query_scalar::<_, i64>(sleeping).fetch_one(&mut observer).await.unwrap() != expected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(asking.await.is_ok(), "there never were {expected}");
        killed.abort();
    }
    let quick = files(&[("0001_slow.sql", "create table slow ()")]).await;
    assert_eq!(run(&database, &quick).await.unwrap(), ["0001_slow"]);
}
