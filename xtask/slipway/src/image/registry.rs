//! Where an image is pushed: through skopeo, which people have, and which leaves the digest as it is. (docker's own push
//! compresses again, and so pushes another image than the one that was built.)

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;
use xshell::{Cmd, cmd};

use super::digest;
use crate::failure::{Code, Failure};
use crate::process::{Captured, Kind, Launcher, Leash, Said, Start, tail};

/// How often skopeo is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A place in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry and the path in it.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
}

impl Reference {
    /// Reads `registry.example.com:5000/team/links:v1`; the tag may be missing.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(Code::Usage, format!("`{text}` does not name an image in a registry"))
                .why(why)
                .next("registry.example.com/team/links:v1")
        };
        let text = text.trim_start_matches("docker://");
        if text.contains('@') {
            return Err(wrong("a digest is what a push gives, not what it takes"));
        }
        let (registry, path) = text.split_once('/').ok_or_else(|| wrong("there is no registry in it"))?;
        if !(registry.contains(['.', ':']) || registry == "localhost") {
            return Err(wrong("the part before the first / is no registry (docker.io is one)"));
        }
        let (path, tag) = path.split_once(':').map_or((path, None), |(path, tag)| (path, Some(tag)));
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c);
        let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_name = |name: &str| name.starts_with(is_edge) && name.ends_with(is_edge);
        if !path.chars().all(lower) || !path.split('/').all(is_name) {
            return Err(wrong(
                "a path in a registry has lower-case letters, digits, and - _ . / between them",
            ));
        }
        let host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        if !registry.chars().all(host) || registry.starts_with(['-', '.', ':']) {
            return Err(wrong("a registry is a host, and a port where it is not the usual one"));
        }
        if !tag.is_none_or(is_tag) {
            return Err(wrong("a tag has letters, digits, and - _ . after the first; at most 128"));
        }
        Ok(Reference { repository: format!("{registry}/{path}"), tag: tag.map(str::to_owned) })
    }

    /// The registry alone.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// Whether it is on this machine, where there is no TLS.
    fn is_local(&self) -> bool {
        let host = self.registry().rsplit_once(':').map_or(self.registry(), |(host, _)| host);
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }
}

/// Whether a registry takes it as a tag.
fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(word) && tag.len() <= 128 && tag.chars().all(|c| word(c) || "-.".contains(c))
}

/// The region of an ECR registry: `eu-west-1` of `123456789012.dkr.ecr.eu-west-1.amazonaws.com`.
pub fn ecr_region(registry: &str) -> Option<&str> {
    let parts: Vec<&str> = registry.split('.').collect();
    match parts[..] {
        [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com"]
        | [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com", "cn"]
            if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(region)
        }
        _ => None,
    }
}

/// Who we are to a registry, as a file in memory that only a child of ours gets.
pub struct Credentials(File);

impl Credentials {
    /// A password of ECR's, asked for at each push: it lives for twelve hours, and is written nowhere.
    pub fn of_ecr(launcher: &Launcher<'_>, registry: &str, region: &str) -> Result<Self> {
        let sh = &launcher.shell;
        let asked = launcher.read(cmd!(sh, "aws ecr get-login-password --region {region}"), Kind::Tool);
        let password = asked.map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) if failure.code == Code::Failed as u8 => {
                let refused = Failure { code: Code::Denied as u8, ..failure };
                refused.next("aws sts get-caller-identity      (who are you to AWS, and until when?)").into()
            }
            Ok(failure) => failure.next("pip install awscli, or https://aws.amazon.com/cli/").into(),
            Err(error) => error,
        })?;
        let auth = STANDARD.encode(format!("AWS:{password}"));
        let text = json!({ "auths": { registry: { "auth": auth } } }).to_string();
        let mut file = in_memory().context("cannot keep a password in memory")?;
        file.write_all(text.as_bytes()).context("cannot keep a password in memory")?;
        Ok(Credentials(file))
    }
}

#[cfg(target_os = "linux")]
fn in_memory() -> std::io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(File::from(rustix::fs::memfd_create("slipway-credentials", flags)?))
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> std::io::Result<File> {
    // Without a name from the start.
    tempfile::tempfile()
}

/// A registry, with the place in it that is meant.
pub struct Registry<'a> {
    /// What starts skopeo.
    pub launcher: &'a Launcher<'a>,
    /// The place.
    pub reference: Reference,
    /// Who we are; skopeo's own credentials (those of docker and podman) otherwise.
    pub credentials: Option<Credentials>,
}

impl Registry<'_> {
    /// `registry/path:tag`.
    pub fn name(&self) -> String {
        let Reference { repository, tag } = &self.reference;
        format!("{repository}:{}", tag.as_deref().unwrap_or("latest"))
    }

    /// The digest that the tag names there, if it is there.
    pub fn digest(&self) -> Result<Option<String>> {
        let name = format!("docker://{}", self.name());
        let command = cmd!(self.launcher.shell, "skopeo --command-timeout 60s inspect --raw {name}");
        let said = self.run(command, "--tls-verify=false")?;
        match said.code {
            0 => Ok(Some(digest(said.stdout.as_bytes()))),
            _ if is_absent(&said.stderr) => Ok(None),
            _ => Err(self.failure(&said).into()),
        }
    }

    /// Pushes the image of an OCI layout, whose path must be relative to where the launcher starts its children, and
    /// without a colon.
    pub fn push(&self, layout: &str) -> Result<()> {
        let (from, to) = (format!("oci:{layout}"), format!("docker://{}", self.name()));
        let command =
            cmd!(self.launcher.shell, "skopeo --command-timeout 30m copy --preserve-digests {from} {to}");
        let said = self.run(command, "--dest-tls-verify=false")?;
        if said.code == 0 { Ok(()) } else { Err(self.failure(&said).into()) }
    }

    fn run(&self, command: Cmd<'_>, no_tls: &str) -> Result<Said> {
        let mut command = command;
        if self.reference.is_local() {
            command = command.arg(no_tls);
        }
        let stdin = match &self.credentials {
            None => Stdio::null(),
            Some(Credentials(file)) => {
                command = command.args(["--authfile", "/dev/stdin"]);
                file.try_clone().context("cannot hand on a password")?.into()
            }
        };
        let start = Start::new(command, Kind::Tool, Leash::Signal(Signal::TERM));
        let start = start.stdin(stdin).outputs(Stdio::piped(), Stdio::piped());
        let mut child = Captured::new(self.launcher.start(start)?)?;
        loop {
            if let Some(said) = child.poll()? {
                return Ok(said);
            }
            self.launcher.progress().working("push", &self.name());
            std::thread::sleep(POLL);
        }
    }

    fn failure(&self, said: &Said) -> Failure {
        if said.code > 128 {
            return Failure::interrupted(said.code);
        }
        let message = message(&said.stderr);
        let (code, next) = kind(&message);
        let what = match code {
            Code::Denied => format!("{} does not let us in", self.reference.registry()),
            Code::Unreachable => format!("{} could not be reached", self.reference.registry()),
            _ => format!("{} was not pushed", self.name()),
        };
        let next = match (code, ecr_region(self.reference.registry())) {
            (Code::Denied, None) => format!("skopeo login {}", self.reference.registry()),
            _ => next.to_owned(),
        };
        Failure::new(code, what).why(message).next(next)
    }
}

/// What skopeo says, without its own dress: `time="…" level=fatal msg="…"`.
fn message(stderr: &str) -> String {
    let last = stderr.lines().rev().find(|line| line.contains("level=fatal") || line.contains("level=error"));
    let Some((_, text)) = last.and_then(|line| line.split_once("msg=")) else {
        return tail(stderr.trim(), 4);
    };
    text.trim().trim_matches('"').replace("\\\"", "\"").replace("\\n", " ")
}

/// Whether a registry says that it has no such image.
fn is_absent(stderr: &str) -> bool {
    let words = [
        "manifest unknown",
        "name unknown",
        "repository name not known",
        "MANIFEST_UNKNOWN",
        "StatusCode: 404",
    ];
    words.iter().any(|word| stderr.contains(word))
}

/// What a failure of skopeo's is, and what to do about it.
fn kind(message: &str) -> (Code, &'static str) {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&[
        "unauthorized",
        "authentication required",
        "denied",
        "invalid username/password",
        "status code: 401",
        "status code: 403",
        "401 (Unauthorized)",
        "403 (Forbidden)",
    ]) {
        return (Code::Denied, "aws sts get-caller-identity      (may this role push there?)");
    }
    if has(&["tag is immutable", "ImageTagAlreadyExists", "TAG_INVALID"]) {
        return (Code::Failed, "another tag: a tag of this registry does not move");
    }
    if has(&["x509", "certificate"]) {
        return (Code::Unreachable, "SSL_CERT_FILE=/path/to/your-ca.pem before the same command");
    }
    if has(&[
        "connection refused",
        "no such host",
        "i/o timeout",
        "network is unreachable",
        "no route to host",
        "TLS handshake",
        "connection reset",
        "use of closed network connection",
        "server closed idle connection",
        "deadline exceeded",
        "EOF",
        "broken pipe",
        "server misbehaving",
        "HTTP response to HTTPS",
    ]) {
        return (Code::Unreachable, "the same command again: what has arrived is not sent again");
    }
    if has(&["name unknown", "NAME_UNKNOWN", "does not exist in the registry"]) {
        return (Code::Failed, "make the repository there first (terraform/, or: aws ecr create-repository)");
    }
    if has(&["toomanyrequests", "429"]) {
        return (Code::Failed, "the registry asks for fewer requests: the same command in a minute");
    }
    (Code::Failed, "the same command again, with -v to see skopeo's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_whole_or_refused() {
        for (text, repository, tag) in [
            ("localhost:5000/links", "localhost:5000/links", None),
            ("docker://docker.io/acme/links:v1.2", "docker.io/acme/links", Some("v1.2")),
            ("127.0.0.1:5000/a/b_c/links:sha-12", "127.0.0.1:5000/a/b_c/links", Some("sha-12")),
        ] {
            let read = Reference::parse(text).ok();
            let wanted = Reference { repository: repository.to_owned(), tag: tag.map(str::to_owned) };
            assert_eq!(read, Some(wanted), "{text}");
        }
        for text in [
            "links",
            "acme/links",
            "docker.io/",
            "docker.io/Links",
            "docker.io/links:",
            "docker.io/links:a b",
            "docker.io/links@sha256:00",
            "docker.io//links",
            "docker.io/../links",
            "docker.io/acme/links-",
            "-x.example/links",
            "https://docker.io/links",
        ] {
            let read = Reference::parse(text);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }

    #[test]
    fn amazons_registries_are_known_by_their_names() {
        let region = |name: &str| ecr_region(name).map(str::to_owned);
        assert_eq!(region("123456789012.dkr.ecr.eu-west-1.amazonaws.com").as_deref(), Some("eu-west-1"));
        assert_eq!(region("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn").as_deref(), Some("cn-north-1"));
        for other in [
            "dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "ghcr.io",
        ] {
            assert_eq!(region(other), None, "{other}");
        }
    }

    #[test]
    fn what_skopeo_says_has_a_code_and_a_way_on() {
        for (message, code) in [
            (
                "pinging container registry x: Get \"http://x/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                7,
            ),
            ("dial tcp: lookup registry.example.com: no such host", 7),
            ("readfrom tcp 127.0.0.1:1->127.0.0.1:2: write tcp: use of closed network connection", 7),
            ("tls: failed to verify certificate: x509: certificate signed by unknown authority", 7),
            ("checking whether a blob exists: unauthorized: authentication required", 6),
            ("denied: User is not authorized to perform: ecr:InitiateLayerUpload", 6),
            ("received unexpected HTTP status: 500 Internal Server Error", 1),
            ("name unknown: The repository with name 'links' does not exist in the registry", 1),
            (
                "writing manifest: tag invalid: The image tag 'v1' already exists and is immutable: tag is immutable",
                1,
            ),
        ] {
            assert_eq!(kind(message).0 as u8, code, "{message}");
        }
        let said = "time=\"2026-11-23T10:00:00Z\" level=fatal msg=\"copying: \\\"x\\\" failed\"";
        assert_eq!(message(said), "copying: \"x\" failed");
    }
}
