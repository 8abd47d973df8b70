//! The page in development: it loads itself again when a newer version serves, and shows what is wrong with the code.
//!
//! `cargo xtask dev` replaces the service while the page stays open, and knows of errors that no version of the service
//! can: those of code that does not compile. It writes them to a file; whichever version serves passes them on.
//! Nothing of this exists without DEV_PROBLEM: no route, no script, no permission to run one.

use crate::stop::{Phase, Stop};
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;

const SCRIPT: &str = include_str!("../pages/dev.js");
/// The pause between two looks at the file. A look is one question to the file system.
const PAUSE: Duration = Duration::from_millis(150);
/// When a browser comes again after its stream ended.
const RETRY: Duration = Duration::from_millis(100);
/// How long a stream is silent at most, so that nobody in between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a service in development knows about itself.
#[derive(Clone, Debug)]
pub struct Development {
    generation: Arc<str>,
    problem: watch::Receiver<String>,
    stop: Stop,
}

impl Development {
    /// Reads the file at `problem` and watches it until the process ends. One that is not there means that all is well.
    #[must_use]
    pub fn start(problem: PathBuf, stop: Stop) -> Self {
        let seen = look(&problem);
        let (sender, receiver) = watch::channel(read(&problem));
        tokio::spawn(keep_looking(problem, seen, sender));
        Self { generation: generation().into(), problem: receiver, stop }
    }

    /// Names this process; each start has another.
    #[must_use]
    pub fn generation(&self) -> Arc<str> {
        self.generation.clone()
    }

    /// `/_dev/page.js` and `/_dev/events`: no link can have such a name.
    pub fn router(self) -> Router {
        Router::new().route("/_dev/page.js", get(script)).route("/_dev/events", get(events)).with_state(self)
    }
}

async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-cache")], SCRIPT)
}

/// The generation, then each problem. It ends when the service lets nobody in any more: it would never end by itself,
/// and the browser that comes again finds the next generation.
async fn events(State(development): State<Development>) -> impl IntoResponse {
    let Development { generation, problem, stop } = development;
    let first = Event::default().event("generation").retry(RETRY).data(generation);
    let events = stream::iter([Ok(first)])
        .chain(problems(problem))
        .take_until(Box::pin(async move { stop.reached(Phase::Closed).await }));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// The problem that there is, and each later state, as a JSON string: its lines must survive, and empty is news, too.
fn problems(mut problem: watch::Receiver<String>) -> impl Stream<Item = Result<Event, axum::Error>> {
    let is_one = !problem.borrow_and_update().is_empty();
    if is_one {
        problem.mark_changed();
    }
    stream::unfold(problem, async |mut problem| {
        problem.changed().await.ok()?;
        let event = Event::default().event("problem").json_data(&*problem.borrow_and_update());
        Some((event, problem))
    })
}

async fn keep_looking(path: PathBuf, mut seen: Option<(SystemTime, u64)>, sender: watch::Sender<String>) {
    loop {
        sleep(PAUSE).await;
        // Before it is read: a change in between is seen the next time.
        let now = look(&path);
        if now != seen {
            seen = now;
            let text = read(&path);
            sender.send_if_modified(|old| {
                let is_news = *old != text;
                *old = text;
                is_news
            });
        }
    }
}

/// When the file was written and how long it is; `None` if it is not there.
fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()).unwrap_or_default()
}

fn generation() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), now.as_nanos())
}
