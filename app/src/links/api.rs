//! The JSON API.

use super::App;
use super::auth::Editor;
use super::authority::OwnNames;
use super::search::Search;
use super::slug::Slug;
use super::store::{self, Link, Page};
use super::target::Target;
use crate::error::Error;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    query: Option<String>,
    page: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutLink {
    target: String,
}

/// `GET /api/v1/links`
pub(crate) async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page>, Error> {
    let Query(query) = query?;
    let search = Search::new(query.query.as_deref(), query.page)?;
    Ok(Json(store::list(&app.pool, &search).await?))
}

/// `GET /api/v1/links/{slug}`
pub(crate) async fn read(State(app): State<App>, slug: Slug) -> Result<Json<Link>, Error> {
    store::read(&app.pool, &slug).await?.map(Json).ok_or(Error::NoLink(slug))
}

/// `PUT /api/v1/links/{slug}`: 201 for a new link, 200 for a changed one.
pub(crate) async fn put(
    _: Editor,
    State(app): State<App>,
    slug: Slug,
    own: OwnNames,
    body: Result<Json<PutLink>, JsonRejection>,
) -> Result<(StatusCode, Json<Link>), Error> {
    let Json(body) = body?;
    let target = Target::parse(&body.target, &own)?;
    let is_new = store::put(&app.pool, &slug, &target).await?;
    let link = store::read(&app.pool, &slug).await?.ok_or(Error::NoLink(slug))?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(link)))
}

/// `DELETE /api/v1/links/{slug}`
pub(crate) async fn delete(_: Editor, State(app): State<App>, slug: Slug) -> Result<StatusCode, Error> {
    if store::delete(&app.pool, &slug).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Error::NoLink(slug)) }
}
