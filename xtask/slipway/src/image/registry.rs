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
use super::reference::{Reference, ecr_region};
use crate::failure::{Code, Failure};
use crate::process::{Captured, Kind, Launcher, Leash, Said, Start, tail};

/// How often skopeo is looked at.
const POLL: Duration = Duration::from_millis(10);
/// The longest reason that is shown, unless its last part is longer.
const REASON: usize = 84;

/// Who we are to a registry, as a file in memory that only a child of ours gets.
pub struct Credentials(File);

impl Credentials {
    /// A password of ECR's, asked for at each push: it lives for twelve hours, and is written nowhere.
    pub fn of_ecr(launcher: &Launcher<'_>, registry: &str, region: &str) -> Result<Self> {
        let sh = &launcher.shell;
        let asked = launcher.read(cmd!(sh, "aws ecr get-login-password --region {region}"), Kind::Tool);
        let password = asked.map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) if failure.code == Code::Failed as u8 => {
                let away = [
                    "Could not connect",
                    "timed out",
                    "timeout",
                    "Could not resolve",
                    "Name or service not known",
                ];
                let is_away =
                    failure.facts.iter().any(|(_, said)| away.iter().any(|words| said.contains(words)));
                let code = if is_away { Code::Unreachable } else { Code::Denied } as u8;
                let failure = Failure { code, ..failure };
                failure.next("aws sts get-caller-identity      (who are you to AWS, and until when?)").into()
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
        let registry = self.reference.registry();
        let what = match code {
            Code::Denied => format!("{registry} does not let us in"),
            Code::Unreachable => format!("{registry} could not be reached"),
            _ => format!("{} was not pushed", self.name()),
        };
        let next = match (code, ecr_region(registry)) {
            (Code::Denied, Some(_)) => {
                "aws sts get-caller-identity      (may this role push there?)".to_owned()
            }
            _ => next.replace("{}", registry),
        };
        Failure::new(code, what).why(reason(&message)).next(next)
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

/// The end of a message whose parts are joined with `: `, the reason: the beginning repeats what was asked.
fn reason(message: &str) -> String {
    let mut parts = message.rsplit(": ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if text.len() + part.len() > REASON {
            break;
        }
        text = format!("{part}: {text}");
    }
    text
}

/// Whether a registry says that it has no such image. The last one is what Docker's says of a repository that is not there
/// yet; who may really not push is told when it comes to that.
fn is_absent(stderr: &str) -> bool {
    let words = [
        "manifest unknown",
        "name unknown",
        "repository name not known",
        "MANIFEST_UNKNOWN",
        "StatusCode: 404",
        "requested access to the resource is denied",
    ];
    words.iter().any(|word| stderr.contains(word))
}

/// Words by which skopeo's failures are known, what they are, and what to do about it: `{}` is the registry. The first
/// that fits counts.
const KINDS: &[(&[&str], Code, &str)] = &[
    (
        &[
            "unauthorized",
            "authentication required",
            "denied:",
            "is denied",
            "access denied",
            "invalid username/password",
            "status code: 401",
            "status code: 403",
            "401 (Unauthorized)",
            "403 (Forbidden)",
        ],
        Code::Denied,
        "skopeo login {}",
    ),
    (
        &["tag is immutable", "ImageTagAlreadyExists", "TAG_INVALID"],
        Code::Failed,
        "another tag: those of {} do not move",
    ),
    (
        &["x509", "certificate"],
        Code::Unreachable,
        "SSL_CERT_FILE=/path/to/your-ca.pem before the same command",
    ),
    (
        &[
            "connection refused",
            "no such host",
            "no route to host",
            "network is unreachable",
            "server misbehaving",
        ],
        Code::Unreachable,
        "curl -i https://{}/v2/      (is the name right, and does it run?)",
    ),
    (
        &[
            "i/o timeout",
            "TLS handshake",
            "connection reset",
            "use of closed network connection",
            "server closed idle connection",
            "deadline exceeded",
            "EOF",
            "broken pipe",
            "HTTP response to HTTPS",
        ],
        Code::Unreachable,
        "the same command again: what has arrived is not sent again",
    ),
    (
        &["name unknown", "NAME_UNKNOWN", "does not exist in the registry"],
        Code::Failed,
        "make the repository there first, for Amazon's: aws ecr create-repository",
    ),
    (&["toomanyrequests", "429"], Code::Failed, "the same command in a minute: {} asks for fewer requests"),
];

/// What a failure of skopeo's is, and what to do about it.
fn kind(message: &str) -> (Code, &'static str) {
    let found = KINDS.iter().find(|(words, ..)| words.iter().any(|word| message.contains(word)));
    let other = (Code::Failed, "the same command again; if that stays so, the log of {} says more");
    found.map_or(other, |(_, code, next)| (*code, *next))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let long = "Error parsing image name \"docker://registry.example.com/acme/links:v1\": pinging container registry x: \
                    Get \"https://x/v2/\": dial tcp 192.0.2.1:443: connect: connection refused";
        assert_eq!(
            reason(long),
            "Get \"https://x/v2/\": dial tcp 192.0.2.1:443: connect: connection refused"
        );
    }
}
