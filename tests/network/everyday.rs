//! What is typed every day, word for word, and many times over: the first users' own commands, clients by the thousand,
//! containers by the hundred, two that want the same.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use testkit::Output;

use crate::dns;
use crate::land::{Home, Land, linked};

fn pid(home: &Home, name: &str) -> u32 {
    home.inspect(name, "{{.State.Pid}}").parse().expect("a number")
}

/// Says hello to everybody who connects to a port of the container's, as many as come at a time.
fn serve(home: &Home, name: &str, port: u16) {
    let listener = dns::inside(pid(home, name), || TcpListener::bind(("0.0.0.0", port)).expect("listen"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let _ = stream.write_all(b"hello\n");
                let _ = stream.shutdown(std::net::Shutdown::Write);
                // Until the client has closed, so that nothing is reset under it.
                let _ = stream.read(&mut [0; 16]);
            });
        }
    });
}

fn number(text: &str) -> usize {
    text.trim().parse().expect("a number")
}

#[test]
fn the_first_users_commands() {
    let (host, world) = linked();
    let home = Home::with(host, &["--icc=false"]);
    home.ok(&["run", "-d", "--name", "redis", "--expose", "6379", "bb", "sleep", "1000"]);
    serve(&home, "redis", 6379);
    let website = home.directory.path().join("website");
    std::fs::create_dir(&website).expect("make a directory");
    std::fs::write(website.join("index.html"), "hello\n").expect("write a page");
    // As a shell does it, in the directory above.
    let line = format!(
        "{} run -d -p 80 --name website --link redis:db -v $PWD/website:/var/www/html/website:ro bb \
         httpd -f -p 80 -h /var/www/html/website",
        crate::land::BINARY
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(home.directory.path());
    shell.env("DOCKER_HOST", format!("unix://{}", home.engine.socket().display()));
    let got = Output::of(&mut shell);
    assert_eq!(got.status, 0, "{got:?}\n{}", home.engine.log());

    let shown = home.ok(&["port", "website", "80"]);
    let port = number(shown.strip_prefix("0.0.0.0:").expect("at all addresses"));
    let page = |land: &Land, at: &str| {
        land.inside(|| {
            let mut said = String::new();
            if let Ok(mut stream) =
                TcpStream::connect_timeout(&at.parse().expect("an address"), Duration::from_secs(2))
            {
                let _ = stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n");
                let _ = stream.read_to_string(&mut said);
            }
            said.ends_with("\r\n\r\nhello\n")
        })
    };
    for at in [format!("127.0.0.1:{port}"), format!("10.99.0.1:{port}")] {
        crate::until(&at, || page(&home.host, &at));
    }
    crate::until("from outside", || page(&world, &format!("10.99.0.1:{port}")));
    // What is edited is seen, and the container cannot.
    std::fs::write(website.join("index.html"), "bye\n").expect("write a page");
    assert_eq!(home.ok(&["exec", "website", "cat", "/var/www/html/website/index.html"]), "bye");
    let got = home.engine.wharf(&["exec", "website", "touch", "/var/www/html/website/x"]);
    assert!(got.status == 1 && got.stderr.contains("Read-only file system"), "{got:?}");
    // The link opens what it names, and nothing else is open.
    let redis = home.address("redis");
    let env = home.ok(&["exec", "website", "sh", "-c", "echo $DB_PORT_6379_TCP_ADDR:$DB_PORT_6379_TCP_PORT"]);
    assert_eq!(env, format!("{redis}:6379"));
    assert_eq!(home.ok(&["exec", "website", "nc", "-w", "5", "db", "6379"]), "hello");
    home.sleeper("other");
    assert!(!home.hears("other", &format!("{redis}:6379")));
}

#[test]
fn the_first_users_subnet() {
    let mut home = Home::with(Land::new(), &["--bip", "172.17.42.1/16"]);
    assert_eq!(home.sleeper("ca"), "172.17.0.1");
    assert_eq!(home.inspect("ca", "{{.NetworkSettings.Networks.bridge.Gateway}}"), "172.17.42.1");
    home.ok(&["exec", "ca", "ping", "-c", "1", "-W", "10", "172.17.42.1"]);
    assert!(home.host.sh("ip -o addr show docker0").contains("inet 172.17.42.1/16"));
    let gateway = ["--default-gateway", "172.17.42.254"];
    home.restart(&[&["--bip", "172.17.42.1/16", "--fixed-cidr", "172.17.42.0/30"], &gateway[..]].concat());
    assert_eq!(
        home.ok(&["network", "inspect", "-f", "{{json .IPAM.Config}}", "bridge"]),
        r#"[{"Subnet":"172.17.0.0/16","IPRange":"172.17.42.0/30","Gateway":"172.17.42.1","AuxiliaryAddresses":{"DefaultGatewayIPv4":"172.17.42.254"}}]"#
    );
    let hosts = ["run", "--rm", "--add-host", "up=host-gateway", "bb", "grep", "-w", "up", "/etc/hosts"];
    assert_eq!(home.ok(&hosts), "172.17.42.1\tup");
    home.ok(&["rm", "-f", "ca"]);
    // The bridge's own is passed over, and then there are no more.
    let given = ["ca", "cb", "cc"].map(|name| home.sleeper(name));
    assert_eq!(given, ["172.17.42.0", "172.17.42.2", "172.17.42.3"]);
    let said = home.fails(&["run", "--rm", "bb", "true"]);
    assert!(said.contains("no available IPv4 addresses on this network's address pools: bridge ("), "{said}");
}

#[test]
fn a_thousand_short_connections_and_none_is_dropped() {
    let (host, world) = linked();
    let home = Home::with(host, &[]);
    home.ok(&["network", "create", "one"]);
    home.ok(&["network", "create", "two"]);
    home.ok(&["run", "-d", "--name", "ca", "--network", "one", "-p", "8080:80", "bb", "sleep", "1000"]);
    home.ok(&["run", "-d", "--name", "cb", "--network", "two", "bb", "sleep", "1000"]);
    serve(&home, "ca", 80);
    let thousand = |count: usize| {
        let one = || {
            let mut said = String::new();
            let at = "10.99.0.1:8080".parse().expect("an address");
            let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(20))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.read_to_string(&mut said)?;
            if said == "hello\n" { Ok(()) } else { Err(std::io::Error::other(format!("it said {said:?}"))) }
        };
        (0..count).filter_map(|_| one().err().map(|error| error.to_string())).collect::<Vec<_>>()
    };
    // From outside, by four at a time, and from the host itself.
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| world.inside(|| thousand(250)))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
    });
    assert_eq!(failed, [""; 0]);
    assert_eq!(home.host.inside(|| thousand(100)), [""; 0]);
    // From a container of another network, and from the container itself: by the host's address.
    for name in ["cb", "ca"] {
        assert_eq!(dns::inside(pid(&home, name), || thousand(100)), [""; 0], "{name}");
    }
    assert!(!home.hears("cb", "172.18.0.2:80"), "by its own address nobody of another network");
}

/// Between the look whether a port is free and the moment in which it is taken somebody else may take it.
#[test]
fn of_those_that_want_one_port_one_gets_it() {
    let home = Home::with(Land::new(), &[]);
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let mut client = home.engine.client("wharf");
            client.args(["run", "-d", "--name", &format!("c{n}"), "-p", "8080:80", "bb", "sleep", "1000"]);
            std::thread::spawn(move || Output::of(&mut client))
        })
        .collect();
    let got: Vec<Output> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    let (won, lost): (Vec<_>, Vec<_>) = got.into_iter().partition(|got| got.status == 0);
    assert_eq!((won.len(), lost.len()), (1, 7), "{won:?} {lost:?}");
    for got in &lost {
        assert_eq!(got.status, 125, "{got:?}");
        assert!(got.stderr.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{got:?}");
    }
    let running = home.ok(&["ps", "--format", "{{.Names}}"]);
    serve(&home, &running, 80);
    crate::until("it is the winner's", || home.host.hear("127.0.0.1:8080") == "hello");
    // A program of the host's that comes and goes takes it from nobody, and keeps it from somebody.
    home.ok(&["rm", "-f", &running]);
    let next = format!("c{}", usize::from(running == "c0"));
    for n in 0..5 {
        let taken = home.host.inside(|| TcpListener::bind("127.0.0.1:8080").expect("listen"));
        let got = home.engine.wharf(&["start", &next]);
        let said = "failed to bind host port 0.0.0.0:8080/tcp: address already in use";
        assert!(got.status == 1 && got.stderr.contains(said), "{n}: {got:?}");
        drop(taken);
    }
    home.ok(&["start", &next]);
}

#[test]
fn two_networks_do_not_share_addresses() {
    let home = Home::with(Land::new(), &[]);
    home.ok(&["network", "create", "--subnet", "10.20.0.0/16", "one"]);
    home.host.sh("ip link add up0 type veth; ip addr add 10.30.0.1/24 dev up0; ip link set up0 up");
    for subnet in ["10.20.0.0/16", "10.20.5.0/24", "10.0.0.0/8", "172.17.3.0/24"] {
        let got = home.engine.wharf(&["network", "create", "--subnet", subnet, "two"]);
        let said = "invalid pool request: Pool overlaps with other one on this address space";
        assert!(got.status == 1 && got.stderr.contains(said), "{subnet}: {got:?}");
    }
    assert_eq!(home.ok(&["network", "ls", "-q", "--filter", "name=two"]), "");
    home.ok(&["network", "create", "--subnet", "10.21.0.0/16", "two"]);
    // One that is freed can be had again.
    home.ok(&["network", "rm", "one"]);
    home.ok(&["network", "create", "--subnet", "10.20.5.0/24", "one"]);
}

/// `WHARF_TEST_RUNS` makes it longer.
#[test]
fn runs_on_networks_leave_nothing() {
    let (host, _world) = linked();
    let home = Home::with(host, &[]);
    let runs = std::env::var("WHARF_TEST_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(40);
    home.ok(&["network", "create", "--ipv6", "one"]);
    home.ok(&["network", "create", "--subnet", "10.40.0.0/29", "two"]);
    let one = |n: u32| {
        let port = format!("{}:80", 9000 + n % 3);
        let ports = ["-p", &port, "-p", "80", "-p", "5353:53/udp"];
        // Five addresses are all that the second network has.
        let networks = [
            &["--network", "one"][..],
            &["--network", "two"],
            &["--network", "one", "--network", "two"],
            &[],
        ];
        home.ok(&[&["run", "--rm"], networks[n as usize % 4], &ports, &["bb", "true"]].concat());
    };
    (0..8).for_each(one);
    let left = || {
        let rules = home.host.sh("nft list ruleset | grep -v counter");
        // Those that are made ahead come and go.
        let links = home.host.sh(
            "ip -o link show type bridge | wc -l; ip -o addr | grep -v 'fe80::' | wc -l; ip route | wc -l",
        );
        let names = home.host.sh("ip -o link | wc -l");
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", home.engine.pid().expect("it runs")));
        ((rules, links), number(&names), descriptors.expect("its descriptors").count())
    };
    let before = left();
    (0..runs).for_each(one);
    crate::until_as("it is as before", &before.0, || left().0);
    crate::until_as("links and descriptors", &(true, true), || {
        let after = left();
        (after.1 <= before.1 + 8, after.2 <= before.2 + 16)
    });
    // All addresses are free: as many as there are can be had at once.
    let ids: Vec<String> =
        (0..5).map(|_| home.ok(&["run", "-d", "--network", "two", "bb", "sleep", "1000"])).collect();
    let said = home.fails(&["run", "--rm", "--network", "two", "bb", "true"]);
    assert!(said.contains("no available IPv4 addresses"), "{said}");
    home.ok(&[&["rm", "-f"][..], &ids.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    home.ok(&["network", "rm", "one", "two"]);
    crate::until_as("bridges go, if later", &1, || {
        number(&home.host.sh("ip -o link show type bridge | wc -l"))
    });
}

#[test]
fn one_that_dies_while_it_is_connected_leaves_nothing() {
    let home = Home::with(Land::new(), &[]);
    // Two addresses are all that it gives: one that is lost is missed soon.
    home.ok(&["network", "create", "--subnet", "10.41.0.0/29", "--ip-range", "10.41.0.4/30", "more"]);
    let (mut connected, mut refused) = (0, 0);
    for round in 0..30_u64 {
        home.ok(&["run", "-d", "--rm", "--name", "dies", "bb", "sleep", "1000"]);
        let pid = home.inspect("dies", "{{.State.Pid}}");
        let said = std::thread::scope(|scope| {
            let killing = scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(round));
                let killed = Command::new("kill").args(["-9", &pid]).status();
                assert!(killed.expect("kill").success());
            });
            let said = home.engine.wharf(&["network", "connect", "more", "dies"]);
            killing.join().expect("it is killed");
            said
        });
        // Either it was in time, or it is told why not.
        match said.status {
            0 => connected += 1,
            _ => refused += 1,
        }
        assert!(said.status == 0 || said.stderr.contains("Error response from daemon"), "{said:?}");
        crate::until("it is gone", || home.engine.wharf(&["inspect", "dies"]).status != 0);
    }
    assert!(connected + refused == 30);
    let members = || home.ok(&["network", "inspect", "-f", "{{len .Containers}}", "more"]);
    crate::until_as("nobody is on it", &"0".to_owned(), members);
    let bridge = format!("br-{}", home.ok(&["network", "ls", "-q", "-f", "name=more"]));
    let ports = || home.host.sh(&format!("ip -o link show master {bridge} | wc -l"));
    crate::until_as("no link is left", &"0".to_owned(), || ports().trim().to_owned());
    // All addresses can be had.
    for n in 0..2 {
        home.ok(&["run", "-d", "--name", &format!("lives{n}"), "--network", "more", "bb", "sleep", "1000"]);
    }
    home.ok(&["rm", "-f", "lives0", "lives1"]);
    home.ok(&["network", "rm", "more"]);
}
