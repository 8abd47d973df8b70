//! A home folder: what the Doppler CLI keeps there, and what shells read and remember.

use std::fs::DirEntry;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::search::{Searcher, is_random};
use super::{Finding, Kind, Place, Report, text, tree};

/// What shells read when they start, and what they keep of what was typed.
const FILES: &[&str] = &[
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_aliases",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".zlogout",
    ".config/zsh/.zshrc",
    ".kshrc",
    ".xprofile",
    ".xsessionrc",
    ".pam_environment",
    ".envrc",
    ".env",
    ".config/fish/config.fish",
    ".config/nushell/env.nu",
    ".config/nushell/config.nu",
    ".bash_history",
    ".zsh_history",
    ".histfile",
    ".sh_history",
    ".history",
    ".local/share/fish/fish_history",
    ".config/fish/fish_variables",
];
/// Folders in which all files of such an end are read like these.
const FOLDERS: &[(&str, &str)] =
    &[(".bashrc.d", ""), (".config/environment.d", ".conf"), (".config/fish/conf.d", ".fish")];
/// The variable that the Doppler CLI reads.
const VARIABLE: &str = "DOPPLER_TOKEN";

/// Adds what is in `home`, and in the folder of the Doppler CLI.
pub fn scan(searcher: &Searcher, home: &Path, doppler: &Path, report: &mut Report) -> Result<()> {
    let settings = doppler.join(".doppler.yaml");
    let mut files: Vec<PathBuf> = FILES.iter().map(|file| home.join(file)).collect();
    for (folder, end) in FOLDERS {
        let entries = entries(home, &home.join(folder), report);
        files.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.as_os_str().as_bytes().ends_with(end.as_bytes())),
        );
    }
    files.retain(|path| *path != settings);
    for path in files.into_iter().chain([settings.clone()]) {
        let shown = shown(home, &path);
        // Whoever keeps these in another folder links them here, and the shell follows.
        let bytes = match std::fs::metadata(&path) {
            Ok(about) if about.is_file() && about.len() > tree::LONG => {
                report.long += 1;
                continue;
            }
            Ok(about) if about.is_file() => std::fs::read(&path),
            _ => continue,
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                report.unread.push((shown, tree::why(&error)));
                continue;
            }
        };
        report.files += 1;
        let tokens = searcher.look(&bytes, &[]).into_iter().filter(|hit| hit.kind == Kind::DopplerToken);
        let mut lines: Vec<usize> = tokens.map(|hit| hit.line).collect();
        let plain = text::decoded(&bytes);
        for (index, line) in plain.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            if (path == settings && has_setting(&line)) || has_variable(&line) {
                lines.push(index + 1);
            }
        }
        lines.sort_unstable();
        lines.dedup();
        let kind = Kind::DopplerToken;
        let findings = lines.into_iter().map(|line| finding(&shown, line, kind));
        report.findings.extend(findings);
    }
    fallbacks(home, &doppler.join("fallback"), report);
    Ok(())
}

/// What the CLI falls back to: whoever has a token that was revoked can still open its file.
fn fallbacks(home: &Path, folder: &Path, report: &mut Report) {
    for entry in entries(home, folder, report) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_one = (name.starts_with(".secrets-") || name.starts_with(".run-")) && name.ends_with(".json");
        if is_one && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            report.files += 1;
            report.findings.push(finding(&shown(home, &entry.path()), 1, Kind::FallbackFile));
        }
    }
}

/// What is in a folder, which need not be there.
fn entries(home: &Path, folder: &Path, report: &mut Report) -> impl Iterator<Item = DirEntry> + use<> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            report.unread.push((shown(home, folder), tree::why(&error)));
            None
        }
    };
    entries.into_iter().flatten().flatten()
}

fn finding(path: &str, line: usize, kind: Kind) -> Finding {
    Finding { path: path.to_owned(), line, kind, place: Place::Home, commit: None }
}

fn shown(home: &Path, path: &Path) -> String {
    let text = |path: &Path| text::shown(path.as_os_str().as_encoded_bytes());
    match path.strip_prefix(home) {
        Ok(rest) => format!("~/{}", text(rest)),
        Err(_) => text(path),
    }
}

/// Whether a line of the CLI's settings has a token itself, not the name of one in the system's keyring.
fn has_setting(line: &str) -> bool {
    let Some(value) = line.trim().strip_prefix("token:") else { return false };
    let value = value.trim().trim_matches(['"', '\'']);
    !value.is_empty() && value != "null" && !value.starts_with("secret-")
}

/// Whether a line gives the variable a value of its own: `DOPPLER_TOKEN=…`, or `set -gx DOPPLER_TOKEN …` of fish.
fn has_variable(line: &str) -> bool {
    line.match_indices(VARIABLE).any(|(at, _)| {
        let (before, rest) = (&line[..at], &line[at + VARIABLE.len()..]);
        let by_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let is_set = before.contains("set ") || before.contains("SETUVAR ");
        let value = match rest.trim_start_matches(['"', '\'']).chars().next() {
            Some('=') | Some(':') => &rest[rest.find(['=', ':']).unwrap_or(0) + 1..],
            Some(' ') if is_set => rest,
            _ => return false,
        };
        let value = value.trim_start().trim_start_matches(['=', '"', '\'', ' ']);
        let end =
            value.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(value.len());
        let value = &value[..end];
        // Tokens of their own kind have been looked at more closely.
        !by_name && !value.starts_with("dp.") && value.len() >= 20 && is_random(value.as_bytes())
    })
}
