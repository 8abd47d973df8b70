//! The forms of the page.

use super::auth::Editor;
use super::authority::OwnNames;
use super::page::{self, FormView};
use super::search::Search;
use super::slug::Slug;
use super::target::Target;
use super::{App, store};
use crate::error::Error;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct LinkForm {
    slug: String,
    target: String,
    /// The form showed an existing link. A new one never replaces another by accident.
    #[serde(default)]
    edit: bool,
}

/// `POST /links`: back to the page, or the form again with what was typed and what is wrong with it.
pub(crate) async fn save(
    _: Editor,
    State(app): State<App>,
    own: OwnNames,
    form: Result<Form<LinkForm>, FormRejection>,
) -> Result<Response, Error> {
    let Form(form) = form?;
    let (slug_error, target_error) = match (Slug::parse(&form.slug), Target::parse(&form.target, &own)) {
        (Ok(slug), Ok(target)) => {
            if store_link(&app, &slug, &target, form.edit).await? {
                return Ok(Redirect::to(&format!("/?saved={slug}")).into_response());
            }
            (Some(format!("there is a link {slug} already: edit that one or take another name")), None)
        }
        (slug, target) => {
            (slug.err().map(|error| error.to_string()), target.err().map(|error| error.to_string()))
        }
    };
    let view =
        FormView { slug: form.slug, target: form.target, is_edit: form.edit, slug_error, target_error };
    let page = page::render(&app, &Search::new(None, None)?, &view, None).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Whether it was stored: a new link is not when its slug is taken.
async fn store_link(app: &App, slug: &Slug, target: &Target, is_edit: bool) -> Result<bool, sqlx::Error> {
    if is_edit {
        store::put(&app.pool, slug, target).await?;
        return Ok(true);
    }
    store::add(&app.pool, slug, target).await
}

/// `POST /links/{slug}/delete`
pub(crate) async fn delete(_: Editor, State(app): State<App>, slug: Slug) -> Result<Redirect, Error> {
    if store::delete(&app.pool, &slug).await? {
        Ok(Redirect::to(&format!("/?deleted={slug}")))
    } else {
        Err(Error::NoLink(slug))
    }
}
