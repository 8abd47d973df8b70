//! The public routes and what surrounds each of them: a request id, a log line, safe headers, a time limit, and the
//! body of every error.

use crate::error::{Error, Problem};
use crate::links::{self, App, ErrorPage};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
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
/// How long until an answer must begin. An export that streams may go on.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Nothing from elsewhere, no script at all, no frame around us.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole public service. The layer that is added last is the outermost.
pub fn public(app: App, public_url: Option<&Url>) -> Router {
    links::router()
        .fallback(async || Error::NoRoute)
        .method_not_allowed_fallback(async || Error::Method)
        .with_state(app)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(same_origin(public_url).with_rejection_response(|_| Error::ForeignOrigin.into_response()))
        .layer(CatchPanicLayer::custom(|_| Error::Broken.into_response()))
        .layer(from_fn(answer))
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
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
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// Browsers send a password that they know with every request, also with one that another site made.
fn same_origin(public_url: Option<&Url>) -> CsrfLayer {
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
async fn answer(request: Request, next: Next) -> Response {
    let for_person = wants_page(&request);
    let id = request_id(request.headers()).to_owned();
    let mut response = match timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Error::TooSlow.into_response(),
    };
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let (content_type, body) = match for_person.then(|| ErrorPage::of(&problem, &id)).flatten() {
        Some(page) => ("text/html; charset=utf-8", page),
        None => ("application/problem+json", serde_json::to_string(&problem).unwrap_or_default()),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, body.into())
}

fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !request.uri().path().starts_with("/api/") && accept.contains("text/html")
}

fn request_id(headers: &HeaderMap) -> &str {
    headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
