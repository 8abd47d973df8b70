//! How a supervisor sees the service, on a listener of its own: no request of a user can crowd it out, and no user
//! can reach it.

pub mod client;
mod readiness;
mod schema;

pub use readiness::Readiness;

use crate::stop::{Phase, Stop};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

/// `/livez`, `/startupz` and `/readyz`. None touches the database: a probe costs nothing and cannot hang.
pub fn router(readiness: Readiness, stop: Stop) -> Router {
    Router::new()
        // Also while it stops: a supervisor that restarts what is not alive would cut the drain.
        .route("/livez", get(async || "alive\n"))
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .with_state((readiness, stop))
}

type Watched = State<(Readiness, Stop)>;

async fn startupz(State((readiness, _)): Watched) -> (StatusCode, String) {
    answer("started", readiness.started())
}

async fn readyz(State((readiness, stop)): Watched) -> (StatusCode, String) {
    let ready = if stop.has_reached(Phase::Leaving) { Err("stopping".to_owned()) } else { readiness.ready() };
    answer("ready", ready)
}

fn answer(what: &str, outcome: Result<(), String>) -> (StatusCode, String) {
    match outcome {
        Ok(()) => (StatusCode::OK, format!("{what}\n")),
        Err(lack) => (StatusCode::SERVICE_UNAVAILABLE, format!("not {what}: {lack}\n")),
    }
}
