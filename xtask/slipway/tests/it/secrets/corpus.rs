//! Files with secrets, and files that look so. Nothing here is a secret itself: each is put together at run time, so
//! that a scan of this repository finds nothing.

/// Characters drawn from a seed.
fn random(seed: u32, length: usize, alphabet: &str) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(0x5eed);
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        letters[usize::try_from(state >> 12).unwrap() % letters.len()]
    };
    (0..length).map(|_| draw()).collect()
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What a token ends in.
pub fn tail(seed: u32) -> String {
    random(seed, 43, ALNUM)
}

/// A token: `kind` is `st.dev.`, `pt.` …
pub fn token(kind: &str, seed: u32) -> String {
    format!("dp.{kind}{}", tail(seed))
}

/// `length` characters of base64.
pub fn base64(seed: u32, length: usize) -> String {
    random(seed, length, &format!("{ALNUM}+/"))
}

/// base64 in lines.
fn lines(seed: u32, length: usize, end: &str) -> String {
    let text = base64(seed, length);
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(64).map(|line| line.iter().collect::<String>() + end).collect()
}

/// A block of PEM: `label` is `RSA PRIVATE` …
pub fn pem(label: &str, head: &str, body: &str, end: &str) -> String {
    format!("-----BEGIN {label} KEY-----{end}{head}{body}-----END {label} KEY-----{end}")
}

/// A key of 1,200 characters.
pub fn key(label: &str, seed: u32) -> String {
    pem(label, "", &lines(seed, 1_200, "\n"), "\n")
}

fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn encoded(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*group.get(at).unwrap_or(&0)));
        for place in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * place) & 63]);
            out.push(if place <= group.len() { letter } else { '=' });
        }
    }
    out
}

/// A file: path, bytes, and what is to be found in it, by kind and line.
pub struct Planted {
    pub path: Vec<u8>,
    pub bytes: Vec<u8>,
    pub found: Vec<(&'static str, u64)>,
}

fn planted(path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>, found: &[(&'static str, u64)]) -> Planted {
    Planted { path: path.as_ref().to_vec(), bytes: bytes.as_ref().to_vec(), found: found.to_vec() }
}

/// What is to be found.
pub fn guilty() -> Vec<Planted> {
    let (t, k, e) = ("doppler-token", "private-key", "env-file");
    let json = |text: &str| text.replace('\n', "\\n");
    let shell = format!("#!/bin/sh\nset -e\n\nexport DOPPLER_TOKEN={}\n", token("st.dev.", 1));
    let crlf = key("RSA PRIVATE", 30).replace('\n', "\r\n");
    let long = format!("{}{}{}", "var x=1;".repeat(100_000), token("st.", 9), "var y=2;".repeat(100_000));
    let binary = [b"\x7fELF\0\xff\xfe\0\0".as_slice(), token("ct.", 10).as_bytes(), b"\0\0\x80"].concat();
    let passphrase = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n";
    let gnupg = pem("PGP PRIVATE", "Version: GnuPG v2\n\n", &(lines(31, 900, "\n") + "=a1B2\n"), "\n");
    let gnupg = gnupg.replace("PRIVATE KEY", "PRIVATE KEY BLOCK");
    let putty = format!(
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 2\n{}Private-Lines: 1\n{}\n",
        lines(32, 108, "\n"),
        base64(33, 48)
    );
    let ssh2 = format!(
        "---- BEGIN {0} KEY ----\n{1}---- END {0} KEY ----\n",
        "SSH2 ENCRYPTED PRIVATE",
        lines(34, 800, "\n")
    );
    let age = random(35, 58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L");
    let age = format!("# created: today\nAGE-SECRET-{}1{age}\n", "KEY-");
    let in_rust =
        key("EC PRIVATE", 36).lines().map(|line| format!("        \"{line}\\n\",\n")).collect::<String>();
    let in_java = key("PRIVATE", 37).lines().map(|line| format!("  \"{line}\\n\" +\n")).collect::<String>();
    let in_yaml =
        key("OPENSSH PRIVATE", 38).lines().map(|line| format!("      {line}\n")).collect::<String>();
    let in_comment = key("RSA PRIVATE", 39).lines().map(|line| format!("// {line}\n")).collect::<String>();
    let short = pem("PRIVATE", "", &format!("{}\n", base64(40, 64)), "\n");
    let no_end = key("RSA PRIVATE", 41).split("-----END").next().unwrap().to_owned();
    let kubeconfig = format!("client-key-data: {}\n    token: x\n", encoded(&key("RSA PRIVATE", 42)));
    let secret = format!("data:\n  serviceToken: {}\n", encoded(&token("st.prd.", 11)));
    let two = format!("a = \"{}\"\nb = 1\nc = \"{}\"\n", token("st.dev.", 12), token("pt.", 13));
    let bundle = format!("{}{}", pem("PUBLIC", "", &lines(43, 300, "\n"), "\n"), key("PRIVATE", 44));
    vec![
        planted("deploy.sh", &shell, &[(t, 4)]),
        planted("config/app.toml", &two, &[(t, 1), (t, 3)]),
        planted("ci/personal.yml", format!("token: {}\n", token("pt.", 2)), &[(t, 1)]),
        planted("ci/account.json", format!("{{\"a\":\"x\\n{}\"}}", token("sa.", 3)), &[(t, 1)]),
        planted("ci/identity.txt", token("said.", 4), &[(t, 1)]),
        planted("ci/scim.txt", format!("\n\n{}", token("scim.", 5)), &[(t, 3)]),
        planted("ci/audit.txt", format!("x={};", token("audit.", 6)), &[(t, 1)]),
        planted("ci/config name.txt", token("st.dev_my-own2.", 7), &[(t, 1)]),
        planted("ci/url.txt", format!("https://x/?t={}&y", token("st.stg.", 8)), &[(t, 1)]),
        planted("dist/app.min.js", long, &[(t, 1)]),
        planted("bin/program", binary, &[(t, 1)]),
        planted("windows/setup.ps1", shell.replace('\n', "\r\n"), &[(t, 4)]),
        planted("windows/le.txt", utf16(&shell, true, false), &[(t, 4)]),
        planted("windows/be.txt", utf16(&shell, true, true), &[(t, 4)]),
        planted("windows/plain.txt", utf16(&shell, false, false), &[(t, 4)]),
        planted("windows/latin1.txt", [b"caf\xe9\n", token("ct.", 14).as_bytes()].concat(), &[(t, 2)]),
        planted("k8s/secret.yaml", secret, &[(t, 2)]),
        planted("k8s/kubeconfig", kubeconfig, &[(k, 1)]),
        planted(".env.example", format!("DOPPLER_TOKEN={}\n", token("st.dev.", 15)), &[(t, 1)]),
        planted(
            "README.md",
            format!("# How\n\n    doppler run --token {}\n", token("st.dev.", 16)),
            &[(t, 3)],
        ),
        planted("keys/rsa.pem", key("RSA PRIVATE", 20), &[(k, 1)]),
        planted("keys/ec.pem", key("EC PRIVATE", 21), &[(k, 1)]),
        planted("keys/dsa.pem", key("DSA PRIVATE", 22), &[(k, 1)]),
        planted("keys/pkcs8", key("PRIVATE", 23), &[(k, 1)]),
        planted("keys/ed25519.pem", short, &[(k, 1)]),
        planted("keys/encrypted.pem", key("ENCRYPTED PRIVATE", 24), &[(k, 1)]),
        planted(
            "keys/passphrase.pem",
            pem("RSA PRIVATE", passphrase, &lines(25, 800, "\n"), "\n"),
            &[(k, 1)],
        ),
        planted("keys/id_ed25519", key("OPENSSH PRIVATE", 26), &[(k, 1)]),
        planted("keys/crlf.pem", crlf, &[(k, 1)]),
        planted("keys/gnupg.asc", gnupg, &[(k, 1)]),
        planted("keys/putty.ppk", &putty, &[(k, 7)]),
        planted("keys/putty-crlf.ppk", putty.replace('\n', "\r\n"), &[(k, 7)]),
        planted("keys/ssh2", ssh2, &[(k, 1)]),
        planted("keys/age.txt", age, &[(k, 2)]),
        planted("keys/no-end.pem", no_end, &[(k, 1)]),
        planted("keys/bundle.pem", bundle, &[(k, 8)]),
        planted("keys/utf16.pem", utf16(&key("RSA PRIVATE", 27), true, false), &[(k, 1)]),
        planted(
            "src/key.json",
            format!("{{\n\"private_key\": \"{}\"}}", json(&key("PRIVATE", 28))),
            &[(k, 2)],
        ),
        planted("src/key.rs", format!("const KEY: &str = concat!(\n{in_rust});\n"), &[(k, 2)]),
        planted("src/Key.java", format!("String KEY =\n{in_java} \"\";\n"), &[(k, 2)]),
        planted("src/key.yaml", format!("key: |\n{in_yaml}"), &[(k, 2)]),
        planted("src/key.go", format!("package x\n\n{in_comment}"), &[(k, 3)]),
        planted("src/key.sh", format!("K='{}'\n", json(&key("RSA PRIVATE", 29))), &[(k, 1)]),
        planted(".env", "# ours\n\nAPI_KEY=hunter2\nB=2\n", &[(e, 3)]),
        planted("app/.env.local", "export A='x'\n", &[(e, 1)]),
        planted("app/.env.production", "A=\nB=x # y\n", &[(e, 2)]),
        planted("app/.ENV", "A=1\n", &[(e, 1)]),
        planted("app/prd.env", "\u{feff}A=1\n", &[(e, 1)]),
        planted("app/doppler.env", "DOPPLER_CONFIG=\"dev\"\n", &[(e, 1)]),
        planted("app/doppler.json", "{\"A\":\"1\",\"DOPPLER_CONFIG\":\"dev\"}\n", &[(e, 1)]),
        planted("crlf/.env", "# x\r\nA=1\r\n", &[(e, 2)]),
        planted("utf16/.env", utf16("# x\r\nA=1\r\n", true, false), &[(e, 2)]),
        planted("yaml/.env", "DATABASE_URL: postgres://u:p@h/d\n", &[(e, 1)]),
        planted("mixed/.env", "A=${A}\nB=https://$HOST/x\n", &[(e, 2)]),
        planted("both/.env", format!("A=\nT={}\n", token("st.dev.", 17)), &[(e, 2), (t, 2)]),
        planted("many/.env", "KEY=\"first\nsecond\"\n", &[(e, 1)]),
        planted("direnv/.envrc", "use flake\nexport GITHUB_TOKEN=abcdef123456\n", &[(e, 2)]),
        planted("raw/.env", "A=$A\nB='$2b$10$x'\n", &[(e, 2)]),
        planted("fallback/.env", "A=${A:-}\nB=${B:-postgres://u:p@h}\n", &[(e, 2)]),
        planted("below/.env", "A=\"\nfirst\n\"\n", &[(e, 1)]),
        planted("vault/vault.env", "A=1\n", &[(e, 1)]),
        planted("copies/prd.env.bak", "A=1\n", &[(e, 1)]),
        planted("copies/prd.env copy", "A=1\n", &[(e, 1)]),
        planted("copies/.env.defaults", "A=1\n", &[(e, 1)]),
        planted("with space/a b.env", "A=1\n", &[(e, 1)]),
        planted("new\nline/.env", "A=1\n", &[(e, 1)]),
        planted(b"latin\xe9/.env", "A=1\n", &[(e, 1)]),
        planted("unicode-ü/.env", "A=1\n", &[(e, 1)]),
        planted(":(top)odd/-x/.env", "A=1\n", &[(e, 1)]),
    ]
}

/// What is not.
pub fn innocent() -> Vec<Planted> {
    let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
    let certificate =
        format!("-----BEGIN {0}-----\n{1}-----END {0}-----\n", "CERTIFICATE", lines(50, 900, "\n"));
    let csr = certificate.replace("CERTIFICATE", "CERTIFICATE REQUEST");
    let ssh = format!("ssh-rsa {} me@host\n", base64(51, 372));
    let regex = "let re = Regex::new(r\"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----[^-]+-----END\");\n";
    let header = format!(
        "const A: &str = \"{}\";\nconst LONG_NAME_OF_A_CONSTANT_THAT_FOLLOWS: u8 = 1;\n",
        "-----BEGIN PRIVATE KEY-----"
    );
    let asserts = format!(
        "assert!(text.contains(\"-----BEGIN RSA {} KEY-----\"), \"abcdefghijklmnopqrstuvwxyz\");\n",
        "PRIVATE"
    );
    let dots = pem("RSA PRIVATE", "", "MIIEpAIBAAKCAQEA...\n", "\n");
    let line_and_dots = pem("RSA PRIVATE", "", &format!("{}\n...\n", base64(52, 64)), "\n");
    let ellipsis = pem("PRIVATE", "", &format!("{}…\n", base64(53, 64)), "\n");
    let texts = [
        ("docs/a.md", "Tokens look like `dp.st.xxxx`, `dp.pt.…` or `dp.st.<config>.<random>`.\n".to_owned()),
        ("docs/b.md", format!("export DOPPLER_TOKEN=dp.st.{}\n", "x".repeat(43))),
        ("docs/c.md", format!("dp.st.prd.{}\n", "YOURSERVICETOKENGOESHEREANDNOWHEREELSEATALL")),
        ("docs/d.md", format!("dp.pt.{}\n", "0123456789abcdefghijklmnopqrstuvwxyz0123456")),
        ("docs/e.md", format!("dp.ct.{}\n", "ab".repeat(22))),
        ("docs/f.md", "dp.st.your_service_token_from_the_dashboard_goes_here\n".to_owned()),
        ("docs/cut.md", format!("{}…\n", cut(&token("st.dev.", 60), 20))),
        ("docs/cut-pt.md", format!("{}\n", cut(&token("pt.", 61), 30))),
        ("docs/no-kind.md", format!("dp.xx.{}\n", tail(62))),
        ("docs/spaced.md", format!("dp . st . {}\n", tail(63))),
        (
            "src/re.rs",
            "Regex::new(r\"dp\\.(st|ct|pt|sa|said|scim|audit)\\.[A-Za-z0-9]{40,44}\")\n".to_owned(),
        ),
        (
            "src/prefix.rs",
            "let is_token = text.starts_with(\"dp.st.\") || text.starts_with(\"dp.pt.\");\n".to_owned(),
        ),
        ("src/layout.kt", "val width = 8.dp.said.toString(); dp.st.width(dp.sa.height)\n".to_owned()),
        ("src/pem.rs", header),
        ("src/regex.rs", regex.to_owned()),
        ("src/asserts.rs", asserts),
        (
            "src/assembled.rs",
            format!("format!(\"-----BEGIN {{}} KEY-----\\n{{}}\", \"PRIVATE\", \"{}\")\n", base64(54, 64)),
        ),
        ("src/hash.txt", format!("sha512-{}==\n", base64(55, 86))),
        ("keys/public.pem", pem("PUBLIC", "", &lines(56, 360, "\n"), "\n")),
        ("keys/rsa-public.pem", pem("RSA PUBLIC", "", &lines(57, 360, "\n"), "\n")),
        ("keys/pgp.asc", pem("PGP PUBLIC", "", &lines(58, 900, "\n"), "\n").replace("KEY-", "KEY BLOCK-")),
        ("keys/cert.pem", certificate),
        ("keys/csr.pem", csr),
        ("keys/id.pub", ssh),
        ("keys/params.pem", pem("EC PARAMETERS", "", "BggqhkjOPQMBBw==\n", "\n").replace(" KEY-", "-")),
        ("keys/dots.pem", dots),
        ("keys/line-and-dots.pem", line_and_dots),
        ("keys/ellipsis.pem", ellipsis),
        ("keys/empty.pem", pem("RSA PRIVATE", "", "", "\n")),
        ("keys/placeholder.pem", pem("PRIVATE", "", "<your key here>\n", "\n")),
        ("keys/aaaa.pem", pem("PRIVATE", "", &format!("{}\n{}\n", "A".repeat(64), "A".repeat(64)), "\n")),
        ("keys/xxxx.pem", pem("PRIVATE", "", &format!("{}\n", "xX".repeat(40)), "\n")),
        (
            "keys/words.pem",
            pem("PRIVATE", "", "put the contents of your own private key here please\n", "\n"),
        ),
        (
            "keys/public.ppk",
            format!("PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 2\n{}", lines(59, 108, "\n")),
        ),
        (
            "k8s/cert.yaml",
            format!(
                "certificate-authority-data: {}\n",
                encoded(&key("CERTIFICATE", 64).replace(" KEY-", "-"))
            ),
        ),
        ("a/.env.example", "API_KEY=change-me\n".to_owned()),
        ("a/.env.sample", "API_KEY=x\n".to_owned()),
        ("a/.env.template", "API_KEY=x\n".to_owned()),
        ("a/.env.dist", "API_KEY=x\n".to_owned()),
        ("a/.env.local.example", "API_KEY=x\n".to_owned()),
        ("a/example.env", "API_KEY=x\n".to_owned()),
        ("a/.env.d.ts", "declare const A: string;\nexport const B = 1;\n".to_owned()),
        ("a/env.rs", "A=1\n".to_owned()),
        ("a/environment", "A=1\n".to_owned()),
        ("a/.env.vault", "DOTENV_VAULT=\"x\"\n".to_owned()),
        ("a/.env.gpg", "A=x\n".to_owned()),
        ("a/.env.example~", "API_KEY=x\n".to_owned()),
        ("m/.env", "age-encryption.org/v1\nA=x\n".to_owned()),
        ("n/.env", "TITLE\nA==\n".to_owned()),
        ("b/.env", String::new()),
        ("c/.env", "# A=1\n\n  # B=2\n".to_owned()),
        ("d/.env", "A=\nB=\"\"\nC=''\nexport D=\nE= # later\nF\n".to_owned()),
        ("e/.env", "A=$A\nB=${B}\nC=${C:-}\nD=$(pass show x)\nE=op://vault/item\n".to_owned()),
        ("f/.env", "DOTENV_PUBLIC_KEY=\"03ab\"\nA=\"encrypted:BDqDBibm4w\"\n".to_owned()),
        ("g/.env", "A=ENC[AES256_GCM,data:x,type:str]\nsops_version=3.9.0\n".to_owned()),
        ("h/.envrc", "use flake\n".to_owned()),
        ("i/.envrc", "export RUST_LOG=debug\nexport API_TOKEN=$(pass x)\nPATH_add bin\n".to_owned()),
        ("j/.env/readme.txt", "A=1\n".to_owned()),
        ("k/doppler.yaml", "setup:\n  project: links\n  config: dev\n".to_owned()),
        ("l/doppler.json", "{\"project\":\"links\"}\n".to_owned()),
    ];
    let mut files: Vec<Planted> = texts.iter().map(|(path, text)| planted(path, text, &[])).collect();
    let noise: Vec<u8> = (0..60_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    files.push(planted("bin/noise", noise, &[]));
    files.push(planted("bin/zeros", vec![0; 10_000], &[]));
    files
}
