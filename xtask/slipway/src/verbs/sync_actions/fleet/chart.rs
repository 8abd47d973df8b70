//! The chart of the page: how many repositories had which version, over time, as areas on top of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use semver::Version;

use super::page::escape;
use super::report::{Report, short};

/// As many versions have a colour of their own; older ones share the last.
const COLORS: usize = 8;
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 300.0;
/// The room for numbers at the left, and for dates below.
const LEFT: f64 = 44.0;
const BELOW: f64 = 28.0;
const ABOVE: f64 = 12.0;

/// How many repositories had a version on each day that something changed.
struct Series {
    name: String,
    counts: Vec<usize>,
}

/// The chart with its legend; a sentence where there is nothing to draw.
pub fn svg(report: &Report, today: &str) -> String {
    let (days, series) = series(report, today);
    let most = (0..days.len()).map(|day| series.iter().map(|one| one.counts[day]).sum::<usize>()).max();
    let (Some(first), Some(last), Some(most @ 1..)) = (days.first(), days.last(), most) else {
        return "<p>No repository has adopted a version yet.</p>\n".to_owned();
    };
    let (start, end) = (number(first), number(last));
    let span = (end - start).max(1.0);
    let x = |day: &str| LEFT + (WIDTH - LEFT - 8.0) * (number(day) - start) / span;
    let y = |count: usize| ABOVE + (HEIGHT - ABOVE - BELOW) * (1.0 - count as f64 / most as f64);
    let now: Vec<String> = series
        .iter()
        .filter_map(|one| {
            one.counts.last().filter(|count| **count > 0).map(|count| format!("{count} on {}", one.name))
        })
        .collect();
    let mut text = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"chart-title chart-desc\">\n\
         <title id=\"chart-title\">Repositories per version from {} to {}</title>\n\
         <desc id=\"chart-desc\">On {}: {}.</desc>\n",
        escape(first),
        escape(last),
        escape(last),
        escape(&now.join(", ")),
    );
    // Writing to a string cannot fail.
    for count in [0, most / 2, most].into_iter().collect::<BTreeSet<_>>() {
        let (at, end) = (y(count), WIDTH - 8.0);
        let _ = writeln!(
            text,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{count}</text>",
            LEFT - 8.0,
            at + 4.0,
        );
    }
    let mut floor = vec![0; days.len()];
    for (index, one) in series.iter().enumerate() {
        let roof: Vec<usize> = floor.iter().zip(&one.counts).map(|(floor, count)| floor + count).collect();
        // A version holds until the next day that something changes: steps, and no slopes that never were.
        let steps = |levels: &[usize]| -> Vec<(f64, f64)> {
            let mut points = Vec::with_capacity(2 * days.len());
            for (day, level) in days.iter().zip(levels) {
                points.extend(points.last().map(|(_, before): &(f64, f64)| (x(day), *before)));
                points.push((x(day), y(*level)));
            }
            if let [only] = points[..] {
                points.push((WIDTH - 8.0, only.1));
            }
            points
        };
        let outline = steps(&roof).into_iter().chain(steps(&floor).into_iter().rev());
        let outline: Vec<String> = outline.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = writeln!(
            text,
            "<path class=\"area v{index}\" d=\"M{}Z\"><title>{}</title></path>",
            outline.join("L"),
            escape(&one.name),
        );
        floor = roof;
    }
    let middle = days.get(days.len() / 2).filter(|day| *day != first && *day != last);
    let near = |day: &&String| (x(day) - LEFT) > 110.0 && (WIDTH - x(day)) > 130.0;
    for (day, anchor) in [(Some(first), "start"), (middle.filter(near), "middle"), (Some(last), "end")] {
        let Some(day) = day.filter(|day| anchor != "end" || *day != first) else { continue };
        let _ = writeln!(
            text,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            x(day),
            HEIGHT - 8.0,
            escape(day),
        );
    }
    text += "</svg>\n<ul class=\"legend\">\n";
    for (index, one) in series.iter().enumerate() {
        let _ = writeln!(
            text,
            "<li><span class=\"swatch v{index}\"></span>{} <small>{} now</small></li>",
            escape(&one.name),
            one.counts.last().copied().unwrap_or(0),
        );
    }
    text + "</ul>\n"
}

/// The days, and what each had of every version; the newest version first, so that it is the lowest area.
fn series(report: &Report, today: &str) -> (Vec<String>, Vec<Series>) {
    let events = report.adoption();
    let sources: BTreeSet<&str> = events
        .iter()
        .filter(|(_, adopted)| adopted.version.is_some())
        .map(|(_, adopted)| adopted.source.as_str())
        .collect();
    // Two platforms can have a version of the same number.
    let label = |source: &str, version: &str| -> (Option<Version>, String) {
        let number: Option<Version> = version.parse().ok();
        let place = if sources.len() > 1 { format!("{} ", short(source)) } else { String::new() };
        let mark = if number.is_some() { "v" } else { "" };
        (number, format!("{place}{mark}{version}"))
    };
    let mut kinds: Vec<(Option<Version>, String)> = events
        .iter()
        .filter_map(|(_, adopted)| Some(label(&adopted.source, adopted.version.as_ref()?)))
        .collect();
    kinds.sort_by(|a, b| b.cmp(a));
    kinds.dedup();
    let names: Vec<String> = kinds.into_iter().map(|(_, name)| name).collect();
    let shared = names.len() > COLORS;
    let kind = |name: &str| {
        let index = names.iter().position(|known| known == name).unwrap_or(0);
        if shared { index.min(COLORS - 1) } else { index }
    };
    let mut shown: Vec<Series> =
        names.iter().take(COLORS).map(|name| Series { name: name.clone(), counts: Vec::new() }).collect();
    if let Some(last) = shown.last_mut().filter(|_| shared) {
        last.name = "older".to_owned();
    }
    let days: BTreeSet<String> = events.iter().map(|(_, adopted)| adopted.date.clone()).collect();
    let after = days.last().is_some_and(|last| last.as_str() < today).then(|| today.to_owned());
    let days: Vec<String> = days.into_iter().chain(after).collect();
    // Which one each repository has, day by day.
    let mut has: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rest = events.into_iter().peekable();
    for day in &days {
        while let Some((row, adopted)) = rest.next_if(|(_, adopted)| adopted.date <= *day) {
            match &adopted.version {
                Some(version) => has.insert(&row.address, kind(&label(&adopted.source, version).1)),
                None => has.remove(row.address.as_str()),
            };
        }
        for (index, one) in shown.iter_mut().enumerate() {
            one.counts.push(has.values().filter(|has| **has == index).count());
        }
    }
    (days, shown)
}

/// A day as a number, for distances: exact enough to draw.
fn number(day: &str) -> f64 {
    let parts: Vec<f64> = day.split('-').filter_map(|part| part.parse().ok()).collect();
    match parts[..] {
        [year, month, day] => year * 365.25 + (month - 1.0) * 30.44 + day,
        _ => 0.0,
    }
}
