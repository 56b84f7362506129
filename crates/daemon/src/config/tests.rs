use super::*;

fn config(arguments: &[&str], file: Option<&str>) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.json");
    let mut words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    std::fs::write(&path, file.unwrap_or("{}")).unwrap();
    words.push(format!("--config-file={}", path.display()));
    match read(&words)? {
        Asked::Run(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_in_all_spellings() {
    let got = config(
        &["-H", "unix:///a", "--host=tcp://b:1", "-Hfd://", "-D", "--live-restore=false", "-G", "g"],
        None,
    )
    .unwrap();
    assert_eq!(got.hosts(), ["unix:///a", "tcp://b:1", "fd://"]);
    assert!(got.flag("debug", false) && !got.flag("live-restore", true));
    assert_eq!(got.text("group"), Some("g"));
    assert_eq!(got.level().unwrap(), "debug");
}

#[test]
fn the_file_fills_what_the_flags_leave_open() {
    let got = config(
        &["--bip", "10.1.0.1/16"],
        Some(r#"{"hosts":["unix:///x"],"log-opts":{"max-size":"1m"},"mtu":1400}"#),
    )
    .unwrap();
    assert_eq!(got.hosts(), ["unix:///x"]);
    assert_eq!(got.number("mtu"), Some(1400));
    assert_eq!(got.map("log-opt")["max-size"], "1m");
}

#[test]
fn said_twice_is_an_error_in_dockers_words() {
    let error = config(&["--debug"], Some(r#"{"debug":false}"#)).unwrap_err();
    assert!(
        error.ends_with(
            "the following directives are specified both as a flag and in the configuration file: debug: (from flag: \
             true, from file: false)"
        ),
        "{error}"
    );
}

#[test]
fn what_is_not_known_or_not_built_is_refused_by_name() {
    for (arguments, file, part) in [
        (&["--nope"][..], "{}", "unknown flag: --nope"),
        (&["-z"], "{}", "unknown shorthand flag: 'z' in -z"),
        (&["--mtu"][..0], r#"{"nope":1}"#, "don't match any configuration option: nope"),
        (&[], r#"{"debug":"yes"}"#, "wrong type"),
        (&["--tlsverify"], "{}", "--tlsverify (tlsverify) is not built yet"),
        (
            &["--icc==false"],
            "{}",
            "invalid argument \"=false\" for \"--icc\" flag: invalid syntax: did you mean --icc=false?",
        ),
        (&["--icc=false", "--iptables=false"], "{}", "ICC=false uses iptables to function"),
        (&["--iptables=false"], "{\"firewall\":\"respect\"}", "firewall \"respect\" needs rules of Wharf's"),
        (&["--firewall=open"], "{}", "invalid firewall: open (publish, respect)"),
        (
            &["--bridge-accept-fwmark=1/x"],
            "{}",
            "invalid bridge-accept-fwmark: invalid firewall mask \"1/x\": strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (&["--label=x"], "{}", "bad attribute format: x"),
        (&["--log-format=xml"], "{}", "invalid log format: xml"),
        (&[], r#"{"builder":{"gc":{}}}"#, "builder is not built yet"),
        (&["--builder=x"], "{}", "unknown flag: --builder"),
        (&["--storage-driver=devicemapper"], "{}", "it has been removed; use overlay2"),
        (&[], r#"{"storage-driver":"zfs"}"#, "storage-driver zfs: Wharf does not have it; use overlay2"),
        (&["--log-level=loud"], "{}", "invalid logging level: loud"),
        (&["--mtu=x"], "{}", "invalid argument \"x\" for \"--mtu\" flag"),
        (&["--wat"], "{}", "unknown flag: --wat\nSee 'dockerd --help'."),
        (&[], r#"{"mtu":"1400"}"#, "the value of mtu has the wrong type"),
        (
            &["--dns=x"],
            "{}",
            "invalid argument \"x\" for \"--dns\" flag: ParseAddr(\"x\"): unable to parse IP",
        ),
        (&[], r#"{"dns":["9.9.9.9","x"]}"#, "dns: ParseAddr(\"x\"): unable to parse IP"),
        (&["--ip=x"], "{}", "invalid argument \"x\" for \"--ip\" flag: failed to parse IP: \"x\""),
        (&["--default-gateway=x"], "{}", "for \"--default-gateway\" flag: failed to parse IP: \"x\""),
        (&[], r#"{"default-gateway-v6":"x"}"#, "default-gateway-v6: failed to parse IP: \"x\""),
        (
            &["--dns-search", "a b"],
            "{}",
            "invalid argument \"a b\" for \"--dns-search\" flag: a b is not a valid domain",
        ),
        (&[], r#"{"dns-search":[".x"]}"#, "dns-search: .x is not a valid domain"),
        (&["--mtu=-1"], "{}", "invalid default MTU: -1"),
        (&["--icc=false", "--ipv6", "--ip6tables=false"], "{}", "ICC=false uses ip6tables to function"),
        (&["--label=a=1", "--label=a=2"], "{}", "conflict labels for a=2 and a=1"),
        (
            &["--label=com.docker.x=1"],
            "{}",
            "label com.docker.x=1 is not allowed: the namespaces com.docker.*",
        ),
        (
            &["--bridge=none", "--bip6=fd00::1/64"],
            "{}",
            "You specified -b & --bip6, mutually exclusive options",
        ),
        (
            &["--fixed-cidr-v6=ff02::/64"],
            "{}",
            "invalid fixed-cidr-v6: multicast subnet 'ff02::/64' is not allowed",
        ),
        (&["--fixed-cidr-v6=fe80::/10"], "{}", "'fe80::/10' clashes with the Link-Local prefix 'fe80::/64'"),
        (&["--fixed-cidr-v6=10.0.0.0/8"], "{}", "'10.0.0.0/8' is not a valid IPv6 subnet"),
        (
            &["--firewall-backend=x"],
            "{}",
            "invalid firewall-backend: allowed values are \"iptables\" and \"nftables\"",
        ),
        (&["--firewall-backend=iptables"], "{}", "firewall-backend iptables: Wharf's rules are nftables"),
        (
            &["--host-gateway-ip=10.0.0.1", "--host-gateway-ip=10.0.0.2"],
            "{}",
            "only one IPv4 host gateway IP address can be specified",
        ),
        (
            &[],
            r#"{"host-gateway-ip":"10.0.0.1","host-gateway-ips":["fd00::1"]}"#,
            "host-gateway-ip and host-gateway-ips must not both be specified in the config file",
        ),
        (
            &["--host-gateway-ip=10.0.0.1"],
            r#"{"host-gateway-ip":"10.0.0.2"}"#,
            "both as a flag and in the configuration file: host-gateway-ip: (from flag: [10.0.0.1], from file: 10.0.0.2)",
        ),
    ] {
        let error = config(arguments, Some(file)).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn addresses_labels_and_runtimes_are_put_together() {
    let gateways =
        |arguments: &[&str], file: &str| config(arguments, Some(file)).unwrap().host_gateways().unwrap();
    let both: [std::net::IpAddr; 2] = ["10.0.0.1", "fd00::1"].map(|address| address.parse().unwrap());
    assert_eq!(gateways(&["--host-gateway-ip=10.0.0.1", "--host-gateway-ip=fd00::1"], "{}"), both);
    assert_eq!(gateways(&[], r#"{"host-gateway-ips":["10.0.0.1","fd00::1"]}"#), both);
    assert_eq!(gateways(&[], r#"{"host-gateway-ip":"10.0.0.1"}"#), both[..1]);
    let got = config(&["--label=b=1", "--label=a=2", "--label=b=1"], None).unwrap();
    assert_eq!(got.labels().unwrap(), ["a=2", "b=1"]);
    let got = config(&["--add-runtime=a=/a"], Some(r#"{"runtimes":{"b":{"path":"/b"}}}"#)).unwrap();
    assert_eq!(got.map("add-runtime").into_keys().collect::<Vec<_>>(), ["a", "b"]);
    let got = config(&["--fixed-cidr-v6=fd00::/64"], None).unwrap();
    assert_eq!(got.without_ipv6(), ["fixed-cidr-v6"]);
}

#[test]
fn parts_wharf_does_not_have_are_accepted_without_effect() {
    let got = config(&["--containerd=/run/c.sock", "--userland-proxy=false"], None).unwrap();
    assert_eq!(got.without_effect, ["containerd", "userland-proxy"]);
}

/// The checklist of dockerd 29: none of these is unknown.
const FLAGS: &str = "add-runtime allow-direct-routing authorization-plugin bip bip6 bridge bridge-accept-fwmark \
    cdi-spec-dir cgroup-parent config-file containerd containerd-namespace containerd-plugins-namespace cpu-rt-period \
    cpu-rt-runtime cri-containerd data-root debug default-address-pool default-cgroupns-mode default-gateway \
    default-gateway-v6 default-ipc-mode default-network-opt default-runtime default-shm-size default-ulimit dns dns-opt \
    dns-search exec-opt exec-root experimental feature firewall-backend fixed-cidr fixed-cidr-v6 group host \
    host-gateway-ip http-proxy https-proxy icc init init-path insecure-registry ip ip-forward ip-forward-no-drop ip-masq \
    ip6tables iptables ipv6 label live-restore log-driver log-format log-level log-opt max-concurrent-downloads \
    max-concurrent-uploads max-download-attempts metrics-addr mtu network-control-plane-mtu no-new-privileges no-proxy \
    node-generic-resource pidfile raw-logs registry-mirror rootless seccomp-profile selinux-enabled shutdown-timeout \
    storage-driver storage-opt swarm-default-advertise-addr tls tlsverify tlscacert tlscert tlskey userland-proxy \
    userland-proxy-path userns-remap validate allow-nondistributable-artifacts api-cors-header default-stop-timeout \
    nri-opts oom-score-adjust";

const KEYS: &str = "allow-direct-routing authorization-plugins bip bip6 bridge bridge-accept-fwmark builder \
    cgroup-parent containerd containerd-namespace containerd-plugins-namespace data-root debug default-address-pools \
    default-cgroupns-mode default-gateway default-gateway-v6 default-network-opts default-runtime default-shm-size \
    default-ulimits dns dns-opts dns-search exec-opts exec-root experimental features firewall-backend fixed-cidr \
    fixed-cidr-v6 group host-gateway-ip hosts proxies icc init init-path insecure-registries ip ip-forward ip-masq \
    iptables ip6tables ipv6 labels live-restore log-driver log-format log-level log-opts max-concurrent-downloads \
    max-concurrent-uploads max-download-attempts mtu no-new-privileges node-generic-resources pidfile raw-logs \
    registry-mirrors runtimes seccomp-profile selinux-enabled shutdown-timeout storage-driver storage-opts \
    swarm-default-advertise-addr tls tlscacert tlscert tlskey tlsverify userland-proxy userland-proxy-path userns-remap \
    nri-opts min-api-version cdi-spec-dirs default-ipc-mode metrics-addr network-control-plane-mtu cpu-rt-period \
    cpu-rt-runtime allow-nondistributable-artifacts api-cors-header containerd-plugin-namespace default-stop-timeout \
    host-gateway-ips oom-score-adjust swarm-raft-election-tick swarm-raft-heartbeat-tick";

/// A value that every option of this kind takes, as a flag and as JSON.
fn sample(option: &Option_) -> (&'static str, &'static str) {
    match (option.name(), option.kind) {
        ("storage-driver", _) => ("vfs", "\"vfs\""),
        ("log-level", _) => ("warn", "\"warn\""),
        ("log-format", _) => ("json", "\"json\""),
        ("firewall", _) => ("respect", "\"respect\""),
        ("dns-search", _) => ("a.b", "[\"a.b\"]"),
        ("fixed-cidr-v6", _) => ("fd00::/64", "\"fd00::/64\""),
        ("firewall-backend", _) => ("nftables", "\"nftables\""),
        ("bridge-accept-fwmark", _) => ("0x1/0x3", "\"0x1/0x3\""),
        ("exec-opt", _) => ("native.cgroupdriver=cgroupfs", "[\"native.cgroupdriver=cgroupfs\"]"),
        ("registry-mirror", _) => ("http://b", "[\"http://b\"]"),
        ("default-network-opt", _) => ("bridge=a=b", r#"{"bridge":{"a":"b"}}"#),
        ("default-address-pool", _) => ("base=10.0.0.0/8,size=24", r#"[{"base":"10.0.0.0/8","size":24}]"#),
        (_, Kind::Bool) => ("true", "true"),
        (_, Kind::Text) => ("x", "\"x\""),
        (_, Kind::Address) => ("10.0.0.1", "\"10.0.0.1\""),
        (_, Kind::Addresses) => ("10.0.0.1", "[\"10.0.0.1\"]"),
        (_, Kind::Number) => ("1", "1"),
        (_, Kind::List) => ("a=b", "[\"a=b\"]"),
        (_, Kind::Map) => ("a=b", "{\"a\":\"b\"}"),
    }
}

#[test]
fn every_option_of_dockerd_works_is_without_effect_or_is_refused_by_name() {
    for name in FLAGS.split_whitespace().filter(|name| !matches!(*name, "validate" | "config-file")) {
        let option = OPTIONS.iter().find(|o| o.flag == name).unwrap_or_else(|| panic!("--{name} is unknown"));
        let said = format!("--{name}={}", sample(option).0);
        match (option.standing, config(&[&said], None)) {
            (Standing::Built, Ok(got)) => assert!(got.values.contains_key(name), "--{name} is forgotten"),
            (Standing::NoEffect, Ok(got)) => assert_eq!(got.without_effect, [name]),
            (Standing::NotBuilt, Err(error)) => assert!(error.contains(&format!("--{name}")), "{error}"),
            (standing, got) => panic!("--{name} ({standing:?}): {got:?}"),
        }
    }
    for key in KEYS.split_whitespace() {
        let option = OPTIONS.iter().find(|o| o.key == key).unwrap_or_else(|| panic!("{key} is unknown"));
        let file = format!("{{\"{key}\":{}}}", sample(option).1);
        match (option.standing, config(&[], Some(&file))) {
            (Standing::Built, Ok(got)) => {
                assert!(got.values.contains_key(option.name()), "{key} is forgotten")
            }
            (Standing::NoEffect, Ok(got)) => assert_eq!(got.without_effect, [option.name()]),
            (Standing::NotBuilt, Err(error)) => assert!(error.contains(key), "{error}"),
            (standing, got) => panic!("{key} ({standing:?}): {got:?}"),
        }
    }
}

#[test]
fn every_built_option_is_read_somewhere() {
    // A flag that is parsed and then forgotten would be worse than one that is refused.
    let sources = [
        include_str!("mod.rs"),
        include_str!("firewall_mark.rs"),
        include_str!("pools.rs"),
        include_str!("registries.rs"),
        include_str!("values.rs"),
        include_str!("../wire.rs"),
        include_str!("../lib.rs"),
        include_str!("../log.rs"),
    ];
    for option in OPTIONS.iter().filter(|o| o.standing == Standing::Built && o.flag != "config-file") {
        let quoted = format!("\"{}\"", option.flag);
        assert!(sources.iter().any(|source| source.contains(&quoted)), "--{} is read nowhere", option.flag);
    }
}

#[test]
fn address_pools_are_read_from_the_line_and_the_file() {
    let pools = |got: Config| {
        got.address_pools()
            .map(|all| all.iter().map(|p| format!("{}+{}", p.base, p.size)).collect::<Vec<_>>())
    };
    let line = config(&["--default-address-pool", "base=10.1.0.0/16,size=24"], None).unwrap();
    assert_eq!(pools(line).unwrap(), ["10.1.0.0/16+24"]);
    let file = r#"{"default-address-pools": [{"base": "10.1.0.0/16", "size": 24}, {"base": "10.2.0.0/24", "size": 24}]}"#;
    assert_eq!(pools(config(&[], Some(file)).unwrap()).unwrap(), ["10.1.0.0/16+24", "10.2.0.0/24+24"]);
    for wrong in [
        "10.1.0.0/16",
        "base=10.1.0.0/16",
        "base=x,size=24",
        "base=10.1.0.0/16,size=8",
        "base=fd00::/8,size=127",
        "a=b",
    ] {
        assert!(pools(config(&["--default-address-pool", wrong], None).unwrap()).is_err(), "{wrong}");
    }
}
