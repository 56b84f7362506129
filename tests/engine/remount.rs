//! Mounts that come to a container that runs, and go.

use std::path::PathBuf;

use crate::House;

/// A directory of the host with a file in it.
fn source(house: &House, name: &str) -> PathBuf {
    let path = house.directory.path().join(name);
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("file"), name).unwrap();
    path
}

fn bind(source: &std::path::Path, target: &str) -> String {
    format!("type=bind,source={},target={target}", source.display())
}

fn sees(house: &House, line: &str) -> String {
    let got = house.run(&["exec", "one", "sh", "-c", line]);
    format!("{}{}", got.stdout, got.stderr).trim_end().to_owned()
}

const WHO: &str = "{{.State.Pid}} {{.State.StartedAt}}";
const SHOWN: &str = "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}};{{end}}";

#[test]
fn they_are_there_at_once_and_after_a_restart() {
    let mut house = House::new();
    let (a, b) = (source(&house, "a"), source(&house, "b"));
    let old = format!("{}:/old", b.display());
    let run = ["run", "-d", "--name", "one", "-v", &old, "--tmpfs", "/scratch", "-v", "/own", "bb"];
    house.ok(&[&run[..], &["sh", "-c", "cd /old; sleep 1000"]].concat());
    let who = house.inspect("one", WHO);
    house.ok(&[
        "update",
        "--mount-add",
        &bind(&a, "/new/deep"),
        "--mount-add",
        &(bind(&a, "/look") + ",readonly"),
        "--mount-add",
        "type=volume,source=data,target=/data",
        "--mount-add",
        "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=750",
        "--mount-add",
        "type=image,source=bb,target=/image",
        "--mount-rm",
        "/old",
        "--mount-rm",
        "/scratch",
        "--mount-rm",
        "/own/",
        "one",
    ]);
    let all = "cat /new/deep/file; touch /look/x; echo v > /data/f; stat -c %a /t; ls /image/bin/busybox; ls /old; \
               grep -c -e ' /scratch ' -e ' /own ' /proc/self/mountinfo";
    let now = "atouch: /look/x: Read-only file system\n750\n/image/bin/busybox\n\
               0";
    assert_eq!(sees(&house, &format!("({all}) 2>&1")), now);
    assert_eq!(house.inspect("one", WHO), who, "the same process");
    let shown = "volume /data true;image /image false;bind /look false;bind /new/deep true;tmpfs /t true;";
    assert_eq!(house.inspect("one", SHOWN), shown);
    assert_eq!(house.inspect("one", "{{len .HostConfig.Mounts}}"), "5");
    let host = house.inspect("one", "{{json .HostConfig}}");
    assert!(!host.contains("/scratch") && !host.contains("/old"), "{host}");
    let (_, error) = house.fails(&["volume", "rm", "data"]);
    assert!(error.contains("volume is in use"), "{error}");
    let events = house.events(&["--filter", "type=volume", "--filter", "volume=data"], "{{.Action}}");
    assert_eq!(events, "create\nmount");

    house.engine.kill();
    house.engine.run();
    assert_eq!(sees(&house, "cat /new/deep/file /data/f"), "av");
    house.ok(&["restart", "-t", "0", "one"]);
    assert_eq!(
        sees(&house, "cat /new/deep/file /data/f; ls /image/bin/busybox; ls /old"),
        "av\n/image/bin/busybox"
    );
    assert_eq!(house.inspect("one", SHOWN), shown);

    // What came goes, also after a restart; one is replaced in its place.
    let moved = ["--mount-rm", "/new/deep", "--mount-add", &bind(&b, "/new/deep"), "--mount-rm", "/data"];
    house.ok(&[&["update"], &moved[..], &["--mount-rm", "/t", "--mount-rm", "/image", "one"]].concat());
    let left = "cat /new/deep/file; ls /data /image; grep -c -e ' /t ' -e ' /data ' /proc/self/mountinfo";
    assert_eq!(sees(&house, left), "b/data:\n\n/image:\n0");
    house.ok(&["volume", "rm", "data"]);

    // One that does not run has them from its next start on.
    house.ok(&["stop", "-t", "0", "one"]);
    house.ok(&["update", "--mount-rm", "/look", "--mount-add", &bind(&a, "/late"), "one"]);
    house.ok(&["start", "one"]);
    assert_eq!(sees(&house, "cat /late/file /new/deep/file; ls /look"), "ab");
    house.ok(&["rm", "-f", "one"]);
    assert!(a.join("file").exists() && b.join("file").exists(), "what was shown is not touched");
}

#[test]
fn what_is_refused_leaves_all_as_it_was() {
    let house = House::new();
    let (a, b) = (source(&house, "a"), source(&house, "b"));
    let old = format!("{}:/old", b.display());
    house.ok(&["run", "-d", "--name", "one", "-v", &old, "bb", "sleep", "1000"]);
    let table = || sees(&house, "cut -d ' ' -f 5- /proc/1/mountinfo | sort");
    let (before, shown) = (table(), house.inspect("one", SHOWN));
    let missing = bind(&house.directory.path().join("nothing"), "/x");
    for (words, text) in [
        (&["--mount-rm", "/nothing"][..], "nothing of the container's is mounted at /nothing"),
        (&["--mount-rm", "/proc"], "nothing of the container's is mounted at /proc"),
        (&["--mount-rm", "relative"], "invalid mount path: 'relative' mount path must be absolute"),
        (&["--mount-add", &bind(&a, "/old")], "Duplicate mount point: /old"),
        (&["--mount-add", &missing], "bind source path does not exist"),
        (&["--mount-add", "type=image,source=nothing,target=/x"], "No such image: nothing"),
        // The first of these can be done.
        (
            &["--mount-rm", "/old", "--mount-add", &bind(&a, "/x"), "--mount-add", &bind(&a, "/proc/sys")],
            "inside /proc",
        ),
        (
            &["--mount-rm", "/old", "--mount-add", "type=volume,source=new,target=/etc/passwd"],
            "not a directory",
        ),
    ] {
        let (_, error) = house.fails(&[&["update"], words, &["one"]].concat());
        assert!(error.contains(text), "{words:?}: {error}");
        assert_eq!((table(), house.inspect("one", SHOWN)), (before.clone(), shown.clone()), "{words:?}");
    }
    assert_eq!(sees(&house, "cat /old/file"), "b");
    house.ok(&["restart", "-t", "0", "one"]);
}

#[test]
fn a_container_leads_no_mount_astray() {
    let house = House::new();
    let (a, b) = (source(&house, "a"), source(&house, "b"));
    let old = format!("{}:/top/old", b.display());
    house.ok(&["run", "-d", "--name", "one", "--cap-add", "SYS_ADMIN", "-v", &old, "bb", "sleep", "1000"]);
    sees(&house, "mkdir /in; ln -s /../../../in /out; ln -s /etc /link");
    house.ok(&[
        "update",
        "--mount-add",
        &bind(&a, "/out/x"),
        "--mount-add",
        "type=tmpfs,target=/link/t",
        "one",
    ]);
    assert_eq!(sees(&house, "cat /in/x/file; grep -c ' /etc/t ' /proc/self/mountinfo"), "a1");
    house.ok(&["update", "--mount-rm", "/out/x", "--mount-rm", "/link/t", "one"]);
    assert_eq!(sees(&house, "ls /in/x /etc/t"), "/etc/t:\n\n/in/x:");

    // What it has put in the way stays, and so does what the runtime hides from it.
    house.ok(&["update", "--mount-add", "type=tmpfs,target=/k/x", "--mount-add", &bind(&a, "/k/y"), "one"]);
    sees(
        &house,
        "mount -t tmpfs own /top/old; mv /k /l; mkdir /k; ln -s /proc/keys /k/x; ln -s /proc/keys /k/y",
    );
    let table = || sees(&house, "cut -d ' ' -f 5- /proc/1/mountinfo");
    let before = table();
    for place in ["/top/old", "/k/x", "/k/y"] {
        let (_, error) = house.fails(&["update", "--mount-rm", place, "one"]);
        let text = format!("what is mounted at \"{place}\" is not the container's mount of that place");
        assert!(error.contains(&text), "{error}");
        assert_eq!(table(), before);
    }
    sees(&house, "umount /top/old");
    house.ok(&["update", "--mount-rm", "/top/old", "one"]);
    assert_eq!(sees(&house, "ls /top/old"), "");
}

#[test]
fn an_engine_that_is_killed_in_between_is_finished_by_the_next() {
    for point in ["update.mounts", "update.mounted"] {
        let mut house = House::new();
        let (a, b) = (source(&house, "a"), source(&house, "b"));
        let old = format!("{}:/old", b.display());
        house.ok(&["run", "-d", "--name", "one", "-v", &old, "bb", "sleep", "1000"]);
        house.engine.kill();
        house.engine.run_with(|command| {
            command.env("WHARF_FAILPOINT", point);
        });
        let add = bind(&a, "/new");
        let words =
            ["update", "--mount-rm", "/old", "--mount-add", &add, "--mount-add", &bind(&a, "/both"), "one"];
        assert_ne!(house.run(&words).status, 0, "{point}");
        house.engine.wait_for_end();
        house.engine.run();
        let left = "cat /new/file /both/file; ls /old; grep -c -e ' /new ' -e ' /both ' -e ' /old ' /proc/self/mountinfo";
        assert_eq!(sees(&house, left), "aa2", "{point}");
        assert_eq!(house.inspect("one", SHOWN), "bind /both true;bind /new true;", "{point}");
    }
}

#[test]
fn a_volume_that_an_update_has_made_goes_with_the_engine_that_did_not_record_it() {
    let mut house = House::new();
    house.ok(&["run", "-d", "--name", "one", "-v", "/first", "bb", "sleep", "1000"]);
    let volumes = |house: &House| house.ok(&["volume", "ls", "-q"]);
    let before = volumes(&house);
    house.engine.kill();
    house.engine.run_with(|command| {
        command.env("WHARF_FAILPOINT", "update.volumes");
    });
    let words = ["update", "--mount-add", "type=volume,dst=/second", "one"];
    assert_ne!(house.run(&words).status, 0);
    house.engine.wait_for_end();
    assert_eq!(
        std::fs::read_dir(house.engine.directory().join("data/volumes")).unwrap().count(),
        2,
        "it was made"
    );
    house.engine.run();
    assert_eq!(volumes(&house), before, "and is gone; what the container had stays");
    // What is recorded stays, over engines and when it is taken away from the container again.
    house.ok(&words);
    house.ok(&["exec", "one", "touch", "/first/a", "/second/b"]);
    house.engine.kill();
    house.engine.run();
    assert_eq!(volumes(&house).lines().count(), 2);
    house.ok(&["update", "--mount-rm", "/second", "one"]);
    house.engine.kill();
    house.engine.run();
    assert_eq!(volumes(&house).lines().count(), 2);
    assert_eq!(house.ok(&["exec", "one", "ls", "/first"]), "a");
}
