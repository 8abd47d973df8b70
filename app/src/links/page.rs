//! The page at `/`: find links, see their clicks, change them. Rendered here, without a script in the browser.

use super::App;
use super::assets::{ICON_URL, STYLE_URL};
use super::chart::Chart;
use super::search::Search;
use super::slug::Slug;
use super::store::{self, Page};
use crate::error::Error;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Html;
use serde::Deserialize;

/// How far the chart looks back.
const DAYS: i32 = 90;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct PageQuery {
    query: Option<String>,
    page: Option<u32>,
    /// The link to show in the form and in the chart.
    edit: Option<String>,
    /// The name to begin a new link with.
    new: Option<String>,
    /// The link that was just saved.
    saved: Option<String>,
    /// The link that was just deleted.
    deleted: Option<String>,
}

/// The form as it is shown: what is stored, or what was typed and why it was not taken.
#[derive(Debug, Default)]
pub(crate) struct FormView {
    pub(crate) slug: String,
    pub(crate) target: String,
    /// An existing link is changed; its slug stays.
    pub(crate) is_edit: bool,
    pub(crate) slug_error: Option<String>,
    pub(crate) target_error: Option<String>,
}

#[derive(Template)]
#[template(path = "links.html")]
struct LinksPage<'a> {
    search: &'a Search,
    list: &'a Page,
    last_page: i64,
    chart: Chart,
    days: i32,
    form: &'a FormView,
    notice: Option<String>,
    can_edit: bool,
    style_url: &'a str,
    icon_url: &'a str,
    generation: Option<&'a str>,
}

impl LinksPage<'_> {
    fn has_next(&self) -> bool {
        i64::from(self.search.page) < self.last_page
    }

    /// 1234567 as 1 234 567, with spaces that do not break.
    fn grouped(&self, number: &i64) -> String {
        let digits = number.to_string();
        let first = digits.len() % 3;
        let mut grouped = digits[..first].to_owned();
        for (index, digit) in digits[first..].chars().enumerate() {
            if index % 3 == 0 && !grouped.is_empty() {
                grouped.push('\u{202f}');
            }
            grouped.push(digit);
        }
        grouped
    }
}

/// `GET /`
pub(crate) async fn show(
    State(app): State<App>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Html<String>, Error> {
    let Query(query) = query?;
    let search = Search::new(query.query.as_deref(), query.page)?;
    let form = match &query.edit {
        Some(edit) => {
            let slug = Slug::parse(edit)?;
            let link = store::read(&app.pool, &slug).await?.ok_or(Error::NoLink(slug))?;
            FormView { slug: link.slug, target: link.target, is_edit: true, ..FormView::default() }
        }
        None => FormView { slug: query.new.clone().unwrap_or_default(), ..FormView::default() },
    };
    render(&app, &search, &form, notice(&query)).await
}

/// The whole page around a form, with the chart of the link that the form changes or of all.
pub(crate) async fn render(
    app: &App,
    search: &Search,
    form: &FormView,
    notice: Option<String>,
) -> Result<Html<String>, Error> {
    let charted = if form.is_edit { Slug::parse(&form.slug).ok() } else { None };
    let list = store::list(&app.pool, search).await?;
    let chart = Chart::of(store::clicks_by_day(&app.pool, charted.as_ref(), DAYS).await?);
    let page = LinksPage {
        search,
        list: &list,
        last_page: (list.total - 1).max(0) / i64::from(Search::PER_PAGE) + 1,
        chart,
        days: DAYS,
        form,
        notice,
        can_edit: app.edit_token.is_some(),
        style_url: &STYLE_URL,
        icon_url: &ICON_URL,
        generation: app.generation.as_deref(),
    };
    page.render().map(Html).map_err(|_| Error::Broken)
}

/// Only a name that can be a link's is repeated: the address of this page is anybody's to write.
fn notice(query: &PageQuery) -> Option<String> {
    let name = |text: &Option<String>| Slug::parse(text.as_deref()?).ok();
    if let Some(slug) = name(&query.saved) {
        return Some(format!("{slug} is saved."));
    }
    name(&query.deleted).map(|slug| format!("{slug} is deleted."))
}
