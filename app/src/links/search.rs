//! What to list: a text to find and a page.

use crate::error::Error;

/// Most characters of the text to find.
const LONGEST: usize = 200;

/// A text to find in slugs and targets, and which page of the result.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// Empty finds all.
    pub(crate) query: String,
    /// Counted from 1.
    pub(crate) page: u32,
}

impl Search {
    /// Links a page.
    pub(crate) const PER_PAGE: u32 = 20;

    /// Reads the parameters of a query string.
    ///
    /// # Errors
    /// The text is too long or holds what PostgreSQL cannot store, or the page is 0.
    pub(crate) fn new(query: Option<&str>, page: Option<u32>) -> Result<Self, Error> {
        let query = query.unwrap_or_default().trim();
        if query.chars().count() > LONGEST {
            return Err(Error::Query(format!("`query` has at most {LONGEST} characters")));
        }
        if query.chars().any(char::is_control) {
            return Err(Error::Query("`query` has a character that cannot be seen".to_owned()));
        }
        match page.unwrap_or(1) {
            0 => Err(Error::Query("`page` counts from 1".to_owned())),
            page => Ok(Self { query: query.to_owned(), page }),
        }
    }

    /// How many links come before this page.
    pub(crate) fn offset(&self) -> i64 {
        i64::from(self.page - 1) * i64::from(Self::PER_PAGE)
    }
}
