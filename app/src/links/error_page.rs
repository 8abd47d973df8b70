//! A failed request, as a person sees it.

use super::assets::{ICON_URL, STYLE_URL};
use super::slug::Slug;
use crate::error::Problem;
use askama::Template;

/// A small page: what is wrong, and a way on.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    problem: &'a Problem,
    offer: Option<&'a Slug>,
    /// Names the request in the log; shown when the fault is ours.
    request_id: &'a str,
    style_url: &'a str,
    icon_url: &'a str,
    generation: Option<&'a str>,
}

impl ErrorPage<'_> {
    /// The page as HTML, in development with its `generation`; `None` if it cannot be written, which leaves the problem as it is.
    #[must_use]
    pub fn of(problem: &Problem, request_id: &str, generation: Option<&str>) -> Option<String> {
        ErrorPage {
            problem,
            offer: problem.offer.as_ref(),
            request_id,
            style_url: &STYLE_URL,
            icon_url: &ICON_URL,
            generation,
        }
        .render()
        .ok()
    }
}
