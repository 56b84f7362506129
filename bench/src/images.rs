//! Images: from a registry and to it, through archives, and out of containers. Each engine has the registry in its own network
//! namespace, over one directory, so that all pull the same bytes; one that is pushed to begins empty each time.

mod make;

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Options;
use crate::measure::{Samples, ms, time};
use crate::peers::{self, Engine, excuse};
use crate::table::{Row, told};
use make::Parts;

/// At port 5000; its tags are rounds.
const PULLED: &str = "bench/image";
const PUSHED: &str = "127.0.0.1:5001/bench/image:1";

const PULL: &str = "pull, 350 MB in 6 layers";
const FIRST: &str = "first container after a pull";
const PEAK: &str = "most memory of the engine, with pulls";
const PUSH: &str = "push of the same";
const AGAIN: &str = "push again";
const SAVE: &str = "save";
const LOAD: &str = "load";
const IMPORT: &str = "import";
const COMMIT_MANY: &str = "commit of 20,000 files";
const COMMIT_LARGE: &str = "commit of a file of 500 MB";

pub(crate) const ORDER: &[&str] =
    &[PULL, FIRST, PEAK, PUSH, AGAIN, SAVE, LOAD, IMPORT, COMMIT_MANY, COMMIT_LARGE];

/// A registry in an engine's network namespace; it ends with this.
struct Registry(Child);

impl Registry {
    /// Debian's, or ours where that is not installed.
    fn start(engine: &Engine, wharf: &str, root: &Path, port: u16) -> Result<Registry, Error> {
        let pid = engine.namespace().ok_or_else(|| Error::other("no namespace"))?.to_string();
        fs::create_dir_all(root)?;
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-n"]);
        if peers::version("docker-registry", &["--version"]).is_some() {
            let config = root.with_extension("yml");
            let text = format!(
                "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
                root.display()
            );
            fs::write(&config, text)?;
            command.args(["docker-registry", "serve"]).arg(config);
        } else {
            command.args([wharf, "registry", "serve", "--no-access-log", "--addr"]);
            command.arg(format!("127.0.0.1:{port}")).arg("--root").arg(root);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let registry = Registry(child);
        // From in there: connecting is what bash and busybox can do alike.
        let probe = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answers = Command::new("nsenter").args(["-t", &pid, "-n", "bash", "-c", &probe]).output()?;
            if answers.status.success() {
                return Ok(registry);
            }
            if Instant::now() > deadline {
                return Err(Error::other(format!("{}: the registry does not answer", engine.name)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // What is left of it after that is of no interest.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What each case has at hand.
struct Scene<'a> {
    options: &'a Options,
    dir: PathBuf,
    parts: Parts,
    engines: Vec<&'a Engine>,
    rounds: usize,
}

pub(crate) fn run(rows: &mut Vec<Row>, options: &Options, engines: &[Engine]) -> Result<(), Error> {
    let dir = options.dir.join("images");
    let stored = dir.join("registry");
    let parts = Parts::make(&dir.join("parts"), &options.dir.join("busybox.tar"))?;
    parts.image(&tag(0))?.serve(&stored, PULLED, &tag(0))?;
    let mut registries = Vec::new();
    let mut here = Vec::new();
    for engine in engines {
        let started = Registry::start(engine, &options.wharf, &stored, 5000).and_then(|pulled| {
            let pushed = Registry::start(engine, &options.wharf, &pushed_to(&dir, engine), 5001)?;
            Ok([pulled, pushed])
        });
        match started {
            Ok(both) => {
                registries.extend(both);
                here.push(engine);
            }
            Err(error) => excuse(engine, Err(error))?,
        }
    }
    let scene = Scene { options, dir, parts, engines: here, rounds: options.rounds.clamp(1, 5) };
    // All later cases have this one, which is also what warms up.
    for engine in &scene.engines {
        excuse(engine, time(&transfer(engine, "pull", &pulled(0))).map(drop))?;
    }
    if scene.wants(PULL) || scene.wants(FIRST) || scene.wants(PEAK) {
        scene.pulls(rows, &stored)?;
    }
    if scene.wants(PUSH) || scene.wants(AGAIN) {
        scene.pushes(rows)?;
    }
    if scene.wants(SAVE) {
        scene.saves(rows)?;
    }
    if scene.wants(LOAD) {
        scene.loads(rows)?;
    }
    if scene.wants(IMPORT) {
        scene.imports(rows)?;
    }
    let files = "mkdir /n && cd /n && for i in $(seq 20000); do echo $i > $i; done";
    for (name, script) in
        [(COMMIT_MANY, files), (COMMIT_LARGE, "head -c 500000000 /dev/zero | tr '\\0' x > /big")]
    {
        if scene.wants(name) {
            scene.commits(rows, name, script)?;
        }
    }
    Ok(())
}

impl Scene<'_> {
    fn wants(&self, name: &str) -> bool {
        self.options.wants(name)
    }

    /// One case: engines take turns. `step` prepares what is not timed, and says what is.
    fn compete(
        &self,
        rows: &mut Vec<Row>,
        case: &'static str,
        step: impl Fn(&Engine, usize) -> Result<Vec<String>, Error>,
    ) -> Result<(), Error> {
        let mut timed = Timed::new(self);
        for round in 1..=self.rounds {
            for engine in 0..self.engines.len() {
                timed.time(engine, step(self.engines[engine], round))?;
            }
        }
        timed.into_rows(rows, case);
        Ok(())
    }

    /// With the first container of each image, and the engine's memory; beside what its parts cost alone.
    fn pulls(&self, rows: &mut Vec<Row>, stored: &Path) -> Result<(), Error> {
        let (mut pulls, mut firsts) = (Timed::new(self), Timed::new(self));
        let mut alone: Vec<(&'static str, String, Samples)> = Vec::new();
        let (plain, packed) = self.parts.files();
        for (what, script) in [
            (
                "inflate alone (gzip -dc)",
                format!("for f in {}; do gzip -dc $f; done >/dev/null", packed.join(" ")),
            ),
            (
                "hash alone (openssl dgst)",
                format!("openssl dgst -sha256 {} {} >/dev/null", packed.join(" "), plain.join(" ")),
            ),
            (
                "write alone (tar -x, cp)",
                format!(
                    "mkdir $D && cp {} $D && for f in {}; do mkdir $D/$(basename $f).d && tar -C $D/$(basename $f).d -xf $f; done",
                    packed.join(" "),
                    plain.join(" ")
                ),
            ),
        ] {
            alone.push((what, script, Samples::default()));
        }
        for round in 1..=self.rounds {
            self.parts.image(&tag(round))?.serve(stored, PULLED, &tag(round))?;
            let name = pulled(round);
            for engine in 0..self.engines.len() {
                let of = self.engines[engine];
                pulls.time(engine, Ok(transfer(of, "pull", &name)))?;
                firsts.time(engine, Ok(of.command(&["run", "--rm", "--network", "none", &name, "true"])))?;
            }
            for (_, script, samples) in &mut alone {
                let place = self.dir.join(format!("alone-{round}")).display().to_string();
                let line = ["bash", "-ec", &format!("D={place}; {script}")].map(str::to_owned);
                samples.push(ms(time(&line)?));
            }
        }
        pulls.into_rows(rows, PULL);
        for (what, script, samples) in alone {
            rows.push(Row { case: PULL, contender: what.to_owned(), unit: "ms", samples, command: script });
        }
        told(rows, PULL);
        firsts.into_rows(rows, FIRST);
        for engine in &self.engines {
            let mut samples = Samples::default();
            samples.push(engine.peak_mib());
            let contender = engine.name.clone();
            rows.push(Row { case: PEAK, contender, unit: "MiB", samples, command: String::new() });
        }
        told(rows, PEAK);
        Ok(())
    }

    /// Into a registry that begins empty each time, and once more into the same.
    fn pushes(&self, rows: &mut Vec<Row>) -> Result<(), Error> {
        let (mut pushes, mut again) = (Timed::new(self), Timed::new(self));
        for engine in &self.engines {
            excuse(engine, time(&engine.command(&["tag", &pulled(0), PUSHED])).map(drop))?;
        }
        for _ in 1..=self.rounds {
            for (number, engine) in self.engines.iter().enumerate() {
                for entry in fs::read_dir(pushed_to(&self.dir, engine))?.flatten() {
                    fs::remove_dir_all(entry.path())?;
                }
                pushes.time(number, Ok(transfer(engine, "push", PUSHED)))?;
                again.time(number, Ok(transfer(engine, "push", PUSHED)))?;
            }
        }
        pushes.into_rows(rows, PUSH);
        again.into_rows(rows, AGAIN);
        Ok(())
    }

    fn saves(&self, rows: &mut Vec<Row>) -> Result<(), Error> {
        let target = self.dir.join("saved.tar");
        self.compete(rows, SAVE, |engine, _| {
            if target.exists() {
                fs::remove_file(&target)?;
            }
            Ok(engine.command(&["save", "-o", &target.display().to_string(), &pulled(0)]))
        })
    }

    fn loads(&self, rows: &mut Vec<Row>) -> Result<(), Error> {
        let archive = |round| self.dir.join(format!("load-{round}.tar"));
        for round in 1..=self.rounds {
            let name = format!("bench-load:{round}");
            self.parts.image(&format!("load{round}"))?.archive(&name, &archive(round))?;
        }
        self.compete(rows, LOAD, |engine, round| {
            Ok(engine.command(&["load", "-i", &archive(round).display().to_string()]))
        })
    }

    fn imports(&self, rows: &mut Vec<Row>) -> Result<(), Error> {
        let root = |round| self.dir.join(format!("root-{round}.tar"));
        for round in 1..=self.rounds {
            self.parts.root(&format!("root{round}"), &root(round))?;
        }
        self.compete(rows, IMPORT, |engine, round| {
            let name = format!("bench-import:{round}");
            Ok(engine.command(&["import", &root(round).display().to_string(), &name]))
        })
    }

    fn commits(&self, rows: &mut Vec<Row>, case: &'static str, script: &str) -> Result<(), Error> {
        let name = |round| format!("bench-commit-{}-{round}", script.len());
        self.compete(rows, case, |engine, round| {
            let name = name(round);
            let shell = ["run", "--name", &name, "--network", "none", "busybox", "sh", "-c", script];
            time(&engine.command(&shell))?;
            Ok(engine.command(&["commit", &name, &format!("{name}:latest")]))
        })
    }
}

/// What each engine needed for one case.
struct Timed<'a> {
    engines: &'a [&'a Engine],
    samples: Vec<Samples>,
    command: Vec<String>,
}

impl<'a> Timed<'a> {
    fn new(scene: &'a Scene<'_>) -> Timed<'a> {
        let count = scene.engines.len();
        let (samples, command) = (vec![Samples::default(); count], vec![String::new(); count]);
        Timed { engines: &scene.engines, samples, command }
    }

    /// What an earlier case has left to be written is not this one's.
    fn time(&mut self, engine: usize, line: Result<Vec<String>, Error>) -> Result<(), Error> {
        // Of no effect on what is timed but this.
        let _ = Command::new("sync").status();
        let outcome = line.and_then(|line| {
            self.command[engine] = line.join(" ");
            time(&line)
        });
        excuse(self.engines[engine], outcome.map(|took| self.samples[engine].push(ms(took))))
    }

    fn into_rows(self, rows: &mut Vec<Row>, case: &'static str) {
        for ((engine, samples), command) in self.engines.iter().zip(self.samples).zip(self.command) {
            rows.push(Row { case, contender: engine.name.clone(), unit: "ms", samples, command });
        }
        told(rows, case);
    }
}

fn tag(round: usize) -> String {
    format!("r{round}")
}

fn pulled(round: usize) -> String {
    format!("127.0.0.1:5000/{PULLED}:{}", tag(round))
}

fn pushed_to(dir: &Path, engine: &Engine) -> PathBuf {
    dir.join(format!("pushed-{}", engine.name))
}

/// Podman does not believe a registry on loopback by itself.
fn transfer(engine: &Engine, verb: &str, name: &str) -> Vec<String> {
    match engine.name.as_str() {
        "podman" => engine.command(&[verb, "-q", "--tls-verify=false", name]),
        _ => engine.command(&[verb, "-q", name]),
    }
}
