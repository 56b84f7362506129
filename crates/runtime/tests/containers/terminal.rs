//! Terminals: handed to an engine through its socket, or relayed by a command that stays.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcgetwinsize, tcsetwinsize};
use serde_json::json;

use crate::bundle::{Bundle, end_of};

/// The text and the descriptor of one message.
fn receive(stream: &UnixStream) -> (String, OwnedFd) {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got =
        recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (String::from_utf8_lossy(&bytes[..got.bytes]).into_owned(), fd.expect("a descriptor"))
}

/// Reads until `end` has been said.
fn heard(master: &mut File, end: &str) -> String {
    let mut all = String::new();
    let mut bytes = [0; 1024];
    while !all.contains(end) {
        let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(ready, 1, "{end:?} does not come: {all:?}");
        // EIO: the last process has closed its end.
        match master.read(&mut bytes) {
            Ok(0) | Err(_) => panic!("{end:?} did not come: {all:?}"),
            Ok(n) => all.push_str(&String::from_utf8_lossy(&bytes[..n])),
        }
    }
    all
}

#[test]
fn an_engine_gets_the_master_through_its_socket() {
    let mut bundle = Bundle::new("console");
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.spec["process"]["consoleSize"] = json!({"height": 33, "width": 101});
    bundle.script(
        "tty; stty size; stat -c '%t %u' /dev/console; echo to the console > /dev/console; echo to tty > /dev/tty; \
         trap 'echo resized; stty size; echo end' WINCH; read line; echo got $line; while :; do sleep 0.02; done",
    );
    assert!(bundle.oci(&["create", &bundle.id]).stderr.contains("cannot allocate tty if runc will detach"));
    // Longer than the address of a socket may be.
    let deep = bundle.beside(&"long".repeat(30));
    let listener = UnixListener::bind(bundle.path().join("s")).unwrap();
    std::fs::rename(bundle.path().join("s"), deep.join("s")).unwrap();
    bundle.good(&["create", "--console-socket", deep.join("s").to_str().unwrap(), &bundle.id]);
    let (name, master) = receive(&listener.accept().unwrap().0);
    assert_eq!(name, "/dev/ptmx");
    let mut master = File::from(master);
    bundle.good(&["start", &bundle.id]);
    master.write_all(b"words\n").unwrap();
    let said = heard(&mut master, "got words").replacen("words\r\n", "", 1);
    assert_eq!(
        said.trim(),
        "/dev/pts/0\r\n33 101\r\n88 0\r\nto the console\r\nto tty\r\ngot words",
        "the terminal is its controlling one"
    );
    tcsetwinsize(&master, Winsize { ws_row: 5, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    assert!(heard(&mut master, "end\r\n").contains("5 77"));

    // One more, by exec.
    let process = json!({"terminal": true, "args": ["sh", "-c", "tty; stty size"], "cwd": "/", "env": ["PATH=/bin"],
        "consoleSize": {"height": 7, "width": 8}, "user": {"uid": 1000, "gid": 1000}});
    std::fs::write(bundle.path().join("process.json"), process.to_string()).unwrap();
    let socket = deep.join("s").display().to_string();
    bundle.good(&["exec", "--detach", "--console-socket", &socket, "--process", "process.json", &bundle.id]);
    let (_, master) = receive(&listener.accept().unwrap().0);
    assert!(heard(&mut File::from(master), "7 8\r\n").starts_with("/dev/pts/1\r\n"));

    let no_tty = {
        bundle.good(&["delete", "--force", &bundle.id]);
        bundle.spec["process"]["terminal"] = json!(false);
        bundle.oci(&["create", "--console-socket", &socket, &bundle.id])
    };
    assert!(no_tty.stderr.contains("cannot use console socket"), "{no_tty:?}");
}

/// A command on a terminal of its own.
struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Child,
}

fn on_terminal(bundle: &Bundle, args: &[&str], size: (u16, u16)) -> Terminal {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = File::options().read(true).write(true).open(Path::new(name.to_str().unwrap())).unwrap();
    resize(master.as_fd(), size);
    let end = || Stdio::from(slave.try_clone().unwrap());
    // A session on this terminal, so that what is typed there becomes signals as usual.
    let oci = bundle.command(args);
    let mut command = std::process::Command::new("setsid");
    command.args(["--wait", "--ctty"]).arg(oci.get_program()).args(oci.get_args()).current_dir(bundle.path());
    let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    Terminal { master: File::from(master), slave: slave.into(), child }
}

fn resize(master: impl AsFd, (rows, columns): (u16, u16)) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

#[test]
fn a_foreground_container_has_the_callers_terminal() {
    let mut bundle = Bundle::new("foreground");
    bundle.spec["process"]["terminal"] = json!(true);
    bundle.script(
        "stty size; trap 'echo interrupted' INT; trap 'stty size' WINCH; echo ready; read word; echo got $word; \
         read word; echo now $word; read word; exit 9",
    );
    let mut terminal = on_terminal(&bundle, &["run", &bundle.id], (20, 90));
    let before = tcgetattr(&terminal.slave).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO));
    let said = heard(&mut terminal.master, "ready");
    assert!(said.contains("20 90"), "{said}");
    assert!(!tcgetattr(&terminal.slave).unwrap().local_modes.contains(LocalModes::ICANON), "it is raw");
    terminal.master.write_all(b"one\r").unwrap();
    heard(&mut terminal.master, "got one");
    // Typed, not sent: the container's terminal makes a signal of it.
    terminal.master.write_all(b"\x03").unwrap();
    heard(&mut terminal.master, "interrupted");
    resize(&terminal.master, (21, 91));
    heard(&mut terminal.master, "21 91");
    assert_eq!(tcgetwinsize(&terminal.slave).unwrap().ws_row, 21);
    terminal.master.write_all(b"two\r\r").unwrap();
    assert_eq!(end_of(&mut terminal.child), 9);
    let after = tcgetattr(&terminal.slave).unwrap();
    assert_eq!((before.local_modes, before.input_modes), (after.local_modes, after.input_modes), "as it was");
}

#[test]
fn exec_has_the_callers_terminal() {
    let bundle = Bundle::sh("exec-tty", "exec sleep 1000");
    bundle.start();
    let args = ["exec", "--tty", &bundle.id, "sh", "-c", "tty; stty size; read word; echo got $word; exit 6"];
    let mut terminal = on_terminal(&bundle, &args, (30, 60));
    let said = heard(&mut terminal.master, "30 60");
    assert!(said.contains("/dev/pts/0"), "{said}");
    terminal.master.write_all(b"it\r").unwrap();
    heard(&mut terminal.master, "got it");
    assert_eq!(end_of(&mut terminal.child), 6);
}

#[test]
fn the_relay_goes_on_to_the_last_byte() {
    let mut bundle = Bundle::sh("all-output", "seq 20000; echo the end");
    bundle.spec["process"]["terminal"] = json!(true);
    // Not a terminal on the caller's side.
    let outcome = bundle.run();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(outcome.stdout.lines().count(), 20001);
    assert!(outcome.stdout.ends_with("20000\r\nthe end\r\n"));
}
