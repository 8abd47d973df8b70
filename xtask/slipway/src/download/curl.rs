//! One file through curl, which people have, and which knows their proxies and certificates.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use xshell::cmd;

use crate::failure::{Code, Failure};
use crate::files;
use crate::process::{Kind, Launcher, Leash, Start};

/// How often a transfer that was cut is resumed, as long as each try brings something.
const RESUMES: usize = 20;
/// How often the file's size is looked at.
const POLL: Duration = Duration::from_millis(50);

/// curl, and the step that it works for.
pub(super) struct Client<'a> {
    launcher: &'a Launcher<'a>,
    step: &'static str,
    label: &'a str,
}

impl<'a> Client<'a> {
    /// Refuses when there is no curl.
    pub(super) fn new(launcher: &'a Launcher<'a>, step: &'static str, label: &'a str) -> Result<Self> {
        launcher.read(cmd!(launcher.shell, "curl --version"), Kind::Tool)?;
        Ok(Client { launcher, step, label })
    }

    /// Fetches `url` to `path`; what is there already is its beginning.
    pub(super) fn get(&self, url: &str, path: &Path) -> Result<()> {
        let size = || fs::metadata(path).map_or(0, |found| found.len());
        let (mut resumes, mut fresh) = (0, size() == 0);
        loop {
            let before = size();
            let (code, said) = self.run(url, path)?;
            match outcome(code) {
                Outcome::Done => return Ok(()),
                // Whoever serves it has no ranges, or has another file by now.
                Outcome::NoResume if !fresh => {
                    fs::remove_file(path).context("cannot remove a part of a download")?;
                    fresh = true;
                }
                Outcome::Cut if size() > before && resumes < RESUMES => {
                    (resumes, fresh) = (resumes + 1, false);
                }
                _ => {
                    if size() == 0 {
                        // Nothing to resume.
                        let _ = fs::remove_file(path);
                    }
                    return Err(failure(code, url, said.trim()).into());
                }
            }
        }
    }

    /// Runs curl once and gives its code, and what it said.
    fn run(&self, url: &str, path: &Path) -> Result<(u8, String)> {
        let head = path.with_extension("head");
        let _ = fs::remove_file(&head);
        // Made here, closed to others: what is verified must be what is unpacked. curl would heed the umask.
        let part = fs::File::options().create(true).append(true).mode(files::PRIVATE).open(path);
        part.context("cannot write a part of a download")?;
        let before = fs::metadata(path).map_or(0, |found| found.len());
        let steps = ["--fail", "--location", "--silent", "--show-error", "--continue-at", "-"];
        // A stalled transfer ends; a slow one does not.
        let limits = ["--connect-timeout", "10", "--speed-limit", "100", "--speed-time", "30"];
        // A redirection must not lead from https to less, nor from the network to a file.
        let first = url.split(':').next().unwrap_or("https");
        let redirected = if first == "http" { "=http,https" } else { "=https" };
        let protocols = ["--proto", &format!("={first}"), "--proto-redir", redirected, "--max-redirs", "10"];
        let command = cmd!(
            self.launcher.shell,
            "curl {steps...} {limits...} {protocols...} --dump-header {head} --output {path} {url}"
        );
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::TERM));
        let mut child = self.launcher.start(start.outputs(Stdio::null(), Stdio::piped()))?;
        let code = loop {
            if let Some(code) = child.ended()? {
                break code;
            }
            let done = fs::metadata(path).map_or(0, |found| found.len());
            let coming = fs::read_to_string(&head).ok().and_then(|text| length(&text));
            let total = coming.map(|coming| before + coming);
            self.launcher.progress().amount(self.step, self.label, done, total);
            std::thread::sleep(POLL);
        };
        let _ = fs::remove_file(&head);
        let mut said = String::new();
        child.stderr().context("no stderr")?.read_to_string(&mut said).context("cannot read curl")?;
        Ok((code, said))
    }
}

/// The Content-Length of the last answer; those before it were redirections.
fn length(head: &str) -> Option<u64> {
    let last = head.rsplit("HTTP/").next()?;
    last.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Some of it came; the rest may.
    Cut,
    /// It cannot be resumed.
    NoResume,
    Failed,
}

/// curl's exit codes, see `man curl`.
fn outcome(code: u8) -> Outcome {
    match code {
        0 => Outcome::Done,
        18 | 28 | 52 | 55 | 56 | 92 => Outcome::Cut,
        33 | 36 => Outcome::NoResume,
        _ => Outcome::Failed,
    }
}

fn failure(code: u8, url: &str, said: &str) -> Failure {
    let last = said.lines().last().unwrap_or_default();
    let (kind, reason) = match code {
        1 | 3 => (Code::Usage, "curl does not understand the address".to_owned()),
        5 | 97 => (Code::Unreachable, "could not reach the proxy (HTTPS_PROXY, HTTP_PROXY)".to_owned()),
        6 => (
            Code::Unreachable,
            "could not resolve host (offline? behind a proxy, set HTTPS_PROXY)".to_owned(),
        ),
        7 => (Code::Unreachable, "could not connect (offline? behind a proxy, set HTTPS_PROXY)".to_owned()),
        28 => (Code::Unreachable, "timed out: no answer, or nothing more came for 30 s".to_owned()),
        // "curl: (22) The requested URL returned error: 404"
        22 => {
            let status = last.rsplit(' ').find(|word| word.len() == 3 && word.parse::<u16>().is_ok());
            (Code::Unreachable, format!("HTTP {}", status.unwrap_or("error")))
        }
        37 => (Code::Unreachable, "no such file, or it may not be read".to_owned()),
        18 | 52 | 55 | 56 | 92 => {
            (Code::Unreachable, "the connection was cut; the next run goes on".to_owned())
        }
        35 | 51 | 58 | 60 | 77 | 83 => (
            Code::Unreachable,
            format!("no safe connection (a proxy of your company? set CURL_CA_BUNDLE): {last}"),
        ),
        23 => (Code::Failed, "the cache cannot be written, or the disk is full".to_owned()),
        129.. => return Failure::interrupted(code),
        _ => (Code::Unreachable, format!("curl ended with code {code}: {last}")),
    };
    Failure::new(kind, reason).fact("from", url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curls_codes_are_told_in_words() {
        let said = "curl: (22) The requested URL returned error: 404";
        for (code, exit, words) in [
            (6, 7, "could not resolve host"),
            (7, 7, "could not connect"),
            (28, 7, "timed out"),
            (22, 7, "HTTP 404"),
            (18, 7, "was cut"),
            (60, 7, "CURL_CA_BUNDLE"),
            (37, 7, "no such file"),
            (23, 1, "disk"),
            (3, 2, "address"),
            (99, 7, "code 99"),
            (130, 130, "interrupted"),
        ] {
            let failure = failure(code, "https://example.com/x", said);
            assert_eq!(failure.code, exit, "{code}");
            assert!(failure.what.contains(words), "{code}: {}", failure.what);
        }
        assert_eq!(
            [0, 18, 56, 33, 36, 22].map(outcome),
            [
                Outcome::Done,
                Outcome::Cut,
                Outcome::Cut,
                Outcome::NoResume,
                Outcome::NoResume,
                Outcome::Failed
            ]
        );
    }

    #[test]
    fn the_length_is_that_of_the_last_answer() {
        let redirected =
            "HTTP/1.1 302 Found\r\nContent-Length: 7\r\n\r\nHTTP/2 200 \r\ncontent-length: 900\r\n";
        assert_eq!(length(redirected), Some(900));
        assert_eq!(length("HTTP/1.1 302 Found\r\nContent-Length: 7\r\n\r\nHTTP/2 200 \r\n"), None);
        assert_eq!(length("Content-Length: 12\r\nAccept-ranges: bytes\r\n"), Some(12));
        assert_eq!(length(""), None);
    }
}
