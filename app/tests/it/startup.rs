//! The start of the service: not before its migrations, and not in the way of the generation before it.

use crate::database::Database;
use crate::probes::probe;
use crate::service::{BINARY, NOBODY, Service, TOKEN};
use links::migrate::MIGRATIONS;
use rustix::process::Signal;
use sqlx::Executor;
use std::net::TcpListener;
use std::process::Command;

/// What `/startupz` says while the database lacks these files.
fn lacks(files: &[String]) -> Option<(u16, String)> {
    let text = match files {
        [file] => format!("1 migration is pending: {file}"),
        files => format!("{} migrations are pending: {}", files.len(), files.join(", ")),
    };
    Some((503, format!("not started: {text}\n")))
}

fn files() -> Vec<String> {
    let name = |text: &str| text.replace(' ', "_");
    MIGRATIONS.iter().map(|m| format!("{:04}_{}.sql", m.version, name(&m.description))).collect()
}

#[tokio::test]
async fn it_starts_when_nothing_is_pending_any_more() {
    let database = Database::empty().await;
    let mut service = Service::spawn_alone(&database.url(), &[]).await;
    service.wait_for_log("not ready: ").await;
    assert_eq!(service.admin_text("/startupz"), lacks(&files()));
    assert_eq!(service.admin("/readyz"), Some(503));
    let said = probe(&service, "startup");
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).starts_with("error: not started: "));

    let mut migrate = Command::new(BINARY);
    let migrate = migrate.arg("migrate").env_clear().env("DATABASE_URL", database.url());
    assert!(migrate.output().unwrap().status.success());
    service.wait_for("/startupz", 200).await;
    service.wait_for("/readyz", 200).await;
    assert_eq!(probe(&service, "startup").status.code(), Some(0));

    // Started is started, whatever becomes of the database.
    database.drop_now();
    service.wait_for("/readyz", 503).await;
    assert_eq!(service.admin("/startupz"), Some(200));
}

#[tokio::test]
async fn a_migration_that_was_begun_and_not_finished_is_pending() {
    let database = Database::new().await;
    let unfinished = "update _sqlx_migrations set success = false where version = 2";
    database.connect().await.execute(unfinished).await.unwrap();
    let service = Service::spawn_alone(&database.url(), &[]).await;
    service.wait_for_log("not ready: 1 migration is pending").await;
    assert_eq!(service.admin_text("/startupz"), lacks(&files()[1..2]));
}

#[tokio::test]
async fn a_database_that_was_never_reached_is_another_reason() {
    let service = Service::spawn_alone(NOBODY, &[]).await;
    let answer = service.admin_text("/startupz");
    assert_eq!(answer, Some((503, "not started: the database was never reached\n".to_owned())));
}

#[tokio::test]
async fn newer_and_edited_migrations_stop_nothing_and_an_edited_one_is_said_once() {
    let database = Database::new().await;
    let change = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                      values (9999, 'later', true, '\\x00', 0);
                  update _sqlx_migrations set checksum = '\\x00' where version = 1;
                  update _sqlx_migrations set success = false where version = 2";
    let mut connection = database.connect().await;
    connection.execute(change).await.unwrap();
    let mut service = Service::spawn(&database.url(), &[]);
    service.wait_for_log("1 migration is pending").await;
    connection.execute("update _sqlx_migrations set success = true").await.unwrap();
    service.wait_for("/readyz", 200).await;
    let log = service.log();
    assert_eq!(log.matches("0001_links.sql was edited after it was applied").count(), 1, "{log}");
    assert!(!log.contains("9999"), "{log}");
}

#[tokio::test]
async fn on_a_shared_socket_it_accepts_nothing_before_it_is_ready() {
    let database = Database::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut old = Service::spawn_on(&listener, &database.url(), &[("EDIT_TOKEN", TOKEN)]);
    old.wait_for("/readyz", 200).await;
    let mut unready = Service::spawn_on(&listener, NOBODY, &[]);
    unready.wait_for("/readyz", 503).await;
    unready.wait_for_log("listening on ").await;
    for _ in 0..50 {
        // Each with a client, and so a connection, of its own.
        let answer = reqwest::get(format!("http://{}/api/v1/links", old.host)).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert!(!unready.log().contains("request{"), "{}", unready.log());
    unready.signal(Signal::TERM);
    assert_eq!(unready.ended().await.code(), Some(0), "it may also end unused");
}
