//! Networks: how fast they come and go, names are found, and what a published port costs beside the host's own.
//!
//! Ports are measured from a second host: a network namespace with a veth pair into the engine's. Who serves and who asks
//! there is a copy of this program, so that neither engine brings a faster one.

use std::io::{Error, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_tcp_congestion;

use super::{excuse, single};
use crate::Options;
use crate::measure::{Samples, ms, time};
use crate::peers::{Engine, ended_with_us};
use crate::table::{Row, told};

pub(super) const ORDER: &[&str] = &[
    "run -d with 10,000 ports, beyond one without",
    "network connect of a running container",
    "network create, each of 500",
    "network rm, each of 500",
    "a name among 200 containers, median",
    "a name among 200 containers, p99",
    "throughput from another host, as fast as it goes",
    "throughput from another host, line of 10 Gbit/s",
    "short connections from another host",
    "short connections that failed",
    "requests on standing connections from another host",
    "wrk against nginx from another host",
    "run --rm on a user's network with a port, beyond a plain one",
];

const NETWORKS: usize = 500;
/// Of an engine that takes half a second for each.
const NETWORKS_OF_OTHERS: usize = 25;
const CONTAINERS: usize = 200;
const QUESTIONS: usize = 2000;
/// How long each figure about traffic is taken, and how often.
const WATCH: Duration = Duration::from_secs(1);
const TRAFFIC_ROUNDS: usize = 9;
const CLIENTS: usize = 8;
const HOST: &str = "10.99.0.1";
/// A usual network card's, as tc-tbf(8) wants it.
const LINE: &str = "tbf rate 10gbit burst 4mb latency 20ms";
/// First argument of a copy of this program that serves, or asks.
pub(crate) const HELPER: &str = "--network-helper";

pub(super) fn all(rows: &mut Vec<Row>, options: &Options, engines: &[Engine]) -> Result<(), Error> {
    let wanted = |cases: &[&str]| {
        options.case.as_ref().is_none_or(|words| cases.iter().any(|case| case.contains(words.as_str())))
    };
    let engines: Vec<&Engine> = engines.iter().filter(|engine| engine.ready.is_some()).collect();
    for engine in engines.iter().copied() {
        if wanted(&ORDER[..1]) {
            excuse(engine, ports(rows, options, engine))?;
        }
        if wanted(&ORDER[1..2]) {
            excuse(engine, connect(rows, options, engine))?;
        }
        if wanted(&ORDER[2..4]) {
            excuse(engine, networks(rows, engine))?;
        }
        if wanted(&ORDER[4..6]) {
            excuse(engine, names(rows, engine))?;
        }
        if wanted(&ORDER[12..]) {
            excuse(engine, starts(rows, options, engine))?;
        }
    }
    if wanted(&ORDER[6..12]) {
        traffic(rows, options, &engines)?;
    }
    Ok(())
}

/// What a network of the user's and a published port cost a start.
fn starts(rows: &mut Vec<Row>, options: &Options, engine: &Engine) -> Result<(), Error> {
    time(&engine.command(&["network", "create", "bench-user"]))?;
    let line = |flags: &[&str]| engine.command(&[&["run", "--rm"], flags, &["busybox", "true"]].concat());
    let published = line(&["--network", "bench-user", "-p", "8080:80"]);
    let mut samples = Samples::default();
    for round in 0..=options.rounds {
        let took = [ms(time(&line(&[]))?), ms(time(&published)?)];
        if round > 0 {
            samples.push(took[1] - took[0]);
        }
    }
    time(&engine.command(&["network", "rm", "bench-user"]))?;
    put(rows, ORDER[12], engine, samples, &published);
    Ok(())
}

fn put(rows: &mut Vec<Row>, case: &'static str, engine: &Engine, samples: Samples, command: &[String]) {
    let command = command.join(" ");
    rows.push(Row { case, contender: engine.name.clone(), unit: "ms", samples, command });
    told(&rows[rows.len() - 1..], case);
}

fn ports(rows: &mut Vec<Row>, options: &Options, engine: &Engine) -> Result<(), Error> {
    // An engine that makes a rule for each port is at it for minutes.
    if engine.name != "wharf" {
        return Ok(());
    }
    let line = |flags: &[&str]| {
        let words =
            [&["run", "-d", "--name", "bench-ports"], flags, &["busybox", "sleep", "100000"]].concat();
        engine.command(&words)
    };
    let range = line(&["-p", "20000-29999:20000-29999"]);
    let mut samples = Samples::default();
    for _ in 0..options.rounds {
        let mut took = [0.0; 2];
        for (command, took) in [line(&[]), range.clone()].iter().zip(&mut took) {
            *took = ms(time(command)?);
            time(&engine.command(&["rm", "-f", "bench-ports"]))?;
        }
        samples.push(took[1] - took[0]);
    }
    put(rows, ORDER[0], engine, samples, &range);
    Ok(())
}

fn connect(rows: &mut Vec<Row>, options: &Options, engine: &Engine) -> Result<(), Error> {
    time(&engine.command(&["network", "create", "bench-more"]))?;
    time(&engine.command(&["run", "-d", "--name", "bench-connect", "busybox", "sleep", "100000"]))?;
    let [connect, disconnect] = ["connect", "disconnect"]
        .map(|verb| engine.command(&["network", verb, "bench-more", "bench-connect"]));
    let mut samples = Samples::default();
    for _ in 0..options.rounds {
        samples.push(ms(time(&connect)?));
        time(&disconnect)?;
    }
    time(&engine.command(&["rm", "-f", "bench-connect"]))?;
    time(&engine.command(&["network", "rm", "bench-more"]))?;
    put(rows, ORDER[1], engine, samples, &connect);
    Ok(())
}

fn networks(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
    let mut took = [Samples::default(), Samples::default()];
    let count = if engine.name == "wharf" { NETWORKS } else { NETWORKS_OF_OTHERS };
    for n in 0..count {
        let subnet = format!("10.{}.{}.0/24", 100 + n / 250, n % 250);
        let words = ["network", "create", "--subnet", &subnet, &format!("bench-{n}")];
        took[0].push(ms(time(&engine.command(&words))?));
    }
    for n in 0..count {
        took[1].push(ms(time(&engine.command(&["network", "rm", &format!("bench-{n}")]))?));
    }
    for ((case, samples), verb) in ORDER[2..4].iter().zip(took).zip(["create", "rm"]) {
        put(rows, case, engine, samples, &engine.command(&["network", verb, "bench-0"]));
    }
    Ok(())
}

fn names(rows: &mut Vec<Row>, engine: &Engine) -> Result<(), Error> {
    time(&engine.command(&["network", "create", "bench-names"]))?;
    let all: Vec<String> = (0..CONTAINERS).map(|n| format!("name-{n}")).collect();
    for name in &all {
        let words = ["run", "-d", "--name", name, "--network", "bench-names", "busybox", "sleep", "100000"];
        time(&engine.command(&words))?;
    }
    let mut times: Vec<f64> = Vec::new();
    // Some of them ask, one after the other, for all of them.
    for asking in all.iter().step_by(CONTAINERS / 4) {
        let said = helper(pid(engine, asking)?, &["ask"]).output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        times.extend(said.split_whitespace().filter_map(|text| text.parse::<f64>().ok()));
    }
    if times.len() != 4 * QUESTIONS {
        return Err(Error::other(format!("{}: {} of {} answers", engine.name, times.len(), 4 * QUESTIONS)));
    }
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[(times.len() as f64 * part) as usize];
    single(rows, ORDER[4], &engine.name, "ms", at(0.5), String::new());
    single(rows, ORDER[5], &engine.name, "ms", at(0.99), String::new());
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    time(&engine.command(&[&["rm", "-f"], &names[..]].concat()))?;
    time(&engine.command(&["network", "rm", "bench-names"])).map(drop)
}

/// An engine's port and one of its host's, a second host, and who serves; the processes end with this.
struct World<'a> {
    engine: &'a Engine,
    /// In whose network namespace the second host is.
    outside: Child,
    servers: Vec<Child>,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        for child in self.servers.iter_mut().chain([&mut self.outside]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World<'_> {
    /// A command on the second host.
    fn outside(&self, line: &str) -> Result<(), Error> {
        inside(self.outside.id(), line)
    }
}

/// A command in the network namespace of a process.
fn inside(pid: u32, line: &str) -> Result<(), Error> {
    let status = Command::new("nsenter").args(["-t", &pid.to_string(), "-n", "sh", "-ec", line]).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::other(format!("{line}: {status}"))),
    }
}

/// Engines take turns within each round: what else runs on the machine moves a figure by more than they differ.
fn traffic(rows: &mut Vec<Row>, options: &Options, engines: &[&Engine]) -> Result<(), Error> {
    let mut worlds = Vec::new();
    for engine in engines {
        match world(engine) {
            Ok(world) => worlds.extend(world),
            Err(error) => excuse(engine, Err(error))?,
        }
    }
    let rounds = options.rounds.min(TRAFFIC_ROUNDS);
    let contenders: Vec<(&World<'_>, String, String)> = worlds
        .iter()
        .flat_map(|world| {
            let name = &world.engine.name;
            [(world, name.clone(), "9000"), (world, format!("{name} (host network)"), "9001")]
        })
        .map(|(world, name, port)| (world, name, format!("{HOST}:{port}")))
        .collect();
    let mut taken = vec![[const { Samples::new() }; 5]; contenders.len()];
    for _ in 0..rounds {
        // Where the two ends run moves the first one most.
        for (what, cases, line) in [
            ("throughput", 0..1, None),
            ("throughput", 0..1, None),
            ("throughput", 0..1, None),
            ("throughput", 1..2, Some(LINE)),
            ("short", 2..4, None),
            ("standing", 4..5, None),
        ] {
            for ((world, name, at), samples) in contenders.iter().zip(&mut taken) {
                if let Some(line) = line {
                    world.outside(&format!("tc qdisc add dev far0 root {line}"))?;
                }
                let said = helper(world.outside.id(), &[what, at]).output()?;
                if line.is_some() {
                    world.outside("tc qdisc del dev far0 root")?;
                }
                let said = String::from_utf8_lossy(&said.stdout).into_owned();
                let values: Vec<f64> = said.split_whitespace().filter_map(|text| text.parse().ok()).collect();
                if values.len() != cases.len() {
                    return Err(Error::other(format!("{name}: {what}: {said}")));
                }
                samples[cases.clone()]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(samples, value)| samples.push(value));
            }
        }
    }
    for (n, (case, unit)) in ORDER[6..11].iter().zip(["Gbit/s", "Gbit/s", "/s", "", "/s"]).enumerate() {
        for ((_, contender, _), samples) in contenders.iter().zip(&taken) {
            let (contender, samples) = (contender.clone(), samples[n].clone());
            rows.push(Row { case, contender, unit, samples, command: String::new() });
        }
        told(rows, case);
    }
    for world in &worlds {
        time(&world.engine.command(&["rm", "-f", "bench-port"]))?;
    }
    requests(rows, options, rounds, &worlds)
}

/// `None` of an engine that has no network namespace of its own.
fn world(engine: &Engine) -> Result<Option<World<'_>>, Error> {
    let Some(host) = engine.namespace() else { return Ok(None) };
    let outside = ended_with_us("unshare").args(["-n", "sleep", "100000"]).spawn()?;
    let mut world = World { engine, outside, servers: Vec::new() };
    let outside = world.outside.id();
    // Until it is in its own.
    let own = std::fs::read_link("/proc/self/ns/net")?;
    while std::fs::read_link(format!("/proc/{outside}/ns/net")).is_ok_and(|link| link == own) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let lines = [
        (
            host,
            format!(
                "ip link add up0 type veth peer name far0 netns {outside}; ip addr add {HOST}/24 dev up0; ip link set up0 up"
            ),
        ),
        // Ports of connections that are over would be used up for a minute, and the next ones measured would be the wait for them.
        (
            outside,
            "ip addr add 10.99.0.2/24 dev far0; ip link set far0 up; ip link set lo up; \
             echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse"
                .to_owned(),
        ),
    ];
    for (pid, line) in lines {
        inside(pid, &line)?;
    }
    let words = ["run", "-d", "--name", "bench-port", "-p", "9000:9000", "busybox", "sleep", "100000"];
    time(&engine.command(&words))?;
    let container = pid(engine, "bench-port")?;
    for (pid, port) in [(container, "9000"), (host, "9001")] {
        world.servers.push(helper(pid, &["serve", port]).stdin(Stdio::null()).spawn()?);
    }
    Ok(Some(world))
}

/// Debian's nginx with the machine's libraries, and Debian's wrk on the other host; left out where they are not installed.
fn requests(
    rows: &mut Vec<Row>,
    options: &Options,
    rounds: usize,
    worlds: &[World<'_>],
) -> Result<(), Error> {
    if ["/usr/sbin/nginx", "/usr/bin/wrk"].iter().any(|program| !std::path::Path::new(program).exists()) {
        eprintln!("{}: nginx and wrk are not installed", ORDER[11]);
        return Ok(());
    }
    let site = options.dir.join("nginx");
    std::fs::create_dir_all(&site)?;
    std::fs::write(site.join("index.html"), [b'a'; 612])?;
    for (name, line) in [("passwd", "root:x:0:0:root:/:/bin/sh\n"), ("group", "root:x:0:\n")] {
        std::fs::write(site.join(name), line)?;
    }
    std::fs::write(
        site.join("nginx.conf"),
        "user root; daemon off; worker_processes 1; pid /tmp/pid; error_log stderr; events { worker_connections 1024; }\n\
         http { access_log off; keepalive_requests 1000000000; server { listen 80; root /srv; } }\n",
    )?;
    let mounts: Vec<String> =
        ["/usr", "/lib", "/lib64"].iter().map(|path| format!("{path}:{path}:ro")).collect();
    let served = format!("{}:/srv:ro", site.display());
    let known = ["passwd", "group"].map(|name| format!("{}:/etc/{name}:ro", site.join(name).display()));
    let mut words = vec!["run", "-d", "--name", "bench-nginx", "-p", "9080:80", "-v", &served];
    mounts.iter().chain(&known).for_each(|mount| words.extend(["-v", mount]));
    words.extend(["--tmpfs", "/var/lib/nginx", "--tmpfs", "/var/log/nginx", "--tmpfs", "/tmp"]);
    words.extend(["busybox", "/usr/sbin/nginx", "-c", "/srv/nginx.conf"]);
    let at = SocketAddr::from(([10, 99, 0, 1], 9080));
    for world in worlds {
        time(&world.engine.command(&words))?;
        patiently_from(world.outside.id(), at)?;
    }
    let wrk = ["wrk", "-t", "1", "-c", "32", "-d", "1s", &format!("http://{at}/index.html")];
    let mut taken = vec![Samples::new(); worlds.len()];
    for _ in 0..3 * rounds {
        for (world, samples) in worlds.iter().zip(&mut taken) {
            let inside = ["-t", &world.outside.id().to_string(), "-n"];
            let said = Command::new("nsenter").args(inside).args(wrk).output()?;
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            let rate =
                said.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse::<f64>().ok());
            let failed = said.contains("Non-2xx") || said.contains("Socket errors");
            samples.push(rate.filter(|_| !failed).ok_or_else(|| Error::other(format!("wrk: {said}")))?);
        }
    }
    for (world, samples) in worlds.iter().zip(taken) {
        let (contender, command) = (world.engine.name.clone(), wrk.join(" "));
        rows.push(Row { case: ORDER[11], contender, unit: "/s", samples, command });
    }
    told(rows, ORDER[11]);
    worlds.iter().try_for_each(|world| time(&world.engine.command(&["rm", "-f", "bench-nginx"])).map(drop))
}

/// Waits until somebody listens there.
fn patiently_from(outside: u32, at: SocketAddr) -> Result<(), Error> {
    match helper(outside, &["reach", &at.to_string()]).status()?.success() {
        true => Ok(()),
        false => Err(Error::other(format!("nobody listens at {at}"))),
    }
}

fn pid(engine: &Engine, name: &str) -> Result<u32, Error> {
    let line = engine.command(&["inspect", "-f", "{{.State.Pid}}", name]);
    let said = Command::new(&line[0]).args(&line[1..]).output()?;
    String::from_utf8_lossy(&said.stdout).trim().parse().map_err(Error::other)
}

/// A copy of this program in the network namespace of a process.
fn helper(pid: u32, words: &[&str]) -> Command {
    let mut command = ended_with_us("nsenter");
    command.args(["-t", &pid.to_string(), "-n"]);
    command.arg(std::env::current_exe().unwrap_or_default()).arg(HELPER).args(words);
    command
}

/// What the copy does.
pub(crate) fn help(words: &[String]) -> Result<(), Error> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse::<SocketAddr>().map_err(Error::other);
    match words[..] {
        ["serve", port] => serve(port.parse().map_err(Error::other)?),
        ["ask"] => ask(),
        ["reach", at] => patiently(address(at)?).map(drop),
        ["throughput", at] => say(&[throughput(address(at)?)?]),
        ["short", at] => say(&short(address(at)?)?),
        ["standing", at] => say(&[standing(address(at)?)?]),
        _ => Err(Error::other(format!("{HELPER} {}", words.join(" ")))),
    }
}

fn say(values: &[f64]) -> Result<(), Error> {
    let text: Vec<String> = values.iter().map(ToString::to_string).collect();
    writeln!(std::io::stdout(), "{}", text.join(" "))
}

/// The first byte says what a client wants: to be answered each time, or to send.
fn serve(port: u16) -> Result<(), Error> {
    for stream in TcpListener::bind(("0.0.0.0", port))?.incoming() {
        let mut stream = stream?;
        std::thread::spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            let _ = stream.set_nodelay(true);
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if buffer[0] == b'q' => {
                        // As long as a small page.
                        if stream.write_all(&[b'a'; 256]).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                }
            }
        });
    }
    Ok(())
}

fn patiently(at: SocketAddr) -> Result<TcpStream, Error> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match dial(at) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    }
}

/// A connection that stalls is an error, not the end of the run.
fn dial(at: SocketAddr) -> Result<TcpStream, Error> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Linux's default (tcp(7)), whatever this machine has: one that keeps a rate of its own (`bbr`) would hide what the way costs.
const CONGESTION: &str = "cubic";

/// Gbit per second on two connections.
fn throughput(at: SocketAddr) -> Result<f64, Error> {
    let sent = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let threads: Vec<std::thread::JoinHandle<Result<(), Error>>> = (0..2)
        .map(|_| {
            let (mut stream, sent) = (patiently(at)?, sent.clone());
            set_tcp_congestion(&stream, CONGESTION)?;
            Ok(std::thread::spawn(move || {
                let data = vec![b's'; 256 << 10];
                while begun.elapsed() < WATCH {
                    stream.write_all(&data)?;
                    sent.fetch_add(data.len() as u64, Ordering::Relaxed);
                }
                Ok(())
            }))
        })
        .collect::<Result<_, Error>>()?;
    for thread in threads {
        thread.join().map_err(|_| Error::other("a sender panicked"))??;
    }
    Ok(sent.load(Ordering::Relaxed) as f64 * 8.0 / 1e9 / begun.elapsed().as_secs_f64())
}

/// One request on each connection: how many per second, and how many failed.
fn short(at: SocketAddr) -> Result<[f64; 2], Error> {
    drop(patiently(at)?);
    let one = move || -> Result<(), Error> {
        let mut stream = dial(at)?;
        stream.write_all(b"q")?;
        stream.read_exact(&mut [0; 256])
    };
    let (rate, failed) = many(move || one);
    Ok([rate, failed])
}

/// Requests per second, one after the other on each of some connections.
fn standing(at: SocketAddr) -> Result<f64, Error> {
    drop(patiently(at)?);
    let (rate, _) = many(move || {
        let mut stream = patiently(at).ok();
        move || {
            let stream = stream.as_mut().ok_or_else(|| Error::other("no connection"))?;
            stream.write_all(b"q")?;
            stream.read_exact(&mut [0; 256])
        }
    });
    Ok(rate)
}

/// How often clients side by side succeed per second, and how often they fail.
fn many<F: FnMut() -> Result<(), Error>>(client: impl Fn() -> F + Send + Sync) -> (f64, f64) {
    let (done, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut one = client();
                while begun.elapsed() < WATCH {
                    let counter = if one().is_ok() { &done } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    (rate, failed.load(Ordering::Relaxed) as f64)
}

/// Milliseconds of each question to 127.0.0.11, whose name is one of the containers'.
fn ask() -> Result<(), Error> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect("127.0.0.11:53")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut buffer = [0; 512];
    for n in 0..QUESTIONS {
        let name = format!("name-{}", n % CONTAINERS);
        let mut question = vec![(n >> 8) as u8, n as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
        question.extend(name.as_bytes());
        question.extend([0, 0, 1, 0, 1]);
        let begun = Instant::now();
        socket.send(&question)?;
        let length = socket.recv(&mut buffer)?;
        let took = begun.elapsed();
        // The same question, answered once.
        if length < 12 || buffer[..2] != question[..2] || buffer[6..8] != [0, 1] {
            return Err(Error::other(format!("no address for {name}")));
        }
        say(&[ms(took)])?;
    }
    Ok(())
}
