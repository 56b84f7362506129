//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.

use crate::land::{Home, Land};

const LOCAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters";
const SHOW: &str =
    "cat /etc/hosts; echo -; cat /etc/hostname; hostname; echo -; grep . /etc/resolv.conf | grep -v '^#'";

/// An engine that sees these files of the host's.
fn home(hosts: &str, resolv_conf: &str, flags: &[&str]) -> (Home, tempfile::TempDir) {
    let directory = testkit::directory();
    let put = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (hosts, resolv) = (put("hosts", hosts), put("resolv.conf", resolv_conf));
    let prefix = format!(
        "unshare -m sh -ec 'mount --bind {hosts} /etc/hosts; mount --bind {resolv} /etc/resolv.conf; exec \"$@\"' sh"
    );
    (Home::through(Land::new(), flags, &prefix), directory)
}

const HOST_HOSTS: &str = "127.0.0.1 localhost\n10.3.2.1 printer\n";
const HOST_RESOLV: &str =
    "nameserver 127.0.0.1\nnameserver 10.0.0.53\nnameserver fd00::53\nsearch lan\noptions rotate\n";

#[test]
fn each_kind_of_network_has_its_files() {
    let (home, _files) = home(HOST_HOSTS, HOST_RESOLV, &[]);
    let resolv = "nameserver 10.0.0.53\nsearch lan\noptions rotate";
    assert_eq!(
        home.sh(&["--hostname", "moor"], SHOW),
        format!("{LOCAL}\n172.17.0.2\tmoor\n-\nmoor\nmoor\n-\n{resolv}")
    );
    assert_eq!(
        home.sh(&["--hostname", "moor", "--domainname", "lan", "--network", "none"], SHOW),
        format!("{LOCAL}\n-\nmoor\nmoor\n-\n{resolv}")
    );
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own = own.trim_end();
    assert_eq!(
        home.sh(&["--network", "host"], SHOW),
        format!("{HOST_HOSTS}-\n{own}\n{own}\n-\n{}", HOST_RESOLV.trim_end())
    );
    // With a name of its own it is no copy.
    assert_eq!(
        home.sh(&["--network", "host", "--add-host", "db:10.9.8.7"], "cat /etc/hosts"),
        format!("{LOCAL}\n10.9.8.7\tdb")
    );
    home.ok(&["run", "-d", "--name", "ca", "--hostname", "shared", "bb", "sleep", "1000"]);
    home.ok(&["exec", "ca", "sh", "-c", "echo 10.1.1.1 late >>/etc/hosts"]);
    assert_eq!(
        home.sh(&["--network", "container:ca"], SHOW),
        format!("{LOCAL}\n172.17.0.2\tshared\n10.1.1.1 late\n-\nshared\nshared\n-\n{resolv}")
    );
}

#[test]
fn what_is_asked_for() {
    let (mut home, _files) = home(HOST_HOSTS, HOST_RESOLV, &["--dns-opt", "ndots:3"]);
    let hosts = |options: &[&str]| home.sh(options, "cat /etc/hosts");
    assert_eq!(
        hosts(&[
            "-h",
            "a",
            "--domainname",
            "b.c",
            "--add-host",
            "db:10.9.8.7",
            "--add-host",
            "six=[fd00::1]"
        ]),
        format!("{LOCAL}\n10.9.8.7\tdb\nfd00::1\tsix\n172.17.0.2\ta.b.c a")
    );
    assert_eq!(hosts(&["-h", "a.b.c"]), format!("{LOCAL}\n172.17.0.2\ta.b.c a"));
    assert_eq!(
        hosts(&["-h", "a", "--sysctl", "net.ipv6.conf.all.disable_ipv6=1", "--add-host", "up:host-gateway"]),
        "127.0.0.1\tlocalhost\n172.17.0.1\tup\n172.17.0.2\ta"
    );
    let resolv = |options: &[&str]| home.sh(options, "grep . /etc/resolv.conf | grep -v '^#'");
    assert_eq!(resolv(&[]), "nameserver 10.0.0.53\nsearch lan\noptions ndots:3");
    let own = ["--dns", "127.0.0.9", "--dns", "9.9.9.9", "--dns-search", "x.y", "--dns-option", "debug"];
    let own_text = "nameserver 127.0.0.9\nnameserver 9.9.9.9\nsearch x.y\noptions debug";
    assert_eq!(resolv(&own), own_text);
    assert_eq!(resolv(&[&own[..], &["--network", "host"]].concat()), own_text);
    assert_eq!(resolv(&["--dns-search", "."]), "nameserver 10.0.0.53\noptions ndots:3");
    home.restart(&["--host-gateway-ip", "10.1.2.3", "--host-gateway-ip", "fd00::9"]);
    let up = home.sh(&["--add-host", "up:host-gateway"], "grep up /etc/hosts | grep -v ip6");
    assert_eq!(up, "10.1.2.3\tup\nfd00::9\tup");
}

#[test]
fn servers_on_the_host_s_loopback_are_replaced() {
    let (home, files) = home("", "nameserver 127.0.0.53\n", &[]);
    let resolv = || home.sh(&[], "grep ^nameserver /etc/resolv.conf");
    // What systemd-resolved asks, if it runs here; else Google's.
    if !std::path::Path::new("/run/systemd/resolve/resolv.conf").exists() {
        assert_eq!(resolv(), "nameserver 8.8.8.8\nnameserver 8.8.4.4");
    }
    // Read at each start.
    std::fs::write(files.path().join("resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
    assert_eq!(resolv(), "nameserver 10.0.0.1");
}

#[test]
fn edits_stay_while_it_runs() {
    let (mut home, _files) = home("", "nameserver 10.0.0.53\n", &[]);
    home.sleeper("ca");
    let show = |home: &Home| {
        home.ok(&["exec", "ca", "sh", "-c", "tail -n 1 /etc/hosts /etc/hostname /etc/resolv.conf"])
    };
    let fresh = show(&home);
    home.ok(&[
        "exec",
        "ca",
        "sh",
        "-c",
        "for f in hosts hostname resolv.conf; do echo '# mine' >>/etc/$f; done",
    ]);
    let edited = show(&home);
    assert_eq!(edited.matches("# mine").count(), 3, "{edited}");
    // Where users look for them.
    let path = home.inspect("ca", "{{.HostsPath}}");
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("# mine\n"), "{path}");
    home.sleeper("cb");
    home.restart(&[]);
    assert_eq!(show(&home), edited);
    home.ok(&["restart", "-t", "0", "ca"]);
    assert_eq!(show(&home), fresh, "made anew, as by Docker");
}
