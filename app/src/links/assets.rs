//! The stylesheet and the icon: part of the binary, kept by browsers until their content changes.

use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

const STYLE: &str = include_str!("../../pages/style.css");
const ICON: &str = include_str!("../../pages/icon.svg");

/// The address of the stylesheet; another content has another address, so it may be kept for ever.
pub(crate) static STYLE_URL: LazyLock<String> = LazyLock::new(|| url("style.css", STYLE));
/// The address of the icon.
pub(crate) static ICON_URL: LazyLock<String> = LazyLock::new(|| url("icon.svg", ICON));

fn url(file: &str, content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(content.as_bytes());
    format!("/static/{file}?v={:016x}", hasher.finish())
}

/// `GET /static/style.css`
pub(crate) async fn style() -> impl IntoResponse {
    (headers("text/css; charset=utf-8"), STYLE)
}

/// `GET /static/icon.svg`
pub(crate) async fn icon() -> impl IntoResponse {
    (headers("image/svg+xml"), ICON)
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 2] {
    [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")]
}
