//! Every way a request can fail: one enum, answered as RFC 9457 problem, or as a page to a browser.
//!
//! The caller gets a text and a stable code; what the database said goes to the log only, beside the request's id.

use crate::links::{Slug, SlugError, TargetError};
use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The slug cannot be one.
    #[error(transparent)]
    Slug(#[from] SlugError),
    /// The target cannot be one.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The slug is fine, but no link has it.
    #[error("there is no link `{0}`")]
    NoLink(Slug),
    /// No route has this path.
    #[error("there is nothing at this address")]
    NoRoute,
    /// The route exists, but not with this method.
    #[error("this address does not take that method; the header `allow` names those it takes")]
    Method,
    /// The query string is not understood.
    #[error("{0}")]
    Query(String),
    /// The body is not understood, too large or of another type.
    #[error("{detail}")]
    Body {
        /// 400, 413 or 415.
        status: StatusCode,
        /// What is wrong with it.
        detail: String,
    },
    /// This service was started without a token.
    #[error("this service runs without EDIT_TOKEN, so nobody may change links; start it with one")]
    EditsOff,
    /// A change without any token.
    #[error("changing links needs the edit token: as bearer token, or as the password of any user name")]
    TokenMissing,
    /// A change with another token.
    #[error("that is not the edit token of this service")]
    TokenWrong,
    /// A browser sent a change on behalf of another site.
    #[error("the change was sent by a page of another site")]
    ForeignOrigin,
    /// The database failed.
    #[error("{}", if is_outage(.0) { "the database does not answer" } else { "something failed in this service" })]
    Database(#[from] sqlx::Error),
    /// The request took longer than any should.
    #[error("the request took too long")]
    TooSlow,
    /// A handler panicked, or a page could not be written.
    #[error("something failed in this service")]
    Broken,
}

/// The body of a failed request, by RFC 9457 (`type` is `about:blank`: `code` says it all).
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Always `about:blank`.
    pub r#type: &'static str,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for programs: part of the contract.
    pub code: &'static str,
    /// What went wrong, for people.
    pub detail: String,
    /// The slug that a browser may be offered to create.
    #[serde(skip)]
    pub offer: Option<Slug>,
}

impl Error {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Slug(_) | Self::Target(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoLink(_) | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Body { status, .. } => *status,
            Self::EditsOff | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::TokenMissing | Self::TokenWrong => StatusCode::UNAUTHORIZED,
            Self::Database(cause) if is_outage(cause) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(_) | Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Slug(error) => error.code(),
            Self::Target(error) => error.code(),
            Self::NoLink(_) => "link_not_found",
            Self::NoRoute => "route_not_found",
            Self::Method => "method_not_allowed",
            Self::Query(_) => "query_invalid",
            Self::Body { status, .. } => match *status {
                StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "body_type",
                _ => "body_invalid",
            },
            Self::EditsOff => "edits_off",
            Self::TokenMissing => "token_missing",
            Self::TokenWrong => "token_wrong",
            Self::ForeignOrigin => "foreign_origin",
            Self::Database(cause) if is_outage(cause) => "database_unavailable",
            Self::TooSlow => "too_slow",
            Self::Database(_) | Self::Broken => "internal",
        }
    }

    fn body(rejected: StatusCode, detail: String) -> Self {
        // axum tells a text that is no JSON from JSON of another shape; to the sender both are a bad body.
        let status = match rejected {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            other => other,
        };
        Self::Body { status, detail }
    }
}

impl From<JsonRejection> for Error {
    fn from(rejection: JsonRejection) -> Self {
        Self::body(rejection.status(), rejection.body_text())
    }
}

impl From<FormRejection> for Error {
    fn from(rejection: FormRejection) -> Self {
        Self::body(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Error {
    fn from(rejection: QueryRejection) -> Self {
        Self::Query(rejection.body_text())
    }
}

impl IntoResponse for Error {
    /// The status, the headers and a [`Problem`] in the extensions: [`crate::router`] writes the body, because it
    /// knows who asked.
    fn into_response(self) -> Response {
        if let Self::Database(cause) = &self {
            tracing::error!(code = self.code(), error = %cause, "a request failed");
        }
        let status = self.status();
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code(),
            detail: self.to_string(),
            offer: if let Self::NoLink(slug) = self { Some(slug) } else { None },
        };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"links\", charset=\"UTF-8\""),
            );
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"links\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(problem);
        response
    }
}

/// Whether the database is away for now, as opposed to a statement that it refused.
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
            true
        }
        // 08: connection lost. 53: out of resources, such as connections. 57P: shutting down or starting.
        // 3D000 and 28: the database or its user is not there yet, or no more.
        sqlx::Error::Database(refused) => refused.code().is_some_and(|code| {
            ["08", "53", "57P", "3D000", "28"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
