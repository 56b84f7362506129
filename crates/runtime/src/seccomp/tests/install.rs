//! Filters in the real kernel. A filter stays for good, so each test runs itself again in a process of its own.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Instant;

use oci::runtime::{Action, Operator};
use rustix::io::Errno;

use super::{DOCKER_CAPABILITIES, rule, seccomp};
use crate::seccomp::{Host, compile, default_profile};

const INSIDE: &str = "SECCOMP_TEST_INSIDE";

/// Runs `body` in a new process: this test binary again, asked for this test alone.
fn in_own_process(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("seccomp::tests::install::{test}"), "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{:?}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn dockers_profile_holds_in_the_kernel() {
    in_own_process("dockers_profile_holds_in_the_kernel", || {
        let resolved = default_profile().resolve(&DOCKER_CAPABILITIES, Host::detect()).unwrap();
        let filter = compile(&resolved).unwrap();
        filter.install().unwrap();
        // Root outside, and still refused.
        let error = rustix::mount::mount("none", "/mnt", "tmpfs", rustix::mount::MountFlags::empty(), None);
        assert_eq!(error.unwrap_err(), Errno::PERM);
        assert_eq!(sys::process::set_personality(0x4).unwrap_err().kind(), ErrorKind::PermissionDenied);
        sys::process::set_personality(0).unwrap();
        // AF_VSOCK is out, its neighbours are not.
        use rustix::net::{AddressFamily, SocketType, socket};
        let open = |family| socket(AddressFamily::from_raw(family), SocketType::STREAM, None);
        assert_eq!(open(40).unwrap_err(), Errno::PERM);
        assert_eq!(open(38).unwrap_err(), Errno::PERM);
        open(1).unwrap();
        assert!(std::fs::read("/proc/self/status").is_ok());
    });
}

#[test]
fn each_rule_has_its_own_error_number() {
    in_own_process("each_rule_has_its_own_error_number", || {
        let rules = vec![
            rule(&["getpriority"], Action::Errno, Some(77), &[(0, Operator::Equal, 0, 0)]),
            rule(&["uname"], Action::Errno, Some(4095), &[]),
            rule(&["personality"], Action::Errno, Some(5), &[(0, Operator::GreaterThan, 6, 0)]),
        ];
        compile(&seccomp(Action::Allow, &[], rules)).unwrap().install().unwrap();
        assert_eq!(rustix::process::getpriority_process(None).unwrap_err().raw_os_error(), 77);
        assert!(rustix::process::getpriority_user(rustix::process::Uid::ROOT).is_ok());
        assert_eq!(sys::process::set_personality(7).unwrap_err().raw_os_error(), Some(5));
    });
}

/// The budget is 130 microseconds; a loaded machine gets ten times that before it is called a defect.
#[test]
fn installing_is_quick() {
    in_own_process("installing_is_quick", || {
        let resolved = default_profile().resolve(&DOCKER_CAPABILITIES, Host::detect()).unwrap();
        let started = Instant::now();
        let filter = compile(&resolved).unwrap();
        let compiled = started.elapsed();
        let best = (0..20)
            .map(|_| {
                let started = Instant::now();
                filter.install().unwrap();
                started.elapsed()
            })
            .min()
            .unwrap();
        assert!(best.as_micros() < 1300, "{best:?}");
        if std::env::var_os("SECCOMP_TEST_REPORT").is_some() {
            panic!(
                "{} instructions, compiled in {compiled:?}, installed in {best:?}",
                filter.program().len() / 8
            );
        }
    });
}
