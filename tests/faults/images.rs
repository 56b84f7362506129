//! Images on their way: pulled, pushed, loaded, committed, imported. The engine is killed or has no space anywhere on that way, and
//! the disk is full from anywhere on. Nothing half-made is listed or can be run, nothing that has a name is lost, the same
//! command succeeds when it is given again, and in the end there is on the disk what there was to begin with.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Output, Served, good};

use super::calls::{Fault, Saboteur};
use super::disk::Small;
use super::{Private, names, runs};

/// Of the larger layer: more than pieces and buffers.
const NOISE_BYTES: u64 = 3 << 20;
/// More than that and its blob take, with the image below them.
const ENOUGH_BYTES: u64 = 20 << 20;

/// `HOST` is the registry; `{file}` one of the test's.
#[derive(Clone, Copy)]
struct Way {
    args: &'static str,
    /// How many calls to go on at a time.
    stride: u32,
}

const PULL: Way = Way { args: "pull -q HOST/new:1", stride: 29 };
const PUSH: Way = Way { args: "push -q HOST/up:1", stride: 17 };
const LOAD: Way = Way { args: "load -q -i {saved.tar}", stride: 29 };
const COMMIT: Way = Way { args: "commit made HOST/new:1", stride: 13 };
const IMPORT: Way = Way { args: "import {root.tar} HOST/new:1", stride: 23 };

/// An engine with two images that have names and a container, and a registry with one image more.
struct World<'a> {
    private: &'a mut Private,
    /// The engine's, from here.
    data: PathBuf,
    registry: Served,
    directory: tempfile::TempDir,
}

/// What there is of images: listed, on the disk, and as the engine counts it.
#[derive(Debug, PartialEq, Clone)]
struct Seen {
    listed: BTreeSet<String>,
    stored: BTreeSet<String>,
    layers: usize,
    used: String,
}

impl<'a> World<'a> {
    fn new(private: &'a mut Private, data: PathBuf) -> World<'a> {
        let directory = testkit::directory();
        let path = |name: &str| directory.path().join(name);
        let configuration = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{{port}}\n",
            path("registry-data").display()
        );
        let registry = Served::start(Path::new("docker-registry"), &path("registry"), &configuration);
        let root = private.directory.path().join("busybox-root");
        std::fs::write(root.join("said"), "whole\n").unwrap();
        let mut noise = std::io::Read::take(File::open("/dev/urandom").unwrap(), NOISE_BYTES);
        std::io::copy(&mut noise, &mut File::create(root.join("noise")).unwrap()).unwrap();
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(path("root.tar")).arg("."));
        let world = World { private, data, registry, directory };
        {
            let other = Private::start();
            let make = |line: &str| {
                let words = world.words(line);
                good(other.engine.wharf(&words.iter().map(String::as_str).collect::<Vec<_>>()));
            };
            make(IMPORT.args);
            make("save -o {saved.tar} HOST/new:1");
            make("push -q HOST/new:1");
        }
        world.ok("tag bb HOST/up:1");
        world.ok("create --name made bb true");
        for file in ["said", "noise"] {
            world.private.ok(&["cp", root.join(file).to_str().unwrap(), "made:/"]);
        }
        world
    }

    fn words(&self, line: &str) -> Vec<String> {
        let place = self.directory.path().display().to_string();
        let word = |word: &str| match word.strip_prefix('{').filter(|name| !name.starts_with('{')) {
            Some(name) => format!("{place}/{}", name.trim_end_matches('}')),
            None => word.replace("HOST", &self.registry.host()),
        };
        line.split(' ').map(word).collect()
    }

    fn wharf(&self, line: &str) -> Output {
        let words = self.words(line);
        self.private.engine.wharf(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let output = self.wharf(line);
        assert_eq!(output.status, 0, "{line}: {output:?}\n{}", self.private.engine.log());
        output.stdout.trim().to_owned()
    }

    fn seen(&self) -> Seen {
        let stored = ["content/blobs/sha256", "content/ingest", "content/partial", "snapshots/overlay/tmp"];
        let there =
            |place| names(&self.data.join(place)).into_iter().map(move |name| format!("{place}/{name}"));
        Seen {
            listed: super::lines(&self.ok("images -a --no-trunc --format {{.Repository}}:{{.Tag}}={{.ID}}")),
            stored: stored.into_iter().flat_map(there).collect(),
            layers: names(&self.data.join("snapshots/overlay/layers")).len(),
            used: self.ok("system df --format {{.Type}}={{.TotalCount}}={{.Size}}"),
        }
    }

    /// It is there as a whole, or not at all; what was acknowledged is there.
    #[track_caller]
    fn whole_or_not(&self, way: Way, outcome: &Output, before: &Seen, what: &str) {
        assert_eq!(self.ok("run --rm bb echo fine"), "fine", "{what}");
        let now = self.seen().listed;
        assert!(now.is_superset(&before.listed), "{what}: {now:?}");
        let mut is_new = now.difference(&before.listed);
        let name = self.words("HOST/new:1=")[0].clone();
        match (is_new.next(), is_new.next()) {
            (None, _) if way.args == PUSH.args => {
                if self.is_pushed() {
                    self.fetch(what);
                } else {
                    assert_ne!(outcome.status, 0, "{what}: it was acknowledged, and is not there");
                }
            }
            (None, _) => {
                assert_ne!(outcome.status, 0, "{what}: it was acknowledged, and is not there");
                assert_ne!(self.wharf("run --rm --pull never HOST/new:1 true").status, 0, "{what}");
            }
            (Some(new), None) => {
                assert!(new.starts_with(&name), "{what}: {new}");
                self.runs(what);
                self.ok("rmi HOST/new:1");
            }
            more => panic!("{what}: {more:?}"),
        }
    }

    #[track_caller]
    fn runs(&self, what: &str) {
        let said = self.wharf("run --rm --pull never HOST/new:1 cat /said /noise");
        assert!(said.status == 0 && said.stdout.starts_with("whole\n"), "{what}: {:?}", said.stderr);
        assert!(said.stdout.len() as u64 > NOISE_BYTES, "{what}");
    }

    fn is_pushed(&self) -> bool {
        let (status, _, body) = self.registry.ask("GET", "/v2/up/tags/list", b"");
        status == 200 && String::from_utf8_lossy(&body).contains("\"1\"")
    }

    /// By somebody who looks at every digest.
    #[track_caller]
    fn fetch(&self, what: &str) {
        let (from, to) =
            (format!("docker://{}/up:1", self.registry.host()), self.directory.path().join("fetched"));
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from]);
        let fetched =
            Output::of(skopeo.arg(format!("dir:{}", to.display())).env("HOME", self.directory.path()));
        assert_eq!(fetched.status, 0, "{what}: {fetched:?}");
        std::fs::remove_dir_all(to).unwrap();
        // The next push begins anew.
        std::fs::remove_dir_all(
            self.directory.path().join("registry-data/docker/registry/v2/repositories/up"),
        )
        .unwrap();
    }

    /// It succeeds, and goes without a trace.
    #[track_caller]
    fn again(&self, way: Way, before: &Seen, what: &str) {
        self.ok(way.args);
        if way.args == PUSH.args {
            self.fetch(what);
        } else {
            self.runs(what);
            self.ok("rmi HOST/new:1");
        }
        // A disk of its own is seen elsewhere.
        if self.data == self.private.data() {
            self.private.clean(what);
        }
        let mut now = self.seen();
        let deadline = std::time::Instant::now() + super::DEADLINE;
        while now != *before {
            assert!(std::time::Instant::now() < deadline, "{what}\nbefore {before:#?}\nnow {now:#?}");
            std::thread::sleep(std::time::Duration::from_millis(50));
            now = self.seen();
        }
    }

    /// At one call after the other, until nothing is hit any more.
    fn sabotage(self, way: Way, fault: Fault) {
        let stride = if std::env::var_os("WHARF_TEST_EVERY").is_some() { 1 } else { way.stride };
        let before = self.seen();
        self.again(way, &before, way.args);
        let mut when = 1;
        loop {
            let what = format!("{}: {fault:?} at call {when}", way.args);
            let engine = self.private.engine.pid().unwrap();
            let saboteur = Saboteur::new(self.private, engine, fault, when);
            let output = self.wharf(way.args);
            let hit = saboteur.stop();
            if !runs(engine) {
                self.private.engine.kill();
                self.private.engine.run();
            }
            assert!(hit || output.status == 0, "{what}: fails without a fault: {output:?}");
            if output.status != 0 {
                let error = format!("{}{}", output.stderr, output.stdout).to_lowercase();
                assert!(error.len() > 10 && !error.contains("panicked"), "{what}: {output:?}");
                let said = fault.said();
                assert!(
                    said.is_empty() || said.iter().any(|text| error.contains(text)),
                    "{what}: {output:?}"
                );
            }
            self.whole_or_not(way, &output, &before, &what);
            self.again(way, &before, &what);
            if !hit {
                break;
            }
            when += stride;
        }
        assert!(!self.private.engine.log().contains("panicked"), "{}", self.private.engine.log());
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// One test for each, so that they run side by side.
macro_rules! sabotaged {
    ($($name:ident: $way:ident, $fault:ident;)*) => {$(
        #[test]
        fn $name() {
            let mut private = Private::start();
            let data = private.data();
            World::new(&mut private, data).sabotage($way, Fault::$fault);
        }
    )*};
}

sabotaged! {
    killed_in_a_pull: PULL, Killed;
    killed_in_a_push: PUSH, Killed;
    killed_in_a_load: LOAD, Killed;
    killed_in_a_commit: COMMIT, Killed;
    killed_in_an_import: IMPORT, Killed;
    no_space_in_a_pull: PULL, NoSpace;
    no_space_in_a_load: LOAD, NoSpace;
    no_space_in_a_commit: COMMIT, NoSpace;
    no_space_in_an_import: IMPORT, NoSpace;
}

/// A disk on which there is less and less room, until there is none.
#[test]
fn a_disk_that_is_full_from_anywhere_on() {
    let mut small = Small::start();
    let disk = small.disk.clone();
    let world = World::new(&mut small.private, disk.clone());
    let before = world.seen();
    for way in [PULL, LOAD, COMMIT, IMPORT, PUSH] {
        let (mut free, mut failed) = (0, 0);
        loop {
            let what = format!("{} with {free} bytes", way.args);
            let filled = super::disk::fill_but(&disk, free);
            let output = world.wharf(way.args);
            drop(filled);
            world.whole_or_not(way, &output, &before, &what);
            if output.status == 0 {
                break;
            }
            failed += 1;
            let error = output.stderr.to_lowercase();
            assert!(
                error.contains("no space left on device") || error.contains("disk is full"),
                "{what}: {output:?}"
            );
            assert!(!error.contains("os error"), "{what}: {output:?}");
            let now = world.seen();
            // Of a download that broke off there may be something, which is gone on with.
            assert!(way.args == PULL.args || now == before, "{what}: {now:#?}\nbefore: {before:#?}");
            free = (free * 3 / 2).max(96 << 10);
            assert!(free < ENOUGH_BYTES, "{what}: {output:?}");
        }
        // A push needs none.
        assert!(failed > 2 || way.args == PUSH.args, "{}: {failed}", way.args);
        world.again(way, &before, way.args);
    }
}
