//! What a long-lived child is started with.

use std::process::{Command, Stdio};

use super::{Account, Kind, Leash};

/// A long-lived child to start.
pub struct Start<'a> {
    pub(super) command: Command,
    pub(super) kind: Kind,
    pub(super) leash: Leash,
    pub(super) account: Option<Account>,
    pub(super) masked: &'a [String],
    pub(super) streams: [Stdio; 3],
    pub(super) place: Option<Place>,
    pub(super) shown: Option<String>,
}

/// Whose process group a program in our place is in.
pub(super) struct Place {
    pub(super) with_us: bool,
}

impl<'a> Start<'a> {
    /// A child with stdin from /dev/null, writing where we write.
    pub fn new(command: impl Into<Command>, kind: Kind, leash: Leash) -> Self {
        let streams = [Stdio::null(), Stdio::inherit(), Stdio::inherit()];
        Start {
            command: command.into(),
            kind,
            leash,
            account: None,
            masked: &[],
            streams,
            place: None,
            shown: None,
        }
    }

    /// Runs as another account; only root may ask for it.
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// Variables whose values `-v` must not show.
    pub fn masked(mut self, names: &'a [String]) -> Self {
        self.masked = names;
        self
    }

    /// What `-v` shows instead of the command, where that is not for everybody to paste.
    pub fn shown(mut self, line: Option<String>) -> Self {
        self.shown = line;
        self
    }

    /// Starts it in our place, and `with_us` in our own process group, so that it hears of the terminal what we hear.
    pub(super) fn in_place(mut self, with_us: bool) -> Self {
        self.place = Some(Place { with_us });
        self
    }

    /// Gives stdin.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.streams[0] = stdin.into();
        self
    }

    /// Redirects stdout and stderr.
    pub fn outputs(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        self.streams[1] = stdout.into();
        self.streams[2] = stderr.into();
        self
    }
}
