//! A full disk, at every step: told with the path, nothing half-made, and well again once there is space.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::neighbours::prepared;
use super::{BINARY, Private, names, until};

/// An engine whose data root is a file system of its own, of 24 MiB.
pub(super) struct Small {
    pub(super) private: Private,
    /// The data root, through the engine's mount namespace.
    pub(super) disk: PathBuf,
    _place: tempfile::TempDir,
}

impl Small {
    pub(super) fn start() -> Self {
        let place = testkit::directory();
        let script = format!(
            "E=$WHARF_TEST_DIRECTORY/data; mkdir -p $E; mount -t tmpfs -o size=24m none $E; exec {BINARY} \"$@\" --log-opt max-size=100m"
        );
        let private = Private::with_binary(&prepared(place.path(), &script));
        let root = format!("/proc/{}/root{}", private.engine.pid().unwrap(), private.data().display());
        let small = Self { private, disk: root.into(), _place: place };
        assert_eq!(small.images()[1].len(), 1, "the disk is where it was put");
        small
    }

    fn images(&self) -> [std::collections::BTreeSet<String>; 4] {
        ["content/blobs/sha256", "snapshots/overlay/layers", "content/ingest", "snapshots/overlay/tmp"]
            .map(|place| names(&self.disk.join(place)))
    }

    fn containers(&self) -> [std::collections::BTreeSet<String>; 2] {
        ["containers", "snapshots/overlay/containers"].map(|place| names(&self.disk.join(place)))
    }

    /// Not a byte more fits.
    fn fill(&self) -> Filled {
        fill_but(&self.disk, 0)
    }

    /// It fails for want of space, and says where.
    #[track_caller]
    fn no_space(&self, args: &[&str]) {
        let output = self.private.engine.wharf(args);
        assert_ne!(output.status, 0, "{args:?}: {output:?}");
        // As Go's programs say it.
        assert!(!output.stderr.contains("os error"), "{args:?}: {output:?}");
        let error = output.stderr.to_lowercase();
        assert!(
            error.contains("no space left on device") || error.contains("disk is full"),
            "{args:?}: {error}"
        );
        // Of the file that could not be written: on the disk, or by its name in the archive.
        let data = self.private.data().display().to_string().to_lowercase();
        assert!(error.contains(&data) || error.contains("write \"big"), "no path: {error}");
    }
}

/// So much more fits on it.
pub(super) fn fill_but(disk: &Path, free: u64) -> Filled {
    let path = disk.join("fill");
    let mut file = File::create(&path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(free)).unwrap();
    Filled(path)
}

/// Space again when it is dropped.
pub(super) struct Filled(PathBuf);

impl Drop for Filled {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn pack(directory: &Path, flags: &str, name: &str) -> String {
    let tar = directory.join(name).display().to_string();
    let mut made = Command::new("tar");
    made.arg("-C").arg(directory).args(["--sparse", flags, &tar, "big"]);
    assert!(made.status().unwrap().success());
    tar
}

#[test]
fn images_that_do_not_fit() {
    let small = Small::start();
    let private = &small.private;
    let before = small.images();
    let big = private.directory.path().join("big");
    File::create(&big).unwrap().set_len(64 << 20).unwrap();
    let plain = private.directory.path().join("plain.tar").display().to_string();
    let made =
        Command::new("tar").arg("-C").arg(private.directory.path()).args(["-cf", &plain, "big"]).status();
    assert!(made.unwrap().success());
    // As it is; small until it is unpacked; and a hole of 64 GiB, which costs nothing to say.
    File::options().write(true).open(&big).unwrap().set_len(64 << 20).unwrap();
    let packed = private.directory.path().join("packed.tar.gz").display().to_string();
    let made =
        Command::new("tar").arg("-C").arg(private.directory.path()).args(["-czf", &packed, "big"]).status();
    assert!(made.unwrap().success());
    for tar in [&plain, &packed] {
        small.no_space(&["import", tar, "big:latest"]);
        assert_eq!(small.images(), before, "{tar} left something");
    }
    // Many entries instead of large ones: the file system has an end, too.
    let many = private.directory.path().join("big.many");
    std::fs::create_dir(&many).unwrap();
    std::fs::remove_file(&big).unwrap();
    std::fs::create_dir(&big).unwrap();
    for number in 0..8000 {
        std::fs::write(big.join(number.to_string()), [1; 4096]).unwrap();
    }
    let many = pack(private.directory.path(), "-czf", "many.tar.gz");
    small.no_space(&["import", &many, "big:latest"]);
    assert_eq!(small.images(), before, "many entries left something");

    // A load, of the same image in both forms.
    let whole = Private::start();
    whole.ok(&["import", &packed, "big:latest"]);
    let saved = private.directory.path().join("saved.tar").display().to_string();
    whole.ok(&["save", "-o", &saved, "big:latest"]);
    small.no_space(&["load", "-i", &saved]);
    assert_eq!(small.images(), before, "a load left something");
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
    assert_eq!(private.ok(&["images", "-q", "big"]), "");
}

#[test]
fn containers_on_a_full_disk() {
    let small = Small::start();
    let private = &small.private;
    let share = private.share();
    let volume = format!("{}:/x", share.display());
    private.ok(&[
        "run",
        "-d",
        "--name",
        "runs",
        "-v",
        &volume,
        "bb",
        "sh",
        "-c",
        "until [ -e /x/say ]; do sleep 0.05; done; yes | head -c 1000000; touch /x/said; sleep 1000",
    ]);
    private.ok(&["create", "--name", "made", "bb", "echo", "fine"]);
    let before = small.containers();
    let filled = small.fill();

    small.no_space(&["create", "--name", "web", "bb", "true"]);
    small.no_space(&["run", "--rm", "--name", "web", "bb", "true"]);
    assert_eq!(small.containers(), before);
    assert!(!private.exists("web"));
    // A start writes files, too; what it did not write it takes back.
    small.no_space(&["start", "made"]);
    assert_eq!(private.status("made"), "created");
    // What runs goes on: its output is lost and it is not held up; it can be looked into and it can write elsewhere.
    std::fs::write(share.join("say"), "").unwrap();
    until("it has said it all", || share.join("said").exists());
    assert_eq!(private.status("runs"), "running");
    assert_eq!(private.ok(&["exec", "runs", "sh", "-c", "echo in | tee /dev/shm/f"]), "in");
    let output =
        private.engine.wharf(&["exec", "runs", "sh", "-c", "dd if=/dev/zero of=/full bs=64k count=4"]);
    assert_ne!(output.status, 0, "{output:?}");
    assert!(output.stderr.contains("No space left on device"), "{output:?}");
    private.ok(&["logs", "runs"]);
    private.ok(&["ps", "-a"]);
    private.ok(&["inspect", "runs"]);
    // Stopping and removing is the way out.
    private.ok(&["stop", "-t", "0", "runs"]);
    let state = private.ok(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "runs"]);
    assert_eq!(state, "exited 137");
    private.ok(&["rm", "runs"]);
    drop(filled);

    assert_eq!(private.ok(&["start", "-a", "made"]), "fine");
    private.ok(&["rm", "made"]);
    assert_eq!(private.ok(&["run", "--rm", "--name", "web", "bb", "echo", "fine"]), "fine");
    assert!(small.containers().iter().all(|left| left.is_empty()), "{:?}", small.containers());
}

#[test]
fn a_log_that_fills_the_disk_stops_nobody() {
    let small = Small::start();
    let private = &small.private;
    let share = private.share();
    let volume = format!("{}:/x", share.display());
    let script = "yes | head -c 30000000; echo last; touch /x/done; sleep 1000";
    private.ok(&["run", "-d", "--name", "loud", "-v", &volume, "bb", "sh", "-c", script]);
    until("it goes on", || share.join("done").exists());
    assert_eq!(private.status("loud"), "running");
    // Whole records only.
    let logged = private.ok(&["logs", "--tail", "100", "loud"]);
    assert!(logged.lines().all(|line| line == "y" || line == "last"), "{logged}");
    // With space again, it logs again.
    let log = small.disk.join("containers").join(private.ok(&["inspect", "-f", "{{.Id}}", "loud"]));
    let log = log.join(format!("{}-json.log", log.file_name().unwrap().display()));
    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    private.ok(&["kill", "loud"]);
    until("it has ended", || private.status("loud") == "exited");
    let error = private.ok(&["inspect", "-f", "{{.State.Error}}", "loud"]);
    assert!(error.ends_with("no space left on device") && error.contains("-json.log"), "{error}");
    private.ok(&["rm", "loud"]);
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
}

/// Who sits in front sees all of the output, that the disk is full, and the status of the process.
#[test]
fn a_full_disk_is_told_in_front_and_changes_no_status() {
    let small = Small::start();
    let engine = &small.private.engine;
    let script = "yes | head -c 1000000; exit 7";
    let check = |output: testkit::Output| {
        assert_eq!((output.status, output.stdout.len()), (7, 1_000_000), "{}", output.stderr);
        let lines: Vec<_> = output.stderr.lines().collect();
        let [line] = lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("WARNING: write log: ") && line.contains("-json.log"), "{line}");
        assert!(line.ends_with("no space left on device"), "{line}");
    };
    check(engine.wharf(&["run", "--name", "front", "bb", "sh", "-c", script]));
    small.private.ok(&["rm", "front"]);
    check(engine.wharf(&["run", "--rm", "bb", "sh", "-c", script]));
    small.private.ok(&["create", "--name", "front", "bb", "sh", "-c", script]);
    check(engine.wharf(&["start", "-a", "front"]));
}

#[test]
fn an_engine_that_starts_on_a_full_disk_says_so_or_serves() {
    let place = testkit::directory();
    // A file system that outlives its engine: mounted by the first, kept by the process that this script leaves.
    let image = place.path().join("disk");
    File::create(&image).unwrap().set_len(48 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status().expect("run mkfs.ext4");
    assert!(made.success());
    let mounted = place.path().join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    let script = format!(
        "mount -o loop {} {}; exec {BINARY} \"$@\" --data-root {}/data",
        image.display(),
        mounted.display(),
        mounted.display()
    );
    let mut private = Private::with_binary(&prepared(place.path(), &script));
    private.ok(&["create", "--name", "cc", "bb", "echo", "fine"]);
    let inside = |private: &Private| {
        PathBuf::from(format!("/proc/{}/root{}", private.engine.pid().unwrap(), mounted.display()))
    };
    let mut file = File::create(inside(&private).join("fill")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    private.engine.kill();
    private.engine.run();
    assert_eq!(private.status("cc"), "created");
    let output = private.engine.wharf(&["create", "--name", "web", "bb", "true"]);
    assert_ne!(output.status, 0, "{output:?}");
    std::fs::remove_file(inside(&private).join("fill")).unwrap();
    assert_eq!(private.ok(&["start", "-a", "cc"]), "fine");
    private.ok(&["rm", "cc"]);
}

/// Little to send, and more than any disk holds: it ends with the disk, in little memory, and leaves nothing.
#[test]
fn bombs_cost_neither_memory_nor_the_disk() {
    const ZEROS_BYTES: usize = 64 << 20;
    let small = Small::start();
    let private = &small.private;
    let before = small.images();
    let engine = private.engine.pid().unwrap();
    let packed = |program: &str, args: &[&str], bytes: &[u8]| {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
        let feeding = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap().unwrap();
        output.stdout
    };
    // A file of almost 8 GiB, as large as a plain header can say.
    let mut header = [0_u8; 512];
    header[..3].copy_from_slice(b"big");
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(b"77777777777\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let zeros = vec![0; ZEROS_BYTES];
    for (program, args) in [("gzip", &["-c"][..]), ("zstd", &["-c", "-q"]), ("xz", &["-c", "-0"])] {
        // One part after the other is one stream to each of them.
        let bomb = [packed(program, args, &header), packed(program, args, &zeros).repeat(128)].concat();
        assert!(bomb.len() < 20 << 20, "{program}: {}", bomb.len());
        let path = private.directory.path().join("bomb.tar").display().to_string();
        std::fs::write(&path, bomb).unwrap();
        for words in [&["import", &path, "big:latest"][..], &["load", "-i", &path]] {
            small.no_space(words);
            assert_eq!(small.images(), before, "{program} left something of {words:?}");
        }
    }
    // What only claims to need much: a window of 2 GiB.
    let greedy =
        packed("zstd", &["-c", "-q", "--ultra", "--long=31"], &[header.to_vec(), vec![0; 4096]].concat());
    let path = private.directory.path().join("greedy.tar").display().to_string();
    std::fs::write(&path, greedy).unwrap();
    let refused = private.engine.wharf(&["import", &path, "big:latest"]);
    assert!(refused.status == 1 && refused.stderr.contains("too much memory"), "{refused:?}");
    assert_eq!(small.images(), before);
    let peak = super::hostile::peak_kib(engine);
    assert!(peak < 128 << 10, "the engine had {peak} KiB");
    assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
}
