//! The same tests in a small virtual machine that has cgroup v2 and nothing else.
//!
//! Kernel: Debian's cloud kernel, downloaded with apt and unpacked beside the build, not installed. Root file
//! system: an initramfs of busybox and this test binary. Needs `qemu-system-x86`, `busybox-static` and apt's
//! network once; boots and runs, emulated, in about ten seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

const DEADLINE: Duration = Duration::from_secs(120);
const INSIDE: &str = "CGROUPS_TEST_IN_VM";

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export PATH=/bin CGROUPS_TEST_IN_VM=1 CGROUPS_TEST_REPORT=1 RUST_BACKTRACE=1
cat /proc/version
/tests --nocapture --test-threads=2
echo \"guest: tests exited with $?\"
poweroff -f
";

#[test]
fn the_same_on_a_machine_with_v2_only() {
    if std::env::var_os(INSIDE).is_some() {
        assert_eq!(cgroups::machine().unwrap().layout(), cgroups::Layout::Unified);
        return;
    }
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cgroups-vm");
    fs::create_dir_all(&cache).unwrap();
    let kernel = kernel(&cache);
    let initramfs = cache.join(format!("initramfs-{}", std::process::id()));
    fs::write(&initramfs, image()).unwrap();
    let log = cache.join(format!("console-{}.log", std::process::id()));

    let (ended, console, took) = boot(&kernel, &initramfs, &log);
    let _ = fs::remove_file(&initramfs);
    let _ = fs::remove_file(&log);
    assert!(ended, "the guest did not end within {took:?}; its console:\n{console}");
    assert!(console.contains("guest: tests exited with 0"), "the guest's console:\n{console}");
    if std::env::var_os("CGROUPS_TEST_REPORT").is_some() {
        println!("{console}\nguest ran {took:?}");
    }
}

/// Runs the machine: whether it ended by itself, what its console showed, and how long it took.
fn boot(kernel: &Path, initramfs: &Path, log: &Path) -> (bool, String, Duration) {
    let started = Instant::now();
    let mut machine = Command::new("qemu-system-x86_64")
        // Emulated: the few seconds it takes do not pay for the ways in which a nested KVM can hang.
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "640"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .stdin(Stdio::null())
        .stdout(fs::File::create(log).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("qemu-system-x86_64 (package qemu-system-x86)");
    let pidfd = pidfd_open(Pid::from_child(&machine), PidfdFlags::empty()).unwrap();
    let limit = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) == Ok(1);
    if !ended {
        machine.kill().unwrap();
    }
    machine.wait().unwrap();
    (ended, String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned(), started.elapsed())
}

/// The cloud kernel's image, from the cache or from apt.
fn kernel(cache: &Path) -> PathBuf {
    let unpacked = cache.join("kernel");
    if let Some(image) = find(&unpacked) {
        return image;
    }
    // The metapackage names the version of the day.
    let depends = output(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]));
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .expect("linux-image-cloud-amd64 in apt's lists")
        .to_owned();
    let staging = cache.join(format!("kernel-{}", std::process::id()));
    fs::create_dir_all(&staging).unwrap();
    output(Command::new("apt-get").args(["download", "-qq", &package]).current_dir(&staging));
    let archive = fs::read_dir(&staging).unwrap().next().unwrap().unwrap().path();
    output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(staging.join("root")));
    let image = find(&staging.join("root/boot")).expect("vmlinuz in the package");
    let kept = staging.join("kept");
    fs::create_dir(&kept).unwrap();
    fs::rename(&image, kept.join("vmlinuz")).unwrap();
    // Whoever comes first wins; the second one's copy is the same.
    let _ = fs::rename(&kept, &unpacked);
    fs::remove_dir_all(&staging).unwrap();
    find(&unpacked).unwrap()
}

fn find(directory: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(directory).ok()?.flatten().map(|e| e.path());
    files.find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz")))
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An initramfs: cpio of the kind "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
fn image() -> Vec<u8> {
    const DIRECTORY: u32 = 0o040_755;
    const PROGRAM: u32 = 0o100_755;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| fs::read(path).ok())
        .expect("busybox (package busybox-static)");
    let tests = fs::read(std::env::current_exe().unwrap()).unwrap();
    let mut image = Vec::new();
    for directory in ["bin", "dev", "proc", "sys", "tmp"] {
        entry(&mut image, directory, DIRECTORY, &[]);
    }
    entry(&mut image, "bin/busybox", PROGRAM, &busybox);
    entry(&mut image, "tests", PROGRAM, &tests);
    entry(&mut image, "init", PROGRAM, INIT.as_bytes());
    entry(&mut image, "TRAILER!!!", 0, &[]);
    image
}

fn entry(image: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let inode = image.len() as u32 + 1;
    let fields = [inode, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    image.extend_from_slice(b"070701");
    fields.iter().for_each(|field| image.extend_from_slice(format!("{field:08x}").as_bytes()));
    image.extend_from_slice(name.as_bytes());
    image.push(0);
    image.resize(image.len().next_multiple_of(4), 0);
    image.extend_from_slice(content);
    image.resize(image.len().next_multiple_of(4), 0);
}
