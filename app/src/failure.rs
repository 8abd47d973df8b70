//! What ends the process: each failure has a text, often a next step, and an exit code.

use crate::migrate::MigrationFailure;
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a sub-command ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// DATABASE_URL cannot be used. The value is a secret, so the text only says what is wrong with it.
    #[error("DATABASE_URL is not a PostgreSQL URL: {0}")]
    DatabaseUrl(String),
    /// EDIT_TOKEN is there but empty: a deployment that lost its secret, not a wish for no token.
    #[error("EDIT_TOKEN is empty")]
    EmptyEditToken,
    /// The listener can be reached by others, and no token protects the links.
    #[error("{0} can be reached from other machines, and EDIT_TOKEN is not set")]
    OpenWithoutToken(SocketAddr),
    /// LOG_LEVEL is no tracing filter.
    #[error("LOG_LEVEL is not a tracing filter: {0}")]
    LogLevel(String),
    /// `fd:0` was given, and standard input is something else.
    #[error("LISTEN is fd:0, but standard input is not a listening TCP socket: {0}")]
    NotAListener(io::Error),
    /// An address could not be bound.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address as it was given.
        address: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The runtime or its signal handlers could not be set up.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The migrations could not be read or applied.
    #[error(transparent)]
    Migration(#[from] MigrationFailure),
    /// The drain took longer than it may.
    #[error("requests were still open after {} s, and were cut", .0.as_secs_f64())]
    Cut(Duration),
    /// A probe was answered with "no", or not at all.
    #[error("{0}")]
    Probe(String),
}

impl Failure {
    /// The exit code: 2 for configuration, 1 for all else.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::DatabaseUrl(_)
            | Self::EmptyEditToken
            | Self::OpenWithoutToken(_)
            | Self::LogLevel(_)
            | Self::NotAListener(_) => 2,
            Self::Bind { .. } | Self::Runtime(_) | Self::Migration(_) | Self::Cut(_) | Self::Probe(_) => 1,
        }
    }

    /// What to do about it, where one thing is likely.
    #[must_use]
    pub fn next(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Migration(failure) => failure.next(),
            other => other.usual_next().map(Cow::Borrowed),
        }
    }

    fn usual_next(&self) -> Option<&'static str> {
        match self {
            Self::DatabaseUrl(_) => Some("set it like postgres://user:password@host:5432/links"),
            Self::EmptyEditToken => Some("give it a value, or unset it to refuse all changes"),
            Self::OpenWithoutToken(_) => Some("set EDIT_TOKEN, or listen on 127.0.0.1"),
            Self::LogLevel(_) => Some("set it like info or info,sqlx=warn"),
            Self::NotAListener(_) => Some("give an address, such as --listen 127.0.0.1:8080"),
            Self::Cut(_) => Some("where they need longer, set DRAIN_DEADLINE"),
            Self::Bind { .. } | Self::Runtime(_) | Self::Migration(_) | Self::Probe(_) => None,
        }
    }
}
