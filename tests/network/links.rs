//! Links on the default bridge: what a container is told of another, and what it may reach of it.

use crate::land::{Home, Land};

fn serve(home: &Home, name: &str, port: u16) {
    let line = format!("while :; do echo hello | nc -l -p {port}; done");
    home.ok(&["exec", "-d", name, "sh", "-c", &line]);
    let at = format!("{}:{port}", home.address(name));
    crate::until("the server listens", || home.host.hear(&at) == "hello");
}

/// One that exposes ports and sleeps.
fn redis(home: &Home) -> String {
    let options = ["--expose", "6379-6380", "--expose", "53/udp", "-e", "PASSWORD=gordon", "-h", "store"];
    home.ok(&[&["run", "-d", "--name", "redis"], &options[..], &["bb", "sleep", "1000"]].concat());
    home.address("redis")
}

#[test]
fn variables_and_hosts_tell_of_the_other() {
    let home = Home::with(Land::new(), &[]);
    let address = redis(&home);
    let env = home.ok(&[
        "run",
        "--rm",
        "--name",
        "web",
        "--link",
        "redis:db",
        "bb",
        "sh",
        "-c",
        "env | grep ^DB | sort",
    ]);
    let port = |number: u16, protocol: &str| {
        let prefix = format!("DB_PORT_{number}_{}", protocol.to_uppercase());
        format!(
            "{prefix}={protocol}://{address}:{number} {prefix}_ADDR={address} {prefix}_PORT={number} \
             {prefix}_PROTO={protocol}"
        )
    };
    let mut wanted: Vec<String> = [port(6379, "tcp"), port(6380, "tcp"), port(53, "udp")]
        .join(" ")
        .split(' ')
        .map(str::to_owned)
        .collect();
    wanted.extend([
        "DB_ENV_PASSWORD=gordon".to_owned(),
        "DB_NAME=/web/db".to_owned(),
        format!("DB_PORT=tcp://{address}:6379"),
        format!("DB_PORT_6379_TCP_START=tcp://{address}:6379"),
        "DB_PORT_6379_TCP_PORT_START=6379".to_owned(),
        format!("DB_PORT_6379_TCP_END=tcp://{address}:6380"),
        "DB_PORT_6379_TCP_PORT_END=6380".to_owned(),
    ]);
    wanted.sort_unstable();
    let mut env: Vec<&str> = env.lines().collect();
    env.sort_unstable();
    assert_eq!(env, wanted);
    let hosts = home.sh(&["--link", "redis:db", "--link", "redis"], "cat /etc/hosts");
    assert!(hosts.contains(&format!("{address}\tdb store redis\n")), "{hosts}");
    assert!(hosts.contains(&format!("{address}\tredis store\n")), "{hosts}");
    // The user's own variable wins.
    assert_eq!(home.sh(&["--link", "redis:db", "-e", "DB_NAME=mine"], "echo $DB_NAME"), "mine");

    home.ok(&["run", "-d", "--name", "web", "--link", "redis:db", "bb", "sleep", "1000"]);
    assert_eq!(home.ok(&["exec", "web", "sh", "-c", "echo $DB_PORT_6379_TCP_ADDR"]), address);
    assert_eq!(home.inspect("web", "{{.HostConfig.Links}}"), "[/redis:/web/db]");

    let names = home.ok(&["ps", "--no-trunc", "--format", "{{.Names}}"]);
    assert!(names.contains("redis,web/db"), "{names}");
    assert!(home.ok(&["ps", "--format", "{{.Names}}"]).lines().any(|line| line == "redis"));
    let id = home.inspect("redis", "{{.Id}}");
    assert_eq!(home.inspect("web/db", "{{.Id}}"), id);
    assert_eq!(home.inspect("/web/db", "{{.Id}}"), id);

    // It starts again with another address.
    home.ok(&["stop", "-t", "0", "redis"]);
    home.sleeper("other");
    home.ok(&["start", "redis"]);
    let moved = home.address("redis");
    assert_ne!(moved, address);
    crate::until("the hosts follow", || {
        home.ok(&["exec", "web", "cat", "/etc/hosts"]).contains(&format!("{moved}\tdb store redis\n"))
    });
    assert!(!home.ok(&["exec", "web", "cat", "/etc/hosts"]).contains(&format!("{address}\tdb")));
    // Links follow names.
    home.ok(&["rename", "redis", "store"]);
    home.ok(&["rename", "web", "site"]);
    assert_eq!(home.inspect("site", "{{.HostConfig.Links}}"), "[/store:/site/db]");
    home.ok(&["rm", "--link", "/site/db"]);
    assert_eq!(home.inspect("site", "{{json .HostConfig.Links}}"), "null");
    assert!(!home.ok(&["exec", "site", "cat", "/etc/hosts"]).contains("\tdb "));
    home.ok(&["inspect", "store"]);
}

#[test]
fn what_cannot_be_linked_is_said_in_docker_s_words() {
    let mut home = Home::with(Land::new(), &[]);
    let said = home.fails(&["run", "--rm", "--link", "nosuch:db", "bb", "true"]);
    assert!(said.contains("could not get container for nosuch: No such container: nosuch"), "{said}");
    let said = home.fails(&["run", "--rm", "--link", "a:b:c", "bb", "true"]);
    assert!(
        said.contains("invalid argument \"a:b:c\" for \"--link\" flag: bad format for links: a:b:c"),
        "{said}"
    );
    redis(&home);
    home.ok(&["create", "--name", "web", "--restart", "always", "--link", "redis:db", "bb", "sleep", "1000"]);
    home.ok(&["stop", "-t", "0", "redis"]);
    let got = home.engine.wharf(&["start", "web"]);
    assert!(got.stderr.contains("Cannot link to a non running container: /redis AS /web/db"), "{got:?}");
    let got = home.engine.wharf(&["rm", "--link", "redis"]);
    assert!(got.stderr.contains("Conflict, cannot remove the default link name of the container"), "{got:?}");
    home.ok(&["run", "-d", "--name", "host", "--network", "host", "bb", "sleep", "1000"]);
    let said = home.fails(&["run", "--rm", "--link", "host", "bb", "true"]);
    assert!(said.contains("conflicting options: host type networking can't be used with links"), "{said}");

    // Both start again with the engine, the linked one first.
    home.ok(&["rm", "-f", "redis", "web", "host"]);
    home.ok(&["run", "-d", "--name", "redis", "--restart", "always", "bb", "sleep", "1000"]);
    home.ok(&[
        "run",
        "-d",
        "--name",
        "web",
        "--restart",
        "always",
        "--link",
        "redis:db",
        "bb",
        "sleep",
        "1000",
    ]);
    let pids = ["redis", "web"].map(|name| home.inspect(name, "{{.State.Pid}}"));
    let ids = ["redis", "web"].map(|name| home.inspect(name, "{{.Id}}"));
    home.engine.kill();
    home.host.sh(&format!("kill -9 {}", pids.join(" ")));
    let ended =
        |id: &String| home.engine.directory().join("exec/containers").join(id).join("exit.json").exists();
    crate::until("their ends are written down", || ids.iter().all(ended));
    home.engine.run();
    crate::until("both run", || home.ok(&["ps", "-q", "--filter", "status=running"]).lines().count() == 2);
    assert!(home.ok(&["exec", "web", "cat", "/etc/hosts"]).contains("\tdb "));
}

#[test]
fn apart_only_what_the_linked_one_exposes_is_reached() {
    let mut home = Home::with(Land::new(), &["--icc=false"]);
    // Nobody else keeps them apart.
    home.host.run("echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables");
    redis(&home);
    home.ok(&["run", "-d", "--name", "web", "--link", "redis:db", "bb", "sleep", "1000"]);
    home.sleeper("stranger");
    serve(&home, "redis", 6379);
    serve(&home, "redis", 80);
    serve(&home, "web", 6379);
    let address = home.address("redis");
    let reaches = |home: &Home, who: &str, port: u16| home.hears(who, &format!("{address}:{port}"));
    crate::until("web reaches what is exposed", || reaches(&home, "web", 6379));
    assert!(!reaches(&home, "web", 80));
    assert!(!reaches(&home, "stranger", 6379));
    assert!(!home.hears("redis", &format!("{}:6379", home.address("web"))));
    for _ in 0..2 {
        home.host.sh("nft flush ruleset");
        crate::until("it is put back", || reaches(&home, "web", 6379));
        home.engine.kill();
        home.engine.run();
        home.ok(&["version"]);
        assert!(reaches(&home, "web", 6379), "the next engine takes it over");
    }
    assert!(!reaches(&home, "web", 80) && !reaches(&home, "stranger", 6379));
    home.ok(&["rm", "--link", "web/db"]);
    assert!(!reaches(&home, "web", 6379));
    home.ok(&["rm", "-f", "web"]);
    assert!(!home.host.sh("nft list set inet wharf links").contains(&address));
}
