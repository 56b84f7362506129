//! The monitor with a plain process in place of a container: streams, clients, end.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use logs::Destination;
use rustix::net::SocketFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::*;
use crate::client::{Connection, Observed, observe};
use crate::protocol::{Framing, Order, Reply};

const PATIENCE: Duration = Duration::from_secs(10);

struct Running {
    directory: tempfile::TempDir,
    engine: Connection,
    monitor: JoinHandle<()>,
}

#[derive(Default)]
struct Setup {
    stdin: bool,
    stdin_once: bool,
    tty: bool,
    nolog: bool,
    log_options: &'static [(&'static str, &'static str)],
    clients: Vec<(Wants, UnixStream)>,
}

fn log_to(driver: &str, options: &[(&str, &str)], path: PathBuf) -> Destination {
    let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (labels, id) = (BTreeMap::new(), "ab".repeat(32));
    let facts = logs::ContainerFacts {
        id: &id,
        name: "/x",
        image_id: &id,
        image_name: "image",
        command: &[],
        labels: &labels,
        env: &[],
        created: "2026-01-01T00:00:00Z",
    };
    logs::resolve(driver, &options, &facts, path).expect("a destination")
}

/// In a test the forwarder is a thread.
fn forwarder_thread(destination: &logs::RemoteDestination) -> std::io::Result<logs::Pipe> {
    let (ours, theirs) = logs::Pipe::pair()?;
    let destination = destination.clone();
    std::thread::spawn(move || logs::forward(&destination, theirs));
    Ok(ours)
}

fn everything() -> Wants {
    Wants { stdin: true, stdout: true, stderr: true, ..Wants::default() }
}

fn client(wants: Wants) -> ((Wants, UnixStream), UnixStream) {
    let (theirs, ours) = UnixStream::pair().expect("socketpair");
    ours.set_read_timeout(Some(PATIENCE)).expect("timeout");
    ((wants, theirs), ours)
}

fn launch(script: &str, setup: Setup) -> Running {
    let directory = tempfile::tempdir().expect("tempdir");
    let pipe = || pipe_with(PipeFlags::CLOEXEC).expect("pipe");
    let mut command = Command::new("/bin/busybox");
    command.args(["sh", "-c", script]);
    let (mut stdin, mut stderr, mut terminal) = (None, None, None);
    let stdout;
    if setup.tty {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags).expect("openpt");
        rustix::pty::grantpt(&master).expect("grantpt");
        rustix::pty::unlockpt(&master).expect("unlockpt");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("ptsname");
        let slave = std::fs::File::options().read(true).write(true).open(name.to_str().expect("name"));
        let slave = slave.expect("slave");
        command.stdin(slave.try_clone().expect("dup")).stdout(slave.try_clone().expect("dup")).stderr(slave);
        stdin = setup.stdin.then(|| master.try_clone().expect("dup"));
        stdout = Some(master.try_clone().expect("dup"));
        terminal = Some(master);
    } else {
        if setup.stdin {
            let (read, write) = pipe();
            command.stdin(read);
            stdin = Some(write);
        } else {
            command.stdin(Stdio::null());
        }
        let (read, write) = pipe();
        command.stdout(write);
        stdout = Some(read);
        let (read, write) = pipe();
        command.stderr(write);
        stderr = Some(read);
    }
    #[expect(clippy::zombie_processes, reason = "the monitor reaps it")]
    let child = command.spawn().expect("spawn");
    drop(command);
    let pid = child.id() as i32;
    let pidfd = pidfd_open(Pid::from_raw(pid).expect("pid"), PidfdFlags::empty()).expect("pidfd");
    let log = match setup.nolog {
        true => Destination::NONE,
        false => log_to("json-file", setup.log_options, directory.path().join("json.log")),
    };
    let launched = Launched {
        directory: directory.path().into(),
        pid,
        pidfd,
        stdin,
        stdout,
        stderr,
        terminal,
        stdin_once: setup.stdin_once,
        log: logs::open(&log, forwarder_thread).expect("log"),
        clients: setup.clients.into_iter().map(|(wants, socket)| (wants, socket.into(), None)).collect(),
        ports: Ports::default(),
        cgroup: None,
        cgroup_path: String::new(),
        limit: limit::Limit::default(),
    };
    let (ours, theirs) = crate::wire::pair(SocketFlags::NONBLOCK).expect("pair");
    let listener = connection::listen(directory.path()).expect("listen");
    let monitor = std::thread::spawn(move || {
        let mut monitor = Monitor::new(launched, listener).expect("monitor");
        monitor.add_engine(theirs).expect("engine");
        monitor.begin();
        monitor.run().expect("run");
    });
    Running { directory, engine: Connection::new(ours), monitor }
}

fn until<T>(connection: &Connection, wanted: impl Fn(Event) -> Option<T>) -> T {
    loop {
        let event = connection.wait(PATIENCE).expect("event").expect("not gone");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

impl Running {
    fn exit(&self) -> Exit {
        until(&self.engine, |event| match event {
            Event::Exited(exit) => Some(exit),
            _ => None,
        })
    }

    fn answer(&self, order: Order) -> Reply {
        self.engine.call(7, order).expect("call");
        until(&self.engine, |event| match event {
            Event::Answer { seq: 7, reply } => Some(reply),
            _ => None,
        })
    }

    fn attach(&self, wants: Wants) -> UnixStream {
        let ((wants, theirs), ours) = client(wants);
        self.engine.attach(9, wants, theirs.as_fd(), b"").expect("attach");
        until(&self.engine, |event| match event {
            Event::Answer { seq: 9, reply: Reply::Attached { .. } } => Some(()),
            _ => None,
        });
        ours
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("json.log")).unwrap_or_default()
    }
}

/// Takes the frames apart: what came on stdout and on stderr.
fn unframed(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut streams = (Vec::new(), Vec::new());
    while let [stream, 0, 0, 0, a, b, c, d, rest @ ..] = bytes {
        let (chunk, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        if *stream == 1 {
            streams.0.extend_from_slice(chunk)
        } else {
            streams.1.extend_from_slice(chunk)
        }
        bytes = after;
    }
    assert!(bytes.is_empty(), "half a frame: {bytes:?}");
    streams
}

fn all(mut socket: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("read to the end");
    bytes
}

#[test]
fn output_is_logged_and_framed_and_the_exit_is_written_down() {
    let (given, ours) = client(everything());
    let run = launch("echo out; echo err >&2; exit 7", Setup { clients: vec![given], ..Setup::default() });
    assert_eq!(unframed(&all(&ours)), (b"out\n".to_vec(), b"err\n".to_vec()));
    let exit = run.exit();
    assert_eq!((exit.code, exit.signal), (7, None));
    assert_eq!(Exit::read(run.directory.path()).expect("record"), Some(exit));
    let log = run.log();
    assert!(log.contains(r#""log":"out\n","stream":"stdout""#), "{log}");
    assert!(log.contains(r#""log":"err\n","stream":"stderr""#), "{log}");
    drop(ours);
    run.monitor.join().expect("the monitor ends");
    assert!(!layout::socket(run.directory.path()).exists());
}

#[test]
fn death_by_signal_is_128_and_the_number() {
    let run = launch("sleep 100", Setup::default());
    assert!(matches!(run.answer(Order::Signal(9)), Reply::Done));
    let exit = run.exit();
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
}

#[test]
fn half_close_ends_an_input_that_lives_once() {
    let (given, mut ours) = client(everything());
    let setup = Setup { stdin: true, stdin_once: true, clients: vec![given], ..Setup::default() };
    let run = launch("cat; echo end", setup);
    ours.write_all(b"hello\n").expect("write");
    ours.shutdown(Shutdown::Write).expect("half close");
    assert_eq!(unframed(&all(&ours)).0, b"hello\nend\n");
    assert_eq!(run.exit().code, 0);
}

#[test]
fn large_input_passes_whole_although_the_client_leaves() {
    let (given, mut ours) = client(Wants { stdin: true, ..Wants::default() });
    let setup = Setup { stdin: true, stdin_once: true, clients: vec![given], ..Setup::default() };
    let run = launch("sleep 0.2; wc -c", setup);
    let writer = std::thread::spawn(move || ours.write_all(&vec![b'x'; 1 << 20]).expect("write"));
    assert_eq!(run.exit().code, 0);
    writer.join().expect("writer");
    assert!(run.log().contains("1048576"), "{}", run.log());
}

#[test]
fn input_that_stays_open_outlives_its_client() {
    let run = launch("read a; read b; echo $a-$b", Setup { stdin: true, ..Setup::default() });
    let mut first = run.attach(everything());
    first.write_all(b"one\n").expect("write");
    first.shutdown(Shutdown::Write).expect("half close");
    assert!(all(&first).is_empty(), "the first client is let go");
    let mut second = run.attach(everything());
    second.write_all(b"two\n").expect("write");
    assert_eq!(unframed(&all(&second)).0, b"one-two\n");
    assert_eq!(run.exit().code, 0);
}

#[test]
fn two_clients_see_the_same() {
    let run = launch("read line; echo got $line", Setup { stdin: true, ..Setup::default() });
    let listener = run.attach(Wants { stdout: true, ..Wants::default() });
    let mut typist = run.attach(everything());
    typist.write_all(b"this\n").expect("write");
    assert_eq!(unframed(&all(&typist)).0, b"got this\n");
    assert_eq!(unframed(&all(&listener)).0, b"got this\n");
    assert_eq!(run.exit().code, 0);
}

#[test]
fn terminal_is_raw_resizes_and_detaches_one_client() {
    let run = launch(
        "stty -echo -onlcr; echo ready; read x; stty size; read y; echo bye",
        Setup { stdin: true, tty: true, ..Setup::default() },
    );
    let keys = Wants { detach_keys: vec![16, 17], framing: Framing::Raw, ..everything() };
    let mut stays = run.attach(keys.clone());
    let mut leaves = run.attach(keys);
    let mut ready = [0; 6];
    // Either may have been attached after the word was said: ask until the size is.
    assert!(matches!(
        run.answer(Order::Resize(crate::protocol::Size { rows: 33, columns: 77 })),
        Reply::Done
    ));
    stays.write_all(b"\n").expect("write");
    let mut seen = Vec::new();
    while !seen.ends_with(b"33 77\n") {
        let count = stays.read(&mut ready).expect("read");
        assert_ne!(count, 0, "{seen:?}");
        seen.extend_from_slice(&ready[..count]);
    }
    leaves.write_all(&[16]).expect("write");
    leaves.write_all(&[17]).expect("write");
    let why = until(&run.engine, |event| match event {
        Event::ClientLeft { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(why, Leave::Detached);
    all(&leaves);
    stays.write_all(b"\n").expect("write");
    assert!(all(&stays).ends_with(b"bye\n"));
    assert_eq!(run.exit().code, 0);
}

#[test]
fn a_slow_client_delays_and_loses_nothing() {
    let (given, ours) = client(Wants { stdout: true, ..Wants::default() });
    let run = launch(
        "dd if=/dev/zero bs=64k count=64 2>/dev/null",
        Setup { clients: vec![given], ..Setup::default() },
    );
    // Held back: 4 MiB are more than pipe and socket hold.
    assert!(matches!(run.engine.wait(Duration::from_millis(300)), Ok(Some(Event::Started(_)))));
    assert!(run.engine.wait(Duration::from_millis(300)).is_err_and(|error| error.would_block()));
    assert_eq!(unframed(&all(&ours)).0.len(), 4 << 20);
    assert_eq!(run.exit().code, 0);
}

/// Attached while the process waits for a line, so that each sees all that comes after it.
fn beside(run: &Running, count: usize) -> Vec<UnixStream> {
    (0..count).map(|_| run.attach(Wants { stdout: true, ..Wants::default() })).collect()
}

const FLOOD: &str = "read x; dd if=/dev/zero bs=64k count=128 2>/dev/null";
const FLOOD_BYTES: usize = 8 << 20;

#[test]
fn who_looks_on_and_does_not_read_stalls_neither_process_nor_others() {
    let (given, mut front) = client(everything());
    let run = launch(FLOOD, Setup { stdin: true, clients: vec![given], ..Setup::default() });
    let (mute, readers) = (beside(&run, 3), beside(&run, 3));
    front.write_all(b"go\n").expect("write");
    std::thread::scope(|scope| {
        for reader in readers.iter().chain([&front]) {
            scope.spawn(move || {
                assert_eq!(unframed(&all(reader)).0.len(), FLOOD_BYTES, "all of it, and no gap");
            });
        }
    });
    assert_eq!(run.exit().code, 0);
    for late in &mute {
        let (seen, told) = unframed(&all(late));
        let told = String::from_utf8(told).expect("text");
        let missed: usize = told
            .strip_prefix("\r\n[wharf: ")
            .and_then(|rest| rest.split(' ').next())
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{told:?}"));
        assert_eq!(seen.len() + missed, FLOOD_BYTES, "{told}");
        assert!(seen.len() < 1 << 20, "{} bytes were kept", seen.len());
    }
}

#[test]
fn who_looks_on_and_reads_slowly_misses_nothing() {
    let (given, mut front) = client(Wants { stdin: true, ..Wants::default() });
    let run = launch(FLOOD, Setup { stdin: true, clients: vec![given], ..Setup::default() });
    let mut slow = beside(&run, 1).remove(0);
    front.write_all(b"go\n").expect("write");
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let count = slow.read(&mut piece).expect("read");
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..count]);
        // The pace is what is tested: a few MiB each second.
        std::thread::sleep(Duration::from_millis(10));
    }
    let (seen, told) = unframed(&bytes);
    assert_eq!((seen.len(), told.len()), (FLOOD_BYTES, 0));
    assert_eq!(run.exit().code, 0);
}

/// On a terminal there is one stream only: the gap is told where it is.
#[test]
fn a_gap_on_a_terminal_is_told_in_it() {
    let (given, front) =
        client(Wants { stdin: true, stdout: true, framing: Framing::Raw, ..Wants::default() });
    let script = "stty -echo raw; read x; dd if=/dev/zero bs=64k count=64 2>/dev/null; echo end";
    let setup = Setup { stdin: true, tty: true, clients: vec![given], ..Setup::default() };
    let run = launch(script, setup);
    let mute = run.attach(Wants { stdout: true, framing: Framing::Raw, ..Wants::default() });
    (&front).write_all(b"go\n").expect("write");
    assert!(all(&front).ends_with(b"end\n"));
    assert_eq!(run.exit().code, 0);
    let seen = String::from_utf8(all(&mute)).expect("text");
    assert!(
        seen.ends_with("bytes of output were left out here, they were not read in time]\r\n"),
        "{}",
        seen.len()
    );
}

#[test]
fn a_dead_client_delays_nobody() {
    let (given, ours) = client(Wants { stdout: true, ..Wants::default() });
    let run = launch(
        "dd if=/dev/zero bs=64k count=64 2>/dev/null",
        Setup { clients: vec![given], ..Setup::default() },
    );
    assert!(matches!(run.engine.wait(PATIENCE), Ok(Some(Event::Started(_)))));
    drop(ours);
    assert_eq!(run.exit().code, 0);
}

#[test]
fn a_process_that_holds_the_output_delays_the_end_two_seconds_at_most() {
    let begun = Instant::now();
    let run = launch("sleep 5 & echo here; exit 3", Setup::default());
    assert_eq!(run.exit().code, 3);
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(run.log().contains("here"));
}

#[test]
fn the_next_engine_finds_it() {
    let run = launch("read x; exit 4", Setup { stdin: true, ..Setup::default() });
    let pid = until(&run.engine, |event| match event {
        Event::Started(state) => Some(state.pid),
        _ => None,
    });
    let Running { directory, engine, monitor } = run;
    drop(engine);
    let Ok(Observed::Monitored(next)) = observe(directory.path()) else { panic!("a monitor is there") };
    let Ok(Some(Event::Welcome(status))) = next.wait(PATIENCE) else { panic!("welcome") };
    assert_eq!(status.state.pid, pid);
    assert!(status.exit.is_none());
    next.call(1, Order::CloseStdin).expect("call");
    let exit = until(&next, |event| match event {
        Event::Exited(exit) => Some(exit),
        _ => None,
    });
    assert_eq!(exit.code, 4);
    monitor.join().expect("the monitor ends");
    let Ok(Observed::Exited(again)) = observe(directory.path()) else { panic!("the record is there") };
    assert_eq!(again, exit);
}

#[test]
fn a_million_lines_are_all_logged() {
    let setup = Setup { log_options: &[("max-size", "-1")], ..Setup::default() };
    let run = launch("yes 0123456789012345678901234567890123456789 | head -n 1000000", setup);
    assert_eq!(run.exit().code, 0);
    let log = run.log();
    assert_eq!(log.lines().count(), 1_000_000);
    assert!(log.lines().all(|line| line.contains(r#""log":"0123456789012345678901234567890123456789\n""#)));
}

#[test]
fn what_another_version_asks_is_refused_and_the_rest_goes_on() {
    let run = launch("sleep 1000", Setup::default());
    until(&run.engine, |event| matches!(event, Event::Started(_)).then_some(()));
    let socket = run.engine.as_fd();
    for text in [
        r#"{"seq":1,"order":{"Teleport":{"to":"/x"}}}"#,
        r#"{"seq":2,"order":"Sing","loudly":true}"#,
        "{",
        r#"{"later":"a call without a number"}"#,
        // What version 1 calls so, with what a later one adds.
        r#"{"seq":3,"order":{"Signal":0},"deadline_ms":5}"#,
    ] {
        rustix::net::send(socket, text.as_bytes(), rustix::net::SendFlags::empty()).expect("send");
    }
    for wanted in 1..=3 {
        let reply = until(&run.engine, |event| match event {
            Event::Answer { seq, reply } if seq == wanted => Some(reply),
            Event::Answer { seq, reply } => panic!("{seq} {reply:?} before {wanted}"),
            _ => None,
        });
        match (wanted, reply) {
            (3, Reply::Done) => {}
            (1 | 2, Reply::Refused { message }) => assert!(message.contains("version 1"), "{message}"),
            (_, reply) => panic!("{wanted}: {reply:?}"),
        }
    }
    assert!(matches!(run.answer(Order::Signal(9)), Reply::Done));
    assert_eq!(run.exit().code, 137);
}
