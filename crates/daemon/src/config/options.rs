//! The table of dockerd's options: what each is called as a flag and in `daemon.json`, and what Wharf does with it.

/// The shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Text,
    /// Of a host.
    Address,
    Number,
    /// Addresses, as a list.
    Addresses,
    /// May be given several times; a JSON array in the file.
    List,
    /// `key=value`, several times; a JSON object in the file.
    Map,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Built,
    /// Names a part that Wharf does not have: accepted, and the log says so.
    NoEffect,
    /// Refused by name until it is built.
    NotBuilt,
}

#[derive(Debug)]
pub(crate) struct Option_ {
    /// Without dashes; empty: a key of the file only.
    pub(crate) flag: &'static str,
    pub(crate) short: Option<char>,
    /// Key in `daemon.json`; empty: a flag only.
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) standing: Standing,
}

impl Option_ {
    /// What its value is kept under.
    pub(crate) fn name(&self) -> &'static str {
        if self.flag.is_empty() { self.key } else { self.flag }
    }
}

const fn row(flag: &'static str, key: &'static str, kind: Kind, standing: Standing) -> Option_ {
    Option_ { flag, short: None, key, kind, standing }
}

const fn short(flag: &'static str, letter: char, key: &'static str, kind: Kind) -> Option_ {
    Option_ { flag, short: Some(letter), key, kind, standing: Built }
}

use Kind::{Address, Addresses, Bool, List, Map, Number, Text};
use Standing::{Built, NoEffect, NotBuilt};

pub(crate) const OPTIONS: &[Option_] = &[
    row("add-runtime", "runtimes", Map, Built),
    row("allow-direct-routing", "allow-direct-routing", Bool, Built),
    row("allow-nondistributable-artifacts", "allow-nondistributable-artifacts", List, NoEffect),
    row("api-cors-header", "api-cors-header", Text, NotBuilt),
    row("authorization-plugin", "authorization-plugins", List, NotBuilt),
    row("bip", "bip", Text, Built),
    row("bip6", "bip6", Text, Built),
    short("bridge", 'b', "bridge", Text),
    row("bridge-accept-fwmark", "bridge-accept-fwmark", Text, Built),
    row("cdi-spec-dir", "cdi-spec-dirs", List, Built),
    row("cgroup-parent", "cgroup-parent", Text, Built),
    row("config-file", "", Text, Built),
    row("containerd", "containerd", Text, NoEffect),
    row("containerd-namespace", "containerd-namespace", Text, NoEffect),
    row("containerd-plugins-namespace", "containerd-plugins-namespace", Text, NoEffect),
    row("cpu-rt-period", "cpu-rt-period", Number, NotBuilt),
    row("cpu-rt-runtime", "cpu-rt-runtime", Number, NotBuilt),
    row("cri-containerd", "cri-containerd", Bool, NoEffect),
    row("data-root", "data-root", Text, Built),
    short("debug", 'D', "debug", Bool),
    row("default-address-pool", "default-address-pools", List, Built),
    row("default-cgroupns-mode", "default-cgroupns-mode", Text, Built),
    row("default-gateway", "default-gateway", Address, Built),
    row("default-gateway-v6", "default-gateway-v6", Address, Built),
    row("default-ipc-mode", "default-ipc-mode", Text, Built),
    row("default-network-opt", "default-network-opts", List, Built),
    row("default-runtime", "default-runtime", Text, Built),
    row("default-shm-size", "default-shm-size", Text, Built),
    row("default-stop-timeout", "default-stop-timeout", Number, NotBuilt),
    row("default-ulimit", "default-ulimits", Map, Built),
    row("dns", "dns", Addresses, Built),
    row("dns-opt", "dns-opts", List, Built),
    row("dns-search", "dns-search", List, Built),
    row("exec-opt", "exec-opts", List, Built),
    row("exec-root", "exec-root", Text, Built),
    row("experimental", "experimental", Bool, Built),
    row("feature", "features", Map, NotBuilt),
    // Wharf's own.
    row("firewall", "firewall", Text, Built),
    row("firewall-backend", "firewall-backend", Text, Built),
    row("fixed-cidr", "fixed-cidr", Text, Built),
    row("fixed-cidr-v6", "fixed-cidr-v6", Text, Built),
    short("group", 'G', "group", Text),
    short("host", 'H', "hosts", List),
    row("host-gateway-ip", "host-gateway-ips", Addresses, Built),
    row("http-proxy", "http-proxy", Text, Built),
    row("https-proxy", "https-proxy", Text, Built),
    row("no-proxy", "no-proxy", Text, Built),
    row("icc", "icc", Bool, Built),
    row("init", "init", Bool, Built),
    row("init-path", "init-path", Text, NoEffect),
    row("insecure-registry", "insecure-registries", List, Built),
    row("ip", "ip", Address, Built),
    row("ip-forward", "ip-forward", Bool, Built),
    row("ip-forward-no-drop", "ip-forward-no-drop", Bool, Built),
    row("ip-masq", "ip-masq", Bool, Built),
    row("ip6tables", "ip6tables", Bool, Built),
    row("iptables", "iptables", Bool, Built),
    row("ipv6", "ipv6", Bool, Built),
    row("label", "labels", List, Built),
    row("live-restore", "live-restore", Bool, Built),
    row("log-driver", "log-driver", Text, Built),
    row("log-format", "log-format", Text, Built),
    short("log-level", 'l', "log-level", Text),
    row("log-opt", "log-opts", Map, Built),
    row("max-concurrent-downloads", "max-concurrent-downloads", Number, Built),
    row("max-concurrent-uploads", "max-concurrent-uploads", Number, Built),
    row("max-download-attempts", "max-download-attempts", Number, Built),
    row("metrics-addr", "metrics-addr", Text, NotBuilt),
    row("mtu", "mtu", Number, Built),
    row("network-control-plane-mtu", "network-control-plane-mtu", Number, NoEffect),
    row("no-new-privileges", "no-new-privileges", Bool, Built),
    row("node-generic-resource", "node-generic-resources", List, NoEffect),
    row("nri-opts", "nri-opts", Map, NotBuilt),
    row("oom-score-adjust", "oom-score-adjust", Number, NotBuilt),
    short("pidfile", 'p', "pidfile", Text),
    // Wharf's own: where plugins are looked for, instead of Docker's three places.
    row("plugin-dir", "plugin-dirs", List, Built),
    row("raw-logs", "raw-logs", Bool, Built),
    row("registry-mirror", "registry-mirrors", List, Built),
    row("rootless", "rootless", Bool, NotBuilt),
    row("seccomp-profile", "seccomp-profile", Text, Built),
    row("selinux-enabled", "selinux-enabled", Bool, NotBuilt),
    row("shutdown-timeout", "shutdown-timeout", Number, Built),
    short("storage-driver", 's', "storage-driver", Text),
    row("storage-opt", "storage-opts", List, Built),
    row("swarm-default-advertise-addr", "swarm-default-advertise-addr", Text, NoEffect),
    row("tls", "tls", Bool, NotBuilt),
    row("tlscacert", "tlscacert", Text, NotBuilt),
    row("tlscert", "tlscert", Text, NotBuilt),
    row("tlskey", "tlskey", Text, NotBuilt),
    row("tlsverify", "tlsverify", Bool, NotBuilt),
    row("userland-proxy", "userland-proxy", Bool, NoEffect),
    row("userland-proxy-path", "userland-proxy-path", Text, NoEffect),
    row("userns-remap", "userns-remap", Text, NotBuilt),
    row("validate", "", Bool, Built),
    // Keys of the file without a flag.
    row("", "builder", Map, NotBuilt),
    // Under its own name: dockerd's documentation has the one, its code the other.
    row("", "containerd-plugin-namespace", Text, NoEffect),
    // What it was called when it was one address.
    row("", "host-gateway-ip", Address, Built),
    // Not in Docker.
    row("", "image-gc", Map, Built),
    row("", "min-api-version", Text, NotBuilt),
    row("", "proxies", Map, NotBuilt),
    row("", "swarm-raft-election-tick", Number, NoEffect),
    row("", "swarm-raft-heartbeat-tick", Number, NoEffect),
];
