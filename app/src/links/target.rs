//! Where a link leads.

use super::authority::{Authority, OwnNames};
use std::fmt;
use url::Url;

/// Most bytes of a target; what is longer, some browsers and proxies refuse.
const LONGEST: usize = 2048;

/// An absolute http or https URL that leads somewhere else, in its normal spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing is left without the spaces around it.
    #[error("give the address that the link leads to")]
    Empty,
    /// More than 2048 bytes.
    #[error("an address has at most {LONGEST} bytes")]
    TooLong,
    /// A line break, a tab, a zero byte: URL parsers drop some of them silently, so what is seen is not what is sent.
    #[error("the address has a character that cannot be seen")]
    Control,
    /// No URL, or one without a scheme.
    #[error("the address is not a whole URL, such as https://wiki.example.com/start")]
    NotAbsolute,
    /// `javascript:`, `file:` and the like.
    #[error("the address must start with http:// or https://")]
    Scheme,
    /// `user:password@` would show a password to everybody who follows the link.
    #[error("the address must not hold a user name or password")]
    Credentials,
    /// It leads back here.
    #[error("the address leads back to this service")]
    Loop,
}

impl TargetError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "target_empty",
            Self::TooLong => "target_too_long",
            Self::Control => "target_control",
            Self::NotAbsolute => "target_not_absolute",
            Self::Scheme => "target_scheme",
            Self::Credentials => "target_credentials",
            Self::Loop => "target_loop",
        }
    }
}

impl Target {
    /// Reads a target as a person types it; spaces around it do not count. `own` are the names of this service.
    ///
    /// # Errors
    /// What makes the text no target.
    pub fn parse(text: &str, own: &OwnNames) -> Result<Self, TargetError> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(TargetError::Control);
        }
        let url = Url::parse(text).map_err(|_| TargetError::NotAbsolute)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        // The normal spelling counts: %-encoding makes it longer than what was typed.
        if url.as_str().len() > LONGEST {
            return Err(TargetError::TooLong);
        }
        if Authority::of_url(&url).is_some_and(|place| own.0.contains(&place)) {
            return Err(TargetError::Loop);
        }
        Ok(Self(url.into()))
    }

    /// The URL in its normal spelling: ASCII only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, TargetError> {
        let own = OwnNames(["go", "localhost:8080"].into_iter().filter_map(Authority::of_header).collect());
        Target::parse(text, &own).map(|target| target.to_string())
    }

    #[test]
    fn targets_take_their_normal_spelling() {
        for (typed, read) in [
            ("https://example.com", "https://example.com/"),
            ("  HTTP://Example.COM:80/a b?q=ü#x ", "http://example.com/a%20b?q=%C3%BC#x"),
            ("http://localhost:3000/", "http://localhost:3000/"),
            ("https://münchen.de/", "https://xn--mnchen-3ya.de/"),
        ] {
            assert_eq!(parse(typed), Ok(read.to_owned()));
        }
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", TargetError::Empty),
            ("example.com", TargetError::NotAbsolute),
            ("//example.com", TargetError::NotAbsolute),
            ("https://", TargetError::NotAbsolute),
            ("javascript:alert(1)", TargetError::Scheme),
            ("ftp://example.com/", TargetError::Scheme),
            ("https://me:pw@example.com/", TargetError::Credentials),
            ("https://me@example.com/", TargetError::Credentials),
            ("https://exam\tple.com/", TargetError::Control),
            ("https://example.com/\r\nset-cookie: a", TargetError::Control),
            ("http://go/wiki", TargetError::Loop),
            ("https://GO./", TargetError::Loop),
            ("http://localhost:8080/", TargetError::Loop),
        ] {
            assert_eq!(parse(text), Err(reason), "{text:?}");
        }
        assert_eq!(parse(&format!("https://example.com/{}", "ü".repeat(400))), Err(TargetError::TooLong));
    }
}
