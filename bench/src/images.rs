//! Images: from a registry and to it, through archives, and out of containers. Each engine has the registry in its own network
//! namespace, over one directory, so that all pull the same bytes; one that is pushed to begins empty each time.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Options;
use crate::measure::{Samples, ms, time};
use crate::peers::{self, Engine, excuse};
use crate::table::{Row, told};

/// What is pulled: as many layers as there are directories of [`LAYERS`].
const PULLED: &str = "127.0.0.1:5000/bench/image:1";
const PUSHED: &str = "127.0.0.1:5001/bench/image:1";

/// Of this machine: small files and large ones, as images of distributions have them.
const LAYERS: &[&str] =
    &["/usr/sbin", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/doc", "/usr/share/perl"];

pub(crate) const ORDER: &[&str] = &[
    "pull, 5 layers",
    "first container after a pull",
    "push, 5 layers",
    "push again",
    "save",
    "load",
    "import",
    "commit of 20,000 files",
    "commit of a file of 500 MB",
];

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

/// One thing to time on one engine: what comes before and after is not.
struct Step {
    before: Vec<Vec<String>>,
    timed: Vec<String>,
    after: Vec<Vec<String>>,
    /// Begins empty.
    wiped: Option<PathBuf>,
}

impl Step {
    fn of(timed: Vec<String>) -> Step {
        Step { before: Vec::new(), timed, after: Vec::new(), wiped: None }
    }
}

pub(crate) fn run(rows: &mut Vec<Row>, options: &Options, engines: &[Engine]) -> Result<(), Error> {
    let dir = options.dir.join("images");
    let stored = dir.join("registry");
    let archive = |name: &str| dir.join(name).display().to_string();
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
    let wharf = here.first().ok_or_else(|| Error::other("no engine"))?;
    make(wharf)?;
    time(&wharf.command(&["save", "-o", &archive("image.tar"), PULLED]))?;
    let root = archive("root.tar");
    let all =
        LAYERS.iter().filter(|layer| Path::new(layer).exists()).map(|layer| layer.trim_start_matches('/'));
    let tar = ["tar", "-C", "/", "-cf", &root].into_iter().chain(all);
    time(&tar.map(str::to_owned).collect::<Vec<_>>())?;

    let forget = |engine: &Engine, name: &str| engine.command(&["rmi", "-f", name]);
    let rounds = options.rounds.clamp(1, 5);
    let mut case = |name: &'static str, step: &dyn Fn(&Engine, usize) -> Step| match &options.case {
        Some(words) if !name.contains(words.as_str()) => Ok(()),
        _ => compete(rows, name, rounds, &here, step),
    };
    case(ORDER[0], &|engine, _| Step {
        before: vec![forget(engine, PULLED)],
        ..Step::of(transfer(engine, "pull", PULLED))
    })?;
    case(ORDER[1], &|engine, _| Step {
        before: vec![forget(engine, PULLED), transfer(engine, "pull", PULLED)],
        ..Step::of(engine.command(&["run", "--rm", "--network", "none", PULLED, "true"]))
    })?;
    case(ORDER[2], &|engine, _| Step {
        before: vec![engine.command(&["tag", PULLED, PUSHED])],
        wiped: Some(pushed_to(&dir, engine)),
        ..Step::of(transfer(engine, "push", PUSHED))
    })?;
    case(ORDER[3], &|engine, _| Step::of(transfer(engine, "push", PUSHED)))?;
    case(ORDER[4], &|engine, _| Step {
        after: vec![vec!["rm".to_owned(), "-f".to_owned(), archive("saved.tar")]],
        ..Step::of(engine.command(&["save", "-o", &archive("saved.tar"), PULLED]))
    })?;
    case(ORDER[5], &|engine, _| Step {
        before: vec![forget(engine, PULLED), forget(engine, PUSHED)],
        ..Step::of(engine.command(&["load", "-i", &archive("image.tar")]))
    })?;
    case(ORDER[6], &|engine, _| Step {
        before: vec![forget(engine, "bench-import")],
        ..Step::of(engine.command(&["import", &root, "bench-import:latest"]))
    })?;
    let files = "mkdir /n && cd /n && for i in $(seq 20000); do echo $i > $i; done";
    for (name, script) in [(ORDER[7], files), (ORDER[8], "head -c 500000000 /dev/zero | tr '\\0' x > /big")] {
        case(name, &|engine, _| Step {
            before: vec![
                engine.command(&["rm", "-f", "bench-commit"]),
                engine.command(&[
                    "run",
                    "--name",
                    "bench-commit",
                    "--network",
                    "none",
                    "busybox",
                    "sh",
                    "-c",
                    script,
                ]),
            ],
            after: vec![forget(engine, "bench-commit"), engine.command(&["rm", "-f", "bench-commit"])],
            ..Step::of(engine.command(&["commit", "bench-commit", "bench-commit:latest"]))
        })?;
    }
    Ok(())
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

/// The image: busybox, and a layer for each directory, in the registry.
fn make(wharf: &Engine) -> Result<(), Error> {
    time(&wharf.command(&["tag", "busybox:latest", PULLED]))?;
    for layer in LAYERS.iter().filter(|layer| Path::new(layer).exists()) {
        time(&wharf.command(&["create", "--name", "bench-make", PULLED, "true"]))?;
        let target = format!("bench-make:/{}", layer.trim_start_matches('/').replace('/', "-"));
        time(&wharf.command(&["cp", "-q", layer, &target]))?;
        time(&wharf.command(&["commit", "bench-make", PULLED]))?;
        time(&wharf.command(&["rm", "bench-make"]))?;
    }
    time(&transfer(wharf, "push", PULLED)).map(drop)
}

/// Engines take turns; the first round is to warm up.
fn compete(
    rows: &mut Vec<Row>,
    case: &'static str,
    rounds: usize,
    engines: &[&Engine],
    step: &dyn Fn(&Engine, usize) -> Step,
) -> Result<(), Error> {
    let mut samples = vec![Samples::default(); engines.len()];
    for round in 0..=rounds {
        for (engine, samples) in engines.iter().zip(&mut samples) {
            let step = step(engine, round);
            if let Some(place) = &step.wiped {
                for entry in fs::read_dir(place)?.flatten() {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            for line in &step.before {
                // What is to be removed may not be there.
                let _ = time(line);
            }
            let outcome = time(&step.timed).map(|took| {
                if round > 0 {
                    samples.push(ms(took));
                }
            });
            step.after.iter().for_each(|line| drop(time(line)));
            match outcome {
                Err(error) if round > 0 && engine.name != "wharf" => {
                    eprintln!("{case}: {}: {error}", engine.name)
                }
                outcome => excuse(engine, outcome)?,
            }
        }
    }
    for (engine, samples) in engines.iter().zip(samples) {
        let command = step(engine, 0).timed.join(" ");
        rows.push(Row { case, contender: engine.name.clone(), unit: "ms", samples, command });
    }
    told(rows, case);
    Ok(())
}
