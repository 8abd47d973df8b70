//! The end of the service: what was begun is finished, and nothing holds it up.

use crate::database::Database;
use crate::service::Service;
use rustix::process::Signal;
use sqlx::{Connection, Executor, PgConnection};
use std::io::{Read, Write};
use std::net::TcpStream;

/// A request that waits for a row until the connection that is given back lets go of it.
async fn slow_request(
    database: &Database,
    service: &Service,
) -> (PgConnection, tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>) {
    service.put("slow", "https://example.com/1").send().await.unwrap();
    let mut holder = database.connect().await;
    holder.execute("begin; select 1 from links where slug = 'slow' for update").await.unwrap();
    let request = tokio::spawn(service.put("slow", "https://example.com/2").send());
    let waiting = "select count(*) > 0 from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    // Not on `holder`: inside a transaction the view is read once.
    let mut observer = database.connect().await;
    while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut observer).await.unwrap() {
        tokio::task::yield_now().await;
    }
    observer.close().await.unwrap();
    (holder, request)
}

#[tokio::test]
async fn a_request_that_was_begun_is_finished() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    let (mut holder, request) = slow_request(&database, &service).await;

    service.signal(Signal::TERM);
    while !service.log().contains("stopping") {
        tokio::task::yield_now().await;
    }
    holder.execute("commit").await.unwrap();
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(!service.admin_socket().exists(), "the admin socket goes with the service");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    let (_holder, _request) = slow_request(&database, &service).await;
    service.signal(Signal::INT);
    while !service.log().contains("stopping") {
        tokio::task::yield_now().await;
    }
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(143));
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_it() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    let mut idle = TcpStream::connect(&service.host).unwrap();
    write!(idle, "GET /static/icon.svg HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 100]).unwrap();
    service.signal(Signal::INT);
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(!service.log().contains("requests were still open"), "{}", service.log());
}

#[tokio::test]
async fn the_last_clicks_are_written() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    service.put("wiki", "https://example.com/").send().await.unwrap();
    for _ in 0..5 {
        service.get("/wiki").send().await.unwrap();
    }
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(0));
    let clicks: i64 = sqlx::query_scalar("select sum(count)::bigint from clicks")
        .fetch_one(&mut database.connect().await)
        .await
        .unwrap();
    assert_eq!(clicks, 5);
}
