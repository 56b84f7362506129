//! What is measured. Each case names itself, lets all contenders take turns, and checks that what it timed
//! succeeded (`measure::time` refuses anything else).

mod life;
pub(crate) mod network;

use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::measure::{Place, Samples, ms, time};
use crate::peers::{self, Engine, excuse};
use crate::table::{Row, commands, render, told};
use crate::{Options, bundle, images, registries};

/// One thing to time: what it is called, and its command line for round `n`.
struct Contender {
    name: String,
    command: Box<dyn Fn(usize) -> Vec<String>>,
    /// Elsewhere than here.
    place: Option<Rc<Place>>,
}

impl Contender {
    fn new(name: &str, command: impl Fn(usize) -> Vec<String> + 'static) -> Self {
        Self { name: name.to_owned(), command: Box::new(command), place: None }
    }

    fn time(&self, round: usize) -> Result<Duration, Error> {
        let command = (self.command)(round);
        self.place.as_ref().map_or_else(|| time(&command), |place| place.time(&command))
    }
}

/// Starts a peer below a directory; `None` when it isn't installed.
type BringUp = fn(&Path) -> Result<Option<Engine>, Error>;

/// Brings the engines up, runs all cases, and returns the report.
pub(crate) fn run(options: &Options) -> Result<String, Error> {
    let dir = &options.dir;
    let root = bundle::rootfs(dir)?;
    let tar = dir.join("busybox.tar");
    bundle::tarball(&root, &tar)?;
    let mut engines = vec![peers::wharf(&options.wharf, &dir.join("wharf"))?];
    let peers: [(&str, BringUp); 2] = [("docker", peers::docker), ("podman", peers::podman)];
    for (name, bring_up) in peers {
        if options.without.iter().any(|other| other == name) {
            continue;
        }
        match bring_up(&dir.join(name)) {
            Ok(engine) => engines.extend(engine),
            Err(error) => eprintln!("left out: {error}"),
        }
    }
    let mut rows = Vec::new();
    for engine in &engines {
        if let Some(ready) = engine.ready {
            let (case, start) = ("engine start to first _ping", engine.start.clone());
            single(&mut rows, case, &engine.name, "ms", ms(ready), start);
            let idle = engine.pss_kib() / 1024.0;
            single(&mut rows, "idle engine, PSS", &engine.name, "MiB", idle, String::new());
        }
        time(&engine.command(&["import", &tar.display().to_string(), "busybox:latest"]))?;
    }
    let wanted = |case: &str| options.only.as_ref().is_none_or(|only| case.contains(only.as_str()));
    if wanted("run") {
        runs(&mut rows, options, &engines, &root)?;
    }
    if wanted("exec") {
        execs(&mut rows, options, &engines)?;
    }
    if wanted("many") {
        many(&mut rows, &engines)?;
    }
    if wanted("streams") {
        streams(&mut rows, &engines)?;
    }
    if wanted("life") {
        life::all(&mut rows, options, &engines)?;
    }
    if wanted("network") {
        network::all(&mut rows, options, &engines)?;
    }
    if wanted("images") {
        images::run(&mut rows, options, &engines)?;
    }
    if wanted("registry") {
        registries::all(&mut rows, options)?;
    }
    rows.sort_by_key(|row| rank(row.case));
    let mut text = render(&rows);
    text.push('\n');
    text.push_str(&commands(&rows, &dir.display().to_string()));
    for engine in &engines {
        text.push_str(&format!("- {}: {}\n", engine.name, engine.version));
    }
    for runtime in ["crun", "runc"] {
        if let Some(version) = peers::version(runtime, &["--version"]) {
            text.push_str(&format!("- {runtime}: {version}\n"));
        }
    }
    for mut engine in engines {
        engine.stop();
    }
    Ok(text)
}

const ORDER: &[&str] = &[
    "run --rm busybox true",
    "runtime alone, default seccomp",
    "exec c true",
    "100 x run -d, one after the other",
    "100 x run -d, 20 at once",
    "ps with 100 containers",
    "PSS per running container",
    "1 GiB through attach",
    "1,000,000 lines into the log",
    "engine start to first _ping",
    "idle engine, PSS",
    "1 GiB blob from a registry",
    "1 GiB blob, twice at once",
    "manifests for 1,000 clients",
];

fn rank(case: &str) -> usize {
    ORDER
        .iter()
        .chain(life::ORDER)
        .chain(network::ORDER)
        .chain(images::ORDER)
        .position(|c| *c == case)
        .unwrap_or(usize::MAX)
}

fn single(
    rows: &mut Vec<Row>,
    case: &'static str,
    who: &str,
    unit: &'static str,
    value: f64,
    command: String,
) {
    let mut samples = Samples::default();
    samples.push(value);
    rows.push(Row { case, contender: who.to_owned(), unit, samples, command });
    told(&rows[rows.len() - 1..], case);
}

const SETTLE: Duration = Duration::from_millis(100);

/// Lets the contenders take turns for `rounds` rounds after one round to warm up.
fn compete(
    rows: &mut Vec<Row>,
    case: &'static str,
    rounds: usize,
    contenders: Vec<Contender>,
) -> Result<(), Error> {
    let mut samples = vec![Samples::default(); contenders.len()];
    for round in 0..=rounds {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            // Engines tidy up behind their clients: none is to be measured while another is still at it.
            sleep(SETTLE);
            match contender.time(round) {
                Ok(took) if round > 0 => samples.push(ms(took)),
                Ok(_) => {}
                Err(error) if contender.name.starts_with("wharf") => return Err(error),
                Err(error) if round == 0 => eprintln!("{case}: {}: {error}", contender.name),
                Err(_) => {}
            }
        }
    }
    for (contender, samples) in contenders.into_iter().zip(samples) {
        let command = (contender.command)(0).join(" ");
        rows.push(Row { case, contender: contender.name, unit: "ms", samples, command });
    }
    told(rows, case);
    Ok(())
}

fn runs(rows: &mut Vec<Row>, options: &Options, engines: &[Engine], root: &Path) -> Result<(), Error> {
    let dir = &options.dir;
    let mut contenders: Vec<Contender> = engines
        .iter()
        .map(|engine| {
            let command = engine.command(&["run", "--rm", "busybox", "true"]);
            let name = format!("{} (bridge, all of it)", engine.name);
            Contender::new(&name, move |_| command.clone())
        })
        .collect();
    // crun refuses hybrid cgroups: all bare runtimes run where the empty v2 tree is unmounted.
    let place = Rc::new(Place::new("umount /sys/fs/cgroup/unified 2>/dev/null")?);
    let plain = bundle::bundle(&options.wharf, dir, root, false)?;
    for runtime in ["crun", "runc"] {
        contenders.extend(bare(runtime, &[runtime], &plain, dir, &place));
    }
    contenders.extend(floor(dir, root)?);
    compete(rows, ORDER[0], options.rounds, contenders)?;

    let filtered = bundle::bundle(&options.wharf, dir, root, true)?;
    let wharf = options.wharf.clone();
    let contenders =
        [("wharf oci", vec![wharf.as_str(), "oci"]), ("crun", vec!["crun"]), ("runc", vec!["runc"])]
            .iter()
            .filter_map(|(name, program)| bare(name, program, &filtered, dir, &place))
            .collect();
    compete(rows, ORDER[1], options.rounds, contenders)
}

/// A runtime on its own.
fn bare(name: &str, program: &[&str], bundle: &Path, dir: &Path, place: &Rc<Place>) -> Option<Contender> {
    peers::version(program[0], &["--version"])?;
    let state = dir.join("runtime-state");
    let mut line: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
    line.extend(["--root".to_owned(), state.display().to_string(), "run".to_owned()]);
    line.extend(["--bundle".to_owned(), bundle.display().to_string()]);
    let short = name.replace(' ', "-");
    let mut contender = Contender::new(&format!("{name} (bundle, no network)"), move |round| {
        let id = format!("bench-{short}-{round}-{}", std::process::id());
        line.iter().cloned().chain([id]).collect()
    });
    contender.place = Some(place.clone());
    Some(contender)
}

fn floor(dir: &Path, root: &Path) -> Result<Option<Contender>, Error> {
    let program = dir.join("floor");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/floor.c");
    if !Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .arg(&program)
        .arg(source)
        .status()
        .is_ok_and(|s| s.success())
    {
        return Ok(None);
    }
    let [upper, work, merged] = ["upper", "work", "merged"].map(|name| dir.join("floor-mounts").join(name));
    for folder in [&upper, &work, &merged] {
        std::fs::create_dir_all(folder)?;
    }
    let command: Vec<String> =
        [&program, &root.to_path_buf(), &upper, &work, &merged, &PathBuf::from("/bin/true")]
            .iter()
            .map(|p| p.display().to_string())
            .collect();
    Ok(Some(Contender::new("floor.c (namespaces, overlay, pivot, exec)", move |_| command.clone())))
}

fn execs(rows: &mut Vec<Row>, options: &Options, engines: &[Engine]) -> Result<(), Error> {
    let mut contenders = Vec::new();
    for engine in engines {
        let up = ["run", "-d", "--name", "bench-exec", "busybox", "sleep", "100000"];
        if let Err(error) = time(&engine.command(&up)) {
            excuse(engine, Err(error))?;
            continue;
        }
        let command = engine.command(&["exec", "bench-exec", "true"]);
        contenders.push(Contender::new(&engine.name, move |_| command.clone()));
    }
    compete(rows, "exec c true", options.rounds, contenders)?;
    for engine in engines {
        excuse(engine, time(&engine.command(&["rm", "-f", "bench-exec"])).map(drop))?;
    }
    Ok(())
}

fn many(rows: &mut Vec<Row>, engines: &[Engine]) -> Result<(), Error> {
    engines.iter().try_for_each(|engine| excuse(engine, many_on(rows, engine)))
}

fn many_on(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
    let start = Instant::now();
    for n in 0..100 {
        time(&engine.command(&["run", "-d", "--name", &format!("seq-{n}"), "busybox", "sleep", "100000"]))?;
    }
    let took = start.elapsed().as_secs_f64();
    let line =
        |name: &str| engine.command(&["run", "-d", "--name", name, "busybox", "sleep", "100000"]).join(" ");
    single(rows, "100 x run -d, one after the other", &engine.name, "s", took, line("seq-0"));
    let empty = rows
        .iter()
        .find(|r| r.case == "idle engine, PSS" && r.contender == engine.name)
        .map_or(0.0, |r| r.samples.median() * 1024.0);
    single(
        rows,
        "PSS per running container",
        &engine.name,
        "KiB",
        (engine.pss_kib() - empty).max(0.0) / 100.0,
        String::new(),
    );
    let mut ps = Samples::default();
    for _ in 0..11 {
        ps.push(ms(time(&engine.command(&["ps"]))?));
    }
    rows.push(Row {
        case: "ps with 100 containers",
        contender: engine.name.clone(),
        unit: "ms",
        samples: ps,
        command: engine.command(&["ps"]).join(" "),
    });
    remove(engine, "seq")?;

    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..20)
            .map(|worker| {
                scope.spawn(move || {
                    (0..5).try_for_each(|n| {
                        let name = format!("par-{}", worker * 5 + n);
                        time(&engine.command(&["run", "-d", "--name", &name, "busybox", "sleep", "100000"]))
                            .map(drop)
                    })
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().unwrap_or_else(|_| Err(Error::other("a worker panicked"))))
    })?;
    let took = start.elapsed().as_secs_f64();
    single(rows, "100 x run -d, 20 at once", &engine.name, "s", took, line("par-0"));
    remove(engine, "par")?;
    Ok(())
}

fn remove(engine: &Engine, prefix: &str) -> Result<(), Error> {
    let names: Vec<String> = (0..100).map(|n| format!("{prefix}-{n}")).collect();
    let mut args = vec!["rm", "-f"];
    args.extend(names.iter().map(String::as_str));
    time(&engine.command(&args)).map(drop)
}

fn streams(rows: &mut Vec<Row>, engines: &[Engine]) -> Result<(), Error> {
    // dd, since busybox's head takes its bytes one by one and would be all that is measured.
    let contenders = engines
        .iter()
        .map(|engine| {
            let command = engine.command(&[
                "run",
                "--rm",
                "--log-driver",
                "none",
                "busybox",
                "dd",
                "if=/dev/zero",
                "bs=65536",
                "count=16384",
                "status=none",
            ]);
            Contender::new(&engine.name, move |_| command.clone())
        })
        .collect();
    compete(rows, "1 GiB through attach", 3, contenders)?;
    engines.iter().try_for_each(|engine| excuse(engine, log_on(rows, engine)))
}

fn log_on(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
    let mut samples = Samples::default();
    let mut command = String::new();
    for _ in 0..3 {
        let start = Instant::now();
        let script = format!("yes {} | head -n 1000000", "x".repeat(99));
        let mut args = vec!["run", "-d", "--name", "bench-log"];
        if engine.name != "podman" {
            args.extend(["--log-driver", "json-file", "--log-opt", "max-size=1g"]);
        }
        args.extend(["busybox", "sh", "-c", &script]);
        let line = engine.command(&args);
        time(&line)?;
        command = line.join(" ").replace(&"x".repeat(99), "xxx...") + "; wait";
        time(&engine.command(&["wait", "bench-log"]))?;
        samples.push(ms(start.elapsed()));
        let logs = engine.command(&["logs", "bench-log"]);
        let count = Command::new("sh").arg("-c").arg(format!("{} | wc -l", logs.join(" "))).output()?;
        let count = String::from_utf8_lossy(&count.stdout).trim().to_owned();
        if count != "1000000" {
            return Err(Error::other(format!("{}: {count} of 1000000 lines in the log", engine.name)));
        }
        time(&engine.command(&["rm", "bench-log"]))?;
    }
    rows.push(Row {
        case: "1,000,000 lines into the log",
        contender: engine.name.clone(),
        unit: "ms",
        samples,
        command,
    });
    Ok(())
}
