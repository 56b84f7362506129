//! What is mounted: volumes with options of their driver, parts of volumes, images, directories of the host.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{House, eventually};

/// What is mounted on the host below the engine's directory: nothing, whatever containers have.
#[track_caller]
fn nothing_on_the_host(house: &House) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let root = house.engine.directory().display().to_string();
    let found: Vec<_> = table.lines().filter(|line| line.contains(&root)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_tmpfs_volume_is_shared_by_those_that_run_and_gone_with_the_last() {
    let mut house = House::new();
    house.ok(&[
        "volume",
        "create",
        "-o",
        "type=tmpfs",
        "-o",
        "device=tmpfs",
        "-o",
        "o=size=1m,uid=7,mode=750",
        "ram",
    ]);
    assert_eq!(house.inspect("ram", "{{index .Options \"device\"}} {{.Options.type}}"), "tmpfs tmpfs");
    house.ok(&[
        "run",
        "-d",
        "--name",
        "one",
        "-v",
        "ram:/r",
        "bb",
        "sh",
        "-c",
        "echo shared > /r/f; sleep 1000",
    ]);
    assert!(eventually(|| house.run(&["exec", "one", "test", "-s", "/r/f"]).status == 0));
    assert_eq!(
        house.sh(
            &["-v", "ram:/other"],
            "cat /other/f; stat -c '%u %a' /other; df -k /other | tail -1 | awk '{print $2}'"
        ),
        "shared\n7 750\n1024"
    );
    nothing_on_the_host(&house);
    // Over engines, too: the file system is the containers', not the engine's.
    house.engine.kill();
    house.engine.run();
    let got = house.run(&["run", "--rm", "-v", "ram:/x:ro", "bb", "sh", "-c", "cat /x/f; touch /x/g"]);
    assert!(got.stdout == "shared\n" && got.stderr.contains("Read-only file system"), "{got:?}");
    house.ok(&["rm", "-f", "one"]);
    assert_eq!(house.sh(&["-v", "ram:/r"], "ls /r"), "");
    // What the image has there is taken over by a fresh one.
    assert!(house.sh(&["-v", "ram:/etc"], "cat /etc/passwd").contains("nobody"));
    assert_eq!(house.sh(&["-v", "ram:/etc:nocopy"], "ls /etc | grep -c passwd; true"), "0");
    assert!(!house.ok(&["volume", "prune", "-a", "-f"]).contains("ram"), "it gives no space back");
    house.ok(&["volume", "rm", "ram"]);
}

#[test]
fn a_bound_volume_is_the_directory_itself() {
    let house = House::new();
    let device = house.directory.path().join("device");
    let options = format!("device={}", device.display());
    house.ok(&["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &options, "bound"]);
    let (status, said) = house.fails(&["run", "--rm", "-v", "bound:/etc", "bb", "true"]);
    let data = house.engine.directory().join("data/volumes/bound/_data");
    let expected = format!(
        "error while mounting volume '{0}': failed to mount local volume: mount {1}:{0}, flags: 0x1000: no such file or directory",
        data.display(),
        device.display()
    );
    assert!(status == 127 && said.contains(&expected), "{status}, not {expected}: {said}");
    std::fs::create_dir(&device).expect("make the device");
    assert!(house.sh(&["-v", "bound:/etc"], "cat /etc/passwd").contains("nobody"));
    assert!(device.join("passwd").exists(), "it was not filled");
    house.sh(&["-v", "bound:/x"], "echo new > /x/new");
    assert_eq!(std::fs::read_to_string(device.join("new")).expect("written"), "new\n");
    let read_only = format!("volume-opt=device={}", device.display());
    let mount =
        format!("type=volume,src=fixed,dst=/x,volume-opt=type=none,\"volume-opt=o=bind,ro\",{read_only}");
    let got = house.run(&["run", "--rm", "--mount", &mount, "bb", "sh", "-c", "cat /x/new; touch /x/y"]);
    assert!(got.stdout == "new\n" && got.stderr.contains("Read-only file system"), "{got:?}");
    house.ok(&["volume", "rm", "bound", "fixed"]);
    assert!(device.join("new").exists(), "the host's directory is not the volume's to remove");
}

#[test]
fn options_of_a_volume_are_checked_and_a_mount_that_fails_is_named() {
    let house = House::new();
    for (options, said) in [
        (&["bogus=1"][..], "create v1: invalid option: \"bogus\""),
        (&["type=tmpfs"], "create v1: missing required option: \"device\""),
        (&["size=1g"], "create v1: quota size requested but no quota support"),
    ] {
        let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
        let (_, message) = house.fails(&[&["volume", "create", "v1"], &options[..]].concat());
        assert!(message.contains(said), "{message}");
    }
    house.ok(&["volume", "create", "-o", "type=nosuch", "-o", "device=/d", "-o", "o=password=p", "odd"]);
    let (status, said) = house.fails(&["run", "--rm", "-v", "odd:/x", "bb", "true"]);
    let data = house.engine.directory().join("data/volumes/odd/_data");
    let expected = format!(
        "error while mounting volume '{0}': failed to mount local volume: mount /d:{0}, data: password=********",
        data.display()
    );
    assert!(status == 125 && said.contains(&expected), "{said}");
    // With the address that its server's name has; there is none, or the kernel does not even know the kind.
    let nfs = ["type=nfs", "device=:/x", "o=addr=localhost,nfsvers=4,soft"].map(|option| ["-o", option]);
    house.ok(&[&["volume", "create"], nfs.as_flattened(), &["far"]].concat());
    let (_, said) = house.fails(&["run", "--rm", "-v", "far:/x", "bb", "true"]);
    let data = house.engine.directory().join("data/volumes/far/_data");
    let is_found = ["127.0.0.1", "::1"].iter().any(|address| {
        said.contains(&format!("mount :/x:{}, data: addr={address},nfsvers=4,soft: ", data.display()))
    });
    assert!(is_found, "{said}");
    assert_eq!(house.ok(&["ps", "-aq"]), "");
}

#[test]
fn a_part_of_a_volume_is_never_outside_of_it() {
    let house = House::new();
    let secret = house.directory.path().join("secret");
    std::fs::create_dir(&secret).expect("make a secret");
    std::fs::write(secret.join("f"), "secret").expect("write it");
    let script = format!(
        "mkdir -p /d/a/b && echo part > /d/a/b/f && ln -s a/b /d/inside && ln -s {0} /d/outside && ln -s ../../../.. /d/up && echo one > /d/file",
        secret.display()
    );
    house.sh(&["-v", "data:/d"], &script);
    let with = |part: &str, line: &str| {
        let mount = format!("type=volume,src=data,dst=/p,volume-subpath={part}");
        house.run(&["run", "--rm", "--mount", &mount, "bb", "sh", "-c", line])
    };
    assert_eq!(with("a/b", "cat /p/f; echo more >> /p/f").stdout, "part\n");
    assert_eq!(with("inside", "cat /p/f").stdout, "part\nmore\n");
    assert_eq!(with("file", "cat /p").stdout, "one\n");
    // An absolute link counts from the volume, and dots end at it.
    assert!(with("outside", "ls /p").status != 0);
    assert_eq!(with("up", "ls /p").stdout, "a\nfile\ninside\noutside\nup\n");
    let nowhere = with("nosuch", "true").stderr;
    assert!(
        nowhere.contains("cannot access path ") && nowhere.contains("no such file or directory"),
        "{nowhere}"
    );
    for (part, said) in [
        ("/a", "subpath must be a relative path within the volume"),
        ("a/../..", "subpath must be a relative path within the volume"),
    ] {
        assert!(with(part, "true").stderr.contains(said), "{part}");
    }
    let (_, said) =
        house.fails(&["run", "--rm", "--mount", "type=volume,dst=/p,volume-subpath=a", "bb", "true"]);
    assert!(said.contains("must not set Subpath when using anonymous volumes"), "{said}");
}

/// A docker-archive with two layers: `/lower`, and `/upper` over it.
fn two_layers(house: &House) -> PathBuf {
    let place = house.directory.path().join("two");
    let run = |script: &str| {
        let got = Command::new("sh").args(["-ec", script]).current_dir(&place).output().expect("run sh");
        assert!(got.status.success(), "{got:?}");
        String::from_utf8(got.stdout).expect("text").trim().to_owned()
    };
    std::fs::create_dir(&place).expect("make a directory");
    run(
        "mkdir -p a/d b/d; echo low > a/d/lower; echo both > a/d/f; echo up > b/d/upper; echo over > b/d/f; tar -C a -cf a.tar d; tar -C b -cf b.tar d",
    );
    let digest = |name: &str| run(&format!("sha256sum {name} | cut -d' ' -f1"));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}","sha256:{}"]}}}}"#,
        digest("a.tar"),
        digest("b.tar")
    );
    std::fs::write(place.join("c.json"), config).expect("write");
    let manifest = r#"[{"Config":"c.json","RepoTags":["two:latest"],"Layers":["a.tar","b.tar"]}]"#;
    std::fs::write(place.join("manifest.json"), manifest).expect("write");
    run("tar -cf two.tar c.json manifest.json a.tar b.tar");
    place.join("two.tar")
}

#[test]
fn an_image_is_mounted_read_only_as_long_as_its_container_is_there() {
    let mut house = House::new();
    let tar = two_layers(&house);
    house.ok(&["load", "-i", &tar.display().to_string()]);
    let mount = "type=image,src=two,dst=/i";
    let got = house.run(&[
        "run",
        "--rm",
        "--mount",
        mount,
        "bb",
        "sh",
        "-c",
        "cat /i/d/lower /i/d/upper /i/d/f; touch /i/x",
    ]);
    assert!(got.stdout == "low\nup\nover\n" && got.stderr.contains("Read-only file system"), "{got:?}");
    let part = "type=image,src=two,dst=/i,image-subpath=d";
    assert_eq!(house.sh(&["--mount", part], "cat /i/lower /i/f; ls /i"), "low\nover\nf\nlower\nupper");
    // It is not the container's image that is missing.
    let missing = house.run(&["run", "--rm", "--mount", "type=image,src=nothing,dst=/i", "bb", "true"]);
    assert_eq!(missing.status, 125);
    let told = "wharf: Error response from daemon: No such image: nothing:latest\n";
    assert!(missing.stderr.starts_with(told), "{missing:?}");
    // One layer.
    assert!(house.sh(&["--mount", "type=image,src=bb,dst=/i"], "cat /i/etc/passwd").contains("nobody"));
    house.ok(&["create", "--name", "kept", "--mount", mount, "bb", "cat", "/i/d/f"]);
    assert_eq!(
        house.inspect("kept", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}"),
        "image two /i false"
    );
    // Its name may go; its layers stay for who has it mounted, over engines.
    house.ok(&["rmi", "-f", "two"]);
    house.engine.kill();
    house.engine.run();
    assert_eq!(house.ok(&["start", "-a", "kept"]), "over");
    house.ok(&["rm", "kept"]);
    let layers = house.engine.directory().join("data/snapshots/overlay/containers");
    let left = || std::fs::read_dir(&layers).map_or(0, Iterator::count);
    assert!(eventually(|| left() == 0), "{} layers are left", left());
    let (status, said) = house.fails(&["run", "--rm", "--pull", "never", "--mount", mount, "bb", "true"]);
    assert!(status == 125 && said.contains("No such image: two"), "{said}");
    nothing_on_the_host(&house);
}

#[test]
fn a_directory_of_the_host_is_made_bound_and_kept_read_only_below() {
    let house = House::new();
    let host = house.directory.path().join("host");
    let missing = host.join("missing/deep");
    house.sh(&["-v", &format!("{}:/x", missing.display())], "echo x > /x/f");
    assert!(missing.join("f").exists());
    let bind = |more: &str| format!("type=bind,src={},dst=/x{more}", host.join("other").display());
    let (_, said) = house.fails(&["run", "--rm", "--mount", &bind(""), "bb", "true"]);
    assert!(said.contains("bind source path does not exist"), "{said}");
    house.sh(&["--mount", &bind(",bind-create-src")], "echo y > /x/f");
    assert!(Path::new(&host.join("other/f")).exists());
    // The seed's typo: as in Docker a part of the path, but not without a word.
    let typo = format!("{}:/var/www\u{ff1a}ro", host.display());
    let got = house.run(&["run", "--rm", "-v", &typo, "bb", "sh", "-c", "cd /var/www*; touch written"]);
    assert!(got.status == 0 && got.stderr.contains("full-width colon"), "{got:?}");
    assert!(host.join("written").exists());
}

#[test]
fn what_the_containers_root_writes_belongs_to_the_caller() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    let house = House::new();
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("let others in");
    };
    open(house.directory.path(), 0o755);
    open(&house.engine.socket(), 0o666);
    // Where the tests are built others may not look.
    let binary = house.directory.path().join("client");
    std::fs::copy(crate::binary(), &binary).expect("copy the client");
    let client = || {
        let mut client = Command::new(&binary);
        client
            .arg0("wharf")
            .env("DOCKER_HOST", house.engine.host())
            .env("WHARF_AUTOSTART", "0")
            .env("HOME", "/nonexistent");
        client.uid(1234).gid(2345).stdin(std::process::Stdio::null());
        client
    };
    let host = house.directory.path().join("mine");
    std::fs::create_dir(&host).expect("make a directory");
    for (name, owner) in [("f", 1234), ("roots", 0), ("others", 77)] {
        std::fs::write(host.join(name), "").expect("write a file");
        chown(host.join(name), Some(owner), Some(owner)).expect("give it away");
    }
    chown(&host, Some(1234), Some(2345)).expect("give it away");
    let mount = format!("type=bind,src={},dst=/x,idmap=match-user", host.display());
    let line = "stat -c '%n %u %g' /x /x/f /x/roots /x/others; echo y > /x/new; chown 77:77 /x/f; mkdir /x/d; \
                touch /x/roots 2>/dev/null || echo refused";
    let run = ["run", "--name", "one", "--mount", &mount, "bb", "sh", "-c", line];
    let got = client().args(run).output().expect("run the client");
    let said = String::from_utf8_lossy(&got.stdout);
    assert!(got.status.success(), "{said}{}", String::from_utf8_lossy(&got.stderr));
    assert_eq!(said, "/x 0 0\n/x/f 0 1234\n/x/roots 65534 65534\n/x/others 77 77\nrefused\n");
    let owner = |name: &str| {
        let found = std::fs::metadata(host.join(name)).expect(name);
        (found.uid(), found.gid())
    };
    assert_eq!((owner("new"), owner("d")), ((1234, 2345), (1234, 2345)));
    assert_eq!((owner("f"), owner("roots")), ((77, 77), (0, 0)));
    let kept = "{{range .HostConfig.Mounts}}{{json .BindOptions}}{{end}}";
    assert_eq!(house.inspect("one", kept), r#"{"MatchUser":{"UID":1234,"GID":2345}}"#);
    // Not every file system can.
    let run = ["run", "--rm", "--mount", "type=bind,src=/proc,dst=/x,idmap=match-user", "bb", "true"];
    let got = client().args(run).output().expect("run the client");
    let said = String::from_utf8_lossy(&got.stderr);
    assert!(said.contains("\"/proc\"") && said.contains("id mappings"), "{said}");
}
