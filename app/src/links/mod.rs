//! The domain: links, their clicks, the API and the page. A team replaces this folder with its own.

mod api;
mod assets;
mod auth;
mod authority;
mod chart;
mod clicks;
mod error_page;
mod export;
mod form;
mod page;
mod redirect;
mod search;
mod slug;
pub mod sql;
mod store;
mod target;

pub use authority::Authority;
pub use clicks::Clicks;
pub use error_page::ErrorPage;
pub use slug::{Slug, SlugError};
pub use target::{Target, TargetError};

use crate::secrets::Secret;
use axum::Router;
use axum::routing::{get, post};
use sqlx::PgPool;
use std::sync::Arc;

/// What every handler may need.
#[derive(Clone, Debug)]
pub struct App {
    /// The connections that requests share.
    pub pool: PgPool,
    /// The clicks that are not written yet.
    pub clicks: Arc<Clicks>,
    /// What a person must know to change links; without it nobody may.
    pub edit_token: Option<Arc<Secret>>,
    /// Where people reach this service, if it was told.
    pub public: Option<Authority>,
    /// In development, the generation of the service that writes the pages; see [`crate::dev`].
    pub generation: Option<Arc<str>>,
}

/// All routes of the domain.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(page::show))
        .route("/links", post(form::save))
        .route("/links/{slug}/delete", post(form::delete))
        .route("/static/style.css", get(assets::style))
        .route("/static/icon.svg", get(assets::icon))
        .route("/api/v1/links", get(api::list))
        .route("/api/v1/links/{slug}", get(api::read).put(api::put).delete(api::delete))
        .route("/api/v1/export", get(export::stream))
        .route("/{slug}", get(redirect::follow))
}
