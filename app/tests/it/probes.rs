//! `/livez`, `/readyz` and `links probe`.

use crate::database::Database;
use crate::service::{BINARY, Service};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// A server that is not there: no socket lies in this folder.
const NOBODY: &str = "postgres://postgres@localhost/links?host=/nonexistent";

fn probe(service: &Service, probe: &str) -> Output {
    let admin = format!("unix:{}", service.admin_socket().display());
    Command::new(BINARY).args(["probe", probe, "--admin-listen", &admin]).env_clear().output().unwrap()
}

#[tokio::test]
async fn a_service_without_its_database_lives_is_not_ready_and_says_503() {
    let mut service = Service::spawn(NOBODY, &[]);
    service.wait_for("/livez", 200).await;
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
    let mut service = Service::spawn(NOBODY, &[]);
    service.wait_for("/livez", 200).await;
    let mode = std::fs::metadata(service.admin_socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The probes are not on the public listener, where these names are reserved.
    assert_eq!(service.get("/livez").send().await.unwrap().status(), 404);
}
