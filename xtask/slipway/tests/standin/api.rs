//! The Doppler service, as far as the tool meets it, on loopback: in a test's own process (tests/it/doppler.rs), or
//! in one of its own for bench/secrets (`doppler __api`). Standard library only.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use super::json::{list, quote};

/// What the service does with every request from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    Well,
    /// This status, with the service's JSON.
    Status(u16),
    /// This status, with a page of something between.
    Html(u16),
    /// 200 with a page: a hotel that wants a room number.
    Portal,
    Hangs,
    /// Hangs up before it has read the request.
    Resets,
    /// 200, and half of what it said it would send.
    HalfBody,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Empty if there was none.
    pub token: String,
    etag: String,
}

pub type Place = (String, String);

#[derive(Default)]
pub struct Service {
    pub configs: BTreeMap<Place, BTreeMap<String, String>>,
    /// Tokens that are good; a service token with the one config that it is for.
    pub tokens: BTreeMap<String, Option<Place>>,
    /// Answered with 403.
    pub forbidden: BTreeSet<Place>,
    /// Whether a service token with another project or config is refused, not served its own.
    pub strict: bool,
    pub answer: Option<Answer>,
    pub log: Vec<Asked>,
}

type Reply = (u16, String);

pub fn place(project: &str, config: &str) -> Place {
    (project.to_owned(), config.to_owned())
}

/// A test that failed while it held the lock has said so.
pub fn lock(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Serves until the process ends; its URL.
pub fn serve(service: Arc<Mutex<Service>>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let service = service.clone();
            std::thread::spawn(move || drop(answer(stream, &service)));
        }
    });
    Ok(url)
}

impl Service {
    /// Adds a config, with the three that every one has.
    pub fn add(&mut self, project: &str, config: &str, secrets: impl IntoIterator<Item = (String, String)>) {
        let own = [("PROJECT", project), ("CONFIG", config), ("ENVIRONMENT", config)];
        let found = self.configs.entry(place(project, config)).or_default();
        found.extend(own.map(|(name, value)| (format!("DOPPLER_{name}"), value.to_owned())));
        found.extend(secrets);
    }

    fn reply(&self, asked: &Asked) -> Reply {
        let Some(scope) = self.tokens.get(&asked.token) else {
            let kind = if asked.token.starts_with("dp.st.") { "Service" } else { "Auth" };
            return refused(401, &format!("Invalid {kind} token"));
        };
        match asked.path.as_str() {
            "/v3/me" => me(&asked.token, scope.is_some()),
            "/v3/projects" | "/v3/configs" if scope.is_some() => {
                refused(403, "This token does not have access to this resource")
            }
            "/v3/projects" => {
                let projects: BTreeSet<_> = self.configs.keys().map(|(project, _)| quote(project)).collect();
                let one = |name| format!("{{\"id\":{name},\"name\":{name},\"description\":\"\",{CREATED}}}");
                (200, format!("{{\"projects\":[{}]}}", list(projects.iter().map(one))))
            }
            "/v3/configs" => self.configs_of(asked.query.get("project").map_or("", String::as_str)),
            path => match path.strip_prefix("/v3/configs/config/secrets") {
                Some(what @ ("" | "/names" | "/download")) => match self.place(asked, scope.as_ref()) {
                    Ok(place) => self.secrets(what, &place, asked),
                    Err(reply) => reply,
                },
                _ => refused(404, "Not found"),
            },
        }
    }

    fn configs_of(&self, project: &str) -> Reply {
        let configs: Vec<_> = self.configs.keys().filter(|(of, _)| of == project).collect();
        if configs.is_empty() {
            return self.no_project(project);
        }
        let one = |(project, name): &Place| {
            let (project, name) = (quote(project), quote(name));
            format!(
                "{{\"name\":{name},\"root\":true,\"locked\":false,\"environment\":{name},\
                 \"project\":{project},{CREATED}}}"
            )
        };
        (200, format!("{{\"configs\":[{}]}}", list(configs.into_iter().map(one))))
    }

    fn no_project(&self, project: &str) -> Reply {
        match project {
            "" => refused(400, "You must specify a project"),
            project => refused(404, &format!("Could not find requested project '{project}'")),
        }
    }

    /// Whose secrets are asked for.
    fn place(&self, asked: &Asked, scope: Option<&Place>) -> Result<Place, Reply> {
        let of = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let wanted = (of("project"), of("config"));
        let no_access = |config| format!("This token does not have access to requested config '{config}'");
        let place = match scope {
            Some(own) if self.strict && wanted != *own && !(wanted.0.is_empty() && wanted.1.is_empty()) => {
                return Err(refused(400, &no_access(wanted.1)));
            }
            // What was asked for does not matter: it has only this one.
            Some(own) => own.clone(),
            None => wanted,
        };
        if !self.configs.keys().any(|(project, _)| *project == place.0) {
            return Err(self.no_project(&place.0));
        }
        if place.1.is_empty() {
            return Err(refused(400, "You must specify a config"));
        }
        if !self.configs.contains_key(&place) {
            return Err(refused(404, &format!("Could not find requested config '{}'", place.1)));
        }
        if self.forbidden.contains(&place) {
            return Err(refused(403, &no_access(place.1)));
        }
        Ok(place)
    }

    fn secrets(&self, what: &str, place: &Place, asked: &Asked) -> Reply {
        let wanted: Option<Vec<&str>> = asked.query.get("secrets").map(|names| names.split(',').collect());
        let found = self.configs[place].iter();
        let found =
            found.filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(&name.as_str())));
        let found = found.map(|(name, value)| (quote(name), quote(value)));
        match what {
            "/names" => (200, format!("{{\"names\":[{}]}}", list(found.map(|(name, _)| name)))),
            "/download" => {
                (200, format!("{{{}}}", list(found.map(|(name, value)| format!("{name}:{value}")))))
            }
            _ => {
                let one =
                    |(name, value)| format!("{name}:{{\"raw\":{value},\"computed\":{value},\"note\":\"\"}}");
                (200, format!("{{\"secrets\":{{{}}}}}", list(found.map(one))))
            }
        }
    }
}

const CREATED: &str = "\"created_at\":\"2026-01-01T00:00:00.000Z\"";

fn me(token: &str, service: bool) -> Reply {
    let kind = if service { "service_token" } else { "cli" };
    let preview = quote(&format!("{}…{}", &token[..6], &token[token.len() - 4..]));
    let body = format!(
        "{{\"workplace\":{{\"name\":\"Acme\",\"slug\":\"acme\"}},\"type\":\"{kind}\",\"token_preview\":{preview},\
         \"slug\":\"00000000-0000-0000-0000-000000000000\",{CREATED},\"name\":\"stand-in\",\
         \"last_seen_at\":\"2026-01-01T00:00:00.000Z\"}}"
    );
    (200, body)
}

fn refused(status: u16, message: &str) -> Reply {
    (status, format!("{{\"messages\":[{}],\"success\":false}}", quote(message)))
}

fn answer(stream: TcpStream, service: &Mutex<Service>) -> std::io::Result<()> {
    let how = lock(service).answer.unwrap_or(Answer::Well);
    if how == Answer::Resets {
        let mut head = [0; 8192];
        let length = stream.peek(&mut head)?;
        let asked = read(BufReader::new(&head[..length]))?;
        lock(service).log.push(asked);
        // Closed with a request that nobody has read: the kernel resets the connection.
        return Ok(());
    }
    let asked = read(BufReader::new(stream.try_clone()?))?;
    let (status, body) = {
        let mut service = lock(service);
        service.log.push(asked.clone());
        service.reply(&asked)
    };
    let page = "<!DOCTYPE html><html><body>Please sign in</body></html>";
    match how {
        Answer::Well if status == 200 && asked.path.ends_with("/download") => {
            let etag = format!("W/\"{:016x}\"", hash(&body));
            match asked.etag == etag {
                true => send(stream, 304, "application/json", &etag, ""),
                false => send(stream, 200, "application/json", &etag, &body),
            }
        }
        Answer::Well => send(stream, status, "application/json", "", &body),
        Answer::Status(status) => send(
            stream,
            status,
            "application/json; charset=utf-8",
            "",
            &refused(status, "The stand-in says so").1,
        ),
        Answer::Html(status) => send(stream, status, "text/html", "", page),
        Answer::Portal => send(stream, 200, "text/html", "", page),
        Answer::HalfBody => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                90
            );
            let mut stream = stream;
            stream.write_all((head + &"{\"names\":[\"A\",\"DOPPLER_PROJECT\", "[..30]).as_bytes())
        }
        // Until the client has had enough.
        Answer::Hangs => std::io::copy(&mut &stream, &mut std::io::sink()).map(drop),
        Answer::Resets => Ok(()),
    }
}

pub fn hash(what: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn read(mut reader: impl std::io::BufRead) -> std::io::Result<Asked> {
    let mut line = String::new();
    reader.by_ref().take(1 << 16).read_line(&mut line)?;
    let target = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let mut asked = Asked { path: path.to_owned(), query, token: String::new(), etag: String::new() };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(asked);
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => asked.token = value.trim().trim_start_matches("Bearer ").to_owned(),
            "if-none-match" => asked.etag = value.trim().to_owned(),
            _ => {}
        }
    }
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        let code = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (first, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn send(mut stream: TcpStream, status: u16, kind: &str, etag: &str, body: &str) -> std::io::Result<()> {
    let etag = if etag.is_empty() { String::new() } else { format!("etag: {etag}\r\n") };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Stand-in\r\ncontent-type: {kind}\r\n{etag}content-length: {length}\r\n");
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes())
}
