//! Clients that never stop asking, on sockets of their own: a library would hide what they are there to see.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A redirect, a file and a question to the database.
const PATHS: [&str; 3] = ["/wiki", "/static/icon.svg", "/api/v1/links"];
/// Far longer than any answer takes: only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two requests of one client: the machine has other tests, too.
const PAUSE: Duration = Duration::from_millis(1);

/// What came of requests: `answered`, `redirected` of these, `refused`, `reset`, `cut`, `status 503`.
pub(crate) type Tally = BTreeMap<String, usize>;

pub(crate) struct Clients {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    fresh: Arc<Mutex<Tally>>,
    kept: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// `fresh` clients open a connection for each request, `kept` ones stay on theirs as long as the service lets them.
    pub(crate) fn start(address: SocketAddr, fresh: usize, kept: usize) -> Self {
        let mut clients = Self {
            is_over: Arc::default(),
            answered: Arc::default(),
            fresh: Arc::default(),
            kept: Arc::default(),
            threads: Vec::new(),
        };
        for _ in 0..fresh {
            clients.run(clients.fresh.clone(), move |path| exchange(&mut connect(address)?, path, "close"));
        }
        for _ in 0..kept {
            let (tally, retried) = (clients.kept.clone(), clients.fresh.clone());
            let mut connection = None;
            clients.run(tally, move |path| {
                let stays = connection.is_some();
                let outcome = keep(&mut connection, address, path);
                if outcome.is_err() && stays {
                    // What any client does when the connection that it kept is gone; now it must be answered.
                    count(&retried, &exchange(&mut connect(address)?, path, "close"));
                }
                outcome
            });
        }
        clients
    }

    fn run(
        &mut self,
        tally: Arc<Mutex<Tally>>,
        mut ask: impl FnMut(&str) -> io::Result<Answer> + Send + 'static,
    ) {
        let (is_over, answered) = (self.is_over.clone(), self.answered.clone());
        self.threads.push(std::thread::spawn(move || {
            for path in PATHS.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                count(&tally, &ask(path));
                answered.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        }));
    }

    /// Waits until so many more requests have come to an end, whatever it was.
    pub(crate) async fn wait_for_more(&self, requests: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + requests;
        let waiting = tokio::time::timeout(PATIENCE, async {
            while self.answered.load(Ordering::Relaxed) < goal {
                tokio::time::sleep(PAUSE).await;
            }
        });
        waiting.await.expect("the clients go on");
    }

    /// Ends all clients and gives what came of requests on new connections, and on kept ones.
    pub(crate) fn end(mut self) -> (Tally, Tally) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        let taken = |tally: &Mutex<Tally>| std::mem::take(&mut *tally.lock().unwrap());
        (taken(&self.fresh), taken(&self.kept))
    }
}

impl Drop for Clients {
    /// A test that fails leaves no load to the others.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How many requests did not get the answer that they should.
pub(crate) fn failed(tally: &Tally) -> usize {
    let is_failure = |what: &str| !["answered", "redirected"].contains(&what);
    tally.iter().filter(|(what, _)| is_failure(what)).map(|(_, count)| count).sum()
}

struct Answer {
    status: u16,
    closes: bool,
}

fn count(tally: &Mutex<Tally>, outcome: &io::Result<Answer>) {
    let mut tally = tally.lock().unwrap();
    let mut add = |what: &str| *tally.entry(what.to_owned()).or_default() += 1;
    match outcome {
        Ok(Answer { status: 307, .. }) => ["answered", "redirected"].map(&mut add).into_iter().collect(),
        Ok(Answer { status: 200, .. }) => add("answered"),
        Ok(Answer { status, .. }) => add(&format!("status {status}")),
        Err(error) => add(match error.kind() {
            ErrorKind::ConnectionRefused => "refused",
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset",
            ErrorKind::UnexpectedEof => "cut",
            _ => "hung",
        }),
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn keep(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    path: &str,
) -> io::Result<Answer> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => connect(address)?,
    };
    let answer = exchange(&mut stream, path, "keep-alive")?;
    *connection = (!answer.closes).then_some(stream);
    Ok(answer)
}

/// One request and its whole answer.
fn exchange(stream: &mut BufReader<TcpStream>, path: &str, connection: &str) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, closes: head.contains("connection: close\r\n") })
}
