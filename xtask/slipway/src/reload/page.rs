//! What a browser sees while no service runs: what is wrong, until it is mended.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;

/// How long a browser may take to send its request, and to read the page.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request that is read to its end.
const LONGEST: u64 = 64 * 1024;
/// How often a new connection is looked for.
const POLL: Duration = Duration::from_millis(5);

/// A page that answers every request on the service's socket.
pub struct Page {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    listener: TcpListener,
    /// What was set on the socket before.
    flags: OFlags,
}

impl Page {
    /// Answers on `listener` from here on, with 503, a title and what is wrong.
    pub fn show(listener: &TcpListener, title: &str, problem: &str) -> Result<Self> {
        let listener = listener.try_clone().context("cannot duplicate the listening socket")?;
        // For all who hold the socket: an old generation that drains may rely on it, a new one may not.
        let flags = rustix::fs::fcntl_getfl(&listener).context("cannot ask the listening socket")?;
        listener.set_nonblocking(true).context("cannot answer on the listening socket")?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, socket) = (stopping.clone(), listener.try_clone()?);
        let answers = [
            answer("text/html; charset=utf-8", &html(title, problem)),
            answer("text/plain; charset=utf-8", &format!("{title}\n\n{problem}\n")),
        ];
        let thread = std::thread::spawn(move || {
            let answers = Arc::new(answers);
            while !stop.load(Ordering::Relaxed) {
                match socket.accept() {
                    Ok((stream, _)) => {
                        let answers = answers.clone();
                        std::thread::spawn(move || serve(stream, &answers));
                    }
                    Err(_) => std::thread::sleep(POLL),
                }
            }
        });
        Ok(Page { stopping, thread, listener, flags })
    }

    /// Answers no more: a service does.
    pub fn end(self) {
        drop(self.join());
    }

    fn join(self) -> TcpListener {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.listener
    }

    /// Answers no more. Who connects from here on waits for whoever serves next.
    pub fn stop(self) {
        let flags = self.flags;
        let listener = self.join();
        let _ = rustix::fs::fcntl_setfl(&listener, flags);
    }
}

/// A client that goes away, or sends nothing, is nobody's loss.
fn serve(mut stream: TcpStream, [page, text]: &[String; 2]) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let Ok(head) = head(&mut stream) else { return };
    let wants_page = head.lines().any(|line| {
        line.split_once(':')
            .is_some_and(|(name, value)| name.eq_ignore_ascii_case("accept") && value.contains("text/html"))
    });
    let sent = stream.write_all(if wants_page { page } else { text }.as_bytes());
    // A connection that is closed over unread bytes is reset, and the answer may be lost with it.
    if sent.and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        let _ = io::copy(&mut stream.take(LONGEST), &mut io::sink());
    }
}

fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && (head.len() as u64) < LONGEST {
        match stream.read(&mut piece)? {
            0 => break,
            count => head.extend_from_slice(&piece[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn answer(content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nretry-after: 1\r\nconnection: close\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n{body}",
        body.len()
    )
}

/// A page without a script: it asks again each second, so it goes by itself when the service is there.
fn html(title: &str, problem: &str) -> String {
    let [title, problem] =
        [title, problem].map(|text| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"1\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>body{{margin:2rem;font:1rem/1.5 system-ui,sans-serif}}\
         pre{{padding:1rem;overflow:auto;border-left:4px solid #b42318;font:.9rem/1.5 ui-monospace,monospace}}</style>\
         <h1>{title}</h1><pre>{problem}</pre>\
         <p>This page is <code>cargo xtask dev</code>’s own. Save a file: it goes when the service runs.</p></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(listener: &TcpListener, accept: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(listener.local_addr()?)?;
        write!(stream, "POST /links HTTP/1.1\r\nAccept: {accept}\r\ncontent-length: 9\r\n\r\nslug=wiki")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn it_answers_people_and_programs_and_gives_the_socket_back() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let page = Page::show(&listener, "links does not build", "error: expected `Vec<u8>`")?;
        let html = ask(&listener, "text/html,*/*")?;
        assert!(html.starts_with("HTTP/1.1 503 ") && html.contains("Vec&lt;u8&gt;"), "{html}");
        let text = ask(&listener, "*/*")?;
        assert!(text.ends_with("links does not build\n\nerror: expected `Vec<u8>`\n"), "{text}");
        page.stop();
        // Not refused: it waits for whoever accepts next, and that may block.
        let waiting = TcpStream::connect(listener.local_addr()?)?;
        assert_eq!(listener.accept()?.1, waiting.local_addr()?);
        Ok(())
    }
}
