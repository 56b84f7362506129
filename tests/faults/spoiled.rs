//! Files that are not what the engine wrote: damaged records, databases, logs, and what a crash leaves of others.

use std::io::Write;
use std::path::PathBuf;

use rusqlite::{Connection, params};
use rustix::process::Signal;

use super::{Private, kill, parent, runs, until};

impl Private {
    fn database(&self) -> PathBuf {
        self.data().join("wharf.db")
    }

    fn log_path(&self, container: &str) -> PathBuf {
        self.ok(&["inspect", "-f", "{{.LogPath}}", container]).into()
    }

    fn id(&self, container: &str) -> String {
        self.ok(&["inspect", "-f", "{{.Id}}", container])
    }
}

#[test]
fn a_damaged_record_is_named_and_costs_no_other() {
    let mut private = Private::start();
    for name in ["good", "bad", "older"] {
        private.ok(&["run", "-d", "--name", name, "bb", "sleep", "1000"]);
    }
    let tar = private.directory.path().join("busybox.tar");
    private.ok(&["import", tar.to_str().unwrap(), "other:latest"]);
    let (bad, older) = (private.id("bad"), private.id("older"));
    let pids = [private.pid("bad"), private.pid("older")];
    private.engine.kill();
    {
        let database = Connection::open(private.database()).unwrap();
        let change = |namespace: &str, key: &str, value: &str| {
            let changed = database.execute(
                "UPDATE records SET value = ?3 WHERE namespace = ?1 AND key = ?2",
                params![namespace, key, value],
            );
            assert_eq!(changed.unwrap(), 1, "{namespace}/{key}");
        };
        change("containers", &bad, "{\"version\":1,\"na");
        change("containers", &older, "{\"version\":99}");
        change("names", "docker.io/library/other:latest", "[]");
    }
    private.engine.run();
    // It is served once it has booted.
    assert_eq!(private.ok(&["ps", "--format", "{{.Names}}"]), "good");
    let log = private.engine.log();
    for said in [
        format!("record containers/{bad}: "),
        format!("record of container {older} has version 99"),
        "name docker.io/library/other:latest is damaged".to_owned(),
    ] {
        assert!(log.contains(&said), "{said}\n{log}");
    }
    assert_eq!(private.ok(&["exec", "good", "echo", "in"]), "in");
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
    // Nobody knows what is in them, so they are left alone: what runs, and its files.
    for (id, pid) in [&bad, &older].into_iter().zip(pids) {
        assert!(runs(pid));
        assert!(private.data().join("containers").join(id).is_dir());
    }
    private.ok(&["rm", "-f", "good"]);
    // Only this test knows that they may go.
    pids.into_iter().for_each(kill);
    until("they are gone", || !pids.into_iter().any(runs));
}

#[test]
fn a_database_that_is_none_is_refused_by_its_path() {
    let mut private = Private::start();
    private.ok(&["create", "--name", "cc", "bb", "true"]);
    private.engine.terminate();
    let path = private.database();
    // The last to close it brings everything into one file.
    Connection::open(&path).unwrap().pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    let whole = std::fs::read(&path).unwrap();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    assert!(!beside("-wal").exists());
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let output = testkit::Output::of(&mut private.engine.daemon());
    assert_eq!(output.status, 1, "{output:?}");
    let wanted = format!("failed to start daemon: database {}: file is not a database", path.display());
    assert!(output.stderr.contains(&wanted), "{output:?}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 8192], "what cannot be read is not overwritten");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(suffix));
    }
    // Of a later version.
    std::fs::write(&path, &whole).unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 77).unwrap();
    let output = testkit::Output::of(&mut private.engine.daemon());
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("database version 77"), "{output:?}");
    std::fs::write(&path, &whole).unwrap();
    private.engine.run();
    assert_eq!(private.status("cc"), "created");
}

#[test]
fn a_damaged_log_is_read_as_far_as_it_can_be() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "cc", "bb", "sh", "-c", "echo one; echo two; cat /x; sleep 1000"]);
    until("it has logged", || private.ok(&["logs", "cc"]).ends_with("two"));
    let path = private.log_path("cc");
    let mut log = std::fs::File::options().append(true).open(&path).unwrap();
    // Garbage, a record of something else, half a record, and zeroes as after a power cut.
    log.write_all(b"\xff\xfenot JSON\n{\"log\":7}\n[]\n\n{\"log\":\"hal\n\0\0\0\0\0\0\0\0\n").unwrap();
    log.write_all(b"{\"log\":\"three\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n")
        .unwrap();
    log.write_all(b"{\"log\":\"cut o").unwrap();
    assert_eq!(private.ok(&["logs", "cc"]), "one\ntwo\nthree");
    assert_eq!(private.ok(&["logs", "--tail", "1", "cc"]), "three");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(20).unwrap();
    assert_eq!(private.ok(&["logs", "cc"]), "");
    // Gone altogether, the container still runs and can be removed.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(private.ok(&["logs", "cc"]), "");
    assert_eq!(private.ok(&["exec", "cc", "echo", "in"]), "in");
    private.ok(&["rm", "-f", "cc"]);
    private.clean("after a damaged log");
}

#[test]
fn what_a_power_cut_leaves_of_an_exit_is_told_as_unknown() {
    let mut private = Private::start();
    for (name, spoil) in [("cut", &b"{\"version\":1,\"pi"[..]), ("empty", b""), ("missing", b"-")] {
        let share = private.share();
        private.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "-v",
            &format!("{}:/x", share.display()),
            "bb",
            "sh",
            "-c",
            "while [ ! -e /x/go ]; do sleep 0.05; done; exit 5",
        ]);
        let (id, pid) = (private.id(name), private.pid(name));
        let monitor = parent(pid);
        private.engine.kill();
        std::fs::write(share.join("go"), "").unwrap();
        until("process and monitor have ended", || !runs(pid) && !runs(monitor));
        let record = private.engine.directory().join("exec/containers").join(&id).join("exit.json");
        assert!(record.exists());
        match spoil {
            b"-" => std::fs::remove_file(&record).unwrap(),
            bytes => std::fs::write(&record, bytes).unwrap(),
        }
        private.engine.run();
        let state = private.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name]);
        assert_eq!(state, "exited 255", "{name}\n{}", private.engine.log());
        std::fs::remove_file(share.join("go")).unwrap();
        private.ok(&["start", name]);
        private.ok(&["rm", "-f", name]);
        private.clean(name);
    }
}

#[test]
fn a_pidfile_that_is_stale_or_anothers() {
    let mut private = Private::start();
    let path = private.engine.directory().join("pid");
    private.engine.kill();
    assert!(path.exists(), "a killed engine leaves it");
    // Of a process that runs, whatever it is: as in Docker, the pidfile's word is good.
    let own = std::process::id().to_string();
    std::fs::write(&path, &own).unwrap();
    let output = testkit::Output::of(&mut private.engine.daemon());
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains(&format!("process with PID {own} is still running")), "{output:?}");
    // Of nobody, or not a number at all.
    for text in [&i32::MAX.to_string(), "", "x\n"] {
        std::fs::write(&path, text).unwrap();
        private.engine.run();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), private.engine.pid().unwrap().to_string());
        private.engine.kill();
    }
    private.engine.run();
    let pid = private.engine.pid().unwrap();
    let output = testkit::Output::of(&mut private.engine.daemon());
    assert_eq!(output.status, 1, "{output:?}");
    let told = format!("delete {}: process with PID {pid} is still running", path.display());
    assert!(output.stderr.contains(&told), "{output:?}");
    // One more that was told to go away takes nothing with it.
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), pid.to_string());
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
}

#[test]
fn a_hangup_with_a_bad_file_changes_nothing() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
    let file = private.engine.directory().join("daemon.json");
    let pid = rustix::process::Pid::from_raw(private.engine.pid().unwrap().cast_signed()).unwrap();
    for (text, said) in [
        ("{\"labels\":[\"a=b\"", "daemon.json"),
        ("[]", "daemon.json"),
        ("{\"labels\":7}", "labels"),
        ("{\"no-such-key\":1}", "no-such-key"),
        ("{\"bridge\":\"other0\"}", "bridge"),
        ("{\"log-level\":\"loud\"}", "loud"),
    ] {
        std::fs::write(&file, text).unwrap();
        let before = private.engine.log().len();
        rustix::process::kill_process(pid, Signal::HUP).unwrap();
        until("it says so", || private.engine.log()[before..].contains("configuration not reloaded"));
        let log = private.engine.log();
        assert!(log[before..].contains(said), "{text}: {}", &log[before..]);
        assert_eq!(private.ok(&["info", "-f", "{{.Labels}}"]), "[]");
        assert_eq!(private.ok(&["exec", "cc", "echo", "in"]), "in");
    }
    std::fs::remove_file(&file).unwrap();
    rustix::process::kill_process(pid, Signal::HUP).unwrap();
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
    private.ok(&["rm", "-f", "cc"]);
}
