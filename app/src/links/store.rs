//! The domain's questions to the database, in its own types.

use super::search::Search;
use super::slug::Slug;
use super::sql;
use super::target::Target;
use serde::Serialize;
use sqlx::{FromRow, PgPool};

/// A link as it is shown.
#[derive(Clone, Debug, Serialize, FromRow)]
pub(crate) struct Link {
    pub(crate) slug: String,
    pub(crate) target: String,
    /// Since the link was made.
    pub(crate) clicks: i64,
    /// RFC 3339, UTC, to the second.
    pub(crate) created_at: String,
    /// RFC 3339, UTC, to the second.
    pub(crate) updated_at: String,
}

/// One page of links.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    pub(crate) items: Vec<Link>,
    /// Counted from 1.
    pub(crate) page: u32,
    pub(crate) per_page: u32,
    /// Over all pages.
    pub(crate) total: i64,
}

/// The clicks of one day.
#[derive(Debug, FromRow)]
pub(crate) struct Day {
    /// YYYY-MM-DD.
    pub(crate) day: String,
    pub(crate) clicks: i64,
}

pub(crate) async fn target(pool: &PgPool, slug: &Slug) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(sql::TARGET).bind(slug.as_str()).fetch_optional(pool).await
}

pub(crate) async fn read(pool: &PgPool, slug: &Slug) -> Result<Option<Link>, sqlx::Error> {
    sqlx::query_as(sql::READ).bind(slug.as_str()).fetch_optional(pool).await
}

pub(crate) async fn list(pool: &PgPool, search: &Search) -> Result<Page, sqlx::Error> {
    let total = sqlx::query_scalar(sql::TOTAL).bind(&search.query).fetch_one(pool).await?;
    let items = sqlx::query_as(sql::LIST)
        .bind(&search.query)
        .bind(i64::from(Search::PER_PAGE))
        .bind(search.offset())
        .fetch_all(pool)
        .await?;
    Ok(Page { items, page: search.page, per_page: Search::PER_PAGE, total })
}

/// Whether the link is new.
pub(crate) async fn put(pool: &PgPool, slug: &Slug, target: &Target) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(sql::PUT).bind(slug.as_str()).bind(target.as_str()).fetch_one(pool).await
}

/// Whether the slug was free.
pub(crate) async fn add(pool: &PgPool, slug: &Slug, target: &Target) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(sql::ADD).bind(slug.as_str()).bind(target.as_str()).execute(pool).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether there was such a link.
pub(crate) async fn delete(pool: &PgPool, slug: &Slug) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(sql::DELETE).bind(slug.as_str()).execute(pool).await?.rows_affected() == 1)
}

/// The last `days` days, today (UTC) last; of one link or of all.
pub(crate) async fn clicks_by_day(
    pool: &PgPool,
    slug: Option<&Slug>,
    days: i32,
) -> Result<Vec<Day>, sqlx::Error> {
    sqlx::query_as(sql::CLICKS_BY_DAY).bind(slug.map(Slug::as_str)).bind(days).fetch_all(pool).await
}
