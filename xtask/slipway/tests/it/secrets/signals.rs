//! What a terminal, a person or a supervisor sends to `secrets run` reaches the program once, and how the program
//! ends is how `secrets run` ends: where it becomes the program, and where it stays in front of it to mask.

mod run;

use std::process::Command;
use std::time::{Duration, Instant};

use self::run::{ALL, COUNTS, PIPED, QUIET, Run, WAITS, Way, is_stopped, seated, supervised};
use crate::case::nothing_left;
use crate::terminal::Terminal;

#[test]
fn without_a_terminal_a_signal_arrives_once() {
    for way in PIPED {
        for signal in ["TERM", "INT", "HUP", "QUIT", "USR1"] {
            let mut run = supervised(way, COUNTS).at();
            run.gets_once(signal, || run.running.signal(signal));
            assert_eq!(run.finish(), 7, "{way:?} {signal}");
        }
        for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
            let mut run = supervised(way, WAITS).at();
            run.running.signal(signal);
            assert_eq!(run.end(), code, "{way:?} {signal}");
        }
    }
}

#[test]
fn ctrl_c_and_ctrl_backslash_arrive_once() {
    for way in ALL {
        for (key, signal, code) in [("\x03", "INT", 130), ("\x1c", "QUIT", 131)] {
            let terminal = Terminal::new();
            let mut run = seated(way, &terminal, COUNTS).at();
            run.gets_once(signal, || terminal.strike(key));
            assert_eq!(run.finish(), 7, "{way:?}");
            let terminal = Terminal::new();
            let mut run = seated(way, &terminal, WAITS).at();
            terminal.strike(key);
            assert_eq!(run.end(), code, "{way:?}");
        }
    }
}

#[test]
fn at_a_terminal_a_signal_to_us_arrives_once() {
    for way in ALL {
        for (signal, code) in [("TERM", 143), ("HUP", 129), ("USR1", 138), ("INT", 130), ("QUIT", 131)] {
            let terminal = Terminal::new();
            let mut run = seated(way, &terminal, COUNTS).at();
            run.gets_once(signal, || run.running.signal(signal));
            assert_eq!(run.finish(), 7, "{way:?} {signal}");
            let terminal = Terminal::new();
            let mut run = seated(way, &terminal, WAITS).at();
            run.running.signal(signal);
            assert_eq!(run.end(), code, "{way:?} {signal}");
        }
    }
}

/// The kernel tells only the first program of a session, as ssh, docker and a terminal's `-e` start it.
#[test]
fn a_terminal_that_is_gone_is_told_once() {
    for way in [Way::Plain, Way::Masked] {
        let terminal = Terminal::new();
        let mut run = seated(way, &terminal, COUNTS).at();
        drop(terminal);
        run.waits("HUP", || !run.read("got").is_empty());
        std::thread::sleep(QUIET);
        assert_eq!(run.read("got"), "HUP\n", "{way:?}");
        assert_eq!(run.finish(), 7, "{way:?}");
    }
}

#[test]
fn killed_it_leaves_no_program_behind() {
    for way in PIPED {
        let mut run = supervised(way, COUNTS).at();
        run.running.signal("KILL");
        assert_eq!(run.end(), 137, "{way:?}");
    }
    for way in ALL {
        let terminal = Terminal::new();
        let mut run = seated(way, &terminal, COUNTS).at();
        run.running.signal("KILL");
        assert_eq!(run.end(), 137, "{way:?}");
    }
}

#[test]
fn ctrl_z_stops_it_and_fg_goes_on() {
    for way in ALL {
        let terminal = Terminal::new();
        let outputs = if way == Way::Screen { way.outputs() } else { ">said 2>&1" };
        let shell = format!("\"$0\" \"$@\" {outputs}; echo stopped $?.; read -r; fg; echo ended $?.");
        // Interactive, else it keeps the terminal for itself.
        let case = way.case().wrap(&["bash", "--norc", "-ic", &shell]);
        let words = ["secrets", "run", "--", COUNTS];
        let running = case.start_in(terminal.other_end(), &words);
        let mut run = Run { case, running, way }.begun("counts");
        let pid = run.pid();
        terminal.strike("\x1a");
        run.running.until("stopped 148.");
        run.waits("stop", || is_stopped(pid));
        terminal.press("");
        run.waits("start", || !is_stopped(pid));
        run.gets_once("INT", || terminal.strike("\x03"));
        run.finish();
        assert!(run.running.text.contains("ended 7."), "{way:?}: {}", run.running.text);
        let said = run.read("said");
        match way {
            Way::Plain => assert!(said.contains("finished \n"), "{said}"),
            Way::Screen => {}
            Way::Masked => assert!(said.contains("finished ***\n"), "{said}"),
        }
    }
}

/// Whoever was started in the background cannot know that it will not stay there.
#[test]
fn started_in_the_background_it_can_come_to_the_front() {
    for way in PIPED {
        let terminal = Terminal::new();
        let shell = "\"$0\" \"$@\" >said 2>&1 & read -r; fg; echo ended $?.";
        let case = way.case().wrap(&["bash", "--norc", "-ic", shell]);
        // `started` is for the program to write, once it has its handlers.
        let asks = "echo $$ $PPID >asks; read -r answer; echo $answer >got; exec ./counts";
        let words = ["secrets", "run", "--", "sh", "-c", asks];
        let running = case.start_in(terminal.other_end(), &words);
        let run = Run { case, running, way };
        run.waits("question", || run.read("asks").ends_with('\n'));
        let asks = run.read("asks");
        let mut pids = asks.split_whitespace().map(|pid| pid.parse().unwrap());
        let (program, parent) = (pids.next().unwrap(), pids.next().unwrap());
        // It reads, and is stopped, for the terminal is the shell's: which must have seen that, or it continues nothing.
        run.waits("stop", || is_stopped(program) && (way == Way::Plain || is_stopped(parent)));
        std::thread::sleep(QUIET);
        terminal.press("");
        run.waits("front", || !is_stopped(program));
        terminal.press("hello");
        let mut run = run.begun("counts");
        assert_eq!(run.read("got"), "hello\n", "{way:?}");
        terminal.strike("\x03");
        run.waits("INT", || run.read("got") == "hello\nINT\n");
        run.finish();
        assert!(run.running.text.contains("ended 7."), "{way:?}: {}", run.running.text);
    }
}

/// Keys that are struck before there is a program end it, too; and one that is there hears of them once.
#[test]
fn ctrl_c_at_any_moment_of_a_start_arrives_once() {
    let whole = std::env::var("SLIPWAY_SOAK").is_ok();
    for moment in 0..if whole { 800 } else { 80 } {
        let terminal = Terminal::new();
        let outputs = Way::Masked.outputs();
        let case = Way::Masked.case().wrap(&["sh", "-c", &format!("echo on; exec \"$0\" \"$@\" {outputs}")]);
        let mut running = case.start_in(terminal.other_end(), &["secrets", "run", "--", COUNTS]);
        running.until("on\n");
        std::thread::sleep(Duration::from_micros(500 * (moment % 40)));
        terminal.strike("\x03");
        let mut run = Run { case, running, way: Way::Masked };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !run.running.has_ended() && run.read("got").is_empty() {
            assert!(Instant::now() < deadline, "{moment}: lost{}", run.states());
            std::thread::sleep(Duration::from_millis(2));
        }
        if !run.running.has_ended() {
            std::thread::sleep(QUIET);
            assert_eq!(run.read("got"), "INT\n", "{moment}");
            assert_eq!(run.finish(), 7, "{moment}");
        }
        assert!([7, 130].contains(&run.running.end()), "{moment}: {}", run.running.text);
        nothing_left(&[run.case.root()]);
    }
}

/// The kernel and the shell tell those in front. What runs on behind them hears what somebody sends.
#[test]
fn in_the_background_without_its_terminal_it_gets_every_signal() {
    let terminal = Terminal::new();
    let shell = "\"$0\" \"$@\" >said 2>&1 & disown; read -r";
    let case = Way::Masked.case().wrap(&["bash", "--norc", "-ic", shell]);
    let running = case.start_in(terminal.other_end(), &["secrets", "run", "--", COUNTS]);
    let mut run = Run { case, running, way: Way::Masked }.begun("counts");
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    drop(terminal);
    run.running.end();
    for (times, signal) in ["HUP", "TERM", "HUP"].into_iter().enumerate() {
        assert!(Command::new("kill").args([&format!("-{signal}"), &parent]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(60);
        while run.read("got").lines().count() <= times {
            assert!(Instant::now() < deadline, "no {signal}: {:?}", run.read("got"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    std::thread::sleep(QUIET);
    assert_eq!(run.read("got"), "HUP\nTERM\nHUP\n");
    std::fs::write(run.case.root().join("end"), "").unwrap();
    nothing_left(&[run.case.root()]);
}

#[test]
fn what_is_ignored_stays_ignored() {
    for way in PIPED {
        let case = way.case().wrap(&["nohup"]);
        let running = case.start_words(&["secrets", "run", "--", COUNTS]);
        let mut run = Run { case, running, way }.begun("counts");
        run.running.signal("HUP");
        std::thread::sleep(QUIET);
        run.gets_once("TERM", || run.running.signal("TERM"));
        assert_eq!(run.finish(), 7, "{way:?}");
    }
}

#[test]
fn the_program_reads_the_terminal() {
    for way in PIPED {
        let (case, terminal) = (way.case(), Terminal::new());
        let asks = ["sh", "-c", "echo sure?; read -r answer; echo $answer it is, $EDIT_TOKEN."];
        let mut running =
            case.start_in(terminal.other_end(), &[&["secrets", "run", "--"], &asks[..]].concat());
        running.until("sure?\n");
        terminal.press("yes");
        running.until(if way == Way::Plain { "yes it is, .\n" } else { "yes it is, ***.\n" });
        assert_eq!(running.end(), 0);
    }
}

/// What asks for a password reads the terminal itself, whatever stdin is.
#[test]
fn with_stdin_from_a_pipe_the_program_can_read_the_terminal_and_be_interrupted() {
    for way in PIPED {
        for (key, code) in [("yes\r", 0), ("\x03", 130)] {
            let case = way.case().wrap(&["sh", "-c", "echo piped | \"$@\"", "sh"]);
            let terminal = Terminal::new();
            let asks = "read -r piped; echo sure?; read -r answer </dev/tty; echo $piped, $answer it is";
            let words = ["secrets", "run", "--", "sh", "-c", asks];
            let mut running = case.start_in(terminal.other_end(), &words);
            running.until("sure?\n");
            // It may not have begun to read.
            std::thread::sleep(QUIET);
            terminal.strike(key);
            if code == 0 {
                running.until("piped, yes it is\n");
            }
            assert_eq!(running.end(), code, "{way:?} {key:?} {}", running.text);
        }
    }
}

#[test]
fn the_code_is_the_programs_or_a_shells() {
    for way in PIPED {
        let case = way.case().file("plain.txt", "echo no").file("orphan.sh", "#!/no/such/sh -e\n");
        let case = case.file("odd.sh", "#!/etc/passwd\n");
        for script in ["orphan.sh", "odd.sh"] {
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(case.root().join(script), executable).unwrap();
        }
        let code = |words: &[&str], code| {
            case.run_words(&[&["secrets", "run", "--"], words].concat()).code(code);
        };
        for own in [0, 1, 7, 78, 255] {
            code(&["sh", "-c", &format!("exit {own}")], own);
        }
        code(&["no-such-program"], 127);
        code(&["./no-such-program"], 127);
        code(&["./plain.txt"], 126);
        code(&["./orphan.sh"], 127);
        code(&["./odd.sh"], 126);
        code(&["../repo"], 126);
    }
    for way in PIPED {
        for (signal, code) in [("KILL", 137), ("SEGV", 139), ("TERM", 143), ("INT", 130)] {
            let case = way.case();
            let dies = format!("kill -{signal} $$");
            let mut running = case.start_words(&["secrets", "run", "--", "sh", "-c", &dies]);
            assert_eq!(running.end(), code, "{way:?} {signal}: {}", running.text);
        }
    }
}
