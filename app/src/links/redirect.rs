//! What the service is for: `GET /{slug}`.

use super::slug::Slug;
use super::{App, store};
use crate::error::Error;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// Sends the caller on and counts it. 307, because browsers keep a permanent redirect for ever, and links change.
pub(crate) async fn follow(
    State(app): State<App>,
    method: Method,
    slug: Result<Slug, Error>,
) -> Result<Response, Error> {
    // To the person who typed it, a path that cannot be a slug is simply not there.
    let slug = slug.map_err(|_| Error::NoRoute)?;
    let Some(target) = store::target(&app.pool, &slug).await? else {
        return Err(Error::NoLink(slug));
    };
    // HEAD is what link checkers and chat previews send.
    if method == Method::GET {
        app.clicks.count(slug);
    }
    Ok((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, target)]).into_response())
}
