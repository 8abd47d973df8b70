//! The short name of a link.

use crate::error::Error;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::fmt;

/// Most characters of a slug; all of them are ASCII.
const LONGEST: usize = 64;

/// Names that routes of this service use or may use one day, and files that browsers ask for unasked.
const RESERVED: [&str; 17] = [
    "admin",
    "api",
    "app",
    "favicon.ico",
    "health",
    "healthz",
    "links",
    "livez",
    "login",
    "logout",
    "metrics",
    "openapi.json",
    "readyz",
    "robots.txt",
    "startupz",
    "static",
    "version",
];

/// A name that can be a link's: 1 to 64 of `a-z 0-9 - _ .`, the first a letter or digit, and no reserved word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(String);

/// Why a text is no slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlugError {
    /// Nothing is left without the spaces around it.
    #[error("give the link a name")]
    Empty,
    /// More than 64 characters.
    #[error("a name has at most {LONGEST} characters")]
    TooLong,
    /// A character that needs care in a URL or when read out loud.
    #[error("a name has only letters a-z, digits, and - _ .")]
    Charset,
    /// It starts with a sign.
    #[error("a name starts with a letter or a digit")]
    Start,
    /// The service needs the name itself.
    #[error("this name is reserved for the service itself")]
    Reserved,
}

impl SlugError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "slug_empty",
            Self::TooLong => "slug_too_long",
            Self::Charset => "slug_charset",
            Self::Start => "slug_start",
            Self::Reserved => "slug_reserved",
        }
    }
}

impl Slug {
    /// Reads a slug as a person types it: spaces around it do not count, nor does case.
    ///
    /// # Errors
    /// What makes the text no slug.
    pub fn parse(text: &str) -> Result<Self, SlugError> {
        let slug = text.trim().to_ascii_lowercase();
        if slug.is_empty() {
            return Err(SlugError::Empty);
        }
        if !slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)) {
            return Err(SlugError::Charset);
        }
        if slug.len() > LONGEST {
            return Err(SlugError::TooLong);
        }
        if !slug.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err(SlugError::Start);
        }
        if RESERVED.contains(&slug.as_str()) {
            return Err(SlugError::Reserved);
        }
        Ok(Self(slug))
    }

    /// The slug in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The `{slug}` of a route.
impl<S: Send + Sync> FromRequestParts<S> for Slug {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        // The path is refused only when it is not UTF-8.
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| SlugError::Charset)?;
        Ok(Self::parse(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_read_as_people_type_them() {
        for (typed, read) in
            [("wiki", "wiki"), (" Wiki ", "wiki"), ("q3-2026_v1.2", "q3-2026_v1.2"), ("7", "7")]
        {
            assert_eq!(Slug::parse(typed).map(|slug| slug.to_string()), Ok(read.to_owned()));
        }
        assert!(Slug::parse(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", SlugError::Empty),
            (" \t", SlugError::Empty),
            ("two words", SlugError::Charset),
            ("a/b", SlugError::Charset),
            ("wïki", SlugError::Charset),
            ("a\0", SlugError::Charset),
            ("-a", SlugError::Start),
            (".well-known", SlugError::Start),
            ("API", SlugError::Reserved),
            ("favicon.ico", SlugError::Reserved),
        ] {
            assert_eq!(Slug::parse(text), Err(reason), "{text:?}");
        }
        assert_eq!(Slug::parse(&"a".repeat(65)), Err(SlugError::TooLong));
    }
}
