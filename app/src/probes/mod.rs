//! How a supervisor sees the service, on a listener of its own: no request of a user can crowd it out, and no user
//! can reach it.

pub mod client;
mod readiness;

pub use readiness::Readiness;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

/// `/livez` and `/readyz`. Neither touches the database: a probe costs nothing and cannot hang.
pub fn router(readiness: Readiness) -> Router {
    Router::new().route("/livez", get(async || "alive\n")).route("/readyz", get(readyz)).with_state(readiness)
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the database does not answer\n")
    }
}
