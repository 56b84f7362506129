//! The same tests in a small virtual machine that has cgroup v2 and nothing else. Boots and runs, emulated, in about
//! ten seconds.

use std::path::Path;
use std::time::Duration;

use testkit::vm::{Initramfs, Kernel, boot, stripped};

const DEADLINE: Duration = Duration::from_secs(240);
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
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kernel = Kernel::fetch(cache);
    let mut files = Initramfs::with_directories(&["bin", "dev", "proc", "sys", "tmp"]);
    files.busybox();
    files.program("tests", &stripped(&std::env::current_exe().unwrap(), cache));
    files.program("init", INIT.as_bytes());

    let run = boot(&kernel, files, cache, 640, DEADLINE);
    let console = &run.console;
    assert!(run.ended, "the guest did not end within {:?}; its console:\n{console}", run.took);
    assert!(console.contains("guest: tests exited with 0"), "the guest's console:\n{console}");
    if std::env::var_os("CGROUPS_TEST_REPORT").is_some() {
        println!("{console}\nguest ran {:?}", run.took);
    }
}
