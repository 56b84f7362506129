//! A small virtual machine with another kernel than this machine's: Debian's cloud kernel, cgroup v2 and nothing else.
//!
//! Kernel and modules are downloaded with apt and unpacked beside the build, never installed. The machine's files
//! are one initramfs, its only device is a serial console, and it is emulated: a few seconds more do not pay for the
//! ways in which a nested KVM can hang. Needs `qemu-system-x86`, and apt's network once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Debian's kernel for virtual machines; this one names the version of the day.
const METAPACKAGE: &str = "linux-image-cloud-amd64";

/// An unpacked kernel package.
#[derive(Debug)]
pub struct Kernel {
    root: PathBuf,
}

impl Kernel {
    /// The kernel below `cache` (`CARGO_TARGET_TMPDIR`, which all tests of a build share), or from apt.
    ///
    /// # Panics
    /// When apt has none.
    pub fn fetch(cache: &Path) -> Self {
        let root = cache.join("vm-kernel");
        if root.join("boot").is_dir() {
            return Self { root };
        }
        let staging = cache.join(format!("vm-kernel-{}", std::process::id()));
        fs::create_dir_all(&staging).expect("make the kernel's directory");
        let package = package_of_the_day();
        output(Command::new("apt-get").args(["download", "-qq", &package]).current_dir(&staging));
        let archive = fs::read_dir(&staging)
            .expect("list the download")
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .expect("a package was downloaded");
        output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(staging.join("root")));
        // Whoever comes first wins; the second one's copy is the same.
        let _ = fs::rename(staging.join("root"), &root);
        fs::remove_dir_all(&staging).expect("remove the download");
        Self { root }
    }

    /// What the boot loader loads.
    ///
    /// # Panics
    /// When the package has none.
    pub fn image(&self) -> PathBuf {
        let files = fs::read_dir(self.root.join("boot")).expect("the package has /boot");
        files
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
            .expect("the package has a kernel")
    }

    /// The files of modules and of all that they need, in the order in which they can be inserted.
    ///
    /// # Panics
    /// When the kernel has no such module.
    pub fn modules(&self, names: &[&str]) -> Vec<PathBuf> {
        let mut known = Vec::new();
        walk(&self.root.join("lib/modules"), &mut known);
        let mut wanted = Vec::new();
        names.iter().for_each(|name| add_module(name, &known, &mut wanted));
        wanted
    }
}

fn package_of_the_day() -> String {
    let ask = || output(Command::new("apt-cache").args(["depends", METAPACKAGE]));
    let find = |depends: &str| {
        depends.lines().find_map(|line| line.trim().strip_prefix("Depends: ").map(str::to_owned))
    };
    // Fresh machines come without lists.
    find(&ask())
        .or_else(|| {
            output(Command::new("apt-get").args(["update", "-q"]));
            find(&ask())
        })
        .expect("apt knows linux-image-cloud-amd64")
}

/// `a-b.ko` and `a_b.ko` are the same module.
fn module_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_")
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), files),
            _ => files.push(entry.path()),
        }
    }
}

/// Depth first; what a module needs stands in its section `.modinfo`, as `depends=a,b` between zeros.
fn add_module(name: &str, known: &[PathBuf], wanted: &mut Vec<PathBuf>) {
    let path = known
        .iter()
        .find(|path| path.extension().is_some_and(|e| e == "ko") && module_name(path) == name)
        .unwrap_or_else(|| panic!("the kernel has no module {name}"));
    if wanted.contains(path) {
        return;
    }
    let content = fs::read(path).expect("read a module");
    let key = b"\0depends=";
    let at = content.windows(key.len()).position(|window| window == key).expect("a module has .modinfo");
    let value = &content[at + key.len()..];
    let value = &value[..value.iter().position(|byte| *byte == 0).expect("texts end with a zero")];
    let needs = String::from_utf8_lossy(value).into_owned();
    needs.split(',').filter(|name| !name.is_empty()).for_each(|name| add_module(name, known, wanted));
    wanted.push(path.clone());
}

/// The files of the machine: cpio of the kind "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Debug, Default)]
pub struct Initramfs {
    image: Vec<u8>,
}

impl Initramfs {
    /// With a directory for each of `names`.
    #[must_use]
    pub fn with_directories(names: &[&str]) -> Self {
        let mut files = Self::default();
        names.iter().for_each(|name| files.entry(name, 0o040_755, &[]));
        files
    }

    /// A program at `name`, without a leading slash; its directory must be there.
    pub fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, 0o100_755, content);
    }

    /// This machine's static busybox, as `bin/busybox`.
    ///
    /// # Panics
    /// When it is not installed (Debian: busybox-static).
    pub fn busybox(&mut self) {
        let content = ["/bin/busybox", "/usr/bin/busybox"].iter().find_map(|path| fs::read(path).ok());
        self.program("bin/busybox", &content.expect("busybox (Debian: busybox-static)"));
    }

    /// Programs of this machine's as `bin/<name>`, with the libraries that they are linked with, where those are here.
    ///
    /// # Panics
    /// When one is not installed.
    pub fn linked_programs(&mut self, names: &[&str]) {
        let mut libraries = std::collections::BTreeSet::new();
        for name in names {
            let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|place| Path::new(place).join(name));
            let path = places
                .into_iter()
                .find(|path| path.is_file())
                .unwrap_or_else(|| panic!("{name} is installed"));
            self.program(&format!("bin/{name}"), &fs::read(&path).expect("read a program"));
            let table = output(Command::new("ldd").arg(&path));
            let is_path = |word: &&str| word.starts_with('/');
            libraries.extend(
                table.lines().filter_map(|line| line.split_whitespace().find(is_path)).map(str::to_owned),
            );
        }
        let mut directories = std::collections::BTreeSet::new();
        for library in &libraries {
            let above = Path::new(library).ancestors().skip(1).map(Path::to_path_buf);
            directories.extend(above.filter(|path| path.as_os_str() != "/"));
        }
        // Outer ones first, as a sorted set has them.
        for directory in directories {
            self.entry(directory.to_string_lossy().trim_start_matches('/'), 0o040_755, &[]);
        }
        for library in libraries {
            self.program(library.trim_start_matches('/'), &fs::read(&library).expect("read a library"));
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let image = &mut self.image;
        let number = |n: usize| u32::try_from(n).expect("an initramfs of less than 4 GiB");
        let inode = number(image.len()) + 1;
        let fields = [inode, mode, 0, 0, 1, 0, number(content.len()), 0, 0, 0, 0, number(name.len()) + 1, 0];
        image.extend_from_slice(b"070701");
        fields.iter().for_each(|field| image.extend_from_slice(format!("{field:08x}").as_bytes()));
        image.extend_from_slice(name.as_bytes());
        image.push(0);
        image.resize(image.len().next_multiple_of(4), 0);
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(4), 0);
    }
}

/// How a machine's run went.
#[derive(Debug)]
pub struct Run {
    /// Whether it ended by itself.
    pub ended: bool,
    /// All that its console showed.
    pub console: String,
    pub took: Duration,
}

/// Boots `kernel` with `files`, and waits until it powers off or `deadline` is over. Its scratch files are below
/// `directory`.
///
/// # Panics
/// When qemu cannot be started.
pub fn boot(kernel: &Kernel, mut files: Initramfs, directory: &Path, mib: u32, deadline: Duration) -> Run {
    files.entry("TRAILER!!!", 0, &[]);
    let scratch = Scratch(directory.join(format!("vm-{}", std::process::id())));
    fs::create_dir_all(&scratch.0).expect("make the machine's directory");
    let (initramfs, log) = (scratch.0.join("initramfs"), scratch.0.join("console"));
    fs::write(&initramfs, &files.image).expect("write the initramfs");
    let started = Instant::now();
    let mut machine = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", &mib.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"])
        .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(&initramfs)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log).expect("make the console's file"))
        .stderr(Stdio::inherit())
        .spawn()
        .expect("qemu-system-x86_64 (Debian: qemu-system-x86)");
    let pidfd = pidfd_open(Pid::from_child(&machine), PidfdFlags::empty()).expect("watch the machine");
    let limit = Timespec { tv_sec: deadline.as_secs().cast_signed(), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) == Ok(1);
    if !ended {
        machine.kill().expect("end the machine");
    }
    machine.wait().expect("wait for the machine");
    let console = String::from_utf8_lossy(&fs::read(log).expect("read the console")).into_owned();
    Run { ended, console, took: started.elapsed() }
}

/// A directory that goes when a test fails, too.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program without its symbols, which would be most of an initramfs. `scratch` is a directory for a moment.
///
/// # Panics
/// When objcopy(1) fails (Debian: binutils).
pub fn stripped(program: &Path, scratch: &Path) -> Vec<u8> {
    let name = program.file_name().expect("a program has a name").to_string_lossy().into_owned();
    let copy = scratch.join(format!("vm-{name}-{}", std::process::id()));
    output(Command::new("objcopy").arg("--strip-all").arg(program).arg(&copy));
    let content = fs::read(&copy).expect("read the stripped program");
    fs::remove_file(&copy).expect("remove the stripped program");
    content
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
