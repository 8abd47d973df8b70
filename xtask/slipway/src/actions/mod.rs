//! Shared workflows: from a source to this repository, without losing an edit.
//!
//! A pull is a line: [`source`] finds a commit and vets what is in it ([`manifest`], [`vet`]) → [`here`] reads what this
//! repository has → [`plan`] is a pure table over (locked, here, new) → [`merge`] brings contents together →
//! [`decide`] leaves conflicts or takes sides → [`apply`] writes all or nothing, [`lock`] last. [`check`] needs the lock alone.

mod apply;
mod check;
mod decide;
mod distance;
mod git;
mod here;
mod keep;
mod lock;
mod manifest;
mod merge;
mod open;
mod pins;
mod plan;
mod renames;
mod source;
mod text;
mod tool;
mod vet;

pub use apply::{apply, finish};
pub use check::{Finding, Found, check};
pub use decide::{Decided, Matter, Outcome, Side, decide};
pub use git::{Git, HEAD, Objects, Tracked};
pub use here::{Here, look};
pub use keep::{Keep, keep};
pub use lock::{Entry, Lock, State};
pub use manifest::{Manifest, Minimum, Severity, Told};

pub use open::{Folders, Open, fingerprint};
pub use plan::{Change, edited_on_both_sides, plan};
pub use source::{Pulled, Survey, Target, Wanted, bases, pull, survey};
pub use text::{Sum, marker};
pub use tool::ToolLine;
pub use vet::shown as plain;

use std::collections::BTreeMap;

/// The folder that everything is written to, with its slash.
pub const FOLDER: &str = ".github/";
/// The lock, from the root.
pub const LOCK: &str = ".github/sync-actions.lock";
/// The manifest of a source, from its top.
pub const MANIFEST: &str = "templates.toml";

/// Files by their path from the root: `.github/…`.
pub type Files = BTreeMap<String, File>;

/// A file of one version of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// git's name of its bytes.
    pub blob: String,
    /// What it is with LF ends.
    pub sum: text::Sum,
    /// Whether it can be executed.
    pub executable: bool,
    /// What it holds.
    pub bytes: Vec<u8>,
}
