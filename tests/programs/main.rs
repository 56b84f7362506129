//! Black box: real programs from Debian's packages, in an image that is made here: servers, a database that changes its
//! user, package tools, interpreters, signals and file capabilities. One image and one engine, since making them takes
//! the time.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Engine, Output};

/// Long enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(90);
const PACKAGES: &str = "nginx-light,redis-server,postgresql,python3,iputils-ping";
/// Where the cluster's programs are.
const POSTGRES: &str = "/usr/lib/postgresql/15/bin";

struct House {
    engine: Engine,
}

impl House {
    fn run(&self, words: &[&str]) -> Output {
        self.engine.wharf(words)
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let got = self.run(words);
        assert_eq!(got.status, 0, "{words:?}: {}{}\n{}", got.stdout, got.stderr, self.engine.log());
        got.stdout.trim_end().to_owned()
    }

    /// Repeats a command until it succeeds.
    #[track_caller]
    fn until_ok(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let got = self.run(words);
            if got.status == 0 {
                return got.stdout.trim_end().to_owned();
            }
            assert!(Instant::now() < deadline, "{words:?}: {}{}", got.stdout, got.stderr);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn address(&self, name: &str) -> String {
        self.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name])
    }

    /// Stops a container and tells its exit status.
    fn stopped(&self, name: &str) -> String {
        self.ok(&["stop", "-t", "60", name]);
        self.ok(&["inspect", "-f", "{{.State.ExitCode}}", name])
    }
}

#[test]
fn programs() {
    let directory = testkit::directory();
    let tar = directory.path().join("debian.tar");
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"])
        .arg(&tar)
        .output()
        .expect("run mmdebstrap");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let place = directory.path().join("engine");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let engine = Engine::start(Path::new(env!("CARGO_BIN_EXE_wharf")), &place);
    let house = House { engine };
    house.ok(&["import", "--change", "CMD [\"bash\"]", &tar.display().to_string(), "debian:12"]);
    std::fs::remove_file(&tar).expect("it is in the store now");

    tools(&house);
    nginx(&house);
    redis(&house);
    postgres(&house);
    python(&house);
}

/// Package tools, a login shell, another user, a program with file capabilities.
fn tools(house: &House) {
    let run = |words: &[&str]| house.ok(&[&["run", "--rm", "debian:12"], words].concat());
    assert!(run(&["dpkg", "-l", "nginx-light"]).contains("nginx-light"));
    assert!(run(&["apt-get", "--version"]).starts_with("apt "));
    assert_eq!(
        run(&["bash", "-lc", "echo $0-$HOME; shopt -q login_shell && echo login"]),
        "bash-/root\nlogin"
    );
    assert_eq!(run(&["su", "postgres", "-c", "id -un"]), "postgres");
    assert!(run(&["dpkg", "--verify", "coreutils"]).is_empty(), "as it was packed");
    // Debian's ping is allowed what it needs by its file: the attribute has come through tar, layer and overlay.
    let ping = house.ok(&["run", "--rm", "--user", "nobody", "debian:12", "ping", "-c1", "127.0.0.1"]);
    assert!(ping.contains("1 received"), "{ping}");
    let size = |flags: &[&str]| {
        let line = ["debian:12", "sh", "-c", "df -k /dev/shm | tail -1"];
        let df = house.ok(&[&["run", "--rm"], flags, &line].concat());
        df.split_whitespace().nth(1).map(str::to_owned)
    };
    assert_eq!(size(&[]).as_deref(), Some("65536"));
    assert_eq!(size(&["--shm-size", "128m"]).as_deref(), Some("131072"));
}

/// A server that forks workers serves another container over the bridge, logs to the streams, and ends on SIGQUIT.
fn nginx(house: &House) {
    let line = "echo hello from nginx > /var/www/html/index.html; ln -sf /dev/stdout /var/log/nginx/access.log; \
                exec nginx -g 'daemon off;'";
    house.ok(&["run", "-d", "--name", "web", "--stop-signal", "SIGQUIT", "debian:12", "sh", "-c", line]);
    let url = format!("http://{}/", house.address("web"));
    let get = format!("import urllib.request as r; print(r.urlopen('{url}').read().decode())");
    let page = house.until_ok(&["run", "--rm", "debian:12", "python3", "-c", &get]);
    assert_eq!(page.trim(), "hello from nginx");
    let log = house.ok(&["logs", "web"]);
    assert!(log.contains("\"GET / HTTP/1.1\" 200"), "{log}");
    let top = house.ok(&["top", "web"]);
    assert!(top.contains("nginx: master") && top.contains("nginx: worker"), "{top}");
    assert_eq!(house.stopped("web"), "0");
}

/// What it holds is on an anonymous volume, and there after a restart.
fn redis(house: &House) {
    let server = ["redis-server", "--dir", "/data", "--appendonly", "yes", "--save", ""];
    let run = ["run", "-d", "--name", "cache", "-v", "/data", "debian:12"];
    house.ok(&[&run[..], &server[..]].concat());
    assert_eq!(house.until_ok(&["exec", "cache", "redis-cli", "--raw", "-e", "set", "key", "value"]), "OK");
    assert_eq!(house.ok(&["exec", "cache", "redis-cli", "--raw", "incr", "count"]), "1");
    assert_eq!(house.stopped("cache"), "0", "SIGTERM is a clean end");
    house.ok(&["start", "cache"]);
    assert_eq!(house.until_ok(&["exec", "cache", "redis-cli", "--raw", "-e", "get", "key"]), "value");
    assert_eq!(house.ok(&["exec", "cache", "redis-cli", "--raw", "incr", "count"]), "2");
    house.ok(&["rm", "-f", "-v", "cache"]);
}

/// A cluster is made and served by its own user; SIGINT is its fast shutdown.
fn postgres(house: &House) {
    let line = format!(
        "mkdir -p /srv/data /run/postgresql && chown postgres /srv/data /run/postgresql && exec su postgres -c '{POSTGRES}/initdb -D /srv/data -A trust >/dev/null && \
         exec {POSTGRES}/postgres -D /srv/data -c listen_addresses=*'"
    );
    house.ok(&["run", "-d", "--name", "db", "--init", "--shm-size", "128m", "debian:12", "sh", "-c", &line]);
    let query = |sql: &str| house.until_ok(&["exec", "-u", "postgres", "db", "psql", "-tA", "-c", sql]);
    assert_eq!(query("select 6*7"), "42");
    query("create table if not exists t (n int)");
    query("insert into t select generate_series(1, 10000)");
    assert_eq!(query("select sum(n) from t"), "50005000");
    assert_eq!(house.ok(&["exec", "db", "sh", "-c", "stat -c %U /srv/data/base"]), "postgres");
    house.ok(&["exec", "-u", "postgres", "db", "sh", "-c", "kill -INT $(head -1 /srv/data/postmaster.pid)"]);
    assert_eq!(house.ok(&["wait", "db"]), "0");
    assert!(house.run(&["logs", "db"]).stderr.contains("database system is shut down"));
}

/// As PID 1 Python ignores what it has no handler for; with `--init` it is no PID 1.
fn python(house: &House) {
    let serve = ["debian:12", "python3", "-u", "-c"];
    let server = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()";
    house.ok(&[&["run", "-d", "--name", "py", "--init", "-w", "/etc"], &serve[..], &[server]].concat());
    let url = format!("http://{}:8000/debian_version", house.address("py"));
    let get = format!("import urllib.request as r; print(r.urlopen('{url}').read().decode())");
    let version = house.until_ok(&["run", "--rm", "debian:12", "python3", "-c", &get]);
    assert!(version.starts_with("12"), "{version}");
    assert_eq!(house.stopped("py"), "143", "SIGTERM, as a shell tells it");
    let waits = "import signal, time; print('ready'); time.sleep(1000)";
    house.ok(&[&["run", "-d", "--name", "deaf"], &serve[..], &[waits]].concat());
    house.until_ok(&["exec", "deaf", "true"]);
    house.ok(&["stop", "-t", "1", "deaf"]);
    assert_eq!(house.ok(&["inspect", "-f", "{{.State.ExitCode}}", "deaf"]), "137");
    // KeyboardInterrupt.
    house.ok(&[&["run", "-d", "--name", "interrupted"], &serve[..], &[waits]].concat());
    let deadline = Instant::now() + DEADLINE;
    while house.ok(&["logs", "interrupted"]) != "ready" {
        assert!(Instant::now() < deadline, "{}", house.engine.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    house.ok(&["kill", "-s", "INT", "interrupted"]);
    assert_eq!(house.ok(&["wait", "interrupted"]), "130");
    assert!(house.run(&["logs", "interrupted"]).stderr.contains("KeyboardInterrupt"));
}
