//! Ports that are published, and published no more, while the container runs.

use std::time::{Duration, Instant};

use crate::land::{Home, Land, linked};

fn server(home: &Home, name: &str, port: u16) {
    let line = format!("while :; do echo hello | nc -l -p {port}; done");
    home.ok(&["exec", "-d", name, "sh", "-c", &line]);
    let at = format!("{}:{port}", home.address(name));
    crate::until("the server listens", || home.host.hear(&at) == "hello");
}

fn sleeper(home: &Home, name: &str, options: &[&str]) {
    home.ok(&[&["run", "-d", "--name", name], options, &["bb", "sleep", "1000"]].concat());
}

const WHO: &str = "{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.Networks.bridge.IPAddress}}";

#[test]
fn a_port_more_answers_at_once() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    sleeper(&home, "ca", &["-p", "8080:80"]);
    server(&home, "ca", 80);
    server(&home, "ca", 81);
    let who = home.inspect("ca", WHO);
    home.ok(&["update", "-p", "82:82", "ca"]);

    // From the request to the first answer.
    let mut best = Duration::MAX;
    for port in 9000..9005 {
        let begun = Instant::now();
        home.ok(&["update", "-p", &format!("{port}:81"), "ca"]);
        while world.hear(&format!("10.99.0.1:{port}")) != "hello" {
            assert!(begun.elapsed() < crate::DEADLINE, "{port} does not answer");
        }
        best = best.min(begun.elapsed());
    }
    assert!(best < Duration::from_millis(50), "client and all: {best:?}");
    assert_eq!(home.inspect("ca", WHO), who, "the same process at the same address");
    assert_eq!(
        home.ok(&["port", "ca"]),
        "80/tcp -> 0.0.0.0:8080\n81/tcp -> 0.0.0.0:9000\n81/tcp -> 0.0.0.0:9001\n81/tcp -> 0.0.0.0:9002\n\
         81/tcp -> 0.0.0.0:9003\n81/tcp -> 0.0.0.0:9004\n82/tcp -> 0.0.0.0:82"
    );
    let shown = home.ok(&["ps", "--format", "{{.Ports}}"]);
    assert!(shown.contains("0.0.0.0:8080->80/tcp") && shown.contains("0.0.0.0:9004->81/tcp"), "{shown}");
    assert_eq!(home.host.hear("127.0.0.1:9003"), "hello");

    // One goes, by its place; the others by their port.
    home.ok(&["update", "--publish-rm", "9003:81", "ca"]);
    assert_eq!((home.host.hear("127.0.0.1:9003").as_str(), world.hear("10.99.0.1:9003").as_str()), ("", ""));
    assert!(home.host.can_listen("0.0.0.0:9003"), "and is free");
    assert_eq!(world.hear("10.99.0.1:9004"), "hello");
    home.ok(&["update", "--publish-rm", "81/tcp", "--publish-rm", "82", "-p", "127.0.0.1:83:80", "ca"]);
    assert_eq!(home.ok(&["port", "ca"]), "80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:83");
    assert!(home.host.can_listen("0.0.0.0:9004") && home.host.can_listen("0.0.0.0:82"));
    assert_eq!((home.host.hear("127.0.0.1:83").as_str(), world.hear("10.99.0.1:83").as_str()), ("hello", ""));
    assert_eq!(home.inspect("ca", WHO), who);
    assert_eq!(
        home.inspect("ca", "{{json .HostConfig.PortBindings}}"),
        r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"83"}]}"#
    );

    // Kept over a crash of the engine, and over a restart.
    home.engine.kill();
    assert_eq!(home.host.hear("127.0.0.1:83"), "hello", "while no engine runs");
    assert!(!home.host.can_listen("127.0.0.1:83"));
    home.engine.run();
    home.ok(&["version"]);
    assert_eq!(home.host.hear("127.0.0.1:83"), "hello");
    home.ok(&["restart", "-t", "0", "ca"]);
    server(&home, "ca", 80);
    assert_eq!(home.ok(&["port", "ca"]), "80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:83");
    assert_eq!(home.host.hear("127.0.0.1:83"), "hello");

    // One that does not run has them from its next start on.
    home.ok(&["stop", "-t", "0", "ca"]);
    home.ok(&["update", "--publish-rm", "80", "-p", "84:80", "ca"]);
    assert_eq!(home.ok(&["port", "ca"]), "");
    home.ok(&["start", "ca"]);
    assert_eq!(home.ok(&["port", "ca"]), "80/tcp -> 0.0.0.0:84");
}

#[test]
fn what_cannot_be_had_changes_nothing() {
    let home = Home::with(Land::new(), &[]);
    sleeper(&home, "ca", &["-p", "8080:80"]);
    sleeper(&home, "cb", &["-p", "8081:80"]);
    let id = home.inspect("cb", "{{.Id}}");
    let before = home.inspect("cb", "{{json .HostConfig.PortBindings}} {{json .NetworkSettings.Ports}}");
    let _server = home.host.serve("127.0.0.1:8082");
    let begin = format!(
        "Error response from daemon: Cannot update container {id}: driver failed programming external connectivity on endpoint cb ("
    );
    for (words, said) in [
        (&["-p", "8083:80", "-p", "8080:80"][..], "Bind for 0.0.0.0:8080 failed: port is already allocated"),
        (&["-p", "8082:80"], "failed to bind host port 0.0.0.0:8082/tcp: address already in use"),
        (
            &["-p", "10.1.2.3:80:80"],
            "failed to bind host port 10.1.2.3:80/tcp: cannot assign requested address",
        ),
    ] {
        let got = home.engine.wharf(&[&["update", "--label-add", "a=b"], words, &["cb"]].concat());
        assert_eq!(got.status, 1, "{got:?}");
        assert!(got.stderr.starts_with(&begin) && got.stderr.contains(said), "{}", got.stderr);
    }
    let got = home.engine.wharf(&["update", "--publish-rm", "81", "-p", "8084:80", "cb"]);
    assert!(got.stderr.contains("port 81/tcp is not published (published: 80/tcp)"), "{}", got.stderr);
    let after = home.inspect("cb", "{{json .HostConfig.PortBindings}} {{json .NetworkSettings.Ports}}");
    assert_eq!((after, home.inspect("cb", "{{json .Config.Labels}}").as_str()), (before, "{}"));
    assert!(home.host.can_listen("0.0.0.0:8083") && home.host.can_listen("0.0.0.0:8084"));
    home.ok(&["update", "-p", "8083:80", "ca"]);

    // Its own may move, and what one gives up another takes.
    home.ok(&["update", "--publish-rm", "8080:80", "ca"]);
    home.ok(&["update", "-p", "8080:80", "cb"]);
    home.ok(&["run", "-d", "--name", "cc", "--network", "container:ca", "bb", "sleep", "1000"]);
    let got = home.engine.wharf(&["update", "-p", "85:80", "cc"]);
    assert!(
        got.stderr.contains("conflicting options: port publishing and the container type network mode"),
        "{}",
        got.stderr
    );
}

#[test]
fn an_engine_that_is_killed_in_between_is_finished_by_the_next() {
    for point in ["update.ports", "update.published"] {
        let mut home = Home::with(Land::new(), &[]);
        sleeper(&home, "ca", &["-p", "8080:80", "-p", "8081:81"]);
        server(&home, "ca", 80);
        home.engine.kill();
        home.engine.run_with(|command| {
            command.env("WHARF_FAILPOINT", point);
        });
        let got = home.engine.wharf(&["update", "-p", "9090:80", "--publish-rm", "81", "ca"]);
        assert_ne!(got.status, 0, "{point}");
        home.engine.wait_for_end();
        home.engine.run();
        home.ok(&["version"]);
        assert_eq!(home.ok(&["port", "ca"]), "80/tcp -> 0.0.0.0:8080\n80/tcp -> 0.0.0.0:9090", "{point}");
        crate::until("it answers", || home.host.hear("127.0.0.1:9090") == "hello");
        assert!(!home.host.can_listen("0.0.0.0:9090") && home.host.can_listen("0.0.0.0:8081"), "{point}");
        home.ok(&["rm", "-f", "ca"]);
        assert!(home.host.can_listen("0.0.0.0:9090"), "{point}");
    }
}

#[test]
fn ports_follow_the_network_that_they_come_in_by() {
    let (host, world) = linked();
    let home = Home::with(host, &[]);
    home.ok(&["network", "create", "na"]);
    home.ok(&["network", "create", "nb"]);
    let heard = |port: u16| world.hear(&format!("10.99.0.1:{port}")) == "hello";
    home.ok(&[
        "run",
        "-d",
        "--name",
        "ca",
        "--network",
        "na",
        "--network",
        "nb",
        "-p",
        "80:80",
        "-p",
        "8081:81",
        "bb",
        "sleep",
        "1000",
    ]);
    for port in [80, 81] {
        let line = format!("while :; do echo hello | nc -l -p {port}; done");
        home.ok(&["exec", "-d", "ca", "sh", "-c", &line]);
    }
    crate::until("the world hears it", || heard(80) && heard(8081));
    let ports = home.ok(&["port", "ca"]);
    home.ok(&["network", "disconnect", "na", "ca"]);
    crate::until("by the other network", || heard(80) && heard(8081));
    assert_eq!(home.ok(&["port", "ca"]), ports);
    home.ok(&["update", "-p", "82:80", "ca"]);
    crate::until("a port more", || heard(82));
    home.ok(&["network", "disconnect", "nb", "ca"]);
    assert_eq!((home.ok(&["port", "ca"]).as_str(), heard(80)), ("", false));
    assert!(home.host.can_listen("0.0.0.0:80"), "what leads nowhere is not held");
    home.ok(&["network", "connect", "nb", "ca"]);
    crate::until("there is a network again", || heard(80) && heard(82));
}
