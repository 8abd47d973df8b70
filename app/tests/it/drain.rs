//! Generation after generation on one socket, under load: nobody who asks notices.

use crate::clients::{Clients, failed};
use crate::database::Database;
use crate::service::{Service, TOKEN};
use rustix::process::Signal;
use std::net::TcpListener;

const ENVIRONMENT: [(&str, &str); 2] = [("EDIT_TOKEN", TOKEN), ("DRAIN_DELAY", "0")];
/// How many requests pass between the start of a generation and the end of the one before it.
const TOGETHER: usize = 50;

fn rounds() -> usize {
    if std::env::var("SLIPWAY_SOAK").is_ok_and(|soak| soak == "1") { 50 } else { 5 }
}

#[tokio::test]
async fn no_request_is_lost_while_generations_follow_each_other() {
    let database = Database::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut current = Service::spawn_on(&listener, &database.url(), &ENVIRONMENT);
    current.wait_for("/readyz", 200).await;
    current.put("wiki", "https://example.com/").send().await.unwrap();
    let clients = Clients::start(listener.local_addr().unwrap(), 8, 2);

    for _ in 0..rounds() {
        let mut next = Service::spawn_on(&listener, &database.url(), &ENVIRONMENT);
        next.wait_for("/readyz", 200).await;
        clients.wait_for_more(TOGETHER).await;
        current.signal(Signal::TERM);
        assert_eq!(current.ended().await.code(), Some(0), "{}", current.log());
        assert!(!current.log().contains("still open"), "{}", current.log());
        current = next;
    }

    let (fresh, kept) = clients.end();
    println!("{} drains; on new connections {fresh:?}, on kept ones {kept:?}", rounds());
    assert_eq!(failed(&fresh), 0, "{fresh:?}");
    assert!(fresh["answered"] >= rounds() * TOGETHER / 2, "{fresh:?}");

    // Each redirect that was answered is a click, whichever generation gave it.
    current.signal(Signal::TERM);
    assert_eq!(current.ended().await.code(), Some(0));
    let clicks: i64 = sqlx::query_scalar("select sum(count)::bigint from clicks")
        .fetch_one(&mut database.connect().await)
        .await
        .unwrap();
    let redirected = fresh["redirected"] + kept["redirected"];
    let clicks = usize::try_from(clicks).unwrap();
    assert!(
        (redirected..=redirected + failed(&kept)).contains(&clicks),
        "{clicks} clicks, {redirected} redirects"
    );
}
