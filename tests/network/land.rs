//! Network namespaces: the host an engine runs on, and what lies outside of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{Engine, Output, busybox_image};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_wharf");
/// Where the world is for those on [`Home`]'s host, which is `10.99.0.1` to it.
pub(crate) const WORLD: &str = "10.99.0.2";

/// A network namespace, held by a process that ends with the test.
pub(crate) struct Land(Child);

impl Land {
    pub(crate) fn new() -> Self {
        let line = "echo 0 >/proc/sys/net/ipv4/ip_forward; ip link set lo up; echo ready; exec cat";
        let mut holder = Command::new("unshare");
        holder.args(["-n", "sh", "-ec", line]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().expect("unshare");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().expect("its output")).read_line(&mut said).expect("read");
        assert_eq!(said, "ready\n");
        Self(holder)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A shell line here; what it printed.
    #[track_caller]
    pub(crate) fn sh(&self, line: &str) -> String {
        let got = self.run(line);
        assert_eq!(got.status, 0, "{line}: {got:?}");
        got.stdout.trim_end().to_owned()
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        let mut command = Command::new("nsenter");
        Output::of(command.args(["-t", &self.pid().to_string(), "-n", "sh", "-c", line]))
    }

    /// Does it in a thread that is here.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let netns = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).expect("open the namespace");
        let enter = move || {
            use std::os::fd::AsFd;
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(netns.as_fd(), kind).expect("enter the namespace");
            act()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().expect("it goes well"))
    }

    /// Says `hello` to everybody who connects; for each, the address seen here.
    pub(crate) fn serve(&self, at: &str) -> std::sync::mpsc::Receiver<String> {
        let at: SocketAddr = at.parse().expect("an address");
        let listener = self.inside(|| TcpListener::bind(at).expect("listen"));
        let (send, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
                let _ = stream.write_all(b"hello\n");
                if send.send(peer).is_err() {
                    return;
                }
            }
        });
        seen
    }

    /// Whether nobody has the port.
    pub(crate) fn can_listen(&self, at: &str) -> bool {
        let at: SocketAddr = at.parse().expect("an address");
        self.inside(|| TcpListener::bind(at).is_ok())
    }

    /// What who listens there says; empty if nobody is reached.
    pub(crate) fn hear(&self, at: &str) -> String {
        let at: SocketAddr = at.parse().expect("an address");
        self.inside(|| {
            let mut said = String::new();
            if let Ok(mut stream) = TcpStream::connect_timeout(&at, Duration::from_secs(2)) {
                let _ = stream.read_to_string(&mut said);
            }
            said.trim_end().to_owned()
        })
    }
}

impl Drop for Land {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An engine with default flags in a land of its own, with the image `bb`.
pub(crate) struct Home {
    // Dropped first: it looks whether anything is left.
    pub(crate) engine: Engine,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) host: Land,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with(Land::new(), &[])
    }

    /// On a host that was prepared, with more flags.
    pub(crate) fn with(host: Land, flags: &[&str]) -> Self {
        Self::through(host, flags, "")
    }

    /// The engine is started by `prefix`, which is part of a shell's command.
    pub(crate) fn through(host: Land, flags: &[&str], prefix: &str) -> Self {
        let directory = testkit::directory();
        let program = program(directory.path(), &host, prefix);
        let engine = Engine::start_with(&program, directory.path(), flags);
        let home = Self { engine, directory, host };
        let tar = busybox_image(home.directory.path());
        home.ok(&["import", &tar.display().to_string(), "bb"]);
        home
    }

    /// What it printed; it must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let got = self.engine.wharf(words);
        assert_eq!(got.status, 0, "{words:?}: {got:?}\n{}", self.engine.log());
        got.stdout.trim_end().to_owned()
    }

    /// What it said; it must fail, as a client does that was told so by the engine.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str]) -> String {
        let got = self.engine.wharf(words);
        assert_eq!(got.status, 125, "{words:?}: {got:?}\n{}", self.engine.log());
        got.stderr
    }

    /// A shell line in a fresh container.
    #[track_caller]
    pub(crate) fn sh(&self, options: &[&str], line: &str) -> String {
        self.ok(&[&["run", "--rm"], options, &["bb", "sh", "-c", line]].concat())
    }

    #[track_caller]
    pub(crate) fn inspect(&self, name: &str, template: &str) -> String {
        self.ok(&["inspect", "-f", template, name])
    }

    #[track_caller]
    pub(crate) fn address(&self, name: &str) -> String {
        self.inspect(name, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
    }

    /// Starts one that sleeps; its address.
    #[track_caller]
    pub(crate) fn sleeper(&self, name: &str) -> String {
        self.ok(&["run", "-d", "--name", name, "bb", "sleep", "1000"]);
        self.address(name)
    }

    /// Whether the container hears who listens there.
    pub(crate) fn hears(&self, name: &str, at: &str) -> bool {
        let (address, port) = at.split_once(':').expect("address and port");
        let words = ["exec", name, "nc", "-w", "2", address, port];
        self.engine.wharf(&words).stdout == "hello\n"
    }

    /// Ends the engine and starts it with more flags; containers go on.
    pub(crate) fn restart(&mut self, flags: &[&str]) {
        self.engine.terminate();
        self.engine.run_with(|command| {
            command.args(flags);
        });
        // It listens first, and answers when the network is there.
        self.ok(&["version"]);
    }
}

/// Starts the engine in the land, without the bridge and the subnet that throw-away engines have on the machine itself.
fn program(directory: &Path, host: &Land, prefix: &str) -> std::path::PathBuf {
    let path = directory.join("wharf");
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = daemon ] || exec {BINARY} \"$@\"\n\
         for word; do shift; case $word in --bridge=wt*|--bip=10.20[0-3].*) ;; *) set -- \"$@\" \"$word\";; esac; done\n\
         exec nsenter -t {} -n {prefix} {BINARY} \"$@\"\n",
        host.pid()
    );
    std::fs::write(&path, text).expect("write a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    path
}

/// A host that is linked to the world.
pub(crate) fn linked() -> (Land, Land) {
    let (host, world) = (Land::new(), Land::new());
    host.sh(&format!(
        "ip link add up0 type veth peer name eth0 netns {}; ip addr add 10.99.0.1/24 dev up0; ip link set up0 up",
        world.pid()
    ));
    // It would find containers, if they were to be found.
    world.sh(&format!(
        "ip addr add {WORLD}/24 dev eth0; ip link set eth0 up; ip route add 172.16.0.0/12 via 10.99.0.1"
    ));
    (host, world)
}
