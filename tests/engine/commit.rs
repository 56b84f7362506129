//! What a container has changed, and images of it.

use std::process::Command;

use crate::{House, eventually};

/// All that may be done to a tree, in a container of `bb`.
const LINE: &str = "echo new > /new; mkdir /dir; echo in > /dir/in; rm /etc/group; echo more >> /etc/passwd; \
                    ln /new /same; ln -s /new /link; mkfifo /fifo; chmod 4755 /bin/busybox; rm -r /home; mkdir /home; \
                    touch /home/mine; chown 7:8 /dir/in";

fn drivers() -> [House; 2] {
    [House::new(), House::with(&["--storage-driver", "vfs"])]
}

#[test]
fn changes_are_the_same_with_every_driver_and_make_the_same_image() {
    let mut told = Vec::new();
    for house in drivers() {
        house.ok(&["run", "--name", "box", "bb", "sh", "-c", LINE]);
        let changes = house.ok(&["diff", "box"]);
        for change in ["A /new", "A /dir", "A /dir/in", "D /etc/group", "C /etc", "C /etc/passwd", "A /fifo"]
        {
            assert!(changes.lines().any(|line| line == change), "{change}:\n{changes}");
        }
        assert!(!changes.contains("hosts") && !changes.contains("/proc"), "{changes}");
        told.push(changes);
        let first = house.ok(&["commit", "-m", "said", "-a", "me", "box", "made"]);
        house.ok(&["commit", "-m", "said", "-a", "me", "box", "again"]);
        let layers = |image: &str| {
            house.ok(&["image", "inspect", "-f", "{{range .RootFS.Layers}}{{.}} {{end}}", image])
        };
        assert_eq!(layers("made"), layers("again"), "the same changes are the same layer");
        let seen = house.ok(&[
            "run", "--rm", "made", "sh", "-c",
            "cat /new /same /dir/in; readlink /link; ls /etc/group /home 2>/dev/null; stat -c '%a %u:%g' /dir/in /bin/busybox",
        ]);
        assert_eq!(seen, "new\nnew\nin\n/new\n/home:\nmine\n644 7:8\n4755 0:0");
        // Nothing on top of it is no layer.
        house.ok(&["create", "--name", "idle", "made", "true"]);
        assert_eq!(house.ok(&["diff", "idle"]), "");
        house.ok(&["commit", "idle", "idle"]);
        assert_eq!(layers("idle"), layers("made"));
        house.ok(&["rm", "box", "idle"]);
        // The image stands without its container, saved and loaded too.
        let tar = house.directory.path().join("made.tar").display().to_string();
        house.ok(&["save", "-o", &tar, "made"]);
        house.ok(&["rmi", "made", "again", "idle"]);
        house.ok(&["load", "-q", "-i", &tar]);
        assert_eq!(house.ok(&["image", "inspect", "-f", "{{.Id}}", "made"]), first);
        assert_eq!(house.ok(&["run", "--rm", "made", "cat", "/new"]), "new");
    }
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_container_pauses_for_its_commit_and_goes_on() {
    let mut house = House::new();
    house.ok(&[
        "run",
        "-d",
        "--name",
        "box",
        "-e",
        "A=b",
        "bb",
        "sh",
        "-c",
        "echo x > /new; exec sleep 1000",
    ]);
    assert!(eventually(|| house.run(&["exec", "box", "cat", "/new"]).stdout == "x\n"));
    house.ok(&["commit", "--change", "CMD [\"cat\", \"/new\"]", "box", "made:one"]);
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "running");
    assert_eq!(house.ok(&["run", "--rm", "made:one"]), "x");
    assert_eq!(house.inspect("made:one", "{{json .Config.Env}}").matches("A=b").count(), 1);
    let events = house.events(&["--filter", "container=box"], "{{.Action}}");
    let order: Vec<&str> =
        events.lines().filter(|event| matches!(*event, "pause" | "unpause" | "commit")).collect();
    assert_eq!(order, ["pause", "unpause", "commit"]);
    house.ok(&["commit", "--no-pause", "box"]);
    let events = house.events(&["--filter", "event=pause"], "{{.Action}}");
    assert_eq!(events.lines().count(), 1);

    // Killed between the pause and the reading: it goes on with the next engine, and there is no image.
    let images = house.ok(&["images", "-aq"]);
    house.engine.kill();
    house.engine.run_with(|command| {
        command.env("WHARF_FAILPOINT", "commit.read");
    });
    let broken = house.run(&["commit", "box", "never"]);
    assert_ne!(broken.status, 0);
    house.engine.wait_for_end();
    house.engine.run();
    house.until("box", "{{.State.Status}}", "running");
    assert_eq!(house.ok(&["exec", "box", "cat", "/new"]), "x");
    assert_eq!(house.ok(&["images", "-aq"]), images);
    house.ok(&["rm", "-f", "box"]);
}

/// The whole root file system, and nothing that is mounted in it.
#[test]
fn an_export_is_the_root_file_system_alone() {
    let house = House::new();
    let line = "echo root > /root/f; echo vol > /data/f; echo ready; exec sleep 1000";
    house.ok(&["run", "-d", "--name", "box", "-v", "data:/data", "--tmpfs", "/mem", "bb", "sh", "-c", line]);
    assert!(eventually(|| house.ok(&["logs", "box"]) == "ready"));
    let path = house.directory.path().join("exported.tar");
    let listed = || {
        house.ok(&["export", "-o", &path.display().to_string(), "box"]);
        let output = Command::new("tar").arg("-tf").arg(&path).output().expect("run tar");
        assert!(output.status.success());
        let mut names: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    let running = listed();
    for name in ["root/f", "bin/busybox", "data/", "mem/"] {
        assert!(running.iter().any(|known| known == name), "{name}: {running:?}");
    }
    let strange = |name: &&String| {
        ["proc/", "sys/", "dev/", "data/", "mem/"]
            .iter()
            .any(|place| name.len() > place.len() && name.starts_with(place))
    };
    assert_eq!(running.iter().find(strange), None);
    house.ok(&["stop", "-t", "0", "box"]);
    assert_eq!(listed(), running);
    house.ok(&["rm", "box"]);
}
