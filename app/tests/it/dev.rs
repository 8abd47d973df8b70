//! The page in development: told of each generation and of each problem.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use reqwest::Response;
use rustix::process::Signal;
use std::path::Path;

/// Reads a stream of events, one block at a time.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn of(service: &Service) -> Self {
        let answer = service.get("/_dev/events").header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The data of the next event, which must be an `event`; `None` at the end of the stream.
    async fn next(&mut self, event: &str) -> Option<String> {
        while !self.text.contains("\n\n") {
            let piece = self.answer.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.text = rest;
        assert!(block.contains(&format!("event: {event}")), "{block}");
        if event == "generation" {
            assert!(block.contains("retry: 100"), "{block}");
        }
        block.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned))
    }
}

async fn start(database: &Database, problem: &Path) -> Service {
    let environment = [("EDIT_TOKEN", TOKEN), ("DEV_PROBLEM", problem.to_str().unwrap())];
    let mut service = Service::spawn(&database.url(), &environment);
    service.wait_for("/readyz", 200).await;
    service
}

#[tokio::test]
async fn a_problem_appears_changes_and_goes() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let problem = folder.path().join("problem");
    let service = start(&database, &problem).await;

    let mut events = Events::of(&service).await;
    events.next("generation").await.unwrap();
    let error = "error[E0308]: mismatched types\n --> app/src/\"x\".rs:1\n\n<script>";
    std::fs::write(&problem, error).unwrap();
    let seen = events.next("problem").await.unwrap();
    assert_eq!(serde_json::from_str::<String>(&seen).unwrap(), error);

    // Whoever comes while there is one is told at once.
    let mut late = Events::of(&service).await;
    late.next("generation").await.unwrap();
    assert_eq!(late.next("problem").await.unwrap(), seen);

    std::fs::write(&problem, "another").unwrap();
    assert_eq!(events.next("problem").await.unwrap(), "\"another\"");
    std::fs::remove_file(&problem).unwrap();
    assert_eq!(events.next("problem").await.unwrap(), "\"\"");

    // Whoever comes afterwards hears nothing of it.
    let mut later = Events::of(&service).await;
    later.next("generation").await.unwrap();
    std::fs::write(&problem, "a new one").unwrap();
    assert_eq!(later.next("problem").await.unwrap(), "\"a new one\"");
}

#[tokio::test]
async fn a_stream_ends_with_its_generation_and_holds_nothing_up() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let problem = folder.path().join("problem");
    let mut service = start(&database, &problem).await;
    let mut events = Events::of(&service).await;
    let first = events.next("generation").await.unwrap();

    service.signal(Signal::TERM);
    assert_eq!(events.next("").await, None, "the stream ends, whole");
    assert_eq!(service.ended().await.code(), Some(0));
    assert!(!service.log().contains("still open"), "{}", service.log());

    let service = start(&database, &problem).await;
    assert_ne!(Events::of(&service).await.next("generation").await, Some(first));
}

#[tokio::test]
async fn each_page_has_the_script_and_may_run_it() {
    let database = Database::new().await;
    let service = start(&database, Path::new("/nonexistent/problem")).await;
    let generation = Events::of(&service).await.next("generation").await.unwrap();
    let tag = format!("<script src=\"/_dev/page.js\" data-generation=\"{generation}\" defer></script>");
    for path in ["/", "/no-such-link"] {
        let page = service.get(path).header("accept", "text/html").send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.ends_with("; script-src 'self'; connect-src 'self'"), "{policy}");
        let text = page.text().await.unwrap();
        assert_eq!((text.matches("<script").count(), text.matches(&tag).count()), (1, 1), "{path}: {text}");
    }
    let script = service.get("/_dev/page.js").send().await.unwrap();
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    assert!(!service.log().contains("/_dev/"), "its requests do not fill the log");
}

#[tokio::test]
async fn otherwise_there_is_neither_script_nor_route() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    for path in ["/_dev/page.js", "/_dev/events"] {
        assert_eq!(service.get(path).send().await.unwrap().status(), 404, "{path}");
    }
    for path in ["/", "/no-such-link"] {
        let page = service.get(path).header("accept", "text/html").send().await.unwrap();
        assert!(!page.headers()["content-security-policy"].to_str().unwrap().contains("script-src"));
        assert!(!page.text().await.unwrap().contains("script"), "{path}");
    }
}
