//! What nobody needs is removed beside everything that brings images in and out; what is needed, or has a name, stays.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use testkit::{Engine, Output};

use crate::kit::{Layout, Registry, busybox_tar, engine, good, noise, tar_of};

const LONG: Duration = Duration::from_secs(8);
const MIB: usize = 1 << 20;

/// Done again and again until the time is over; each must have been done some times.
struct Work<'a> {
    engine: &'a Engine,
    over: &'a AtomicBool,
}

impl Work<'_> {
    /// `round` gets a number that no other round of it has.
    fn repeat(&self, what: &str, round: impl Fn(&Engine, u32)) {
        let done = AtomicU32::new(0);
        while !self.over.load(Ordering::Relaxed) {
            round(self.engine, done.fetch_add(1, Ordering::Relaxed));
        }
        let done = done.into_inner();
        assert!(done >= 2, "{what}: only {done} times");
    }
}

#[track_caller]
fn ok(engine: &Engine, words: &[&str]) -> String {
    good(engine.wharf(words))
}

fn blobs(engine: &Engine) -> usize {
    std::fs::read_dir(engine.directory().join("data/content/blobs/sha256")).expect("list blobs").count()
}

#[test]
fn nothing_in_use_is_removed() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let to = Registry::start();
    let shared = tar_of(&[("shared", &noise(1, 2 * MIB))]);
    for (name, seed) in [("one", 2), ("two", 3)] {
        let own = tar_of(&[(name, &noise(seed, 3 * MIB))]);
        let image =
            Layout::make(&directory.path().join(name), "amd64", &[busybox_tar(), shared.clone(), own]);
        registry.put(&image, &format!("{name}:1"));
    }
    let mut engine = engine(&directory.path().join("engine"));
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (one, two) = (format!("{}/one:1", registry.host()), format!("{}/two:1", registry.host()));
    // An archive of an image that is not here, one that goes out, and a container of a third.
    std::fs::write(path("busybox.tar"), busybox_tar()).expect("write a tar");
    std::fs::write(path("load.tar"), tar_of(&[("loaded", &noise(4, MIB))])).expect("write a tar");
    ok(&engine, &["import", &path("load.tar"), "loaded:1"]);
    ok(&engine, &["save", "-o", &path("archive.tar"), "loaded:1"]);
    ok(&engine, &["rmi", "loaded:1"]);
    ok(&engine, &["import", &path("load.tar"), "outgoing:1"]);
    ok(&engine, &["import", &path("busybox.tar"), "base:1"]);
    ok(&engine, &["run", "--name", "held", "base:1", "sh", "-c", "echo changed > /changed"]);

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = || Work { engine: &engine, over: &over };
        // What is pulled has a name of the engine's from then on, until it is taken away here.
        let pulls = |name: &'static str, from: &str| {
            let (work, from) = (work(), from.to_owned());
            move || {
                work.repeat(name, |engine, _| {
                    ok(engine, &["pull", "-q", &from]);
                    assert_eq!(
                        ok(engine, &["run", "--rm", &from, "sh", "-c", "cat /shared | wc -c"]),
                        "2097152"
                    );
                    ok(engine, &["rmi", &from]);
                });
            }
        };
        scope.spawn(pulls("pull", &one));
        scope.spawn(pulls("another pull", &two));
        scope.spawn({
            let (work, host) = (work(), to.host());
            move || {
                work.repeat("push", |engine, round| {
                    let name = format!("{host}/pushed:{round}");
                    ok(engine, &["tag", "outgoing:1", &name]);
                    ok(engine, &["push", "-q", &name]);
                    ok(engine, &["rmi", &name]);
                    ok(engine, &["pull", "-q", &name]);
                    ok(engine, &["rmi", &name]);
                });
            }
        });
        scope.spawn({
            let (work, archive) = (work(), path("archive.tar"));
            move || {
                work.repeat("load", |engine, _| {
                    ok(engine, &["load", "-q", "-i", &archive]);
                    ok(engine, &["save", "-o", &format!("{archive}.again"), "loaded:1"]);
                    ok(engine, &["rmi", "loaded:1"]);
                });
            }
        });
        scope.spawn({
            let work = work();
            move || {
                work.repeat("commit", |engine, round| {
                    let name = format!("committed:{round}");
                    ok(engine, &["commit", "held", &name]);
                    assert_eq!(ok(engine, &["run", "--rm", &name, "cat", "/changed"]), "changed");
                    ok(engine, &["rmi", &name]);
                });
            }
        });
        scope.spawn({
            let work = work();
            move || {
                work.repeat("collection", |engine, _| {
                    ok(engine, &["image", "prune", "-f"]);
                    // Each image here is younger than that: this looks through all of them, and takes none.
                    ok(engine, &["image", "gc", "--high", "2MB", "--low", "1MB", "--min-age", "1h"]);
                });
            }
        });
        let begun = Instant::now();
        while begun.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
    });
    // What had names all the time, and what a container is made from, is whole.
    ok(&engine, &["save", "-o", &path("out.tar"), "outgoing:1"]);
    ok(&engine, &["start", "-a", "held"]);
    engine.kill();
    engine.run();
    ok(&engine, &["start", "-a", "held"]);
    let listed = ok(&engine, &["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    for name in ["outgoing:1", "base:1"] {
        assert!(listed.lines().any(|line| line == name), "{listed}");
    }
    // And nothing else is left.
    ok(&engine, &["rm", "held"]);
    ok(&engine, &["image", "prune", "-af"]);
    assert_eq!(ok(&engine, &["images", "-aq"]), "");
    assert_eq!(blobs(&engine), 0, "blobs of what is gone");
}

/// Water marks at work while images come: whoever loses a race is told that there is no such image, and nothing is broken.
#[test]
fn water_marks_beside_pulls() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let shared = tar_of(&[("shared", &noise(1, 2 * MIB))]);
    let mut names = Vec::new();
    for number in 0..3 {
        let own = tar_of(&[("own", &noise(10 + number, 2 * MIB))]);
        let place = directory.path().join(format!("image{number}"));
        let image = Layout::make(&place, "amd64", &[busybox_tar(), shared.clone(), own]);
        registry.put(&image, &format!("image{number}:1"));
        names.push(format!("{}/image{number}:1", registry.host()));
    }
    let engine = engine(&directory.path().join("engine"));
    ok(&engine, &["run", "--name", "held", &names[0], "true"]);
    let over = AtomicBool::new(false);
    let taken = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for name in &names {
            let work = Work { engine: &engine, over: &over };
            scope.spawn(move || {
                work.repeat("pull", |engine, _| {
                    ok(engine, &["pull", "-q", name]);
                    let ran: Output =
                        engine.wharf(&["run", "--rm", "--pull", "never", name, "sh", "-c", "wc -c < /own"]);
                    let is_gone = ran.status == 125 && ran.stderr.contains("No such image");
                    assert!(is_gone || (ran.status == 0 && ran.stdout.trim() == "2097152"), "{ran:?}");
                });
            });
        }
        let (work, taken) = (Work { engine: &engine, over: &over }, &taken);
        scope.spawn(move || {
            work.repeat("collection", |engine, _| {
                let words = ["image", "gc", "--high", "2MB", "--low", "1MB", "--min-age", "0s", "-q"];
                taken.fetch_add(ok(engine, &words).lines().count() as u32, Ordering::Relaxed);
            });
        });
        let begun = Instant::now();
        // On a busy machine each image is in somebody's hands most of the time.
        let nothing_yet = || taken.load(Ordering::Relaxed) == 0 && begun.elapsed() < 10 * LONG;
        while begun.elapsed() < LONG || nothing_yet() {
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(taken.load(Ordering::Relaxed) > 0, "it took nothing");
    ok(&engine, &["start", "-a", "held"]);
    assert_eq!(ok(&engine, &["images", "--format", "{{.Repository}}", &names[0]]).lines().count(), 1);
    for name in &names {
        ok(&engine, &["pull", "-q", name]);
        assert_eq!(ok(&engine, &["run", "--rm", name, "sh", "-c", "cat /own /shared | wc -c"]), "4194304");
    }
}
