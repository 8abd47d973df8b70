//! What a source may contain. Everything else is refused in one line before a byte is written.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{FOLDER, LOCK};
use crate::failure::{Code, Failure};

/// The largest file, in bytes.
pub const LARGEST: u64 = 1024 * 1024;
/// The most files.
pub const MOST: usize = 2_000;
/// All of them, in bytes.
pub const TOTAL: u64 = 32 * 1024 * 1024;
/// The longest path, in bytes: with ours before it, every file system takes it.
const LONGEST: usize = 200;

/// A file that a source lists.
#[derive(Clone, Debug)]
pub struct Listed {
    /// git's octal mode.
    pub mode: u32,
    /// git's name of its bytes.
    pub blob: String,
    /// In bytes.
    pub size: u64,
}

/// The path from the root of the repository that pulls, for one from the top of the source; or what is wrong with it.
pub fn path(path: &str) -> Result<String, String> {
    let no = |why: &str| Err(format!("`{}` {why}", shown(path)));
    if path.is_empty() {
        return no("is no path");
    }
    if path.starts_with('/') {
        return no("is absolute");
    }
    if path.len() > LONGEST {
        return no("is too long");
    }
    // All else that file systems and terminals read in ways of their own: backslashes, colons, letters that look like
    // others or can be written in two ways.
    let known = |c: char| c.is_ascii_alphanumeric() || "._-+@,=/".contains(c);
    if let Some(c) = path.chars().find(|c| !known(*c)) {
        return no(&format!("has a character that is not let in: {}", c.escape_unicode()));
    }
    for part in path.split('/') {
        let lower = part.to_ascii_lowercase();
        let stem = lower.split('.').next().unwrap_or_default();
        let numbered = |name: &str| {
            stem.strip_prefix(name)
                .is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_digit()))
        };
        match lower.as_str() {
            "" | "." | ".." => return no("leads somewhere else"),
            ".git" | ".gitmodules" | ".gitattributes" | ".gitignore" => return no("would configure git"),
            _ if part.ends_with('.') => return no("ends in a dot, which Windows drops"),
            _ if ["con", "prn", "aux", "nul"].contains(&stem) || numbered("com") || numbered("lpt") => {
                return no("is a device on Windows");
            }
            _ => {}
        }
    }
    let path = format!("{FOLDER}{path}");
    match path.eq_ignore_ascii_case(LOCK) {
        true => Err(format!("`{path}` is the lock itself")),
        false => Ok(path),
    }
}

/// Refuses a list that holds what is no plain file of a sane size, or paths that one file system could take for one.
/// Gives the files by their path from the root of the repository that pulls.
pub fn list(files: BTreeMap<String, Listed>, what: &str) -> Result<BTreeMap<String, Listed>> {
    let refuse = |why: String| Failure::new(Code::Usage, format!("{what}: {why}"));
    if files.len() > MOST {
        return Err(refuse(format!("{} files, more than {MOST}", files.len())).into());
    }
    let mut total = 0;
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut vetted = BTreeMap::new();
    for (from, listed) in files {
        let to = path(&from).map_err(refuse)?;
        let kind = match listed.mode {
            0o100_644 | 0o100_755 => None,
            0o120_000 => Some("is a symbolic link"),
            0o160_000 => Some("is a submodule"),
            _ => Some("is no plain file"),
        };
        if let Some(kind) = kind {
            return Err(refuse(format!("`{from}` {kind}")).into());
        }
        if listed.size > LARGEST {
            return Err(refuse(format!("`{from}` has more than {} KiB", LARGEST / 1024)).into());
        }
        total += listed.size;
        // `A/b` and `a/c` are two folders or one, as the file system likes.
        let mut prefix = String::new();
        for part in to.split_inclusive('/') {
            prefix.push_str(part);
            let name = prefix.trim_end_matches('/').to_owned();
            let is_file = name.len() == to.len();
            let spelled = if is_file { format!("{name} ") } else { name.clone() };
            match seen.insert(name.to_ascii_lowercase(), spelled.clone()) {
                Some(other) if other != spelled || is_file => {
                    return Err(refuse(format!(
                        "`{name}` and `{}` are one path on some systems",
                        other.trim_end()
                    ))
                    .into());
                }
                _ => {}
            }
        }
        vetted.insert(to, listed);
    }
    match total > TOTAL {
        true => Err(refuse(format!("more than {} MiB in all", TOTAL / 1024 / 1024)).into()),
        false => Ok(vetted),
    }
}

/// A text of a source, as it can be shown: a terminal obeys control characters, and reads some others backwards.
pub fn shown(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !('\u{200b}'..='\u{200f}').contains(&c)
            && !('\u{202a}'..='\u{202e}').contains(&c)
            && !('\u{2066}'..='\u{2069}').contains(&c)
    };
    text.chars().take(300).map(|c| if harmless(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_below_the_folder_and_nowhere_else() {
        for good in [
            "workflows/ci.yml",
            "actions/a-b/action.yml",
            "CODEOWNERS",
            "x+y@1,2=3.yml",
            "com.yml",
            ".github.yml",
        ] {
            assert_eq!(path(good), Ok(format!(".github/{good}")));
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/./b",
            ".git/config",
            "a/.GIT/hooks/x",
            "a\\b",
            "a:b",
            "a b",
            "é.yml",
            "e\u{301}.yml",
            "a\nb",
            "a\u{1b}[2J",
            "aux.yml",
            "COM1",
            "lpt9.txt",
            "a./b",
            "sync-actions.lock",
            "Sync-Actions.LOCK",
            ".gitattributes",
            "git~1/x",
            ".g\u{200c}it/x",
            "a*",
            "a\"b",
            "~/x",
            "a/",
        ] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_one_system_takes_for_one_path_is_refused() {
        let listed = |mode, size| Listed { mode, blob: String::new(), size };
        let files =
            |paths: &[&str]| paths.iter().map(|path| (path.to_string(), listed(0o100_644, 1))).collect();
        for (paths, good) in [
            (vec!["a/b", "a/c", "d"], true),
            (vec!["a", "A"], false),
            (vec!["a/b", "A/c"], false),
            (vec!["a", "a/b"], false),
            (vec!["a/b", "a"], false),
        ] {
            assert_eq!(list(files(&paths), "x").is_ok(), good, "{paths:?}");
        }
        for (mode, size, good) in [
            (0o100_755, 1, true),
            (0o120_000, 1, false),
            (0o160_000, 0, false),
            (0o100_644, LARGEST + 1, false),
        ] {
            assert_eq!(list([("a".to_owned(), listed(mode, size))].into(), "x").is_ok(), good, "{mode:o}");
        }
    }
}
