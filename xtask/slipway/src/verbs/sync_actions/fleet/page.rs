//! The page: one file, nothing in it runs, and nothing is fetched for it.

use std::fmt::Write as _;

use super::chart;
use super::report::{Report, Row, State};

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1c2024;--soft:#5d6670;--line:#d5dae0;--back:#fff;--bad:#b3261e;--warn:#8a5a00;--good:#1b6e3c;\
--v0:#0b6e4f;--v1:#2f7fc1;--v2:#7e57c2;--v3:#d17b0f;--v4:#b8336a;--v5:#5f8a1d;--v6:#7a5c4b;--v7:#8b95a1}\
@media(prefers-color-scheme:dark){:root{--text:#e6e9ed;--soft:#9aa5b1;--line:#39414a;--back:#14181c;--bad:#ff8a80;--warn:#f0b429;\
--good:#6fcf97;--v0:#3fb68b;--v1:#6cb2eb;--v2:#b39ddb;--v3:#f2a33a;--v4:#ee7ea8;--v5:#a4cc5a;--v6:#bfa08e;--v7:#77828e}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:72rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p,small,caption{color:var(--soft)}\
.numbers{display:flex;flex-wrap:wrap;gap:1rem 2rem;padding:0;margin:1rem 0;list-style:none}\
.numbers b{display:block;font-size:1.6rem;line-height:1.2;color:var(--text);font-variant-numeric:tabular-nums}\
svg{width:100%;height:auto;display:block}.area{stroke:var(--back);stroke-width:1}.grid{stroke:var(--line)}\
.tick{fill:var(--soft);font-size:12px}.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding:0;list-style:none}\
.swatch{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}\
.v0{fill:var(--v0);background:var(--v0)}.v1{fill:var(--v1);background:var(--v1)}.v2{fill:var(--v2);background:var(--v2)}\
.v3{fill:var(--v3);background:var(--v3)}.v4{fill:var(--v4);background:var(--v4)}.v5{fill:var(--v5);background:var(--v5)}\
.v6{fill:var(--v6);background:var(--v6)}.v7{fill:var(--v7);background:var(--v7)}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.25rem 0}\
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\
th[scope=row]{font-weight:600}.number{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:normal}\
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}summary{cursor:pointer}";

/// A text as HTML has it, in elements and in quotes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c => safe.push(c),
        }
    }
    safe
}

/// The whole page.
pub fn html(report: &Report, today: &str) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Shared workflows: who has which version</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>Shared workflows: who has which version</h1>\n<p>As of {}. {}.</p>\n<ul class=\"numbers\">\n",
        escape(today),
        escape(&report.summary()),
    );
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "<li><b>{}</b>{}</li>",
        report.rows.len(),
        if report.rows.len() == 1 { "repository" } else { "repositories" }
    );
    for state in [
        State::Current,
        State::Behind,
        State::Withdrawn,
        State::Edited,
        State::Unknown,
        State::Unreachable,
        State::NotAdopted,
    ] {
        let number = report.count(state);
        if number > 0 {
            let _ = writeln!(page, "<li><b>{number}</b>{}</li>", state.name());
        }
    }
    page += "</ul>\n<section>\n<h2>Adoption over time</h2>\n";
    page += &chart::svg(report, today);
    page += "</section>\n<section>\n<h2>Repositories</h2>\n<div class=\"wide\" role=\"region\" aria-label=\"Repositories\" tabindex=\"0\">\n<table>\n\
             <caption>What the head of each repository has; what needs a hand comes first.</caption>\n<thead>\n<tr>";
    for (head, class) in [
        ("Repository", ""),
        ("State", ""),
        ("Source", ""),
        ("Version", ""),
        ("Behind", " class=\"number\""),
        ("Edited", " class=\"number\""),
        ("Own", " class=\"number\""),
    ] {
        let _ = write!(page, "<th scope=\"col\"{class}>{head}</th>");
    }
    page += "</tr>\n</thead>\n<tbody>\n";
    for row in &report.rows {
        page += &line(row);
    }
    page += "</tbody>\n</table>\n</div>\n</section>\n";
    page += &sources(report);
    page + "</main>\n</body>\n</html>\n"
}

fn line(row: &Row) -> String {
    let class = match row.state {
        State::Unreachable | State::Withdrawn => "bad",
        State::Behind | State::Edited | State::Unknown => "warn",
        State::Current => "good",
        State::NotAdopted => "",
    };
    let why = row.error.as_ref().or(row.withdrawn.as_ref());
    let why = why.map(|why| format!("<br><small>{}</small>", escape(why))).unwrap_or_default();
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"{class}\">{}{why}</td><td>{}</td><td>{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
        escape(&row.name),
        row.state.name(),
        escape(&row.source_name()),
        escape(&row.version_name()),
        row.behind.map_or_else(|| row.behind_text(), |behind| behind.to_string()),
        files(row, &row.edited),
        files(row, &row.own),
    )
}

/// How many, with their names one click away.
fn files(row: &Row, paths: &[String]) -> String {
    match (paths, &row.source) {
        ([], None) => String::new(),
        ([], Some(_)) => "0".to_owned(),
        _ => {
            let names: Vec<String> = paths.iter().map(|path| escape(path)).collect();
            format!(
                "<details><summary>{}</summary><small>{}</small></details>",
                paths.len(),
                names.join("<br>")
            )
        }
    }
}

fn sources(report: &Report) -> String {
    if report.sources.is_empty() {
        return String::new();
    }
    let mut text = "<section>\n<h2>Sources</h2>\n<ul>\n".to_owned();
    for row in &report.sources {
        let fact = match (&row.newest, &row.error) {
            (Some(newest), _) => format!("newest v{newest}"),
            (None, Some(error)) => format!("how far behind is unknown: {error}"),
            (None, None) => "no versions".to_owned(),
        };
        let _ = writeln!(text, "<li>{}: {}</li>", escape(&row.source), escape(&fact));
    }
    text + "</ul>\n</section>\n"
}
