//! Options of networks and of the engine that say how published ports are reached, and what interfaces are called.

use crate::land::{Home, Land, linked};

const BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const PREFIX: &str = "com.docker.network.container_iface_prefix";

fn sleeper(home: &Home, name: &str, options: &[&str]) {
    home.ok(&[&["run", "-d", "--name", name], options, &["bb", "sleep", "1000"]].concat());
}

fn server(home: &Home, name: &str, port: u16) {
    let line = format!("while :; do echo hello | nc -l -p {port}; done");
    home.ok(&["exec", "-d", name, "sh", "-c", &line]);
}

fn made(home: &Home, name: &str, options: &[&str]) {
    let mut words = vec!["network", "create"];
    options.iter().for_each(|option| words.extend(["-o", option]));
    home.ok(&[&words[..], &[name]].concat());
}

fn address(home: &Home, name: &str) -> String {
    home.inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
}

#[test]
fn a_network_says_where_its_ports_are_published() {
    let (host, world) = linked();
    let mut home = Home::with(host, &["--ip", "10.99.0.1"]);
    let binding = format!("{BINDING}=127.0.0.1");
    made(&home, "here", &[&binding]);
    made(&home, "there", &[]);
    sleeper(&home, "ca", &["--network", "here", "-p", "8080:80", "-p", "0.0.0.0:8081:80"]);
    sleeper(&home, "cb", &["--network", "there", "-p", "8082:80"]);
    sleeper(&home, "cc", &["-p", "8083:80"]);
    let port = |home: &Home, name: &str| home.ok(&["port", name]);
    assert_eq!(port(&home, "ca"), "80/tcp -> 0.0.0.0:8081\n80/tcp -> 127.0.0.1:8080");
    // What the engine's flag says is of the default network only.
    assert_eq!(port(&home, "cb"), "80/tcp -> 0.0.0.0:8082");
    assert_eq!(port(&home, "cc"), "80/tcp -> 10.99.0.1:8083");
    server(&home, "ca", 80);
    crate::until("the host hears it", || home.host.hear("127.0.0.1:8080") == "hello");
    crate::until("the world hears the other", || world.hear("10.99.0.1:8081") == "hello");
    assert_eq!(world.hear("10.99.0.1:8080"), "");
    // Also of what is published while it runs.
    home.ok(&["update", "-p", "8084:80", "ca"]);
    assert!(port(&home, "ca").contains("127.0.0.1:8084"));
    let shown = home.ok(&["network", "inspect", "-f", "{{json .Options}}", "bridge"]);
    assert!(shown.contains(&format!("\"{BINDING}\":\"10.99.0.1\"")), "{shown}");
    let shown = home.ok(&["network", "inspect", "-f", "{{json .Options}}", "here"]);
    assert_eq!(shown, format!("{{\"{BINDING}\":\"127.0.0.1\"}}"));
    let wrong = format!("{BINDING}=here");
    let said = home.engine.wharf(&["network", "create", "-o", &wrong, "wrong"]);
    assert!(said.status == 1 && said.stderr.contains("(nil ip)"), "{said:?}");
    assert_eq!(home.ok(&["network", "ls", "-q", "-f", "name=wrong"]), "");

    // What the engine gives all networks; a network's own word counts more.
    home.restart(&["--default-network-opt", &format!("bridge={BINDING}=127.0.0.1")]);
    assert_eq!(port(&home, "ca").lines().count(), 3);
    made(&home, "later", &[]);
    let anywhere = format!("{BINDING}=0.0.0.0");
    made(&home, "open", &[&anywhere]);
    sleeper(&home, "cd", &["--network", "later", "-p", "8085:80"]);
    sleeper(&home, "ce", &["--network", "open", "-p", "8086:80"]);
    assert_eq!(port(&home, "cd"), "80/tcp -> 127.0.0.1:8085");
    assert_eq!(port(&home, "ce"), "80/tcp -> 0.0.0.0:8086");
}

#[test]
fn trusted_interfaces_reach_published_ports_at_the_container_s_own_address() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    let trusted = format!("{TRUSTED}=up0:later0");
    made(&home, "open", &[&trusted]);
    made(&home, "shut", &[]);
    sleeper(&home, "ca", &["--network", "open", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "8082:81"]);
    sleeper(&home, "cb", &["--network", "shut", "-p", "8083:80"]);
    for (name, port) in [("ca", 80), ("ca", 82), ("cb", 80)] {
        server(&home, name, port);
        let at = format!("{}:{port}", address(&home, name));
        crate::until("the server listens", || home.host.hear(&at) == "hello");
    }
    let [ca, cb] = ["ca", "cb"].map(|name| address(&home, name));
    let direct = |ip: &str, port: u16| world.hear(&format!("{ip}:{port}")) == "hello";
    crate::until("who is trusted", || direct(&ca, 80));
    assert!(!direct(&ca, 82), "nobody published it");
    assert!(!direct(&cb, 80), "nobody is trusted there");
    crate::until("as ever", || world.hear("10.99.0.1:8083") == "hello");

    // It is put back, survives the engine, and follows the ports.
    home.host.sh("nft flush set inet wharf trusted");
    crate::until("it is put back", || direct(&ca, 80));
    home.host.sh("nft flush ruleset");
    crate::until("all of it", || direct(&ca, 80));
    home.restart(&[]);
    assert!(direct(&ca, 80) && !direct(&cb, 80));
    home.ok(&["update", "--publish-rm", "8080:80", "ca"]);
    assert!(direct(&ca, 80), "it is published still");
    home.ok(&["update", "--publish-rm", "8081:80", "ca"]);
    assert!(!direct(&ca, 80));
    home.ok(&["rm", "-f", "ca"]);
    home.ok(&["network", "rm", "open"]);
    assert!(!home.host.sh("nft list ruleset").contains("later0"));

    // Whoever has a route, everywhere.
    home.restart(&["--allow-direct-routing"]);
    crate::until("who has a route", || direct(&cb, 80));
    home.host.sh("nft flush ruleset");
    crate::until("it is put back", || direct(&cb, 80));
    home.restart(&[]);
    assert!(!direct(&cb, 80));
    crate::until("as ever", || world.hear("10.99.0.1:8083") == "hello");
}

#[test]
fn what_the_administrator_has_marked_reaches_containers() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    home.restart(&["--bridge-accept-fwmark", "0x2/3"]);
    made(&home, "open", &[]);
    home.ok(&["network", "create", "--internal", "inner"]);
    sleeper(&home, "ca", &["--network", "open"]);
    sleeper(&home, "cb", &["--network", "inner"]);
    for name in ["ca", "cb"] {
        server(&home, name, 80);
        let at = format!("{}:80", address(&home, name));
        crate::until("the server listens", || home.host.hear(&at) == "hello");
    }
    let [ca, cb] = ["ca", "cb"].map(|name| address(&home, name));
    let direct = |ip: &str| world.hear(&format!("{ip}:80")) == "hello";
    assert!(!direct(&ca), "it has no mark");
    home.host.sh(
        "nft add table inet mine; nft add chain inet mine c '{ type filter hook prerouting priority mangle; }'; \
         nft add rule inet mine c iifname up0 tcp dport 80 meta mark set 0x7",
    );
    assert!(!direct(&ca), "bits count that the mask has: 3 is not 2");
    home.host.sh(
        "nft flush chain inet mine c; nft add rule inet mine c iifname up0 tcp dport 80 meta mark set 0x6",
    );
    crate::until("what is marked comes in", || direct(&ca));
    assert!(!direct(&cb), "nothing from outside is for an internal network");
    home.host.sh("nft flush table inet wharf");
    crate::until("it is put back", || direct(&ca));
    home.restart(&[]);
    assert!(!direct(&ca), "nobody asks for it any more");
}

#[test]
fn interfaces_have_the_prefix_of_their_network() {
    let home = Home::with(Land::new(), &[]);
    let prefix = format!("{PREFIX}=net");
    made(&home, "one", &[&prefix]);
    made(&home, "two", &[&prefix]);
    made(&home, "three", &[]);
    sleeper(&home, "ca", &["--network", "one", "--network", "two", "--network", "three"]);
    let links = |home: &Home, name: &str| {
        let all = home.ok(&["exec", name, "ls", "/sys/class/net"]);
        let mut all: Vec<_> = all.split_whitespace().map(str::to_owned).collect();
        all.sort_unstable();
        all.join(" ")
    };
    assert_eq!(links(&home, "ca"), "eth0 lo net0 net1");
    sleeper(&home, "cb", &[]);
    home.ok(&["network", "connect", "two", "cb"]);
    home.ok(&["network", "connect", "one", "cb"]);
    assert_eq!(links(&home, "cb"), "eth0 lo net0 net1");
    home.ok(&["network", "disconnect", "two", "cb"]);
    assert_eq!(links(&home, "cb"), "eth0 lo net1");
    for wrong in ["a/b", "0123456789abcdef"] {
        let wrong = format!("{PREFIX}={wrong}");
        let said = home.engine.wharf(&["network", "create", "-o", &wrong, "wrong"]);
        assert!(
            said.status == 1 && said.stderr.contains("invalid com.docker.network.container_iface_prefix"),
            "{said:?}"
        );
    }
}
