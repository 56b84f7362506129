//! The network's flags of `run`, in Docker's words: from the client, and from the engine.

use crate::land::{Home, Land};

#[test]
fn what_is_refused_is_refused_in_docker_s_words() {
    let home = Home::with(Land::new(), &[]);
    let bridge = "invalid config for network bridge: invalid endpoint settings:\n";
    for (flags, said) in [
        (
            &["--ip", "172.17.0.9"][..],
            format!("{bridge}user-specified IP address is supported on user-defined networks only"),
        ),
        (
            &["--ip6", "fd00::9"],
            format!("{bridge}user-specified IP address is supported on user-defined networks only"),
        ),
        (&["--network", "name=bridge,ip=172.17.0.9"], format!("{bridge}user-specified IP address")),
        (&["--ip", "bad"], "invalid argument \"bad\" for \"--ip\" flag: failed to parse IP: \"bad\"".into()),
        (
            &["--network-alias", "x"],
            "network-scoped aliases are only supported for user-defined networks".into(),
        ),
        (&["--network", "nosuch"], "failed to set up container networking: network nosuch not found".into()),
        (&["--network", "nosuch", "--ip", "10.0.0.9"], "network nosuch not found".into()),
        (
            &["--network", "nosuch", "--network", "bridge"],
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes".into(),
        ),
        (&["--network", "a", "--network", "a"], "network \"a\" is specified multiple times".into()),
        (
            &["--network", "name=a,foo=b"],
            "invalid argument \"name=a,foo=b\" for \"--network\" flag: invalid field key foo".into(),
        ),
        (&["--network", ""], "no name set for network".into()),
        (&["--network", "container:nosuch"], "No such container: nosuch".into()),
        (&["--mac-address", "bad"], "bad is not a valid mac address".into()),
        (&["--link-local-ip", "0.0.0.0"], "invalid link-local IP address: 0.0.0.0".into()),
        (
            &["--dns", "bad"],
            "invalid argument \"bad\" for \"--dns\" flag: IP address is not correctly formatted: bad".into(),
        ),
        (
            &["--add-host", "bad"],
            "invalid argument \"bad\" for \"--add-host\" flag: bad format for add-host: \"bad\"".into(),
        ),
        (
            &["--add-host", "a:bad"],
            "invalid argument \"a:bad\" for \"--add-host\" flag: invalid IP address in add-host: \"bad\""
                .into(),
        ),
        (&["-p", "80:80/foo"], "invalid proto: foo".into()),
        (
            &["-p", "[::1]:80:80"],
            "cannot publish port 80/tcp at ::1: the container is on no network that".into(),
        ),
        (
            &["--network", "container:x", "-p", "80"],
            "conflicting options: port publishing and the container type network mode".into(),
        ),
        (&["--link", "a:b"], "could not get container for a: No such container: a".into()),
        (
            &["--network", "container:x", "--dns", "1.1.1.1"],
            "conflicting options: dns and the network mode".into(),
        ),
        (
            &["--network", "container:x", "-h", "x"],
            "conflicting options: hostname and the network mode".into(),
        ),
        (
            &["--network", "container:x", "--add-host", "a:1.1.1.1"],
            "conflicting options: custom host-to-IP mapping and the network mode".into(),
        ),
    ] {
        let text = home.fails(&[&["run", "--rm"], flags, &["bb", "true"]].concat());
        assert!(text.contains(&said), "{flags:?}: {text}");
        assert_eq!(home.ok(&["ps", "-aq"]), "", "{flags:?}");
    }
    // As Docker: whether a network exists is asked at the start.
    home.ok(&["create", "--name", "ca", "--network", "nosuch", "bb", "true"]);
    assert_eq!(
        home.inspect(
            "ca",
            "{{.HostConfig.NetworkMode}} {{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}"
        ),
        "nosuch nosuch"
    );
    let got = home.engine.wharf(&["start", "ca"]);
    assert!(got.status != 0 && got.stderr.contains("network nosuch not found"), "{got:?}");
    assert_eq!(home.inspect("ca", "{{.State.Status}}"), "created");
}

#[test]
fn docker_s_own_client_hears_the_same() {
    let home = Home::with(Land::new(), &[]);
    for flags in [
        &["--ip", "172.17.0.9"][..],
        &["--network-alias", "x"],
        &["--network", "nosuch"],
        &["--mac-address", "bad"],
        &["--ip", "bad"],
    ] {
        let words = [&["run", "--rm"], flags, &["bb", "true"]].concat();
        let docker = home.engine.docker().map(|mut docker| testkit::Output::of(docker.args(&words)));
        let docker = docker.expect("a docker CLI (Debian: docker.io)");
        let own = testkit::Output::of(home.engine.client("docker").args(&words));
        assert_eq!(
            (own.status, &own.stdout),
            (docker.status, &docker.stdout),
            "{flags:?}: {own:?} {docker:?}"
        );
        let last = |text: &str| text.lines().find(|line| line.contains(": ")).unwrap_or_default().to_owned();
        assert!(!own.stderr.is_empty() && !docker.stderr.is_empty(), "{flags:?}");
        // Older clients refuse some in other words, or not by themselves.
        if flags[0] != "--ip" && flags[0] != "--mac-address" {
            assert_eq!(
                last(&own.stderr).contains("nosuch"),
                last(&docker.stderr).contains("nosuch"),
                "{flags:?}"
            );
        }
    }
    let words =
        ["run", "--rm", "--mac-address", "02:00:00:00:00:0b", "bb", "cat", "/sys/class/net/eth0/address"];
    let docker =
        testkit::Output::of(home.engine.docker().expect("a docker CLI (Debian: docker.io)").args(words));
    assert_eq!(docker.stdout, "02:00:00:00:00:0b\n", "{docker:?}");
    assert_eq!(home.ok(&words), "02:00:00:00:00:0b");
}
