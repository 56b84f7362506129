//! What somebody takes away is put back, and the administrator's own rules stay.

use std::time::{Duration, Instant};

use crate::land::{Home, linked};

fn server(home: &Home, name: &str) {
    home.ok(&["exec", "-d", name, "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    let at = format!("{}:80", home.address(name));
    crate::until("the server listens", || home.host.hear(&at) == "hello");
}

fn repairs(home: &Home) -> Vec<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let words = ["events", "--since", "1", "--until", &now, "--filter", "type=daemon"];
    let more = ["--filter", "event=repair", "--format", "{{.Actor.Attributes.what}}"];
    home.ok(&[&words[..], &more].concat()).lines().map(str::to_owned).collect()
}

const TABLE: &str = "nft list table inet wharf";

#[test]
fn within_a_second_it_is_whole_again() {
    let (host, world) = linked();
    host.sh("iptables -P FORWARD DROP");
    let home = Home::with(host, &[]);
    home.ok(&["network", "create", "na"]);
    home.ok(&["run", "-d", "--name", "ca", "-p", "8080:80", "bb", "sleep", "1000"]);
    server(&home, "ca");
    let whole = home.host.sh(TABLE);
    let shared = home.host.sh("iptables -S FORWARD");
    let mut known = repairs(&home).len();
    for (line, what) in [
        ("nft flush ruleset; iptables -P FORWARD DROP", "replace firewall table inet wharf for docker0, br-"),
        ("nft delete table inet wharf", "replace firewall table"),
        ("nft flush table inet wharf", "replace firewall table"),
        ("nft flush chain inet wharf prerouting", "replace firewall table"),
        ("nft insert rule inet wharf forward accept", "replace firewall table"),
        // As many as before.
        (
            "h=$(nft -a list chain inet wharf forward | sed -n 's/.*drop # handle //p' | tail -n 1); \
             nft replace rule inet wharf forward handle $h accept",
            "replace firewall table",
        ),
        ("nft flush set inet wharf bridges", "replace firewall table"),
        (
            "nft 'delete element inet wharf bridges { docker0 }; add element inet wharf bridges { docker1 }'",
            "replace firewall table",
        ),
        ("nft flush map inet wharf moved_ports", "replace firewall table"),
        ("nft 'add chain inet wharf forward { policy accept; }'", "which drops what others forward"),
        ("iptables -F", "in ip filter FORWARD: accept what comes from and goes to docker0"),
        // As ufw reloads.
        (
            "printf '*filter\\n:INPUT ACCEPT\\n:FORWARD DROP\\n:OUTPUT ACCEPT\\nCOMMIT\\n' | iptables-restore",
            "in ip filter FORWARD: accept what comes from and goes to docker0",
        ),
    ] {
        let begun = Instant::now();
        home.host.sh(line);
        crate::until(line, || {
            home.host.run(TABLE).stdout.trim_end() == whole && home.host.sh("iptables -S FORWARD") == shared
        });
        assert!(begun.elapsed() < Duration::from_secs(2), "{line}: {:?}, looking included", begun.elapsed());
        crate::until("it is told", || repairs(&home).len() > known);
        let told = repairs(&home);
        assert!(told[known..].iter().any(|told| told.contains(what)), "{line}: {told:?}");
        known = told.len();
        crate::until("the world hears it", || world.hear("10.99.0.1:8080") == "hello");
    }
}

/// How often the thread that watches has gone to sleep.
fn sleeps(home: &Home) -> u64 {
    let tasks = format!("/proc/{}/task", home.engine.pid().unwrap());
    for task in std::fs::read_dir(tasks).unwrap().flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        if status.contains("Name:\twharf-network\n") {
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            return line.unwrap().trim().parse().unwrap();
        }
    }
    panic!("nobody watches");
}

#[test]
fn what_others_do_is_no_news_and_nobody_is_fought_for_ever() {
    let (host, _world) = linked();
    let home = Home::with(host, &[]);
    home.sleeper("ca");
    home.ok(&["run", "-d", "--name", "cb", "-p", "8080:80", "bb", "sleep", "1000"]);
    home.ok(&["rm", "-f", "cb"]);
    home.host.sh("for n in $(seq 50); do nft add table inet other$n; nft delete table inet other$n; done");
    let before = sleeps(&home);
    std::thread::sleep(Duration::from_millis(700));
    assert!(sleeps(&home) <= before + 2, "it sleeps");
    assert_eq!(repairs(&home), [""; 0]);

    let begun = Instant::now();
    home.host.sh("for n in $(seq 200); do nft flush ruleset; done");
    let lasted = begun.elapsed();
    crate::until("it is whole in the end", || home.host.run(TABLE).stdout.contains("docker0"));
    let most = 6 + usize::try_from(lasted.as_millis() / 640).unwrap() + 2;
    crate::until("it is told", || !repairs(&home).is_empty());
    let told = repairs(&home).len();
    assert!(told <= most, "{told} repairs in {lasted:?}");
}

#[test]
fn the_administrator_s_rules_come_first_and_stay() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    home.ok(&["run", "-d", "--name", "ca", "-p", "8080:80", "-p", "8081:80", "bb", "sleep", "1000"]);
    server(&home, "ca");
    let heard = |port: u16| world.hear(&format!("10.99.0.1:{port}")) == "hello";
    crate::until("the world hears both", || heard(8080) && heard(8081));
    home.host.sh(
        "nft add rule inet wharf admin meta l4proto tcp ct original proto-dst 8080 counter drop comment mine",
    );
    home.host.sh("nft 'add rule inet wharf admin iifname @bridges tcp dport { 25, 465 } drop'");
    home.host.sh("nft 'add set inet wharf bad { type ipv4_addr; elements = { 192.0.2.1 } }'");
    home.host.sh("nft add rule inet wharf admin ip saddr @bad drop");
    let rules = |home: &Home| {
        let listed = home.host.run("nft list chain inet wharf admin; nft list set inet wharf bad").stdout;
        listed
            .split("counter packets")
            .map(|part| part.split(" drop ").last().unwrap_or_default())
            .collect::<String>()
    };
    let all = rules(&home);
    assert!(all.contains("mine") && all.contains("465") && all.contains("192.0.2.1"), "{all}");
    assert!(!heard(8080) && heard(8081));

    // Rules of ours are put back around them, also by the next engine.
    home.host.sh("nft flush chain inet wharf forward");
    crate::until("it is back", || home.host.sh("nft list chain inet wharf forward").contains("jump admin"));
    assert_eq!(rules(&home), all);
    home.restart(&[]);
    home.ok(&["network", "create", "na"]);
    home.ok(&["run", "--rm", "--network", "na", "-p", "8082:80", "bb", "true"]);
    assert_eq!(rules(&home), all);
    assert!(!heard(8080) && heard(8081));

    // With the whole table goes what names a set; the rest is remembered.
    home.host.sh("nft flush ruleset");
    crate::until("it is told", || {
        repairs(&home)
            .iter()
            .any(|told| told.starts_with("2 rules of the administrator's in chain admin went"))
    });
    assert!(home.host.sh("nft list chain inet wharf admin").contains("drop comment \"mine\""));
    assert!(!heard(8080) && heard(8081));
    home.host.sh("nft flush chain inet wharf admin");
    crate::until("what the administrator removes is not put back", || heard(8080));
    home.restart(&[]);
    home.host.sh("nft flush ruleset");
    crate::until("it is back", || heard(8081));
    crate::until("as it was", || heard(8080));
}

#[test]
fn a_table_of_one_s_own_wins_too() {
    let (host, world) = linked();
    let home = Home::with(host, &[]);
    home.ok(&["run", "-d", "--name", "ca", "-p", "8080:80", "bb", "sleep", "1000"]);
    server(&home, "ca");
    crate::until("the world hears it", || world.hear("10.99.0.1:8080") == "hello");
    home.host.sh(
        "nft 'add table inet mine; add chain inet mine forward { type filter hook forward priority filter - 10; }; \
         add rule inet mine forward meta l4proto tcp ct original proto-dst 8080 drop'",
    );
    assert_eq!(world.hear("10.99.0.1:8080"), "");
}

/// Names of the ports of a bridge.
fn bridge_ports(home: &Home, bridge: &str) -> Vec<String> {
    let all = home.host.sh(&format!("ip -o link show master {bridge}"));
    all.lines().filter_map(|line| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned())).collect()
}

#[test]
fn an_interface_that_is_removed_comes_back_as_it_was() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    home.ok(&["network", "create", "--ipv6", "--subnet", "172.30.0.0/24", "--subnet", "fd30::/64", "both"]);
    home.ok(&["network", "create", "--subnet", "172.31.0.0/24", "more"]);
    home.ok(&["run", "-d", "--name", "ca", "-p", "8080:80", "bb", "sleep", "1000"]);
    let sysctls = "name=both,ip=172.30.0.9,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    home.ok(&["run", "-d", "--name", "cb", "--network", sysctls, "--network", "more", "bb", "sleep", "1000"]);
    home.ok(&["run", "-d", "--name", "cc", "--network", "both", "bb", "sleep", "1000"]);
    server(&home, "ca");
    crate::until("the world hears it", || world.hear("10.99.0.1:8080") == "hello");
    let state = |home: &Home, name: &str| {
        let shown = home.inspect(name, "{{json .NetworkSettings.Networks}}");
        let line = "ip -o addr | cut -d' ' -f2-; cat /sys/class/net/*/address; ip route; ip -6 route";
        let inside = home.ok(&["exec", name, "sh", "-c", line]);
        let lines = inside.lines().filter(|line| !line.contains("fe80")).map(str::to_owned);
        let mut lines: Vec<_> = lines.collect();
        // The kernel shows what is older first.
        lines.sort_unstable();
        (shown, lines)
    };
    let pid = home.inspect("ca", "{{.State.Pid}}");
    let mut known = repairs(&home).len();
    for (name, bridge) in
        [("ca", "docker0".to_owned()), ("cb", bridge_of(&home, "both")), ("cb", bridge_of(&home, "more"))]
    {
        let before = state(&home, name);
        let ports = bridge_ports(&home, &bridge);
        let line: String = ports.iter().map(|port| format!("ip link del {port};")).collect();
        let begun = Instant::now();
        home.host.sh(&line);
        crate::until_as("it is back as it was", &before, || state(&home, name));
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}, looking included", begun.elapsed());
        let of = format!(" of container {name} on network");
        let is_told = |told: &String| told.starts_with("make interface eth") && told.contains(&of);
        crate::until("it is told", || repairs(&home)[known..].iter().any(is_told));
        known = repairs(&home).len();
    }
    let ping = |name: &str, to: &str| {
        crate::until(to, || home.engine.wharf(&["exec", name, "ping", "-c", "1", "-W", "2", to]).status == 0);
    };
    ping("cc", "cb");
    ping("cb", "fd30::3");
    crate::until("the world hears it", || world.hear("10.99.0.1:8080") == "hello");
    assert_eq!(home.ok(&["exec", "cb", "cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"]), "1");
    assert_eq!(home.inspect("ca", "{{.State.Pid}}"), pid);

    // What was made ahead is not used without a link.
    home.sh(&[], "ping -c 1 -W 10 172.17.0.1");

    // The end of a container, and what the user takes away, are no repairs.
    home.ok(&["network", "disconnect", "more", "cb"]);
    home.ok(&["rm", "-f", "cc"]);
    home.ok(&["run", "--rm", "bb", "true"]);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(repairs(&home).len(), known);
    assert_eq!(bridge_ports(&home, &bridge_of(&home, "more")), [""; 0]);

    // While no engine runs the next one does it; and what it has taken over, it knows.
    let both = bridge_of(&home, "both");
    home.engine.kill();
    let port = bridge_ports(&home, &both).remove(0);
    home.host.sh(&format!("ip link del {port}"));
    home.engine.run();
    crate::until("it is back", || bridge_ports(&home, &both).len() == 1);
    let known = repairs(&home).len();
    let ca = home.ok(&["exec", "ca", "cat", "/sys/class/net/eth0/iflink"]);
    let port = home.host.sh(&format!("ip -o link | sed -n 's/^{ca}: \\(veth[0-9a-f]*\\)@.*/\\1/p'"));
    home.host.sh(&format!("ip link del {port}"));
    crate::until("it is told", || repairs(&home).len() > known);
    crate::until("the world hears it", || world.hear("10.99.0.1:8080") == "hello");

    // And a bridge of a user's.
    let bridge = bridge_of(&home, "both");
    home.host.sh(&format!("ip link del {bridge}"));
    crate::until("it is back", || bridge_ports(&home, &bridge).len() == 1);
    crate::until("with its address", || {
        home.host.sh(&format!("ip -o addr show {bridge}")).contains("fd30::1/64")
    });
    crate::until("the gateway answers", || {
        home.engine.wharf(&["exec", "cb", "ping", "-c", "1", "-W", "2", "172.30.0.1"]).status == 0
    });
}

fn bridge_of(home: &Home, network: &str) -> String {
    format!("br-{}", &home.ok(&["network", "inspect", "-f", "{{.Id}}", network])[..12])
}
