//! Leaving a container that goes on, and coming back.

use crate::terminal::Terminal;
use crate::{House, PROMPT};

const DEFAULT: &str = "\x10\x11";
const CTRL_X: &str = "\x18";

#[test]
fn run_is_left_by_ctrl_p_ctrl_q_and_attach_comes_back() {
    let house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--name", "box", "bb", "sh"]);
    terminal.expect(PROMPT);
    terminal.line("x=remembered", PROMPT);
    terminal.write(DEFAULT);
    assert_eq!(terminal.end(), 0);
    assert!(!terminal.rest().contains("escape"), "{:?}", terminal.rest());
    assert!(house.is_running("box"));

    // Half a sequence is the process's: the shell shows the line before.
    let mut terminal = house.terminal(&["attach", "box"]);
    terminal.line("echo $x-1", "\r\nremembered-1\r\n");
    terminal.expect(PROMPT);
    assert!(terminal.is_raw());
    terminal.line("\x10", "\r\nremembered-1\r\n");
    terminal.line("stty size", "33 101\r\n");
    terminal.expect(PROMPT);
    terminal.write(DEFAULT);
    assert_eq!(terminal.end(), 1);
    assert!(terminal.rest().ends_with("read escape sequence\r\n"), "{:?}", terminal.rest());
    assert!(house.is_running("box"));

    let mut terminal = house.terminal(&["attach", "box"]);
    terminal.line("echo $x-2", "\r\nremembered-2\r\n");
    terminal.write("exit 5\r");
    assert_eq!(terminal.end(), 5);

    let mut terminal = house.terminal(&["start", "-ai", "box"]);
    terminal.expect(PROMPT);
    terminal.write(DEFAULT);
    assert_eq!(terminal.end(), 0);
    assert!(house.is_running("box"));
    // The shell that ended was not left.
    house.happened("detach", 3);
}

#[test]
fn an_exec_is_left_and_goes_on() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "box", "bb", "sleep", "1000"]);
    let mut terminal = house.terminal(&["exec", "-it", "box", "sh"]);
    terminal.expect(PROMPT);
    terminal.line("until [ -e /go ]; do sleep 0.05; done; touch /went", "\r\n");
    terminal.write(DEFAULT);
    assert_eq!(terminal.end(), 1);
    assert!(terminal.rest().ends_with("read escape sequence\r\n"), "{:?}", terminal.rest());
    house.ok(&["exec", "box", "touch", "/go"]);
    house.ok(&["exec", "box", "sh", "-c", "until [ -e /went ]; do sleep 0.05; done"]);
    house.happened("exec_detach", 1);
}

/// By the flag, by the configuration, and by the flag before the configuration.
#[test]
fn the_keys_can_be_chosen() {
    let house = House::new();
    let config = house.directory.path().join("keys");
    std::fs::create_dir(&config).expect("make a configuration");
    std::fs::write(config.join("config.json"), r#"{"detachKeys": "ctrl-x,d"}"#).expect("write it");
    let mut configured = house.client();
    configured.env("DOCKER_CONFIG", &config);
    let plain = house.client();
    let run = |keys: &'static [&str], name: &'static str| {
        [&["run", "-it", "--name", name], keys, &["bb", "sh"]].concat()
    };
    for (client, words, keys) in [
        (&plain, run(&["--detach-keys", "ctrl-a,ctrl-a,z"], "flag"), "\x01\x01z"),
        (&plain, run(&["--detach-keys=ctrl-@"], "single"), "\0"),
        (&configured, run(&[], "config"), &format!("{CTRL_X}d")),
        (&configured, run(&["--detach-keys", "a,b"], "both"), "ab"),
    ] {
        let mut terminal = Terminal::start(client, &words, (24, 80));
        terminal.expect(PROMPT);
        // No longer special.
        terminal.write(DEFAULT);
        terminal.line("echo $((1 + 1))", "\r\n2\r\n");
        terminal.expect(PROMPT);
        terminal.write(keys);
        assert_eq!(terminal.end(), 0, "{words:?}: {}", terminal.rest());
        assert!(house.is_running(words[3]), "{words:?}");
    }
    let got = house.engine.wharf(&["run", "--detach-keys", "ctrl-!", "bb", "true"]);
    assert_eq!(
        (got.status, got.stderr.as_str()),
        (1, "invalid detach keys (ctrl-!): Unknown character: 'ctrl-!'\n")
    );
}
