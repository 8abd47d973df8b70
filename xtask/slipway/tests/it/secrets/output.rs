//! What output shows of values, where it is piped and where it is not.

use super::{DEV_TOKEN, case, links};
use crate::doppler::Doppler;
use crate::terminal::Terminal;

const KEY: &str = "-----BEGIN-KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCBK\n-----END-KEY-----";

#[test]
fn every_form_of_a_value_is_hidden_in_a_pipe() {
    let config = super::CONFIG.replace("[secrets.names]", "[secrets.names]\nTLS_KEY = { about = \"\" }");
    let odd = "p@ss \"word\"/ü&1";
    let api = Doppler::start().config(
        "links",
        "dev",
        &[("EDIT_TOKEN", odd), ("LOG_LEVEL", "debug"), ("TLS_KEY", KEY)],
    );
    let case = case().file("xtask.toml", config).doppler(&api);
    let script = "import base64,json,os,sys,urllib.parse as u\n\
        t,k=os.environ['EDIT_TOKEN'],os.environ['TLS_KEY']\n\
        w=lambda s: (sys.stdout.write(s), sys.stdout.flush())\n\
        for c in 'raw '+t+'\\n': w(c)\n\
        print('json',json.dumps({'t':t,'k':k}))\n\
        print('url',u.quote(t),u.quote_plus(t),u.urlencode({'t':t}))\n\
        for n in range(3): print('base64',base64.b64encode(b'x'*n+t.encode()+b'y').decode())\n\
        print('key',k)\n\
        for l in k.splitlines(): print('    indented',l)\n\
        print('level',os.environ['LOG_LEVEL'])\n\
        print('err',t,file=sys.stderr)\n";
    if which::which("python3").is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let ran = case.run_words(&["secrets", "run", "--", "python3", "-c", script]).code(0);
    for part in ["p@ss", "word", "MIIEv", "kiG9w", "%22", "cEBzc", "BAc3M", "wQHNz"] {
        assert!(
            !ran.stdout.contains(part) && !ran.stderr.contains(part),
            "{part}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let ran = ran.prints_line("raw ***").prints_line("level debug").prints_line("    indented ***");
    ran.says(&["values from Doppler (links/dev); masked in its output", "err ***"]);
}

#[test]
fn short_and_everyday_values_are_named_and_left() {
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "password"), ("LOG_LEVEL", "debug")]);
    let case = case().doppler(&api);
    let ran = case.run_words(&["secrets", "run", "--", "sh", "-c", "echo a $EDIT_TOKEN"]).code(0);
    ran.prints("a password\n").says(&["not masked, too short or too common: EDIT_TOKEN"]);
}

#[test]
fn a_terminal_is_the_programs_and_one_line_says_that_nothing_is_masked_there() {
    let script = "test -t 0 && test -t 1 && echo token $EDIT_TOKEN.";
    let words = ["secrets", "run", "--", "sh", "-c", script];
    for (outputs, said) in [
        (">/dev/tty 2>&1", "2 values from Doppler (links/dev); on a terminal nothing is masked\r\n"),
        (">/dev/tty", "token"),
    ] {
        let terminal = Terminal::new();
        let case = case().doppler(&links()).wrap(&["sh", "-c", &format!("exec \"$0\" \"$@\" {outputs}")]);
        let mut running = case.start_in(terminal.other_end(), &words);
        let shown = terminal.shows(&format!("token {DEV_TOKEN}."));
        assert!(shown.contains(said), "{shown}");
        assert_eq!(running.end(), 0);
        let is_split = running.text.contains("links/dev); stderr is masked, a terminal not\n");
        assert_eq!(is_split, outputs == ">/dev/tty", "{}", running.text);
    }
    // In CI what looks like a terminal is a log.
    let terminal = Terminal::new();
    let case = case().doppler(&links()).env("CI", "true");
    let case = case.wrap(&["sh", "-c", "exec \"$0\" \"$@\" >/dev/tty 2>&1"]);
    let words = ["secrets", "run", "--", "sh", "-c", "echo token $EDIT_TOKEN."];
    let mut running = case.start_in(terminal.other_end(), &words);
    assert!(terminal.shows("token ***.").contains("masked in its output"));
    assert_eq!(running.end(), 0);
}

#[test]
fn both_streams_in_one_place_keep_their_order() {
    let case = case().doppler(&links());
    let file = case.folder().join("out");
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i $EDIT_TOKEN; echo err $i $EDIT_TOKEN >&2; done";
    let both = format!("exec \"$@\" > {} 2>&1", file.display());
    let case = case.wrap(&["sh", "-c", &both, "sh"]);
    case.run_words(&["secrets", "run", "--", "sh", "-c", script]).code(0);
    let text = std::fs::read_to_string(file).unwrap();
    let wanted: String = (1..10).map(|i| format!("out {i} ***\nerr {i} ***\n")).collect();
    assert!(text.ends_with(&wanted), "{text}");
}

#[test]
fn output_that_is_lost_is_no_success() {
    let full = |line: &str| {
        let case = case().doppler(&links()).wrap(&["sh", "-c", "\"$@\" >/dev/full", "sh"]);
        case.run(line).code(1)
    };
    full("secrets run -- printenv EDIT_TOKEN").says(&["output", "could not be written whole: No space left"]);
    full("secrets check stg --json").says(&["error: stdout could not be written", "No space left"]);
}

#[test]
fn a_reader_that_goes_ends_the_program_as_in_any_pipeline() {
    let case = case().doppler(&links()).wrap(&["sh", "-c", "\"$@\" | head -n 2", "sh"]);
    let ran = case.run_words(&["secrets", "run", "--", "sh", "-c", "while echo $EDIT_TOKEN; do :; done"]);
    ran.code(0).prints("***\n***\n");
}

#[test]
fn the_runner_of_github_actions_is_told_what_to_mask_where_it_reads() {
    let value = "100%-one\rhalf-after\nline-two-long\n{\n";
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", value), ("LOG_LEVEL", "debug")]);
    // A process of the runner's name starts the step's shell.
    let told = |step: &str| {
        let case = case().doppler(&api).env("GITHUB_ACTIONS", "true").env("CI", "true");
        let (runner, log) = (case.folder().join("Runner.Worker"), case.folder().join("log"));
        std::fs::copy(which::which("bash").unwrap(), &runner).unwrap();
        let case = case.file("step.sh", step.replace("LOG", log.to_str().unwrap()));
        let case = case.wrap(&[runner.to_str().unwrap(), "-c", "bash step.sh \"$@\"; true", "runner"]);
        let ran = case.run("secrets run -- true").code(0);
        assert!(!ran.stdout.contains("add-mask"), "{}", ran.stdout);
        (ran, std::fs::read_to_string(log).unwrap_or_default())
    };
    let (ran, _) = told("\"$@\"\ntrue");
    // Each line, and what a reader takes for one; a brace alone would hide every brace.
    let ran =
        ran.says(&["::add-mask::100%25-one\n", "::add-mask::half-after\n", "::add-mask::line-two-long\n"]);
    assert_eq!(ran.stderr.matches("add-mask").count(), 3, "{}", ran.stderr);
    // Into a file, or to whoever writes one, they would be the leak.
    for step in [
        "\"$@\" 2> LOG\ntrue",
        "\"$@\" 2>&1 | tee LOG",
        "bash -c '\"$@\"; true' bash \"$@\" 2>&1 | tee LOG",
        "exec > >(tee -a LOG) 2>&1\n\"$@\"\nexec >&- 2>&-; wait $!",
        "exec 2> >(cat > LOG)\n\"$@\"\nexec 2>&-; wait $!",
    ] {
        let (_, log) = told(step);
        assert!(log.contains("GitHub is not told") && !log.contains("add-mask"), "{step}: {log}");
    }
}

#[test]
fn a_program_that_leaves_a_writer_behind_is_waited_for() {
    let case = case().doppler(&links());
    let script = "(sleep 0.3; echo late $EDIT_TOKEN) & echo early; exit 4";
    let ran = case.run_words(&["secrets", "run", "--", "sh", "-c", script]).code(4);
    ran.prints("early\nlate ***\n");
}
