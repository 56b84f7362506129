//! The whole check on this machine. Needs root.

use check::Status;

#[test]
fn this_machine_is_fit_and_nothing_is_left_behind() {
    let links = || std::fs::read_to_string("/proc/net/dev").unwrap().contains("docker0");
    let had_bridge = links();
    let report = check::report();
    assert!(report.is_fit(), "{report}");
    for name in ["kernel", "network", "hierarchy", "nftables", "bridge", "seccomp", "pidfd", "openat2"] {
        let finding = report.findings.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(finding.status, Status::Ok, "{finding:?}");
    }
    assert!(report.findings.iter().all(|f| f.status != Status::Missing || f.remedy.is_some()));
    assert_eq!(links(), had_bridge);
}
