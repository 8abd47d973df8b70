//! r, m, o and q, typed in a terminal.

use std::time::{Duration, Instant};

use super::in_order;
use crate::case::Case;
use crate::dev::{READY, config};
use crate::terminal::Terminal;

#[test]
fn each_key_does_what_the_screen_says() {
    let case = Case::with_service()
        .file("xtask.toml", config(""))
        .file("app/migrations/0001_links.sql", "create table links (slug text)")
        // What `o` finds: a browser that writes down what it was given.
        .file("bin/xdg-open", "#!/bin/sh\necho \"$1\" > opened\n");
    let browser = case.root().join("bin/xdg-open");
    std::fs::set_permissions(&browser, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", case.root().join("bin").display(), std::env::var("PATH").unwrap());
    let terminal = Terminal::new();
    let case = case.env("PATH", path);
    let mut dev = case.start_in(terminal.other_end(), &["dev"]);
    let press = |key: &str| terminal.press(key);
    dev.until("r rebuild · m migrate · o open · q quit, then enter").until(READY);
    let url = crate::dev::url(&dev);
    dev.text.clear();

    press("r");
    dev.until("swap      ✓ ");
    in_order(&dev.text, &["build     ✓ ", "swap"]);
    press("m");
    dev.until("migrate   ✓ nothing was pending");
    press("o");
    let opened = case.root().join("opened");
    let started = Instant::now();
    while !std::fs::read_to_string(&opened).is_ok_and(|text| text == format!("{url}\n")) {
        assert!(started.elapsed() < Duration::from_secs(30), "no browser was asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    dev.text.clear();
    press("help");
    dev.until("r rebuild · m migrate");
    press("q");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert!(dev.text.contains("drained"), "{}", dev.text);
}
