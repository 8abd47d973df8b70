//! What a pull shows: each file with a mark, lines, and why.

use crate::actions::{Change, Outcome, Pulled, Severity, Target, ToolLine};
use crate::config::Source;
use crate::output::Screen;

/// `acme/slipway v1.8.0 → v1.9.0 (8d11e40)   SECURITY: checkout no longer keeps credentials`
pub fn headline(source: &Source, old: Option<&Target>, pulled: &Pulled) -> String {
    let Pulled { target, survey, .. } = pulled;
    let name = target.name();
    let commit: String = target.commit.iter().flat_map(|commit| commit.chars().take(7)).collect();
    let mut line = source.short();
    match old.map(Target::name).filter(|old| *old != name) {
        Some(old) if !old.is_empty() => line += &format!(" {old} → {name}"),
        _ if !name.is_empty() => line += &format!(" {name}"),
        _ => {}
    }
    if !commit.is_empty() && commit != name {
        line += &format!(" ({commit})");
    }
    let from = old.and_then(|old| old.version.as_ref());
    let news = target.version.as_ref().map(|version| survey.newest.news(from, version)).unwrap_or_default();
    // The one that matters most; of equals the newest.
    let worst =
        news.iter().rev().filter(|(_, told)| told.notes.is_some()).max_by_key(|(_, told)| told.severity);
    if let Some((_, told)) = worst.filter(|_| from != target.version.as_ref()) {
        line += &format!("   {}{}", severity(told.severity), told.notes.as_deref().unwrap_or_default());
        let more = news.len() - 1;
        if more > 0 {
            line += &format!(" (and {more} more: cargo xtask sync-actions status)");
        }
    }
    line
}

/// `SECURITY: `, or nothing.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Security => "SECURITY: ",
        Severity::Breaking => "BREAKING: ",
        Severity::Normal => "",
    }
}

/// Whether people are told of it.
pub fn is_shown(outcome: &Outcome) -> bool {
    outcome.write.is_some()
        || outcome.remove
        || outcome.remove_from
        || outcome.conflict.is_some()
        || !outcome.told.is_empty()
}

/// The lines of a plan.
pub fn lines(screen: &Screen, outcomes: &[Outcome], tool: Option<&ToolLine>, name: &str) {
    let shown: Vec<&Outcome> = outcomes.iter().filter(|outcome| is_shown(outcome)).collect();
    if shown.is_empty() && tool.is_none() {
        return;
    }
    let paths = shown.iter().map(|outcome| outcome.path.len()).chain(tool.map(|tool| tool.path.len()));
    let width = paths.max().unwrap_or(0) + 2;
    screen.line("");
    for outcome in &shown {
        screen.line(&format!("  {}", screen.marked(line(outcome, width).trim_end())));
    }
    if let Some(tool) = tool {
        let path = &tool.path;
        let text =
            format!("~ {path:<width$} slipway {} → {}, which these workflows need", tool.old, tool.new);
        screen.line(&format!("  {}", screen.marked(&text)));
    }
    screen.line("");
    for hunk in shown.iter().filter_map(|outcome| outcome.conflict.as_ref()?.hunk.as_ref()).take(3) {
        let label = |text: &str| format!("{text:<8}");
        for (text, label) in hunk.iter().zip([label("base"), label("yours"), label(name)]) {
            let text = if text.is_empty() { "(nothing)" } else { text };
            for (index, line) in text.lines().take(5).enumerate() {
                let label = if index == 0 { label.as_str() } else { "" };
                screen.line(&format!("      {label:<8} {}", line.trim_start()));
            }
        }
        screen.line("");
    }
}

fn line(outcome: &Outcome, width: usize) -> String {
    let Outcome { path, from, change, write, remove, lines: (added, removed), told, conflict, .. } = outcome;
    if let Some(conflict) = conflict {
        return format!("! {path:<width$}          CONFLICT, {}", conflict.place);
    }
    let mark = match (change, write.is_some(), remove) {
        (Some(Change::Add), ..) => '+',
        (_, _, true) => '−',
        (_, true, _) => '~',
        _ => '·',
    };
    let counts = match (*added, *removed) {
        (0, 0) => String::new(),
        (added, 0) => format!("+{added}"),
        (0, removed) => format!("−{removed}"),
        (added, removed) => format!("+{added} −{removed}"),
    };
    let mut facts = Vec::new();
    if let Some(from) = from {
        let name = from.rsplit('/').next().unwrap_or(from);
        facts.push(format!("was {name}"));
    }
    if *remove && !outcome.backup {
        facts.push("you never edited it".to_owned());
    }
    if outcome.write.is_some() && (*added, *removed) == (0, 0) && from.is_none() {
        facts.push("permissions, or ends of lines".to_owned());
    }
    facts.extend(told.iter().cloned());
    format!("{mark} {path:<width$} {counts:<8} {}", facts.join("; "))
}
