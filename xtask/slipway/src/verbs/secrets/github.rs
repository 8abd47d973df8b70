//! Under GitHub Actions: its runner is told what to mask, in what this step and later ones write.

use std::os::unix::ffi::OsStrExt as _;

use crate::context::Context;
use crate::secrets::{Values, is_searchable};

/// The process that starts a step's shell, and reads what that writes.
const RUNNER: &str = "Runner.Worker";

/// Tells the runner, and only the runner: anywhere else these lines would be the leak.
pub fn tell(context: &Context, values: &Values) {
    // A line of one brace would hide all of them.
    let lines = values.secret().flat_map(|(_, value)| value.split(['\n', '\r'])).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| is_searchable(line)).collect();
    if !context.env.github_actions() || lines.is_empty() {
        return;
    }
    if !reads_stderr(context.env.parent) {
        context
            .screen
            .warn("masked", "here, and GitHub is not told what to mask: it does not read this stderr");
        return;
    }
    for line in lines {
        context.screen.line(&format!("::add-mask::{}", line.replace('%', "%25")));
    }
}

/// Whether our stderr is what the runner reads: it has the other end of that pipe. A step that sends its streams
/// elsewhere, by `exec > >(tee LOG)` too, has another one, and what reads that writes it down.
fn reads_stderr(parent: u32) -> bool {
    // Two pipes have two names. A file is nobody's to tell.
    let Ok(ours) = std::fs::read_link("/proc/self/fd/2") else { return false };
    let is_pipe =
        ["pipe:", "socket:"].iter().any(|kind| ours.as_os_str().as_bytes().starts_with(kind.as_bytes()));
    let mut above = parent;
    while let Some((name, next)) = name_and_parent(above) {
        if name == RUNNER {
            let open = std::fs::read_dir(format!("/proc/{above}/fd")).into_iter().flatten().flatten();
            return is_pipe
                && open.filter_map(|entry| entry.path().read_link().ok()).any(|held| held == ours);
        }
        above = next;
    }
    false
}

/// A process's name and the one that started it, from its status.
fn name_and_parent(process: u32) -> Option<(String, u32)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let parent = field("PPid:")?.parse().ok().filter(|parent| *parent != 0)?;
    Some((field("Name:")?.to_owned(), parent))
}
