//! A shell behind the terminal, and bytes behind a pipe.

use std::io::{Read, Write};
use std::process::Stdio;

use testkit::Output;

use crate::terminal::Terminal;
use crate::{House, PROMPT};

/// Waits inside for the window's size: the resize has its way through the engine.
pub(crate) fn until_size(terminal: &mut Terminal, size: &str) {
    terminal.line(
        &format!("until [ \"$(stty size)\" = '{size}' ]; do sleep 0.05; done; echo re''sized"),
        "resized",
    );
}

#[test]
fn run_gives_a_shell_with_echo_a_window_and_its_exit_code() {
    let house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--rm", "bb", "sh"]);
    terminal.expect(PROMPT);
    assert!(terminal.is_raw(), "the client's terminal must not echo");
    terminal.write("echo $((20 + 3))\r");
    // Once by the container's terminal, then the shell's answer; lines end as a terminal wants them.
    terminal.expect("echo $((20 + 3))");
    terminal.expect("\r\n23\r\n");
    terminal.expect(PROMPT);
    terminal.line("stty size", "33 101\r\n");
    terminal.resize((44, 122));
    until_size(&mut terminal, "44 122");
    terminal.resize((20, 70));
    until_size(&mut terminal, "20 70");
    // Ctrl-C is the process's, not the client's. Once the shell has given the terminal away it shows this.
    terminal.expect(PROMPT);
    terminal.line("sh -c 'echo slee''ping; exec sleep 1000'", "sleeping\r\n");
    terminal.write("\x03");
    terminal.expect(PROMPT);
    terminal.write("exit 42\r");
    assert_eq!(terminal.end(), 42);
    assert_eq!(house.ok(&["ps", "-aq"]), "");
}

/// It is a process group of its own, which PID 1 is not in, and has the terminal.
#[test]
fn a_shell_below_init_has_the_terminal_as_well() {
    let house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--rm", "--init", "bb", "sh"]);
    terminal.expect(PROMPT);
    terminal.line("sh -c 'echo slee''ping; exec sleep 1000'", "sleeping\r\n");
    terminal.write("\x03");
    terminal.expect(PROMPT);
    terminal.line("echo $$", "\r\n2\r\n");
    terminal.expect(PROMPT);
    terminal.write("exit 42\r");
    assert_eq!(terminal.end(), 42);
}

/// Nothing has to be typed first: the size is there when the process is.
#[test]
fn the_first_thing_a_process_sees_is_the_size_of_the_window() {
    let house = House::new();
    let mut terminal = house.terminal(&["run", "-it", "--rm", "bb", "stty", "size"]);
    terminal.expect("33 101\r\n");
    assert_eq!(terminal.end(), 0);
    // Without input the client leaves its terminal as it is, and that one makes line ends as well: Docker's does, too.
    let mut terminal = house.terminal(&["run", "-t", "--rm", "bb", "stty", "size"]);
    terminal.expect("33 101\r\r\n");
    assert!(!terminal.is_raw());
    assert_eq!(terminal.end(), 0);
}

#[test]
fn exec_and_start_give_a_shell_as_well() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "box", "bb", "sleep", "1000"]);
    let mut terminal = house.terminal(&["exec", "-it", "box", "sh"]);
    terminal.expect(PROMPT);
    assert!(terminal.is_raw());
    terminal.line("stty size", "33 101\r\n");
    terminal.resize((44, 122));
    until_size(&mut terminal, "44 122");
    terminal.write("exit 6\r");
    assert_eq!(terminal.end(), 6);
    assert!(house.is_running("box"));

    house.ok(&["create", "-it", "--name", "shell", "bb", "sh"]);
    for status in [4, 5] {
        let mut terminal = house.terminal(&["start", "-ai", "shell"]);
        terminal.expect(PROMPT);
        terminal.resize((44, 122));
        until_size(&mut terminal, "44 122");
        terminal.write(&format!("exit {status}\r"));
        assert_eq!(terminal.end(), status);
    }
}

#[test]
fn a_tty_wants_a_terminal_for_its_input() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "box", "-it", "bb", "sh"]);
    for words in [&["run", "-it", "bb", "true"][..], &["exec", "-it", "box", "true"], &["attach", "box"]] {
        let got = house.engine.wharf(words);
        let text = "cannot attach stdin to a TTY-enabled container because stdin is not a terminal\n";
        assert_eq!((got.status, got.stderr.as_str()), (1, text), "{words:?}");
    }
    // Without its input it may be anything; lines still end as a terminal's.
    let got = house.engine.wharf(&["run", "-t", "--rm", "bb", "echo", "hello"]);
    assert_eq!((got.status, got.stdout.as_str()), (0, "hello\r\n"));
}

/// All of it arrives, the process sees its end, and what it says after that still comes.
#[test]
fn ten_megabytes_and_the_end_of_them_go_through_stdin() {
    const BYTES: usize = 10 << 20;
    let house = House::new();
    house.ok(&["run", "-d", "--name", "box", "bb", "sleep", "1000"]);
    let sh = "wc -c; echo after";
    for words in [&["run", "-i", "--rm", "bb", "sh", "-c", sh][..], &["exec", "-i", "box", "sh", "-c", sh]] {
        let mut client = house.client();
        let mut client =
            client.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start a client");
        let mut input = client.stdin.take().expect("its input");
        let writer = std::thread::spawn(move || input.write_all(&vec![b'x'; BYTES]));
        let mut text = String::new();
        client.stdout.take().expect("its output").read_to_string(&mut text).expect("read it");
        assert!(client.wait().expect("its end").success(), "{words:?}");
        writer.join().expect("no panic").expect("write all of it");
        assert_eq!(text, format!("{BYTES}\nafter\n"), "{words:?}");
    }
}

/// A container that does not read its input holds up neither its output nor its end.
#[test]
fn input_that_nobody_reads_is_no_obstacle() {
    let house = House::new();
    let mut client = house.client();
    client.args(["run", "-i", "--rm", "bb", "sh", "-c", "echo out; exit 3"]);
    let zero = std::fs::File::open("/dev/zero").expect("open /dev/zero");
    let got = Output::of(client.stdin(zero));
    assert_eq!((got.status, got.stdout.as_str()), (3, "out\n"), "{}", got.stderr);
}
