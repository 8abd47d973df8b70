//! The end of the service: what was begun is finished, and nothing holds it up.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use rustix::process::Signal;
use sqlx::{Connection, Executor, PgConnection};
use std::io::{Read, Write};
use std::net::TcpStream;

/// A request that waits for a row until the connection that is given back lets go of it.
pub(crate) async fn slow_request(
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
    service.wait_for_log("stopping: requests may finish").await;
    // The socket came on standard input, and nobody else holds it: it is free for the next one.
    let refused = TcpStream::connect(&service.host).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    holder.execute("commit").await.unwrap();
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(!service.admin_socket().exists(), "the admin socket goes with the service");
}

#[tokio::test]
async fn while_it_drains_it_lives_is_not_ready_and_refuses_whoever_comes() {
    let database = Database::new().await;
    let mut service = Service::spawn_alone(&database.url(), &[("EDIT_TOKEN", TOKEN)]).await;
    service.wait_for("/readyz", 200).await;
    let (mut holder, request) = slow_request(&database, &service).await;

    service.signal(Signal::TERM);
    service.wait_for_log("stopping: requests may finish").await;
    assert_eq!(service.admin("/livez"), Some(200));
    assert_eq!(service.admin_text("/readyz"), Some((503, "not ready: stopping\n".to_owned())));
    let refused = TcpStream::connect(&service.host).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    holder.execute("commit").await.unwrap();
    let answer = request.await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (200, &"close".parse().unwrap()));
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn with_a_delay_new_connections_are_answered_while_it_is_not_ready_any_more() {
    let database = Database::new().await;
    let environment = [("EDIT_TOKEN", TOKEN), ("DRAIN_DELAY", "3")];
    let mut service = Service::spawn_alone(&database.url(), &environment).await;
    service.wait_for("/readyz", 200).await;
    service.put("wiki", "https://example.com/").send().await.unwrap();
    let mut kept = TcpStream::connect(&service.host).unwrap();

    service.signal(Signal::TERM);
    service.wait_for("/readyz", 503).await;
    assert_eq!(service.admin("/livez"), Some(200));
    for stream in [&mut TcpStream::connect(&service.host).unwrap(), &mut kept] {
        write!(stream, "GET /wiki HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 307 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "it says that it hangs up: {answer}");
    }
    assert!(!service.log().contains("stopping: no new connections"), "{}", service.log());
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(service.log().contains("not ready from now on, accepting for 3 s more"), "{}", service.log());
}

#[tokio::test]
async fn a_request_that_takes_too_long_does_not_hold_it() {
    let database = Database::new().await;
    let environment = [("EDIT_TOKEN", TOKEN), ("DRAIN_DEADLINE", "0.2")];
    let mut service = Service::spawn(&database.url(), &environment);
    service.wait_for("/readyz", 200).await;
    let (_holder, request) = slow_request(&database, &service).await;
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(1), "what was cut is not well");
    assert!(service.log().contains("requests were still open after 0.2 s"), "{}", service.log());
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let database = Database::new().await;
    let mut service = Service::start(&database).await;
    let (_holder, _request) = slow_request(&database, &service).await;
    service.signal(Signal::INT);
    service.wait_for_log("stopping: requests may finish").await;
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
