//! The development page in a real browser: Chromium, spoken to over a pair of pipes.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Browser {
    child: Child,
    says: Receiver<Vec<u8>>,
    hears: ChildStdin,
    session: Value,
    sent: u64,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page; none where no Chromium is installed.
    fn open(url: &str) -> Option<Self> {
        let installed =
            |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success());
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(installed)?;
        let profile = tempfile::tempdir().unwrap();
        // It reads commands at descriptor 3 and answers at 4. Its sandbox wants what containers do not give; the only page
        // is ours.
        let script = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --remote-debugging-pipe \
                      --user-data-dir=\"$1\" about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, program])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, hears) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let (sender, says) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).split(0).map_while(Result::ok).all(|message| sender.send(message).is_ok())
        });
        let mut browser = Self { child, says, hears, session: Value::Null, sent: 0, _profile: profile };
        let target = browser.command("Target.createTarget", json!({ "url": url }))["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        browser.session = browser.command("Target.attachToTarget", attach)["sessionId"].clone();
        Some(browser)
    }

    fn command(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.hears.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.says.recv_timeout(PATIENCE).expect("the browser answers");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.sent {
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression on the page.
    fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        self.command("Runtime.evaluate", params)["result"]["value"].clone()
    }

    /// Waits until an expression is true; while the page is loaded anew, nothing is.
    #[track_caller]
    fn until(&mut self, expression: &str) {
        let started = Instant::now();
        while self.value(expression) != json!(true) {
            let text = if started.elapsed() > PATIENCE {
                self.value("document.body.innerText")
            } else {
                Value::Null
            };
            assert!(text.is_null(), "{expression} never was true: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // By itself it takes its own children along, and writes no more into its profile.
        let _ = self.hears.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_page_shows_what_is_wrong_and_loads_itself_again() {
    let database = Database::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let problem = folder.path().join("problem");
    let path = problem.display().to_string();
    let environment = [("EDIT_TOKEN", TOKEN), ("DRAIN_DELAY", "0"), ("DEV_PROBLEM", path.as_str())];
    let start = async || {
        let mut service = Service::spawn_on(&listener, &database.url(), &environment);
        service.wait_for("/readyz", 200).await;
        service
    };
    let mut old = start().await;
    let Some(mut browser) = Browser::open(&format!("http://{}/", old.host)) else {
        println!("skipped: no Chromium here (apt install chromium)");
        return;
    };
    browser.until("document.readyState === 'complete' && document.title === 'links'");
    browser.value("window.isOld = true");

    let overlay = "document.getElementById('dev-problem')";
    std::fs::write(&problem, "error[E0308]: expected `Vec<u8>`").unwrap();
    browser.until(&format!("{overlay} !== null && {overlay}.textContent.includes('expected `Vec<u8>`')"));
    std::fs::write(&problem, "").unwrap();
    browser.until(&format!("{overlay} === null"));

    // Another generation on the same socket: nobody touches the page.
    let mut new = start().await;
    old.signal(Signal::TERM);
    assert_eq!(old.ended().await.code(), Some(0));
    browser.until("window.isOld === undefined && document.readyState === 'complete'");

    // What somebody has typed stays.
    browser.until("document.getElementById('slug') !== null");
    browser.value("document.getElementById('slug').focus()");
    browser.command("Input.insertText", json!({ "text": "typed" }));
    let mut newest = start().await;
    new.signal(Signal::TERM);
    assert_eq!(new.ended().await.code(), Some(0));
    browser.until("document.getElementById('dev-newer') !== null");
    assert_eq!(browser.value("document.getElementById('slug').value"), "typed");
    newest.signal(Signal::TERM);
    assert_eq!(newest.ended().await.code(), Some(0));
}
