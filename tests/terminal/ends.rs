//! Every end of a client gives the terminal back; [`Terminal::end`] looks.

use rustix::process::Signal;

use crate::attached::until_size;
use crate::{House, PROMPT, eventually};

#[test]
fn a_container_killed_by_another_client_ends_all_that_is_attached() {
    let house = House::new();
    let mut first = house.terminal(&["run", "-it", "--name", "box", "bb", "sh"]);
    first.expect(PROMPT);
    let mut second = house.terminal(&["attach", "box"]);
    second.line("echo $((1 + 1))", "\r\n2\r\n");
    let mut exec = house.terminal(&["exec", "-it", "box", "sh"]);
    exec.expect(PROMPT);
    house.ok(&["kill", "box"]);
    assert_eq!((first.end(), second.end(), exec.end()), (137, 137, 137));
}

/// The shell goes on without the engine; the client ends with it, and says that the engine is gone.
#[test]
fn a_killed_engine_takes_no_terminal_with_it() {
    let mut house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--name", "box", "bb", "sh"]);
    terminal.expect(PROMPT);
    // A shell may be heard before the engine has told the client that it runs; a resize comes after that.
    terminal.resize((44, 122));
    until_size(&mut terminal, "44 122");
    house.engine.kill();
    terminal.line("echo still $((1 + 1))", "\r\nstill 2\r\n");
    terminal.write("exit 3\r");
    assert_ne!(terminal.end(), 0);
    house.engine.run();
    let exited =
        || house.ok(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "box"]) == "exited 3";
    assert!(eventually(exited), "{}", house.engine.log());
}

/// The next engine is asked for what the last one was.
#[test]
fn an_exit_code_comes_through_although_the_engine_was_killed_meanwhile() {
    let mut house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--rm", "bb", "sh"]);
    terminal.expect(PROMPT);
    terminal.resize((44, 122));
    until_size(&mut terminal, "44 122");
    house.ok(&[
        "run",
        "-d",
        "--name",
        "other",
        "bb",
        "sh",
        "-c",
        "until [ -e /go ]; do sleep 0.05; done; exit 5",
    ]);
    let mut waits = house.terminal(&["wait", "other"]);
    let mut attached = house.terminal(&["attach", "--no-stdin", "other"]);
    // A wait shows nothing; both have asked once the engine has served a later client that came the same way.
    let mut third = house.terminal(&["attach", "box-that-is-not-there"]);
    assert_ne!(third.end(), 0);
    house.engine.kill();
    terminal.line("echo still $((1 + 1))", "\r\nstill 2\r\n");
    house.engine.run();
    house.ok(&["exec", "other", "touch", "/go"]);
    waits.expect("5\r\n");
    assert_eq!((waits.end(), attached.end()), (0, 5));
    terminal.write("exit 3\r");
    assert_eq!(terminal.end(), 3);
    assert_eq!(house.ok(&["ps", "-aq", "--filter", "ancestor=bb", "--filter", "status=running"]), "");
}

#[test]
fn a_client_ended_by_a_signal_leaves_the_container_and_the_terminal_alone() {
    let house = House::new();
    house.ok(&["run", "-dit", "--name", "box", "bb", "sh"]);
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)]
    {
        for words in [&["attach", "box"][..], &["exec", "-it", "box", "sh"]] {
            let mut terminal = house.terminal(words);
            terminal.line("echo $((1 + 1))", "\r\n2\r\n");
            assert!(terminal.is_raw());
            terminal.signal(signal);
            assert_eq!(terminal.end(), status, "{words:?}");
        }
    }
    let mut terminal = house.terminal(&["run", "-it", "--sig-proxy=false", "--name", "other", "bb", "sh"]);
    terminal.expect(PROMPT);
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.end(), 143);
    assert!(house.is_running("box") && house.is_running("other"));
}

/// The terminal was never taken, or is back before the error is shown: its lines begin at the left.
#[test]
fn an_error_finds_the_terminal_as_it_was() {
    let house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--rm", "bb", "no-such-command"]);
    terminal.expect("executable file not found in $PATH");
    assert_eq!(terminal.end(), 127);
    assert!(terminal.rest().ends_with("--help' for more information\r\n"), "{:?}", terminal.rest());
    let mut terminal = house.terminal(&["attach", "nobody"]);
    terminal.expect("No such container: nobody\r\n");
    assert_eq!(terminal.end(), 1);
}
