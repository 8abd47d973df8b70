//! What surrounds each route, around routes that misbehave; and what happens when the connections are used up.

use crate::database::Database;
use crate::lifecycle::slow_request;
use crate::service::{Service, TOKEN};
use axum::Router;
use axum::routing::get;
use links::router::{Frame, surround};
use links::stop::Stop;
use serde_json::Value;
use sqlx::Executor;
use std::time::Duration;

/// Serves these routes as the service serves its own, and gives the address.
async fn serve(routes: Router, time_limit: Duration) -> String {
    let (_sender, stop) = Stop::channel();
    let router = surround(routes, Frame { public_url: None, time_limit, stop, development: None });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn problem(url: &str) -> (u16, reqwest::header::HeaderMap, Value) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.headers().clone(), answer.json().await.unwrap())
}

async fn panics() -> &'static str {
    panic!("said on purpose: hunter2")
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_next_request_finds_the_service_well() {
    let routes = Router::new().route("/panics", get(panics)).route("/well", get(async || "well"));
    let url = serve(routes, Duration::from_secs(60)).await;
    let (status, headers, problem) = problem(&format!("{url}/panics")).await;
    assert_eq!((status, &problem["code"]), (500, &"internal".into()));
    assert_eq!(headers["content-type"], "application/problem+json");
    assert!(headers.contains_key("x-request-id"));
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    let well = reqwest::get(format!("{url}/well")).await.unwrap();
    assert_eq!(well.text().await.unwrap(), "well");
}

#[tokio::test]
async fn a_request_without_end_is_answered_when_its_time_is_over() {
    let routes = Router::new().route("/hangs", get(std::future::pending::<()>));
    let url = serve(routes, Duration::from_millis(50)).await;
    let (status, headers, problem) = problem(&format!("{url}/hangs")).await;
    assert_eq!((status, &problem["code"]), (503, &"too_slow".into()));
    assert_eq!(headers["retry-after"], "1");
}

#[tokio::test]
async fn when_the_connections_are_used_up_requests_are_told_to_come_again() {
    let database = Database::new().await;
    let environment = [("EDIT_TOKEN", TOKEN), ("DATABASE_MAX_CONNECTIONS", "1")];
    let mut service = Service::spawn(&database.url(), &environment);
    service.wait_for("/readyz", 200).await;
    let (mut holder, request) = slow_request(&database, &service).await;

    let answer = service.get("/api/v1/links").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "database_unavailable");
    assert_eq!(service.admin("/readyz"), Some(200), "a busy pool is no dead database");

    holder.execute("commit").await.unwrap();
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    assert_eq!(service.get("/api/v1/links").send().await.unwrap().status(), 200);
}
