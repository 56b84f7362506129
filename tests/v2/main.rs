//! The whole product on a machine with cgroup v2 and nothing else, and another kernel than this machine's: a small
//! virtual machine runs the built binary through `guest.sh`, from `wharf check` to the last container's removal.
//!
//! The guest says one line per check on its console: `@ok name`, or `@failed name` and what the check did.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::vm::{Initramfs, Kernel, boot, stripped};

const GUEST: &str = include_str!("guest.sh");
/// Checks that stand before a line of it.
const OVER: &str = include_str!("over.sh");
const NFS: &str = include_str!("nfs.sh");
const BEHIND_THESE: &str = "# ---- the engine and its place\n";

/// What a container needs, and what Debian's cloud kernel has as modules.
const MODULES: &[&str] = &[
    "overlay",
    "veth",
    "bridge",
    "nf_tables",
    "nft_ct",
    "nft_chain_nat",
    "nft_fib_inet",
    "nft_masq",
    "nft_nat",
    "loop",
    // criu asks about sockets with these.
    "unix_diag",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "af_packet_diag",
    "netlink_diag",
    "raw_diag",
    "nf_conntrack_netlink",
    "quota_v2",
    "xfs",
    "macvlan",
    "ipvlan",
    "8021q",
    "dummy",
    "nfs",
    "nfsv4",
    "nfsd",
];

/// criu, and what it keeps the files of a tmpfs with. Debian: criu, tar, gzip.
const PROGRAMS: &[&str] = &["criu", "tar", "gzip"];

/// Emulated, and beside all other tests (see `test`); alone it takes some four minutes.
const DEADLINE: Duration = Duration::from_secs(1400);
const MIB: u32 = 1280;

#[test]
fn everything_on_cgroup_v2() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kernel = Kernel::fetch(cache);
    let mut files = Initramfs::with_directories(&["bin", "dev", "disks", "modules", "sys"]);
    files.busybox();
    files.program("bin/wharf", &stripped(Path::new(env!("CARGO_BIN_EXE_wharf")), cache));
    files.linked_programs(PROGRAMS);
    // Disks that can have quotas of projects; what makes them is not in the guest.
    files.program(
        "disks/ext4.gz",
        &disk(cache, "ext4", "mkfs.ext4 -q -O quota,project -E quotatype=prjquota"),
    );
    files.program("disks/xfs.gz", &disk(cache, "xfs", "mkfs.xfs -q --unsupported"));
    let guest = GUEST.replacen(BEHIND_THESE, &format!("{OVER}{NFS}{BEHIND_THESE}"), 1);
    assert_ne!(guest, GUEST, "there is such a line");
    files.program("init", guest.as_bytes());
    let mut order = String::new();
    for module in kernel.modules(MODULES) {
        let name = module.file_name().expect("a module has a name").to_string_lossy().into_owned();
        files.program(&format!("modules/{name}"), &std::fs::read(&module).expect("read a module"));
        order += &format!("{name}\n");
    }
    files.program("modules/order", order.as_bytes());

    let run = boot(&kernel, files, cache, MIB, DEADLINE);
    let said = |line: &str| run.console.lines().any(|l| l.trim_end() == line);
    let checks = guest.lines().filter_map(|line| line.strip_prefix("check_")?.strip_suffix("() {"));
    let not_ok: Vec<&str> = checks.filter(|name| !said(&format!("@ok check_{name}"))).collect();
    assert!(not_ok.is_empty(), "not ok: {not_ok:?}; the guest's console:\n{}", run.console);
    assert!(run.ended && said("@end"), "no end after {:?}; the console:\n{}", run.took, run.console);
}

/// A small file system, compressed.
fn disk(scratch: &Path, name: &str, make: &str) -> Vec<u8> {
    let path = scratch.join(format!("{name}-{}.disk", std::process::id()));
    File::create(&path).and_then(|file| file.set_len(96 << 20)).expect("make a disk");
    let mut words = make.split(' ');
    let made = Command::new(words.next().expect("a program")).args(words).arg(&path).status();
    assert!(made.expect("run mkfs").success(), "{make}");
    let packed = Command::new("gzip").arg("-c").arg(&path).output().expect("run gzip");
    std::fs::remove_file(&path).expect("remove the disk");
    packed.stdout
}
