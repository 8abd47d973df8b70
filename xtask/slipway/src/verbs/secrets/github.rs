//! Under GitHub Actions: its runner is told what to mask, in what this step and later ones write.

use std::path::Path;

use crate::context::Context;
use crate::secrets::{Values, is_searchable};

/// The process that starts a step's shell, and reads what it writes.
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
        let screen = &context.screen;
        screen.note(
            "GitHub is not told what to mask: stderr is not the step's own. What passes here is masked",
        );
        return;
    }
    for line in lines {
        context.screen.line(&format!("::add-mask::{}", line.replace('%', "%25")));
    }
}

/// Whether our stderr is what the runner reads: that of the step's shell, the first process below the runner.
fn reads_stderr(parent: u32) -> bool {
    let mut below = parent;
    while let Some((_, above)) = name_and_parent(below) {
        if name_and_parent(above).is_some_and(|(name, _)| name == RUNNER) {
            let steps = std::fs::read_link(format!("/proc/{below}/fd/2"));
            let ours = std::fs::read_link("/proc/self/fd/2");
            // Two pipes have two names. A file is nobody's to tell.
            return matches!((steps, ours), (Ok(steps), Ok(ours)) if steps == ours && is_pipe(&ours));
        }
        below = above;
    }
    false
}

fn is_pipe(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with("pipe:") || path.starts_with("socket:"))
}

/// A process's name and the one that started it, from its status.
fn name_and_parent(process: u32) -> Option<(String, u32)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let parent = field("PPid:")?.parse().ok().filter(|parent| *parent != 0)?;
    Some((field("Name:")?.to_owned(), parent))
}
