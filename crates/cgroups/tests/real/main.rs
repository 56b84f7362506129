//! Limits as the kernel enforces them, on whatever version this machine mounts. Needs root. Every test works in
//! a subtree of its own and removes it. `vm` runs this same binary again on a v2-only kernel.

#![allow(clippy::print_stdout, reason = "limited processes answer on it, and figures are reported on demand")]

mod vm;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cgroups::{Cgroup, CgroupPath, Layout, Meter, Version, machine};
use oci::runtime::{Cpu, DeviceRule, Memory, Pids, Resources};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

const ACTION: &str = "CGROUPS_TEST_ACTION";
const MIB: i64 = 1 << 20;

/// A cgroup below a parent that goes away with it.
struct Scratch {
    parent: String,
    path: CgroupPath,
}

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("/wharf-test-{}-{number}", std::process::id());
        let path = CgroupPath::resolve(Some(&format!("{parent}/c")), "", false).unwrap();
        Scratch { parent, path }
    }

    fn create(&self, resources: &Resources) -> Cgroup {
        Cgroup::create(machine().unwrap(), &self.path, resources).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let parent = CgroupPath::resolve(Some(&self.parent), "", false).unwrap();
        if let Ok(cgroup) = Cgroup::open(machine().unwrap(), &parent) {
            cgroup.kill().unwrap();
            cgroup.delete().unwrap();
        }
    }
}

/// This test binary again, as a process that does `action` once it is in its cgroup.
struct Process(Child);

impl Process {
    fn start(action: &str, cgroup: &Cgroup) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_limited", "--nocapture", "--test-threads=1"])
            .env(ACTION, action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Process(child);
        cgroup.join(process.pid()).unwrap();
        process.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        process
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// The first line of its output that begins with `answer `.
    fn answer(&mut self) -> String {
        let output = BufReader::new(self.0.stdout.as_mut().unwrap());
        for line in output.lines() {
            if let Some(answer) = line.unwrap().strip_prefix("answer ") {
                return answer.to_owned();
            }
        }
        panic!("the process ended without an answer");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Made by another process that has not come to filling it: nothing could run below it.
#[test]
fn a_parent_without_cpus_gets_some() {
    let machine = machine().unwrap();
    let Some(cpuset) = machine.find("cpuset").filter(|h| h.version() == Version::V1) else { return };
    let scratch = Scratch::new();
    std::fs::create_dir(cpuset.mount_point().join(&scratch.parent[1..])).unwrap();
    let cgroup = scratch.create(&Resources::default());
    assert_eq!(Process::start("spawn 0", &cgroup).answer(), "0");
}

#[test]
fn the_process_that_is_limited() {
    let Ok(action) = std::env::var(ACTION) else { return };
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    match action.split_once(' ').unwrap_or((action.as_str(), "")) {
        ("wait", _) => {
            say("ready");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        ("spin", _) => {
            say("ready");
            loop {
                std::hint::spin_loop();
            }
        }
        ("allocate", mib) => {
            let bytes = mib.parse::<usize>().unwrap() << 20;
            // Written with something, so that every page exists.
            let memory = std::hint::black_box(vec![1u8; bytes]);
            say(&format!("allocated {}", memory.len() >> 20));
        }
        ("spawn", count) => {
            let me = std::env::current_exe().unwrap();
            let spawned: Vec<_> = (0..count.parse().unwrap())
                .map_while(|_| {
                    Command::new(&me)
                        .args(["--exact", "the_process_that_is_limited", "--test-threads=1"])
                        .env(ACTION, "wait")
                        .stdin(Stdio::piped())
                        .stdout(Stdio::null())
                        .spawn()
                        .ok()
                })
                .collect();
            say(&spawned.len().to_string());
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        ("open", paths) => {
            let outcome: Vec<_> = paths
                .split(' ')
                .map(|path| match std::fs::OpenOptions::new().write(true).open(path) {
                    Ok(_) => "ok".to_owned(),
                    Err(e) => e.raw_os_error().unwrap_or(0).to_string(),
                })
                .collect();
            say(&outcome.join(" "));
        }
        other => panic!("{other:?}"),
    }
}

fn say(answer: &str) {
    // Test names are printed on the same line.
    println!("\nanswer {answer}");
    std::io::stdout().flush().unwrap();
}

fn memory(limit: i64) -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(limit), swap: Some(limit), ..Memory::default() }),
        ..Resources::default()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_process_is_moved_and_found_in_every_hierarchy() {
    let scratch = Scratch::new();
    let cgroup = scratch.create(&Resources::default());
    let mut process = Process::start("wait", &cgroup);
    process.answer();
    assert_eq!(cgroup.procs().unwrap(), [process.pid()]);
    let table = std::fs::read_to_string(format!("/proc/{}/cgroup", process.pid().as_raw_nonzero())).unwrap();
    let here = table.lines().filter(|l| l.ends_with(&format!("{}/c", scratch.parent))).count();
    assert_eq!(here, cgroup.paths().len(), "{table}");
    assert!(Cgroup::create(machine().unwrap(), &scratch.path, &Resources::default()).is_err(), "in use");
    drop(process);
    cgroup.delete().unwrap();
    let error = Cgroup::open(machine().unwrap(), &scratch.path).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn too_much_memory_is_noticed() {
    let scratch = Scratch::new();
    let cgroup = scratch.create(&memory(32 * MIB));
    let mut watch = cgroup.watch_oom().unwrap();
    assert!(!watch.take().unwrap());
    let mut process = Process::start("allocate 96", &cgroup);
    let status = process.0.wait().unwrap();
    assert!(!status.success(), "{status:?}");
    let wait = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&wait)), Ok(1), "notification");
    assert!(watch.take().unwrap());
    assert!(!watch.take().unwrap(), "once");
    assert_eq!(watch.kills().unwrap(), 1);
    assert_eq!(cgroup.oom_kills().unwrap(), 1);
    let stats = cgroup.stats().unwrap().memory;
    assert_eq!(stats.usage.limit, 32 << 20);
    assert_eq!(stats.usage.max_usage, 32 << 20);
    cgroup.update(&memory(256 * MIB)).unwrap();
    assert_eq!(Process::start("allocate 96", &cgroup).answer(), "allocated 96");
}

#[test]
fn memory_limits_can_go_up_and_down() {
    let scratch = Scratch::new();
    let cgroup = scratch.create(&memory(64 * MIB));
    for limit in [128, 32, 256] {
        cgroup.update(&memory(limit * MIB)).unwrap();
        assert_eq!(cgroup.stats().unwrap().memory.usage.limit, (limit as u64) << 20);
    }
}

#[test]
fn too_many_processes_are_refused() {
    let scratch = Scratch::new();
    let pids = |limit| Resources { pids: Some(Pids { limit: Some(limit) }), ..Resources::default() };
    let cgroup = scratch.create(&pids(10));
    let mut process = Process::start("spawn 20", &cgroup);
    let spawned: u32 = process.answer().parse().unwrap();
    assert!((1..10).contains(&spawned), "{spawned}");
    let stats = cgroup.stats().unwrap().pids;
    assert_eq!(stats.limit, 10);
    assert!(stats.current > 1, "{stats:?}");
    cgroup.update(&pids(-1)).unwrap();
    assert_eq!(cgroup.stats().unwrap().pids.limit, 0);
}

#[test]
fn a_meter_reads_on_until_its_cgroup_is_gone() {
    let scratch = Scratch::new();
    let cgroup = scratch.create(&memory(64 * MIB));
    let (mut meter, mut buffer) = (Meter::open(&cgroup).unwrap(), Vec::new());
    let mut process = Process::start("allocate 8", &cgroup);
    assert_eq!(process.answer(), "allocated 8");
    let read = meter.read(&mut buffer).unwrap();
    let used = (read.memory.usage, read.cpu.usage_ns, read.pids.current);
    assert!(used.0 > 0 && used.1 > 0 && used.2 > 0, "{read:?}");
    assert_eq!((read.memory.limit, &read.memory_stat.is_empty()), (64 << 20, &false));
    let stats = cgroup.stats().unwrap();
    assert!(
        stats.cpu.usage_ns >= read.cpu.usage_ns && stats.cpu.user_ns >= read.cpu.user_ns,
        "{stats:?} {read:?}"
    );
    assert_eq!(read.cpu.per_cpu_ns.len(), stats.cpu.per_cpu_ns.len());
    cgroup.kill().unwrap();
    process.0.wait().unwrap();
    cgroup.delete().unwrap();
    assert!(meter.read(&mut buffer).unwrap_err().is_gone());
}

#[test]
fn frozen_processes_stand_still_and_can_be_killed() {
    let scratch = Scratch::new();
    let cgroup = scratch.create(&Resources::default());
    let mut process = Process::start("spin", &cgroup);
    process.answer();
    let used = || cgroup.stats().unwrap().cpu.usage_ns;
    let before = used();
    eventually("a spinning process uses its CPU", || used() > before + 1_000_000);

    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    let before = used();
    let until = Instant::now() + Duration::from_millis(50);
    eventually("some time passes", || Instant::now() > until);
    assert!(used() - before < 5_000_000, "stands still");

    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    let before = used();
    eventually("it goes on", || used() > before + 1_000_000);

    cgroup.freeze().unwrap();
    // Reaped beside: killing waits until nobody is left.
    let reaper = std::thread::spawn(move || process.0.wait().unwrap());
    cgroup.kill().unwrap();
    assert!(!reaper.join().unwrap().success());
    assert!(cgroup.procs().unwrap().is_empty());
}

#[test]
fn a_tree_of_processes_and_groups_goes_away() {
    let scratch = Scratch::new();
    let cgroup = scratch.create(&Resources::default());
    for (_, path) in cgroup.paths() {
        std::fs::create_dir_all(path.join("inner/most")).unwrap();
    }
    let mut process = Process::start("spawn 5", &cgroup);
    assert_eq!(process.answer(), "5");
    assert_eq!(cgroup.procs().unwrap().len(), 6);
    let reaper = std::thread::spawn(move || process.0.wait().unwrap());
    cgroup.kill().unwrap();
    reaper.join().unwrap();
    let path = cgroup.paths()[0].1.clone();
    cgroup.delete().unwrap();
    assert!(!path.exists());
}

#[test]
fn devices_are_denied_and_allowed_again() {
    let rule = |allow, kind: &str, major, minor| DeviceRule {
        allow,
        kind: kind.into(),
        major,
        minor,
        access: "rwm".into(),
    };
    let deny = rule(false, "a", None, None);
    let null = rule(true, "c", Some(1), Some(3));
    let full = rule(true, "c", Some(1), Some(7));
    let devices = |rules: &[&DeviceRule]| Resources {
        devices: rules.iter().map(|r| (*r).clone()).collect(),
        ..Resources::default()
    };
    let scratch = Scratch::new();
    let cgroup = scratch.create(&devices(&[&deny, &null]));
    let ask = || Process::start("open /dev/null /dev/full", &cgroup).answer();
    assert_eq!(ask(), "ok 1");
    cgroup.update(&devices(&[&deny, &null, &full])).unwrap();
    assert_eq!(ask(), "ok ok");
    cgroup.update(&devices(&[&deny, &full])).unwrap();
    assert_eq!(ask(), "1 ok");
    cgroup.update(&devices(&[&rule(true, "a", None, None)])).unwrap();
    assert_eq!(ask(), "ok ok");
}

#[test]
fn cpu_time_is_limited() {
    let scratch = Scratch::new();
    let cpu = |cpu| Resources { cpu: Some(cpu), ..Resources::default() };
    let cgroup = scratch.create(&cpu(Cpu {
        shares: Some(512),
        quota: Some(5_000),
        period: Some(50_000),
        ..Cpu::default()
    }));
    let mut process = Process::start("spin", &cgroup);
    process.answer();
    eventually("it is throttled", || cgroup.stats().unwrap().cpu.throttling.throttled_periods > 1);
    // Smaller than the old quota fits, so the order of the writes matters.
    cgroup.update(&cpu(Cpu { quota: Some(2_000), period: Some(10_000), ..Cpu::default() })).unwrap();
    cgroup
        .update(&cpu(Cpu {
            quota: Some(90_000),
            period: Some(100_000),
            burst: Some(10_000),
            ..Cpu::default()
        }))
        .unwrap();
    let path = cgroup.controller_path("cpu").unwrap();
    let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap().trim().to_owned();
    match machine().unwrap().layout() {
        Layout::Unified => {
            assert_eq!(
                [read("cpu.weight"), read("cpu.max"), read("cpu.max.burst")],
                ["59", "90000 100000", "10000"]
            );
        }
        Layout::Legacy | Layout::Hybrid => {
            let files = ["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us"];
            assert_eq!(files.map(read), ["512", "90000", "100000", "10000"]);
        }
    }
}

#[test]
fn cpus_can_be_chosen() {
    let scratch = Scratch::new();
    let cpu = Cpu { cpus: "0".into(), mems: "0".into(), ..Cpu::default() };
    let cgroup = scratch.create(&Resources { cpu: Some(cpu), ..Resources::default() });
    let mut process = Process::start("wait", &cgroup);
    process.answer();
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid().as_raw_nonzero())).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let scratch = Scratch::new();
    let nonsense = Resources {
        pids: Some(Pids { limit: Some(5) }),
        cpu: Some(Cpu { cpus: "4000".into(), ..Cpu::default() }),
        ..Resources::default()
    };
    let error = Cgroup::create(machine().unwrap(), &scratch.path, &nonsense).unwrap_err();
    assert!(error.to_string().contains("cpuset.cpus"), "{error}");
    assert!(Cgroup::open(machine().unwrap(), &scratch.path).unwrap_err().is_not_found());
}

#[test]
fn files_of_the_unified_tree_are_written_as_they_stand() {
    let scratch = Scratch::new();
    let unified = |file: &str, value: &str| Resources {
        unified: [(file.to_owned(), value.to_owned())].into(),
        ..Resources::default()
    };
    match machine().unwrap().layout() {
        Layout::Legacy => {}
        Layout::Hybrid | Layout::Unified => {
            let cgroup = scratch.create(&unified("cgroup.max.descendants", "7"));
            let (_, path) = cgroup.paths().into_iter().find(|(name, _)| name.is_empty()).unwrap();
            assert_eq!(std::fs::read_to_string(path.join("cgroup.max.descendants")).unwrap(), "7\n");
            assert!(cgroup.update(&unified("no.such.file", "1")).is_err());
            assert!(cgroup.update(&unified("../x", "1")).is_err());
        }
    }
}

/// Create, join, delete: what every container start pays. The bound is generous, for loaded machines; the
/// figures are printed when `CGROUPS_TEST_REPORT` is set.
#[test]
fn a_start_pays_little() {
    let resources = Resources {
        devices: (0..12)
            .map(|minor| DeviceRule {
                allow: minor != 0,
                kind: if minor == 0 { "a".into() } else { "c".into() },
                major: (minor != 0).then_some(1),
                minor: (minor != 0).then_some(minor),
                access: "rwm".into(),
            })
            .collect(),
        pids: Some(Pids { limit: Some(100) }),
        ..memory(64 * MIB)
    };
    let mut best = [Duration::MAX; 3];
    let mut slowest_join = Duration::ZERO;
    for _ in 0..10 {
        let scratch = Scratch::new();
        // As with Docker's /docker, the parent is there but for the first time.
        let parent = CgroupPath::resolve(Some(&scratch.parent), "", false).unwrap();
        Cgroup::create(machine().unwrap(), &parent, &Resources::default()).unwrap();
        let mut process = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let started = Instant::now();
        let cgroup = scratch.create(&resources);
        let created = Instant::now();
        cgroup.join(Pid::from_child(&process)).unwrap();
        let joined = Instant::now();
        process.kill().unwrap();
        process.wait().unwrap();
        let killed = Instant::now();
        cgroup.delete().unwrap();
        let deleted = killed.elapsed();
        slowest_join = slowest_join.max(joined - created);
        for (best, took) in best.iter_mut().zip([created - started, joined - created, deleted]) {
            *best = (*best).min(took);
        }
    }
    if std::env::var_os("CGROUPS_TEST_REPORT").is_some() {
        println!("create {:?}, join {:?} (slowest {slowest_join:?}), delete {:?}", best[0], best[1], best[2]);
    }
    assert!(best.iter().sum::<Duration>() < Duration::from_millis(100), "{best:?}");
}
