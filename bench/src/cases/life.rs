//! The rest of a container's life: ends in hundreds, logs, files, and what looking costs the engine.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Error, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{excuse, remove};
use crate::Options;
use crate::measure::{Samples, ms, time};
use crate::peers::Engine;
use crate::table::{Row, told};

/// How many containers end, are counted and are checked together.
const MANY: usize = 100;
/// How many clients start them.
const HANDS: usize = 4;
const LINES: usize = 1_000_000;
/// How long the engine is watched for what it costs.
const WATCH: Duration = Duration::from_secs(10);
const WATCHES: usize = 3;
/// Ends at once on SIGTERM, as what is made to be stopped does.
const POLITE: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

pub(super) const ORDER: &[&str] = &[
    "stop of 100 containers",
    "kill of 100 containers",
    "rm -f of 100 running containers",
    "logs of 1,000,000 lines to a pipe",
    "a line from the container to logs -f",
    "cp of 500 MB out",
    "cp of 500 MB in",
    "cp of 20,000 files out",
    "cp of 20,000 files in",
    "export of 500 MB and 20,000 files",
    "stats of 100 containers at 1 Hz, engine",
    "100 health checks a second",
    "100 native health checks a second",
];

pub(super) fn all(rows: &mut Vec<Row>, options: &Options, engines: &[Engine]) -> Result<(), Error> {
    // All engines do one thing before any does the next: what a run has printed when it is broken off can be compared.
    let parts: [(&[&str], Part); 7] = [
        (&ORDER[0..3], ends),
        (&ORDER[3..4], logs),
        (&ORDER[4..5], follow),
        (&ORDER[5..10], files),
        (&ORDER[10..11], stats),
        (&ORDER[11..12], commands),
        (&ORDER[12..13], probes),
    ];
    for (cases, part) in parts {
        if !cases.iter().any(|case| options.wants(case)) {
            continue;
        }
        for engine in engines {
            excuse(engine, part(&mut Turn { rows, options, engine }))?;
        }
    }
    Ok(())
}

type Part = fn(&mut Turn<'_>) -> Result<(), Error>;

/// One engine at one part.
struct Turn<'a> {
    rows: &'a mut Vec<Row>,
    options: &'a Options,
    engine: &'a Engine,
}

impl Turn<'_> {
    fn wants(&self, case: &str) -> bool {
        self.options.wants(case)
    }

    /// How often a case is repeated that takes seconds.
    fn rounds(&self) -> usize {
        self.options.rounds.clamp(1, 3)
    }

    fn row(&mut self, case: &'static str, unit: &'static str, samples: Samples, command: String) {
        self.rows.push(Row { case, contender: self.engine.name.clone(), unit, samples, command });
        told(&self.rows[self.rows.len() - 1..], case);
    }

    fn single(&mut self, case: &'static str, unit: &'static str, value: f64, command: String) {
        let mut samples = Samples::default();
        samples.push(value);
        self.row(case, unit, samples, command);
    }
}

fn names(prefix: &str) -> Vec<String> {
    (0..MANY).map(|n| format!("{prefix}-{n}")).collect()
}

/// A hundred containers, by several clients: making them is not what is measured.
fn up(engine: &Engine, prefix: &str, flags: &[&str], command: &[&str]) -> Result<(), Error> {
    let names = names(prefix);
    std::thread::scope(|scope| {
        let hands: Vec<_> = names
            .chunks(MANY / HANDS)
            .map(|some| {
                scope.spawn(move || {
                    some.iter().try_for_each(|name| {
                        let words = [&["run", "-d", "--name", name], flags, &["busybox"], command].concat();
                        time(&engine.command(&words)).map(drop)
                    })
                })
            })
            .collect();
        hands
            .into_iter()
            .try_for_each(|hand| hand.join().unwrap_or_else(|_| Err(Error::other("a hand panicked"))))
    })
}

fn ends(turn: &mut Turn<'_>) -> Result<(), Error> {
    let engine = turn.engine;
    up(engine, "end", &[], &["sh", "-c", POLITE])?;
    let names = names("end");
    let all = |verb: &[&str]| {
        let mut words = verb.to_vec();
        words.extend(names.iter().map(String::as_str));
        engine.command(&words)
    };
    let verbs = [&["stop"][..], &["kill"], &["rm", "-f"]];
    for (case, verb) in ORDER.iter().zip(verbs) {
        if !turn.wants(case) && verb[0] != "rm" {
            continue;
        }
        let took = ms(time(&all(verb))?);
        turn.single(case, "ms", took, format!("{} end-0 ... end-99", engine.command(verb).join(" ")));
        if verb[0] != "rm" {
            time(&all(&["start"]))?;
        }
    }
    Ok(())
}

/// Reads a command's output to its end; how many bytes, and how long it took.
fn drained(command: &[String]) -> Result<(usize, Duration), Error> {
    let start = Instant::now();
    let mut child =
        Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = child.stdout.take().ok_or_else(|| Error::other("no pipe"))?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match out.read(&mut buffer)? {
            0 => break,
            read => bytes += read,
        }
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(Error::other(format!("{}: {status}", command.join(" "))));
    }
    Ok((bytes, start.elapsed()))
}

fn logs(turn: &mut Turn<'_>) -> Result<(), Error> {
    let engine = turn.engine;
    let script = format!("yes {} | head -n {LINES}", "x".repeat(99));
    let mut words = vec!["run", "-d", "--name", "bench-logs"];
    if engine.name != "podman" {
        words.extend(["--log-driver", "json-file", "--log-opt", "max-size=1g"]);
    }
    words.extend(["busybox", "sh", "-c", &script]);
    time(&engine.command(&words))?;
    time(&engine.command(&["wait", "bench-logs"]))?;
    let command = engine.command(&["logs", "bench-logs"]);
    let mut samples = Samples::default();
    for _ in 0..5 {
        let (bytes, took) = drained(&command)?;
        if bytes != LINES * 100 {
            return Err(Error::other(format!(
                "{}: {bytes} bytes of {} in the log",
                engine.name,
                LINES * 100
            )));
        }
        samples.push(bytes as f64 / 1e6 / took.as_secs_f64());
    }
    turn.row(ORDER[3], "MB/s", samples, command.join(" "));
    time(&engine.command(&["rm", "bench-logs"])).map(drop)
}

/// From a line's way into the container, by a pipe from outside, to the follower's reading it.
fn follow(turn: &mut Turn<'_>) -> Result<(), Error> {
    let engine = turn.engine;
    let share = turn.options.dir.join(format!("follow-{}", engine.name));
    std::fs::create_dir_all(&share)?;
    let pipe = share.join("pipe");
    time(&["mkfifo".to_owned(), pipe.display().to_string()])?;
    let volume = format!("{}:/share", share.display());
    time(&engine.command(&[
        "run",
        "-d",
        "--name",
        "bench-follow",
        "-v",
        &volume,
        "busybox",
        "cat",
        "/share/pipe",
    ]))?;
    // Both ends: opening does not wait for the container to have it open.
    let mut input = OpenOptions::new().read(true).write(true).open(&pipe)?;
    let command = engine.command(&["logs", "-f", "bench-follow"]);
    let mut follower =
        Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let measured = echoes(&mut input, &mut follower);
    let _ = follower.kill();
    let _ = follower.wait();
    let removed = time(&engine.command(&["rm", "-f", "bench-follow"]));
    turn.row(ORDER[4], "ms", measured?, command.join(" "));
    removed.map(drop)
}

fn echoes(input: &mut std::fs::File, follower: &mut Child) -> Result<Samples, Error> {
    let mut output = BufReader::new(follower.stdout.take().ok_or_else(|| Error::other("no pipe"))?);
    let mut samples = Samples::default();
    let mut line = String::new();
    for round in 0..200 {
        let start = Instant::now();
        writeln!(input, "line {round}")?;
        line.clear();
        output.read_line(&mut line)?;
        if line.trim_end() != format!("line {round}") {
            return Err(Error::other(format!("line {round} was followed as {line:?}")));
        }
        // The first ones find everything cold.
        if round >= 20 {
            samples.push(ms(start.elapsed()));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(samples)
}

fn files(turn: &mut Turn<'_>) -> Result<(), Error> {
    let engine = turn.engine;
    let fill = "mkdir /many; cd /many; for d in $(seq 200); do mkdir $d; for f in $(seq 100); do echo $f > $d/$f; done; done; \
                head -c 500000000 /dev/zero > /big; sleep 100000 & wait";
    time(&engine.command(&["run", "-d", "--name", "bench-files", "busybox", "sh", "-c", fill]))?;
    let inside = |words: &[&str]| engine.command(&[&["exec", "bench-files"], words].concat());
    time(&inside(&["sh", "-c", "until [ $(stat -c %s /big || echo 0) = 500000000 ]; do sleep 0.1; done"]))?;
    let out = turn.options.dir.join(format!("files-{}", engine.name));
    let to = out.join("copied").display().to_string();
    for (cases, from) in [(&ORDER[5..7], "/big"), (&ORDER[7..9], "/many")] {
        if !cases.iter().any(|case| turn.wants(case)) {
            continue;
        }
        let there = engine.command(&["cp", &format!("bench-files:{from}"), &to]);
        let back = engine.command(&["cp", &to, "bench-files:/back"]);
        let (mut outward, mut inward) = (Samples::default(), Samples::default());
        for _ in 0..turn.rounds() {
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir_all(&out)?;
            outward.push(ms(time(&there)?));
        }
        turn.row(cases[0], "ms", outward, there.join(" "));
        for _ in 0..turn.rounds() {
            time(&inside(&["rm", "-rf", "/back"]))?;
            inward.push(ms(time(&back)?));
        }
        turn.row(cases[1], "ms", inward, back.join(" "));
        time(&inside(&["rm", "-rf", "/back"]))?;
    }
    if turn.wants(ORDER[9]) {
        let command = engine.command(&["export", "bench-files"]);
        let mut samples = Samples::default();
        for _ in 0..turn.rounds() {
            samples.push(ms(drained(&command)?.1));
        }
        turn.row(ORDER[9], "ms", samples, command.join(" "));
    }
    let _ = std::fs::remove_dir_all(&out);
    time(&engine.command(&["rm", "-f", "bench-files"])).map(drop)
}

/// Percent of one core that the engine and its helpers use meanwhile, several times: it counts in hundredths of a second.
fn cost(engine: &Engine) -> Samples {
    let mut samples = Samples::default();
    for _ in 0..WATCHES {
        let (before, start) = (engine.cpu_ms(), Instant::now());
        sleep(WATCH);
        samples.push((engine.cpu_ms() - before) / ms(start.elapsed()) * 100.0);
    }
    samples
}

fn stats(turn: &mut Turn<'_>) -> Result<(), Error> {
    let engine = turn.engine;
    // Without a process of its own there is nothing to watch.
    if engine.ready.is_none() {
        return Ok(());
    }
    up(engine, "stat", &[], &["sleep", "100000"])?;
    let command = engine.command(&["stats", "--format", "{{.Name}}"]);
    let watched =
        Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut client = watched?;
    // Its first round opens everything.
    sleep(Duration::from_secs(3));
    let percent = cost(engine);
    let _ = client.kill();
    let _ = client.wait();
    turn.row(ORDER[10], "% of a core", percent, command.join(" "));
    remove(engine, "stat")
}

fn commands(turn: &mut Turn<'_>) -> Result<(), Error> {
    match turn.engine.ready {
        Some(_) => checks(turn, ORDER[11], &["--health-cmd", "true"]),
        None => Ok(()),
    }
}

fn probes(turn: &mut Turn<'_>) -> Result<(), Error> {
    match turn.engine.name.as_str() {
        "wharf" => checks(turn, ORDER[12], &["--health-probe", "file:///bin/busybox"]),
        _ => Ok(()),
    }
}

fn checks(turn: &mut Turn<'_>, case: &'static str, check: &[&str]) -> Result<(), Error> {
    let engine = turn.engine;
    let flags = [check, &["--health-interval", "1s"]].concat();
    up(engine, "check", &flags, &["sleep", "100000"])?;
    sleep(Duration::from_secs(3));
    let percent = cost(engine);
    let line = engine.command(&[&["run", "-d"], flags.as_slice(), &["busybox", "sleep", "100000"]].concat());
    turn.row(case, "% of a core", percent, line.join(" "));
    remove(engine, "check")
}
