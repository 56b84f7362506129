//! The engine killed at random, again and again, while others start, exec, follow, stop and remove. Nothing is lost or
//! doubled, and whatever was answered is so afterwards.
//!
//! `WHARF_TEST_KILLS` says how often (30); `WHARF_TEST_SEED` makes the pauses the same again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{BINARY, Private, runs, until};

const KILLS: u64 = 30;
const WORKERS: u64 = 3;
const FOLLOWERS: u64 = 2;
/// Counts for ever, a line each, so that a gap or a double shows.
const COUNT: &str = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.005; done";

/// What a client needs to know, while the engine itself belongs to who kills it.
#[derive(Debug, Clone)]
struct Client {
    host: String,
    config: PathBuf,
    share: PathBuf,
}

/// What the engine has acknowledged of a container, and what was tried since without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Running,
    Stopped,
    Removed,
    /// A start without an answer: there or not, running or not.
    MaybeStarted,
    /// Of one that ran: whether it still does is open.
    MaybeStopped,
    MaybeRemoved,
}

#[derive(Debug)]
struct Story {
    name: String,
    known: Known,
    /// Execs that were answered, and all that were tried.
    answered: u32,
    tried: u32,
}

impl Client {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(args)
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", &self.config)
            .env("WHARF_AUTOSTART", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn tries(&self, args: &[&str]) -> bool {
        self.command(args).output().is_ok_and(|output| output.status.success())
    }

    fn lines(&self, file: &str) -> u32 {
        let text = std::fs::read_to_string(self.share.join(file)).unwrap_or_default();
        u32::try_from(text.lines().count()).unwrap()
    }
}

/// xorshift: any numbers will do, as long as they can be had again.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Containers from their start to their removal, one after the other; some are left where they are.
fn work(client: &Client, worker: u64, seed: u64, over: &AtomicBool) -> Vec<Story> {
    let mut dice = Dice(seed.wrapping_add(worker).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut stories = Vec::new();
    let volume = format!("{}:/x", client.share.display());
    while !over.load(Ordering::Relaxed) {
        let name = format!("c{worker}-{}", stories.len());
        let mut story = Story { name: name.clone(), known: Known::MaybeStarted, answered: 0, tried: 0 };
        let script = format!("echo started >> /x/{name}; exec sleep 1000");
        let run = ["run", "-d", "--name", &name, "-v", &volume, "bb", "sh", "-c", &script];
        if client.tries(&run) {
            story.known = Known::Running;
        }
        for _ in 0..dice.below(3) {
            story.tried += 1;
            let line = format!("echo done >> /x/{name}.execs");
            story.answered += u32::from(client.tries(&["exec", &name, "sh", "-c", &line]));
        }
        // An echo that was answered has been heard in full.
        let token = format!("token {name}");
        let echo = client.command(&["run", "--rm", "bb", "echo", &token]).output().unwrap();
        if echo.status.success() {
            assert_eq!(String::from_utf8_lossy(&echo.stdout).trim_end(), token);
        }
        let stays = dice.below(4);
        if stays > 0 && story.known != Known::MaybeStarted {
            let stopped = client.tries(&["stop", "-t", "0", &name]);
            story.known = if stopped { Known::Stopped } else { Known::MaybeStopped };
        }
        if stays > 1 && story.known != Known::MaybeStarted {
            let removed = client.tries(&["rm", "-f", &name]);
            story.known = if removed { Known::Removed } else { Known::MaybeRemoved };
        }
        stories.push(story);
    }
    stories
}

/// Follows a log, again after each kill; the highest number that was shown.
fn follow(client: &Client, name: &str, over: &AtomicBool, shown: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let mut logs = client.command(&["logs", "-f", "--tail", "20", name]);
        let mut logs = logs.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut last = None;
        for line in BufReader::new(logs.stdout.take().unwrap()).lines().map_while(Result::ok) {
            // The connection may break within a line.
            let Some(number) = line.strip_prefix("line ").and_then(|number| number.parse::<u64>().ok())
            else {
                continue;
            };
            if let Some(before) = last.replace(number)
                && number != before + 1
            {
                // Only the last one may be cut short.
                assert!(
                    before.to_string().starts_with(&number.to_string()),
                    "{name}: {before}, and then {number}"
                );
                break;
            }
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        // The last line may be half a number.
        shown.fetch_max(last.unwrap_or(0).saturating_sub(1), Ordering::Relaxed);
        let _ = logs.kill();
        let _ = logs.wait();
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn an_engine_killed_at_random_loses_and_doubles_nothing() {
    let kills = number("WHARF_TEST_KILLS").unwrap_or(KILLS);
    let seed = number("WHARF_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut private = Private::start();
    let client = Client {
        host: private.engine.host(),
        config: private.engine.directory().join("config"),
        share: private.share(),
    };
    let steady: Vec<String> = (0..FOLLOWERS).map(|number| format!("steady{number}")).collect();
    for name in &steady {
        private.ok(&["run", "-d", "--name", name, "bb", "sh", "-c", COUNT]);
    }
    let pids: Vec<u32> = steady.iter().map(|name| private.pid(name)).collect();
    let over = AtomicBool::new(false);
    let shown: Vec<AtomicU64> = steady.iter().map(|_| AtomicU64::new(0)).collect();
    let mut stories = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                scope.spawn({
                    let (client, over) = (&client, &over);
                    move || work(client, worker, seed, over)
                })
            })
            .collect();
        for (name, shown) in steady.iter().zip(&shown) {
            let (client, over) = (&client, &over);
            scope.spawn(move || follow(client, name, over, shown));
        }
        // Whatever panics here ends the others, too.
        let stop = Stop(&over);
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(dice.below(400)));
            private.engine.kill();
            private.engine.run();
        }
        drop(stop);
        stories.extend(workers.into_iter().flat_map(|worker| worker.join().expect("a worker")));
    });
    check(&private, &client, &stories, seed);
    for ((name, pid), shown) in steady.iter().zip(&pids).zip(&shown) {
        assert_eq!(
            (private.status(name).as_str(), private.pid(name)),
            ("running", *pid),
            "{name}, seed {seed}"
        );
        private.ok(&["kill", name]);
        let logged = private.ok(&["logs", name]);
        for (index, line) in logged.lines().enumerate() {
            assert_eq!(line, format!("line {index}"), "{name} has each line once, seed {seed}");
        }
        let shown = usize::try_from(shown.load(Ordering::Relaxed)).unwrap();
        assert!(logged.lines().count() > shown, "line {shown} of {name} was shown, and is lost, seed {seed}");
    }
    // No name is leaked: neither of what was removed nor of what never came to be.
    let ids = private.ok(&["ps", "-aq"]);
    let all: Vec<&str> = ids.lines().collect();
    for some in all.chunks(50) {
        private.ok(&[&["rm", "-f"], some].concat());
    }
    private.clean(&format!("after {kills} kills, seed {seed}"));
    for story in stories.iter().rev().take(20) {
        private.ok(&["create", "--name", &story.name, "bb", "true"]);
        private.ok(&["rm", &story.name]);
    }
}

/// Sets the flag also when it is dropped by a panic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn check(private: &Private, client: &Client, stories: &[Story], seed: u64) {
    // What is not known to run has ended, or is about to: `--rm` is the engine's work.
    until("what --rm left is gone", || {
        let names = private.ok(&["ps", "-a", "--format", "{{.Names}}"]);
        names.lines().all(|name| name.starts_with("steady") || stories.iter().any(|story| story.name == name))
    });
    let listed = private.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    let state = |name: &str| {
        let mut found =
            listed.lines().filter_map(|line| line.split_once(' ')).filter(|(listed, _)| *listed == name);
        let state = found.next().map_or("", |(_, state)| state);
        assert_eq!(found.next(), None, "{name} is there twice, seed {seed}");
        state
    };
    for story in stories {
        let Story { name, known, answered, tried } = story;
        let is = state(name);
        let fits: &[&str] = match known {
            Known::Running => &["running"],
            Known::Stopped => &["exited"],
            Known::Removed => &[""],
            Known::MaybeStarted => &["", "created", "running"],
            Known::MaybeStopped => &["running", "exited"],
            Known::MaybeRemoved => &["", "running", "exited"],
        };
        assert!(fits.contains(&is), "{name} is {is:?}, and {known:?}, seed {seed}\n{}", private.engine.log());
        let started = client.lines(name);
        let least = u32::from(*known != Known::MaybeStarted);
        assert!((least..=1).contains(&started), "{name} was started {started} times, seed {seed}");
        let execs = client.lines(&format!("{name}.execs"));
        assert!(
            (*answered..=*tried).contains(&execs),
            "{name}: {execs} of {answered} to {tried} execs, seed {seed}"
        );
        let alive = if is == "running" { runs(private.pid(name)) } else { false };
        assert_eq!(is == "running", alive, "{name} is {is}, seed {seed}");
    }
    let _ = Path::new(&client.share);
}
