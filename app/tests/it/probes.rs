//! `/livez`, `/readyz` and `links probe`. `/startupz` is in `startup`.

use crate::database::Database;
use crate::service::{BINARY, NOBODY, Service};
use sqlx::Executor;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

pub(crate) fn probe(service: &Service, probe: &str) -> Output {
    let admin = format!("unix:{}", service.admin_socket().display());
    Command::new(BINARY).args(["probe", probe, "--admin-listen", &admin]).env_clear().output().unwrap()
}

#[tokio::test]
async fn a_service_without_its_database_lives_is_not_ready_and_says_503() {
    let service = Service::spawn_alone(NOBODY, &[]).await;
    assert_eq!(service.admin("/readyz"), Some(503));
    assert_eq!(service.admin("/metrics"), Some(404));

    let answer = service.get("/wiki").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    assert!(text.contains("database_unavailable") && !text.contains("nonexistent"), "{text}");
    assert!(service.log().contains(&id), "the cause is found in the log by the request's id");

    assert_eq!(probe(&service, "live").status.code(), Some(0));
    let ready = probe(&service, "ready");
    assert_eq!(ready.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&ready.stderr), "error: not ready: the database does not answer\n");
}

#[tokio::test]
async fn readiness_follows_the_database_and_liveness_does_not() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    assert_eq!(probe(&service, "ready").status.code(), Some(0));
    database.drop_now();
    service.wait_for("/readyz", 503).await;
    assert_eq!(service.admin("/livez"), Some(200));
    assert_eq!(service.get("/wiki").send().await.unwrap().status(), 503);
}

#[tokio::test]
async fn only_this_user_may_open_the_admin_socket() {
    let service = Service::spawn_alone(NOBODY, &[]).await;
    let mode = std::fs::metadata(service.admin_socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The probes are not on the public listener, where these names are reserved.
    assert_eq!(service.get("/livez").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn connections_of_before_an_outage_are_not_handed_out_after_it() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    service.put("wiki", "https://example.com/").send().await.unwrap();
    // What `cargo xtask db reset` or a failover does to those that were open.
    database
        .connect()
        .await
        .execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
        .await
        .unwrap();
    service.wait_for_log("not ready: the database does not answer").await;
    service.wait_for("/readyz", 200).await;
    for _ in 0..8 {
        assert_eq!(service.get("/wiki").send().await.unwrap().status(), 307);
    }
}
