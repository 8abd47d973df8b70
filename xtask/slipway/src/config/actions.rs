//! `[actions]`: where the shared workflows come from, and which version of them.

use std::path::{Component, Path};

use anyhow::Result;
use semver::VersionReq;
use serde::Deserialize;
use toml::Spanned;

use super::wrong;
use crate::failure::{Code, Failure};

/// `[actions]`, as it is written.
#[derive(Debug, Deserialize)]
pub struct Actions {
    /// The address of a git repository, or a folder below the root.
    pub source: Spanned<String>,
    /// Where in the repository the manifest is.
    pub subdir: Option<Spanned<String>>,
    version: Option<Spanned<String>>,
    tag: Option<Spanned<String>>,
    branch: Option<Spanned<String>>,
    rev: Option<Spanned<String>>,
}

/// Where shared workflows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A git repository, by an address without a secret in it.
    Git(String),
    /// A folder, from the root.
    Folder(String),
}

/// Which of a repository's commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The newest tag in a range of versions.
    Version(VersionReq),
    /// One tag.
    Tag(String),
    /// The head of a branch.
    Branch(String),
    /// One commit.
    Rev(String),
}

impl Actions {
    /// The source, as [`Actions::check`] has accepted it.
    pub fn source(&self) -> Result<Source> {
        read_source(self.source.get_ref())
    }

    /// The folder of the manifest in the repository, without slashes around it.
    pub fn subdir(&self) -> Option<&str> {
        self.subdir.as_ref().map(|subdir| subdir.get_ref().trim_matches('/'))
    }

    /// Which commit; any version where nothing is said.
    pub fn asked(&self) -> Result<Asked> {
        let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.get_ref().clone());
        if let Some(tag) = text(&self.tag) {
            return Ok(Asked::Tag(tag));
        }
        if let Some(branch) = text(&self.branch) {
            return Ok(Asked::Branch(branch));
        }
        if let Some(rev) = text(&self.rev) {
            return Ok(Asked::Rev(rev.to_ascii_lowercase()));
        }
        Ok(Asked::Version(self.version.as_ref().map_or("*", |version| version.get_ref()).parse()?))
    }

    pub(super) fn check(&self, text: &str) -> Result<()> {
        let source =
            read_source(self.source.get_ref()).map_err(|error| match error.downcast::<Failure>() {
                Ok(Failure { what, next, .. }) => {
                    let failure = wrong(text, self.source.span(), &what);
                    next.into_iter().fold(failure, Failure::next).into()
                }
                Err(error) => error,
            })?;
        let which = [&self.version, &self.tag, &self.branch, &self.rev];
        let which: Vec<_> = which.into_iter().flatten().chain(&self.subdir).collect();
        if let (Source::Folder(folder), Some(first)) = (&source, which.first()) {
            return Err(wrong(text, first.span(), &format!("`{folder}` is a folder, which has no versions"))
                .next("remove the line: a folder is taken as it is")
                .into());
        }
        if let Some(subdir) = &self.subdir
            && !is_below(subdir.get_ref())
        {
            let what = format!("`{}` is no folder in a repository", subdir.get_ref());
            return Err(wrong(text, subdir.span(), &what).next("subdir = \"xtask/templates\"").into());
        }
        if let [_, second, ..] = which[..which.len() - usize::from(self.subdir.is_some())] {
            return Err(wrong(
                text,
                second.span(),
                "only one of `version`, `tag`, `branch` and `rev` can be",
            )
            .next("keep the one that you mean")
            .into());
        }
        for name in [&self.tag, &self.branch].into_iter().flatten() {
            if !is_ref_name(name.get_ref()) {
                let what = format!("`{}` cannot name a tag or a branch", name.get_ref());
                return Err(wrong(text, name.span(), &what)
                    .next("a name as git has it: v1.8.0, main")
                    .into());
            }
        }
        if let Some(rev) = &self.rev
            && (rev.get_ref().len() != 40 || !rev.get_ref().bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            let what = format!("`{}` is no commit", rev.get_ref());
            return Err(wrong(text, rev.span(), &what).next("all 40 digits: git rev-parse HEAD").into());
        }
        if let Some(version) = &self.version
            && let Err(error) = version.get_ref().parse::<VersionReq>()
        {
            let what = format!("`{}` is no range of versions: {error}", version.get_ref());
            return Err(wrong(text, version.span(), &what)
                .next("\"1\", \"~1.4\", \">=1.2, <3\" or \"*\"")
                .into());
        }
        Ok(())
    }
}

/// Whether a path leads to something below where it starts.
pub(super) fn is_below(path: &str) -> bool {
    !path.trim_matches('/').is_empty()
        && !path.starts_with(['-', '/'])
        && !path.contains(|c: char| c.is_control() || "\\:".contains(c))
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// What `git check-ref-format` takes, a little less: nothing that another program could read as more.
fn is_ref_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-+/@".contains(c);
    !name.is_empty()
        && name.chars().all(known)
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !["..", "//", "/.", "@{"].iter().any(|part| name.contains(part))
        && !name.split('/').any(|part| part.ends_with(".lock"))
}

/// Reads the address of a source. Refuses what would run a command, show a secret, or go unencrypted over a network.
pub fn read_source(text: &str) -> Result<Source> {
    let refuse = |what: String| Failure::new(Code::Usage, what);
    if text.is_empty()
        || text.contains(|c: char| c.is_control() || c.is_whitespace())
        || text.starts_with('-')
    {
        return Err(refuse(format!("`{}` is no address", text.escape_default()))
            .next("https://…, ssh://…, git@host:path, file:///…, or a folder of this repository")
            .into());
    }
    let scp = text.split_once(':').filter(|(host, _)| !host.contains('/') && host.contains('@'));
    let (scheme, rest) = match (text.split_once("://"), scp) {
        (Some(split), _) => split,
        (None, Some((host, path))) if !path.starts_with([':', '-']) && is_host(host) => {
            return Ok(Source::Git(text.to_owned()));
        }
        (None, _) if text.contains(':') => ("", ""),
        (None, _) if is_below(text) => return Ok(Source::Folder(text.trim_matches('/').to_owned())),
        (None, _) => {
            return Err(refuse(format!("`{}` is no folder below the root", masked(text)))
                .next("another repository on this machine: file:///…")
                .into());
        }
    };
    let host = rest.split('/').next().unwrap_or_default();
    let (user, name) = host.rsplit_once('@').map_or((None, host), |(user, name)| (Some(user), name));
    let loopback = ["127.0.0.1", "localhost"].contains(&name.split(':').next().unwrap_or_default());
    let secret = match scheme {
        "ssh" => user.is_some_and(|user| user.contains(':')),
        _ => user.is_some(),
    };
    if secret {
        return Err(refuse(format!("the address has a user or a password in it: {scheme}://***@{name}/…"))
            .next("remove it, and let git find it: git help credentials")
            .into());
    }
    let known = match scheme {
        "https" => !name.is_empty() && is_host(name),
        "ssh" => !name.is_empty() && is_host(host),
        "file" => rest.starts_with('/'),
        // What nobody on the way can change.
        "http" => loopback,
        _ => false,
    };
    if !known {
        let why = if scheme == "http" { ", unencrypted" } else { "" };
        return Err(refuse(format!("`{}` is not an address that git is given here{why}", masked(text)))
            .next("https://…, ssh://…, git@host:path, file:///…, or a folder of this repository")
            .into());
    }
    Ok(Source::Git(text.to_owned()))
}

/// A mistyped address, without what may be a password in it.
fn masked(text: &str) -> String {
    text.rsplit_once('@').map_or(text.to_owned(), |(_, rest)| format!("***@{rest}"))
}

/// Whether git and ssh read it as a host (with user and port), and as nothing else.
fn is_host(host: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || ".-_@:[]".contains(c);
    host.chars().all(known) && !host.split('@').any(|part| part.is_empty() || part.starts_with('-'))
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Git(text) | Source::Folder(text) => f.write_str(text),
        }
    }
}

impl Source {
    /// As people call it: `acme/slipway`.
    pub fn short(&self) -> String {
        let Source::Git(address) = self else { return self.to_string() };
        let path = address.trim_end_matches('/').trim_end_matches(".git");
        let parts: Vec<&str> = path.rsplit(['/', ':']).take(2).filter(|part| !part.is_empty()).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() -> Result<()> {
        for text in [
            "https://github.com/acme/slipway",
            "ssh://git@github.com:22/acme/slipway.git",
            "git@github.com:acme/slipway.git",
            "file:///srv/acme/slipway",
            "http://127.0.0.1:8080/acme/slipway",
        ] {
            let source = read_source(text)?;
            assert_eq!((source.clone(), source.short().as_str()), (Source::Git(text.into()), "acme/slipway"));
        }
        assert_eq!(read_source("xtask/templates/")?, Source::Folder("xtask/templates".into()));
        for text in [
            "",
            "-oProxyCommand=x",
            "https://ghp_x@github.com/a/b",
            "https://u:p@github.com/a/b",
            "ssh://u:p@h/a",
            "ext::sh -c x",
            "ext::sh%20-c",
            "http://github.com/a/b",
            "git://github.com/a/b",
            "ftp://h/a",
            "../a",
            "/a",
            "a\nb",
            "a b",
            "ssh://-oProxyCommand=x/a",
            "git@-x:a",
            "git@h:-a",
            "git@h::a",
            "file://host/a",
            "C:\\a",
            "-@h:a",
            "https:///a",
            "fd::17",
            "a/../b",
        ] {
            assert!(read_source(text).is_err(), "{text}");
        }
        Ok(())
    }

    #[test]
    fn an_error_shows_no_password() {
        let error = read_source("https://robot:hunter2@github.com/a/b").err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("the address has a user or a password in it: https://***@github.com/…")
        );
        for text in
            ["robot:hunter2@github.com:a/b", "https:/robot:hunter2@github.com/a", "git://r:hunter2@h/a"]
        {
            let error = read_source(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!error.is_empty() && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn names_of_refs_are_those_that_mean_one_thing() {
        for (name, good) in [
            ("v1.8.0", true),
            ("main", true),
            ("team/next", true),
            ("", false),
            ("-x", false),
            ("a..b", false),
            ("a b", false),
            ("a:b", false),
            ("a^", false),
            ("refs/x.lock", false),
            ("a@{1}", false),
            ("/a", false),
        ] {
            assert_eq!(is_ref_name(name), good, "{name}");
        }
    }
}
