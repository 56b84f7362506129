//! `debug`: tools beside containers that have none.

use std::io::Write;
use std::process::Stdio;

use crate::House;

impl House {
    /// An image with nothing but one static program.
    fn scratch(&self) {
        let root = self.directory.path().join("scratch");
        std::fs::create_dir_all(root.join("data")).expect("make its root");
        std::fs::copy("/bin/busybox", root.join("sleep")).expect("copy a program");
        std::fs::write(root.join("note"), "of the image\n").expect("write a file");
        let tar = self.directory.path().join("scratch.tar");
        let made =
            std::process::Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status();
        assert!(made.expect("run tar").success());
        self.ok(&["import", "--change", "CMD [\"/sleep\", \"1000\"]", &tar.display().to_string(), "scratch"]);
    }

    #[track_caller]
    fn debug(&self, name: &str, line: &str) -> String {
        self.ok(&["debug", "--image", "bb", name, "sh", "-c", line])
    }

    /// Nothing of it is in the container, and no container of it is there.
    #[track_caller]
    fn no_trace(&self, name: &str) {
        assert_eq!(self.ok(&["ps", "-aq", "--filter", "label=wharf.debug"]), "");
        let places =
            ["C /dev", "A /dev/console", "A /etc", "A /proc", "A /sys", "A /dev/shm", "A /dev/pts", "A /dev"];
        for line in self.ok(&["diff", name]).lines() {
            let own = places.contains(&line)
                || line.starts_with("A /etc/")
                || line.contains("kept")
                || line == "C /data";
            assert!(own, "{line}");
        }
    }
}

#[test]
fn a_container_without_a_shell_gets_one_while_it_runs() {
    let house = House::new();
    house.scratch();
    house.ok(&["run", "-d", "--name", "bare", "-v", "vol:/data", "scratch"]);
    assert_eq!(house.fails(&["exec", "bare", "sh"]).0, 127);
    let pid = house.inspect("bare", "{{.State.Pid}}");
    let seen = house.debug("bare", "cat $TARGET/note; echo $TARGET; tr '\\0' ' ' < /proc/1/cmdline");
    assert!(seen.starts_with("of the image\n/proc/1/root\n/sleep 1000"), "{seen}");
    // Its network, and its volume.
    let network = house
        .debug("bare", "readlink /proc/self/ns/net; readlink /proc/1/ns/net; echo kept > $TARGET/data/kept");
    let mut ends = network.lines();
    assert_eq!(ends.next(), ends.next(), "{network}");
    assert_eq!(house.debug("bare", "cat $TARGET/data/kept"), "kept");
    // A shell where nothing is said, reading what is typed, among the container's files.
    let mut shell = house.engine.client("wharf");
    let shell = shell.args(["debug", "--image", "bb", "bare"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().expect("run a shell");
    shell.stdin.take().expect("its input").write_all(b"cat note\nexit 7\n").expect("type");
    let shell = shell.wait_with_output().expect("wait for it");
    assert_eq!((shell.status.code(), shell.stdout.as_slice()), (Some(7), b"of the image\n".as_slice()));
    house.no_trace("bare");
    assert_eq!(house.inspect("bare", "{{.State.Pid}}"), pid);
}

#[test]
fn a_container_that_does_not_run_is_looked_into() {
    let house = House::new();
    house.scratch();
    house.ok(&["create", "--name", "new", "scratch"]);
    assert_eq!(house.debug("new", "cat $TARGET/note; ls -d $TARGET"), "of the image\n/target");
    house.no_trace("new");

    house.ok(&["run", "-d", "--name", "bare", "-v", "vol:/data", "scratch"]);
    house.debug("bare", "echo own > $TARGET/kept; echo volume > $TARGET/data/kept");
    house.ok(&["kill", "bare"]);
    house.until("bare", "{{.State.Status}}", "exited");
    assert_eq!(
        house.debug("bare", "cat $TARGET/note $TARGET/kept $TARGET/data/kept"),
        "of the image\nown\nvolume"
    );
    for file in ["new", "data/new"] {
        let line = format!("touch $TARGET/{file}");
        let (_, text) = house.fails(&["debug", "--image", "bb", "bare", "sh", "-c", &line]);
        assert!(text.contains("Read-only file system"), "{text}");
    }
    house.no_trace("bare");
    // It starts as ever.
    house.ok(&["start", "bare"]);
    assert_eq!(house.debug("bare", "cat $TARGET/kept"), "own");

    house.ok(&["pause", "bare"]);
    assert!(house.fails(&["debug", "--image", "bb", "bare", "true"]).1.contains("is paused"));
    house.ok(&["unpause", "bare"]);
    assert!(house.fails(&["debug", "--image", "bb", "nobody", "true"]).1.contains("No such container"));
    assert_eq!(house.fails(&["debug", "--image", "bb", "bare", "no-such-tool"]).0, 127);
    house.no_trace("bare");
}

/// Nobody answers at the proxy, so there is nothing to pull.
#[test]
fn without_a_network_the_tools_are_of_an_image_that_is_here() {
    let house = House::with(&["--https-proxy", "http://127.0.0.1:1", "--http-proxy", "http://127.0.0.1:1"]);
    house.scratch();
    house.ok(&["run", "-d", "--name", "bare", "scratch"]);
    let (_, told) = house.fails(&["debug", "bare", "cat", "/proc/1/root/note"]);
    assert!(told.contains("--image") && told.contains("save busybox"), "{told}");
    house.ok(&["tag", "bb", "reg.example:5000/a/debian:12"]);
    let got = house.engine.wharf(&["debug", "bare", "cat", "/proc/1/root/note"]);
    assert_eq!((got.status, got.stdout.as_str()), (0, "of the image\n"), "{}", got.stderr);
    assert!(got.stderr.contains("the tools are those of reg.example:5000/a/debian:12"), "{}", got.stderr);
    // Who names one means it.
    assert!(!house.fails(&["debug", "--image", "nosuch", "bare", "true"]).1.contains("tools"));
    house.no_trace("bare");
}
