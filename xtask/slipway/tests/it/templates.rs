//! What the shared templates and this repository's own workflows keep to, read as text. Each rule is a
//! function, tried on a broken sample first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Text by path below the root of the repository.
type Files = BTreeMap<String, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files() -> Files {
    fn walk(folder: &Path, base: &Path, found: &mut Files) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, base, found);
            } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
                let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let (root, mut found) = (root(), Files::new());
    for folder in ["xtask/templates", ".github"] {
        let before = found.len();
        walk(&root.join(folder), &root, &mut found);
        assert!(found.len() > before, "{folder} has no templates");
    }
    found
}

/// A rule over all files: where each is broken.
fn broken(rule: fn(&str) -> Vec<String>, wanted: fn(&str) -> bool) -> Vec<String> {
    let files = files().into_iter().filter(|(path, _)| wanted(path));
    files
        .flat_map(|(path, text)| rule(&text).into_iter().map(move |line| format!("{path}: {line}")))
        .collect()
}

fn try_out(rule: fn(&str) -> Vec<String>, samples: &[(&str, bool)]) {
    for (text, breaks) in samples {
        assert_eq!(!rule(text).is_empty(), *breaks, "{text}");
    }
}

struct Line<'a> {
    /// Where its key stands; `- ` counts as two.
    level: usize,
    /// The first of a list's item.
    item: bool,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Line<'a> {
        let text = line.trim();
        let level = line.len() - line.trim_start().len();
        match text.strip_prefix("- ") {
            Some(text) => Line { level: level + 2, item: true, text },
            None => Line { level, item: false, text },
        }
    }
}

/// Without what says nothing.
fn lines(text: &str) -> Vec<Line<'_>> {
    text.lines().map(Line::read).filter(|line| !line.text.is_empty() && !line.text.starts_with('#')).collect()
}

/// The keys next to that of a line, with what is below them: a job, or a step.
fn around<'a, 'b>(lines: &'b [Line<'a>], at: usize) -> &'b [Line<'a>] {
    let level = lines[at].level;
    let mut start = at;
    while !lines[start].item || lines[start].level > level {
        if start == 0 || lines[start - 1].level < level {
            break;
        }
        start -= 1;
    }
    let ends = |line: &Line<'_>| line.level < level || (line.level == level && line.item);
    let end = (at + 1..lines.len()).find(|next| ends(&lines[*next])).unwrap_or(lines.len());
    &lines[start..end]
}

/// `owner/name@<40 digits> # v1.2.3`; `$/` and `./` are of the same commit.
fn unpinned(text: &str) -> Vec<String> {
    fn pinned(reference: &str) -> bool {
        let Some((_, pin)) = reference.split_once('@') else { return false };
        let Some((commit, version)) = pin.split_once(" # v") else { return false };
        let numbers: Vec<&str> = version.split('.').collect();
        commit.len() == 40
            && commit.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            && numbers.len() == 3
            && numbers.iter().all(|number| number.parse::<u32>().is_ok())
    }
    let mut found = Vec::new();
    for line in lines(text).iter().filter(|line| line.text.contains("uses:")) {
        // What does not begin with the key is in a form that this cannot read.
        let reference = line.text.strip_prefix("uses: ").unwrap_or("").trim();
        if !reference.starts_with("$/") && !reference.starts_with("./") && !pinned(reference) {
            found.push(line.text.to_owned());
        }
    }
    found
}

#[test]
fn every_foreign_action_is_pinned() {
    let commit = "3d3c42e5aac5ba805825da76410c181273ba90b1";
    let sample = |pin: &str| format!("steps:\n  - uses: actions/checkout@{pin}\n");
    for (pin, breaks) in [
        ("v7".to_owned(), true),
        (commit.to_owned(), true),
        (format!("{commit} # latest"), true),
        (format!("{commit} # v7"), true),
        (format!("{} # v7.0.1", &commit[1..]), true),
        (format!("{} # v7.0.1", commit.replace('d', "x")), true),
        (format!("{commit} # v7.0.1"), false),
    ] {
        assert_eq!(!unpinned(&sample(&pin)).is_empty(), breaks, "{pin}");
    }
    try_out(
        unpinned,
        &[
            ("  - { uses: actions/checkout@v7 }\n", true),
            ("  - uses: docker://alpine:3\n", true),
            ("  uses: acme/templates/.github/workflows/ci.yml@main\n", true),
            ("  uses: $/.github/workflows/step-test.yml\n", false),
            ("  # uses: actions/checkout@v7\n", false),
        ],
    );
    assert_eq!(broken(unpinned, |_| true), Vec::<String>::new());
}

fn endless_jobs(text: &str) -> Vec<String> {
    let lines = lines(text);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.text.starts_with("runs-on:")) {
        let limit = |near: &Line<'_>| near.level == line.level && near.text.starts_with("timeout-minutes: ");
        if !around(&lines, at).iter().any(limit) {
            found.push(format!("no timeout-minutes next to {}", line.text));
        }
    }
    found
}

#[test]
fn every_job_ends() {
    try_out(
        endless_jobs,
        &[
            ("jobs:\n  a:\n    runs-on: x\n    steps: []\n", true),
            ("jobs:\n  a:\n    runs-on: x\n  b:\n    runs-on: x\n    timeout-minutes: 5\n", true),
            ("jobs:\n  a:\n    runs-on: x\n    # timeout-minutes: 5\n", true),
            ("jobs:\n  a:\n    runs-on: x\n    steps:\n      - run: x\n        timeout-minutes: 5\n", true),
            ("jobs:\n  a:\n    timeout-minutes: 5\n    env:\n      A: b\n\n    runs-on: x\n", false),
            ("jobs:\n  a:\n    uses: $/.github/workflows/step-test.yml\n", false),
        ],
    );
    assert_eq!(broken(endless_jobs, |_| true), Vec::<String>::new());
}

fn kept_credentials(text: &str) -> Vec<String> {
    let lines = lines(text);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.text.contains("actions/checkout@")) {
        let dropped = |near: &Line<'_>| near.text == "persist-credentials: false";
        if !around(&lines, at).iter().any(dropped) {
            found.push(line.text.to_owned());
        }
    }
    found
}

#[test]
fn no_checkout_leaves_credentials() {
    let dropped = "  - name: x\n    uses: actions/checkout@v7\n    with:\n      persist-credentials: false\n";
    let of_another =
        "  - uses: actions/checkout@v7\n  - uses: a/b@v1\n    with:\n      persist-credentials: false\n";
    try_out(
        kept_credentials,
        &[
            ("  - uses: actions/checkout@v7\n", true),
            ("  - uses: actions/checkout@v7\n    with:\n      persist-credentials: true\n", true),
            (of_another, true),
            (dropped, false),
        ],
    );
    assert_eq!(broken(kept_credentials, |_| true), Vec::<String>::new());
}

/// A value pasted into a script is code; through `env:` it stays a value.
fn expressions_in_scripts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut script: Option<usize> = None;
    for raw in text.lines() {
        let line = Line::read(raw);
        let spaces = raw.len() - raw.trim_start().len();
        // A comment of a script is part of it.
        if !line.text.is_empty() && script.is_some_and(|level| spaces <= level) {
            script = None;
        }
        let begins = ["run:", "script:"].iter().any(|key| line.text.starts_with(key));
        if script.is_none() && begins {
            script = Some(line.level);
        }
        let in_braces = line.text.contains("{ run:") || line.text.contains("{run:");
        if (script.is_some() || in_braces) && line.text.contains("${{") {
            found.push(line.text.to_owned());
        }
    }
    found
}

#[test]
fn no_expression_is_pasted_into_a_script() {
    try_out(
        expressions_in_scripts,
        &[
            ("  - run: echo ${{ github.ref }}\n", true),
            ("  - name: x\n    run: |\n      echo\n\n      echo ${{ github.ref }}\n", true),
            ("  - run: |\n      # ${{ github.ref }}\n", true),
            ("  - run: |\n      run: x\n      echo ${{ github.ref }}\n", true),
            ("  - { run: echo ${{ github.ref }} }\n", true),
            ("      script: core.info('${{ github.ref }}')\n", true),
            ("  - run: echo\n    env:\n      A: ${{ github.ref }}\n", false),
            ("  - run: |\n      echo\n  - uses: a/b@v1\n    with:\n      a: ${{ github.ref }}\n", false),
        ],
    );
    assert_eq!(broken(expressions_in_scripts, |_| true), Vec::<String>::new());
}

fn without_permissions(text: &str) -> Vec<String> {
    let stated = text.lines().any(|line| line.starts_with("permissions:"));
    if stated { Vec::new() } else { vec!["no permissions: at the top".to_owned()] }
}

#[test]
fn every_workflow_states_its_permissions() {
    try_out(
        without_permissions,
        &[
            ("on: push\njobs:\n  a:\n    permissions: {}\n", true),
            ("# permissions: {}\non: push\n", true),
            ("on: push\npermissions: {}\n", false),
        ],
    );
    assert_eq!(broken(without_permissions, |path| path.contains("workflows/")), Vec::<String>::new());
}

/// A job that `ci-ok` does not wait for may fail unseen.
fn unseen_jobs(text: &str) -> Vec<String> {
    let lines = lines(text);
    let Some(gate) = lines.iter().position(|line| line.text == "ci-ok:") else { return Vec::new() };
    let needs = lines[gate..].iter().find_map(|line| line.text.strip_prefix("needs: [")).unwrap_or("");
    let needs: Vec<&str> = needs.trim_end_matches(']').split(',').map(str::trim).collect();
    let jobs = lines.iter().skip_while(|line| line.text != "jobs:").skip(1);
    jobs.take_while(|line| line.level > 0)
        .filter(|line| line.level == lines[gate].level)
        .map(|line| line.text.trim_end_matches(':'))
        .filter(|job| *job != "ci-ok" && !needs.contains(job))
        .map(|job| format!("ci-ok does not need {job}"))
        .collect()
}

#[test]
fn the_required_check_waits_for_every_job() {
    try_out(
        unseen_jobs,
        &[
            ("on:\n  push:\njobs:\n  a:\n    uses: x\n  b:\n    uses: x\n  ci-ok:\n    needs: [a]\n", true),
            ("jobs:\n  a:\n    uses: x\n  ci-ok:\n    if: always()\n", true),
            (
                "on:\n  push:\njobs:\n  a:\n    uses: x\n  b:\n    uses: x\n  ci-ok:\n    needs: [a, b]\n",
                false,
            ),
        ],
    );
    assert_eq!(broken(unseen_jobs, |_| true), Vec::<String>::new());
}

/// The shared workflows that Dependabot would edit too.
fn disputed(dependabot: &str, workflows: &[String]) -> Vec<String> {
    let lines = lines(dependabot);
    let edited = |path: &&String| !lines.iter().any(|line| line.item && line.text == path.as_str());
    workflows.iter().filter(edited).cloned().collect()
}

#[test]
fn dependabot_leaves_alone_what_sync_actions_writes() {
    let one = [".github/workflows/ci.yml".to_owned()];
    assert_eq!(disputed("    exclude-paths:\n      # - .github/workflows/ci.yml\n", &one), one);
    assert_eq!(
        disputed("    exclude-paths:\n      - .github/workflows/ci.yml\n", &one),
        Vec::<String>::new()
    );
    let files = files();
    let shared = files.keys().filter_map(|path| path.strip_prefix("xtask/templates/workflows/"));
    let shared: Vec<String> = shared.map(|name| format!(".github/workflows/{name}")).collect();
    assert!(shared.len() >= 4, "{shared:?}");
    assert_eq!(disputed(&files["xtask/templates/dependabot.yml"], &shared), Vec::<String>::new());
}
