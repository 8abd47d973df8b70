//! What went wrong, why, and what to type next. Every error that a user can cause is one of these.

use std::fmt;

/// The tool's exit codes: `cargo xtask help codes` prints this table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something that was asked for did not work.
    Failed = 1,
    /// The command line, xtask.toml or a template is wrong.
    Usage = 2,
    /// A check found that something differs from what it should be.
    Drift = 3,
    /// A merge conflict is open.
    Conflict = 4,
    /// A tool is missing, or its version does not fit.
    Missing = 5,
    /// A token is wrong or revoked.
    Denied = 6,
    /// A remote could not be reached.
    Unreachable = 7,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Code {
    /// Every code with what it means, in the order of `help codes`.
    pub const TABLE: [(u8, &'static str); 10] = [
        (0, "done"),
        (Code::Failed as u8, "failed"),
        (Code::Usage as u8, "wrong usage or configuration"),
        (Code::Drift as u8, "a check found drift"),
        (Code::Conflict as u8, "a merge conflict is open"),
        (Code::Missing as u8, "a tool or a version is missing"),
        (Code::Denied as u8, "access denied: a revoked or a wrong token"),
        (Code::Unreachable as u8, "a remote could not be reached"),
        (Code::Interrupted as u8, "interrupted (ctrl-c)"),
        (Code::Terminated as u8, "terminated"),
    ];
}

/// An error as a person reads it: `error: what`, then labelled facts, then commands to paste.
#[derive(Debug)]
pub struct Failure {
    /// The exit code of the tool.
    pub code: u8,
    /// What another program said, shown as it said it: a compiler's errors.
    pub said: Option<String>,
    /// One line: what failed.
    pub what: String,
    /// Lines below it, each with a label such as `found` or `why`.
    pub facts: Vec<(&'static str, String)>,
    /// Commands or edits that lead on.
    pub next: Vec<String>,
}

impl Failure {
    /// A failure of `code` that says `what`.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Failure { code: code as u8, said: None, what: what.into(), facts: Vec::new(), next: Vec::new() }
    }

    /// This run was asked to end by a signal; `code` is 128 and its number.
    pub fn interrupted(code: u8) -> Self {
        Failure { code, said: None, what: "interrupted".to_owned(), facts: Vec::new(), next: Vec::new() }
    }

    /// Shows first what another program said.
    pub fn said(mut self, text: impl Into<String>) -> Self {
        self.said = Some(text.into());
        self
    }

    /// Adds a labelled line; text of several lines is shown below its label.
    pub fn fact(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.facts.push((label, text.into()));
        self
    }

    /// Adds the reason.
    pub fn why(self, text: impl fmt::Display) -> Self {
        self.fact("why", text.to_string())
    }

    /// Adds a line to paste.
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next.push(command.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// The nearest of `known` to a mistyped `word`, if any is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (score, best) = known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.75).then_some(best)
}
