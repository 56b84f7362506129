//! The rest of a container's life: ends in hundreds, logs, files, and what looking costs the engine.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Error, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{excuse, remove, single};
use crate::measure::{Samples, ms, time};
use crate::peers::Engine;
use crate::table::Row;

/// How many containers end, are counted and are checked together.
const MANY: usize = 100;
const LINES: usize = 1_000_000;
/// How long the engine is watched for what it costs.
const WATCH: Duration = Duration::from_secs(15);
/// Ends at once on SIGTERM, as what is made to be stopped does.
const POLITE: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

pub(super) fn all(rows: &mut Vec<Row>, engines: &[Engine], directory: &std::path::Path) -> Result<(), Error> {
    for engine in engines {
        excuse(engine, ends(rows, engine))?;
        excuse(engine, logs(rows, engine))?;
        excuse(engine, follow(rows, engine, directory))?;
        excuse(engine, files(rows, engine, directory))?;
        if engine.ready.is_some() {
            excuse(engine, stats(rows, engine))?;
            excuse(engine, checks(rows, engine, "100 health checks a second", &["--health-cmd", "true"]))?;
        }
        if engine.name == "wharf" {
            let probe = ["--health-probe", "file:///bin/busybox"];
            checks(rows, engine, "100 native health checks a second", &probe)?;
        }
    }
    Ok(())
}

fn names(prefix: &str) -> Vec<String> {
    (0..MANY).map(|n| format!("{prefix}-{n}")).collect()
}

fn up(engine: &Engine, prefix: &str, flags: &[&str], command: &[&str]) -> Result<(), Error> {
    for name in names(prefix) {
        let words = [&["run", "-d", "--name", &name], flags, &["busybox"], command].concat();
        time(&engine.command(&words))?;
    }
    Ok(())
}

fn ends(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
    up(engine, "end", &[], &["sh", "-c", POLITE])?;
    let names = names("end");
    let all = |verb: &[&str]| {
        let mut words = verb.to_vec();
        words.extend(names.iter().map(String::as_str));
        engine.command(&words)
    };
    for (case, verb) in [
        ("stop of 100 containers", &["stop"][..]),
        ("kill of 100 containers", &["kill"]),
        ("rm -f of 100 running containers", &["rm", "-f"]),
    ] {
        let took = ms(time(&all(verb))?);
        single(
            rows,
            case,
            &engine.name,
            "ms",
            took,
            format!("{} end-0 ... end-99", engine.command(verb).join(" ")),
        );
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

fn logs(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
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
    let (case, contender) = ("logs of 1,000,000 lines to a pipe", engine.name.clone());
    rows.push(Row { case, contender, unit: "MB/s", samples, command: command.join(" ") });
    time(&engine.command(&["rm", "bench-logs"])).map(drop)
}

/// From a line's way into the container, by a pipe from outside, to the follower's reading it.
fn follow(rows: &mut Vec<Row>, engine: &Engine, directory: &std::path::Path) -> Result<(), Error> {
    let share = directory.join(format!("follow-{}", engine.name));
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
    let (case, contender) = ("a line from the container to logs -f", engine.name.clone());
    rows.push(Row { case, contender, unit: "ms", samples: measured?, command: command.join(" ") });
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

fn files(rows: &mut Vec<Row>, engine: &Engine, directory: &std::path::Path) -> Result<(), Error> {
    let fill = "mkdir /many; cd /many; for d in $(seq 200); do mkdir $d; for f in $(seq 100); do echo $f > $d/$f; done; done; \
                head -c 500000000 /dev/zero > /big; sleep 100000 & wait";
    time(&engine.command(&["run", "-d", "--name", "bench-files", "busybox", "sh", "-c", fill]))?;
    let ready = engine.command(&[
        "exec",
        "bench-files",
        "sh",
        "-c",
        "until [ $(stat -c %s /big || echo 0) = 500000000 ]; do sleep 0.1; done",
    ]);
    time(&ready)?;
    let out = directory.join(format!("files-{}", engine.name));
    for (case, from) in [("cp of 500 MB out", "/big"), ("cp of 20,000 files out", "/many")] {
        let mut samples = Samples::default();
        let to = out.join("copied").display().to_string();
        let command = engine.command(&["cp", &format!("bench-files:{from}"), &to]);
        for _ in 0..3 {
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir_all(&out)?;
            samples.push(ms(time(&command)?));
        }
        rows.push(Row {
            case,
            contender: engine.name.clone(),
            unit: "ms",
            samples,
            command: command.join(" "),
        });
        let back = engine.command(&["cp", &to, "bench-files:/back"]);
        let case = if from == "/big" { "cp of 500 MB in" } else { "cp of 20,000 files in" };
        let mut samples = Samples::default();
        for _ in 0..3 {
            time(&engine.command(&["exec", "bench-files", "rm", "-rf", "/back"]))?;
            samples.push(ms(time(&back)?));
        }
        rows.push(Row { case, contender: engine.name.clone(), unit: "ms", samples, command: back.join(" ") });
        time(&engine.command(&["exec", "bench-files", "rm", "-rf", "/back"]))?;
    }
    let command = engine.command(&["export", "bench-files"]);
    let mut samples = Samples::default();
    for _ in 0..3 {
        samples.push(ms(drained(&command)?.1));
    }
    let (case, contender) = ("export of 500 MB and 20,000 files", engine.name.clone());
    rows.push(Row { case, contender, unit: "ms", samples, command: command.join(" ") });
    std::fs::remove_dir_all(&out)?;
    time(&engine.command(&["rm", "-f", "bench-files"])).map(drop)
}

/// Percent of one core that the engine and its helpers use meanwhile.
fn cost(engine: &Engine) -> f64 {
    let (before, start) = (engine.cpu_ms(), Instant::now());
    sleep(WATCH);
    (engine.cpu_ms() - before) / ms(start.elapsed()) * 100.0
}

fn stats(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
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
    single(
        rows,
        "stats of 100 containers at 1 Hz, engine",
        &engine.name,
        "% of a core",
        percent,
        command.join(" "),
    );
    remove(engine, "stat")
}

fn checks(rows: &mut Vec<Row>, engine: &Engine, case: &'static str, check: &[&str]) -> Result<(), Error> {
    let flags = [check, &["--health-interval", "1s"]].concat();
    up(engine, "check", &flags, &["sleep", "100000"])?;
    sleep(Duration::from_secs(3));
    let percent = cost(engine);
    let line = engine.command(&[&["run", "-d"], flags.as_slice(), &["busybox", "sleep", "100000"]].concat());
    single(rows, case, &engine.name, "% of a core", percent, line.join(" "));
    remove(engine, "check")
}
