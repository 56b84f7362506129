//! Many at once, and many after another.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Private, names, spawner, until};

fn spawn(private: &Private, args: &[&str]) -> Child {
    private.engine.client("wharf").args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn of_fifty_creates_of_one_name_one_wins() {
    let private = Private::start();
    let children: Vec<Child> =
        (0..50).map(|_| spawn(&private, &["create", "--name", "one", "bb", "true"])).collect();
    let mut won = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => won += 1,
            false => {
                assert!(said.contains("Conflict. The container name \"/one\" is already in use"), "{said}")
            }
        }
    }
    assert_eq!(won, 1);
    private.clean("after the race");
    private.ok(&["rm", "one"]);
}

#[test]
fn twenty_runs_at_once() {
    let private = Private::start();
    for round in 0..5 {
        let children: Vec<Child> = (0..20)
            .map(|n| spawn(&private, &["run", "--rm", "bb", "echo", &format!("{round}-{n}")]))
            .collect();
        for (n, child) in children.into_iter().enumerate() {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}\n{}", private.engine.log());
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{round}-{n}\n"));
        }
    }
    private.clean("after the runs");
}

#[test]
fn everything_at_once_on_one_container() {
    let private = Private::start();
    for round in 0..8 {
        private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
        let mut children = Vec::new();
        let orders: [&[&str]; 7] = [
            &["stop", "-t", "1", "cc"],
            &["exec", "cc", "sleep", "1000"],
            &["kill", "cc"],
            &["restart", "-t", "0", "cc"],
            &["pause", "cc"],
            &["exec", "cc", "true"],
            &["rm", "-f", "cc"],
        ];
        for step in 0..orders.len() {
            children.push(spawn(&private, orders[(step + round) % orders.len()]));
        }
        for child in children {
            // Each may lose; none may hang, and none may hit a bug.
            let output = child.wait_with_output().unwrap();
            // An exec's failure is told on its stdout, as Docker does; a killed one has nothing to say.
            let silent = output.stderr.is_empty() && output.stdout.is_empty();
            assert!(output.status.success() || !silent || output.status.code() == Some(137), "{output:?}");
        }
        private.engine.wharf(&["rm", "-f", "cc"]);
        until("it is gone", || !private.exists("cc"));
        private.clean("after the race");
    }
}

/// Eight threads, each doing one thing after another to the same container, chosen by a generator.
#[test]
fn hammered_by_eight_for_ten_seconds() {
    let private = Private::start();
    const ORDERS: [&[&str]; 12] = [
        &["start", "cc"],
        &["start", "cc"],
        &["stop", "-t", "0", "cc"],
        &["kill", "cc"],
        &["restart", "-t", "0", "cc"],
        &["exec", "cc", "true"],
        &["exec", "cc", "sleep", "1"],
        &["pause", "cc"],
        &["unpause", "cc"],
        &["rm", "-f", "cc"],
        &["run", "-d", "--name", "cc", "bb", "sleep", "1000"],
        &["create", "--name", "cc", "bb", "sleep", "1000"],
    ];
    let end = Instant::now() + Duration::from_secs(10);
    std::thread::scope(|scope| {
        let mut hammers = Vec::new();
        for seed in 1..=8_u32 {
            let private = &private;
            hammers.push(scope.spawn(move || {
                let mut random = seed;
                while Instant::now() < end {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let order = ORDERS[(random >> 16) as usize % ORDERS.len()];
                    let output = private.engine.wharf(order);
                    assert!(!output.stderr.contains("panicked"), "{order:?}: {output:?}");
                }
            }));
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        // The last word may have been `pause`, which an exec waits out.
        until("all are back", || {
            private.engine.wharf(&["rm", "-f", "cc"]);
            hammers.iter().all(std::thread::ScopedJoinHandle::is_finished)
        });
    });
    private.engine.wharf(&["rm", "-f", "cc"]);
    until("it is gone", || private.ok(&["ps", "-aq"]).is_empty());
    private.clean("after the hammer");
    assert!(!private.engine.log().contains("panicked"), "{}", private.engine.log());
    assert_eq!(private.ok(&["run", "--rm", "--name", "cc", "bb", "echo", "fine"]), "fine");
}

#[test]
fn fifty_run_through_a_restart_and_a_hundred_are_removed() {
    let mut private = Private::start();
    let start = |private: &Private, range: std::ops::Range<u32>| {
        for at_once in range.collect::<Vec<_>>().chunks(10) {
            let children: Vec<Child> = at_once
                .iter()
                .map(|n| spawn(private, &["run", "-d", "--name", &format!("n{n}"), "bb", "sleep", "10000"]))
                .collect();
            for child in children {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{output:?}");
            }
        }
    };
    start(&private, 0..50);
    let pids: Vec<u32> = (0..50).map(|n| private.pid(&format!("n{n}"))).collect();
    private.engine.kill();
    private.engine.run();
    for (n, pid) in pids.into_iter().enumerate() {
        assert_eq!(private.pid(&format!("n{n}")), pid);
    }
    private.ok(&["exec", "n49", "true"]);
    start(&private, 50..100);
    let ids = private.ok(&["ps", "-q"]);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 100);
    private.ok(&[&["rm", "-f"][..], &ids].concat());
    assert_eq!(private.ok(&["ps", "-aq"]), "");
    private.clean("after the removal");
}

/// `WHARF_TEST_RUNS` makes it longer.
#[test]
fn runs_leak_nothing() {
    let private = Private::start();
    let runs = std::env::var("WHARF_TEST_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(300);
    let rounds = |count: u32| {
        for _ in 0..count {
            private.ok(&["run", "--rm", "bb", "true"]);
        }
    };
    rounds(100);
    let pids = [private.engine.pid().unwrap(), spawner(&private.engine)];
    private.clean("before the runs");
    let (before, kept) = (pids.map(costs), kept(&private));
    rounds(runs);
    private.clean("after the runs");
    until("records and firewall are as before", || self::kept(&private) == kept);
    for (pid, before) in pids.into_iter().zip(before) {
        let after = costs(pid);
        assert!(after.0 <= before.0 + 8, "descriptors of {pid}: {before:?} {after:?}");
        assert!(after.1 <= before.1 + 3 * 1024, "memory of {pid}: {before:?} {after:?}");
        assert!(after.2 <= before.2 + 8, "threads of {pid}: {before:?} {after:?}");
    }
    let ports = names(&Path::new("/sys/class/net").join(private.engine.bridge()).join("brif"));
    assert!(ports.len() <= 16, "{ports:?}");
}

/// What an engine keeps for containers outside of itself: records, and rules of the firewall.
fn kept(private: &Private) -> (u32, String) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(private.data().join("wharf.db"), flags).unwrap();
    let rows = database.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    let table = format!("wharf-{}", private.engine.bridge());
    let rules = Command::new("nft").args(["list", "table", "inet", &table]).output().unwrap();
    assert!(rules.status.success(), "{rules:?}");
    (rows, String::from_utf8(rules.stdout).unwrap())
}

/// Open descriptors (and with them the network namespaces that are held), resident memory of its own in KiB, threads.
fn costs(pid: u32) -> (usize, u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let number = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").trim().parse().unwrap()
    };
    (names(Path::new(&format!("/proc/{pid}/fd"))).len(), number("RssAnon:"), number("Threads:"))
}
