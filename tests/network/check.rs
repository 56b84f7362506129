//! `wharf check` at the front door.

use testkit::Output;

use crate::land::{BINARY, Land};

#[test]
fn a_fit_machine() {
    let land = Land::new();
    let got = land.run(&format!("{BINARY} check"));
    assert_eq!(got.status, 0, "{got:?}");
    assert!(got.stdout.contains("This machine is fit"), "{got:?}");
    let got = land.run(&format!("{BINARY} check --format json"));
    let report: serde_json::Value = serde_json::from_str(&got.stdout).unwrap();
    assert_eq!(report["fit"], true);
    assert_eq!(
        land.sh("ip -o link | grep -vc 'lo:\\|NOARP'; nft list ruleset; true"),
        "0",
        "it leaves nothing"
    );
    if std::path::Path::new("/proc/sys/net/bridge").exists() {
        let switch = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
        let shown = land.run(&format!("echo 1 > {switch}; {BINARY} check")).stdout;
        assert!(shown.contains("wants net.bridge.bridge-nf-call-ip6tables=0"), "{shown}");
        let shown = land.run(&format!("echo 0 > {switch}; {BINARY} check")).stdout;
        assert!(shown.lines().any(|line| line.trim_end().ends_with("br_netfilter    loaded")), "{shown}");
    }
    let refused = Output::of(std::process::Command::new(BINARY).args(["check", "--nosuch"]));
    assert_eq!((refused.status, refused.stderr.lines().next()), (125, Some("unknown argument: --nosuch")));
}

#[test]
fn what_is_fatal_says_so_by_its_status() {
    let line = format!("umount -l -R /sys/fs/cgroup && exec {BINARY} check");
    let got = Output::of(std::process::Command::new("unshare").args(["-m", "sh", "-c", &line]));
    assert_eq!(got.status, 1, "{got:?}");
    assert!(got.stdout.contains("  FATAL    hierarchy "), "{got:?}");
    assert!(got.stdout.contains("This machine is not fit"), "{got:?}");
}

#[test]
fn other_firewalls_are_told_with_what_to_do() {
    let land = Land::new();
    land.sh("iptables -P FORWARD DROP");
    let got = land.run(&format!("{BINARY} check"));
    assert!(got.stdout.contains("iptables' FORWARD drops by policy; the engine adds rules"), "{got:?}");
    land.sh("nft 'add table inet f; add chain inet f through { type filter hook forward priority 0; policy drop; }'");
    let got = land.run(&format!("{BINARY} check"));
    assert_eq!(got.status, 0, "{got:?}");
    assert!(got.stdout.contains("inet f through drops by policy"), "{got:?}");
    assert!(got.stdout.contains("nft add rule inet f through iifname \"docker0\" accept"), "{got:?}");
}
