//! What surrounds each public route: a request id, a log line, safe headers, a time limit, and the body of every error.

use crate::dev::Development;
use crate::error::{Error, Problem};
use crate::links::ErrorPage;
use crate::stop::{Phase, Stop};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    ACCEPT, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::Level;
use url::Url;

/// No request of this service needs more than a slug and a URL.
const BODY_LIMIT: usize = 16 * 1024;
/// Nothing from elsewhere, no script at all, no frame around us.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// The same, and the script of [`crate::dev`].
const DEV_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                          frame-ancestors 'none'; script-src 'self'; connect-src 'self'";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the surroundings of a route depend on.
#[derive(Debug)]
pub struct Frame {
    /// The address people type, if the service was told.
    pub public_url: Option<Url>,
    /// How long until an answer must begin.
    pub time_limit: Duration,
    /// From the first signal on, answers ask clients to leave.
    pub stop: Stop,
    /// Only in development.
    pub development: Option<Development>,
}

/// The public service around its routes. The layer that is added last is the outermost.
pub fn surround(routes: Router, frame: Frame) -> Router {
    let Frame { public_url, time_limit, stop, development } = frame;
    let policy = if development.is_some() { DEV_POLICY } else { POLICY };
    let generation = development.as_ref().map(Development::generation);
    let surrounded = routes
        .fallback(async || Error::NoRoute)
        .method_not_allowed_fallback(async || Error::Method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(same_origin(public_url).with_rejection_response(|_| Error::ForeignOrigin.into_response()))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state((time_limit, generation), answer))
        .layer(header(CONTENT_SECURITY_POLICY, policy))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Not `no-referrer`: with that a browser sends the origin `null` with our own form.
        .layer(header(REFERRER_POLICY, "same-origin"))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(DefaultOnResponse::new().level(Level::INFO))
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid));
    // Outside of all this: its requests are not the service's, and would fill the log.
    let whole = match development {
        Some(development) => surrounded.merge(development.router()),
        None => surrounded,
    };
    whole.layer(map_response_with_state(stop, ask_to_leave))
}

/// Browsers send a password that they know with every request, also with one that another site made.
fn same_origin(public_url: Option<Url>) -> CsrfLayer {
    let layer = CsrfLayer::new();
    match public_url {
        None => layer,
        // A proxy that rewrites `Host` would make our own page look foreign. An origin of a parsed URL is always taken.
        Some(url) => layer.add_trusted_origin(url.origin().ascii_serialization()).unwrap_or_default(),
    }
}

fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// What panicked and where is on stderr already, but not for whose request.
fn panicked() -> Response {
    let error = Error::Broken;
    tracing::error!(code = error.code(), "a request failed: its handler panicked");
    error.into_response()
}

/// The path without the query: what people search for is not the log's business.
fn span(request: &Request) -> tracing::Span {
    tracing::info_span!(
        "request",
        id = request_id(request.headers()),
        method = %request.method(),
        path = request.uri().path(),
    )
}

/// Limits the time and writes the body of an error: a page for a browser, a problem for all else.
async fn answer(
    State((time_limit, generation)): State<(Duration, Option<Arc<str>>)>,
    request: Request,
    next: Next,
) -> Response {
    let for_person = wants_page(&request);
    let id = request_id(request.headers()).to_owned();
    let mut response = match timeout(time_limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::TooSlow.into_response(),
    };
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let page = for_person.then(|| ErrorPage::of(&problem, &id, generation.as_deref())).flatten();
    let (content_type, body) = match page {
        Some(page) => ("text/html; charset=utf-8", page),
        None => ("application/problem+json", serde_json::to_string(&problem).unwrap_or_default()),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, body.into())
}

/// A client that keeps its connection would send the next request into the end of this process.
async fn ask_to_leave(State(stop): State<Stop>, mut response: Response) -> Response {
    if stop.has_reached(Phase::Leaving) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !request.uri().path().starts_with("/api/") && accept.contains("text/html")
}

fn request_id(headers: &HeaderMap) -> &str {
    headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
