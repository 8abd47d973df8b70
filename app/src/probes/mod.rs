//! How a supervisor sees the service, on a listener of its own: no request of a user can crowd it out, and no user
//! can reach it.

pub mod client;
mod readiness;
mod schema;

pub use readiness::Readiness;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

/// `/livez`, `/startupz` and `/readyz`. None touches the database: a probe costs nothing and cannot hang.
pub fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/startupz", get(startupz))
        .route("/readyz", get(readyz))
        .with_state(readiness)
}

async fn startupz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    answer("started", readiness.started())
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, String) {
    answer("ready", readiness.ready())
}

fn answer(what: &str, outcome: Result<(), String>) -> (StatusCode, String) {
    match outcome {
        Ok(()) => (StatusCode::OK, format!("{what}\n")),
        Err(lack) => (StatusCode::SERVICE_UNAVAILABLE, format!("not {what}: {lack}\n")),
    }
}
