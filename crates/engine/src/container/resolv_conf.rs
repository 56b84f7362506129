//! A container's `/etc/resolv.conf`, from the host's and what was asked for. See `resolv.conf(5)`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Servers for a machine whose own are all on its loopback (as Docker).
const FALLBACK_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];
const FALLBACK_SERVERS_IPV6: [&str; 2] = ["2001:4860:4860::8888", "2001:4860:4860::8844"];
const HOST_FILE: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers that its own, on the loopback, asks.
const RESOLVED_FILE: &str = "/run/systemd/resolve/resolv.conf";
const RESOLVED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// What was asked for; an empty list takes the host's.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) servers: Vec<String>,
    pub(crate) search: Vec<String>,
    pub(crate) options: Vec<String>,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The host's servers: the container is in its network.
    HostsOwn,
    /// Those of the host's servers that can be reached from another network.
    HostsReachable,
    /// The same from one that has IPv6.
    HostsReachableIpv6,
    /// Us, at 127.0.0.11, since containers have names there. We ask the host's in turn.
    Us,
}

const US: &str = "127.0.0.11";
/// All that a container asks goes to us first as it is: names of containers have no dots.
const OUR_NDOTS: &str = "ndots:0";

impl Asked {
    fn is_nothing(&self) -> bool {
        self.servers.is_empty() && self.search.is_empty() && self.options.is_empty()
    }
}

/// Whether search domains are meant to be tried for names without a dot.
pub(crate) fn has_ndots(asked: &Asked) -> bool {
    let options = match asked.options.is_empty() {
        true => entries(&host_file(Whom::Us).1, &["options"]).concat(),
        false => asked.options.clone(),
    };
    ndots(&options).is_some_and(|dots| dots > 0)
}

/// The text for a container, by the files of this machine.
pub(crate) fn text(asked: &Asked, whom: Whom) -> String {
    let (path, host_file) = host_file(whom);
    match whom == Whom::HostsOwn && asked.is_nothing() {
        true => host_file,
        false => generate(&host_file, path, asked, whom),
    }
}

/// Which it is, and what it says.
fn host_file(whom: Whom) -> (&'static str, String) {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let mut path = HOST_FILE;
    let mut host_file = read(path);
    if whom != Whom::HostsOwn && servers(&host_file) == [RESOLVED.to_string()] {
        let resolved_file = read(RESOLVED_FILE);
        // Something else than systemd-resolved may be there.
        if !servers(&resolved_file).is_empty() {
            (path, host_file) = (RESOLVED_FILE, resolved_file);
        }
    }
    (path, host_file)
}

/// With Docker's comments at its end, which tell where everything comes from.
fn generate(host_file: &str, path: &str, asked: &Asked, whom: Whom) -> String {
    let mut names = asked.servers.clone();
    let mut comments = Vec::new();
    if names.is_empty() {
        let of_host = servers(host_file).into_iter();
        names = of_host.filter(|server| is_reachable(whom, server)).collect();
        if names.is_empty() && matches!(whom, Whom::HostsReachable | Whom::HostsReachableIpv6) {
            names = FALLBACK_SERVERS.map(str::to_owned).to_vec();
            if whom == Whom::HostsReachableIpv6 {
                names.extend(FALLBACK_SERVERS_IPV6.map(str::to_owned));
            }
            comments.push("Used default nameservers.".to_owned());
        }
    }
    if whom == Whom::Us {
        let others = names.iter().filter(|server| address(server).is_some());
        let others = others.map(|server| match asked.servers.is_empty() {
            true => format!("host({server})"),
            false => server.clone(),
        });
        let others = others.collect::<Vec<_>>().join(" ");
        comments.push(match others.is_empty() {
            true => "NO EXTERNAL NAMESERVERS DEFINED".to_owned(),
            false => format!("ExtServers: [{others}]"),
        });
        names = vec![US.to_owned()];
    }
    let search = match asked.search.is_empty() {
        // The last line of either holds.
        true => entries(host_file, &["search", "domain"]).pop().unwrap_or_default(),
        // `--dns-search .` means none.
        false => asked.search.iter().filter(|domain| *domain != ".").cloned().collect(),
    };
    let mut options = match asked.options.is_empty() {
        true => entries(host_file, &["options"]).concat(),
        false => asked.options.clone(),
    };
    if whom == Whom::Us {
        options.retain(|option| {
            !option.starts_with("ndots:") || option["ndots:".len()..].parse::<u32>().is_ok()
        });
    }
    let ndots_from = match ndots(&options) {
        Some(_) if asked.options.is_empty() => Some("host"),
        Some(_) => Some("override"),
        None if whom == Whom::Us => {
            options.push(OUR_NDOTS.to_owned());
            Some("internal")
        }
        None => None,
    };
    let mut text = String::from(
        "# Generated by Wharf.\n# This file can be edited; it is made anew when the container starts.\n\n",
    );
    names.iter().for_each(|server| text.push_str(&format!("nameserver {server}\n")));
    for (key, words) in [("search", search), ("options", options)] {
        if !words.is_empty() {
            let _ = writeln!(text, "{key} {}", words.join(" "));
        }
    }
    host_file.lines().filter(|line| is_other(line)).for_each(|line| {
        let _ = writeln!(text, "{}", line.trim());
    });
    let invalid: Vec<_> = servers(host_file).into_iter().filter(|server| address(server).is_none()).collect();
    if !invalid.is_empty() {
        comments.push(format!("Invalid nameservers: [{}]", invalid.join(" ")));
    }
    let overrides = [("nameservers", &asked.servers), ("search", &asked.search), ("options", &asked.options)];
    let overrides: Vec<_> =
        overrides.iter().filter(|(_, words)| !words.is_empty()).map(|(name, _)| *name).collect();
    let how = match whom {
        Whom::HostsOwn => "",
        Whom::HostsReachable | Whom::HostsReachableIpv6 => " (legacy)",
        Whom::Us => " (internal resolver)",
    };
    let _ = write!(text, "\n# Based on host file: '{path}'{how}\n");
    comments.push(format!("Overrides: [{}]", overrides.join(" ")));
    comments.extend(ndots_from.map(|from| format!("Option ndots from: {from}")));
    comments.iter().for_each(|comment| text.push_str(&format!("# {comment}\n")));
    text
}

/// The last one that says so holds.
fn ndots(options: &[String]) -> Option<u32> {
    options.iter().rev().find_map(|option| option.strip_prefix("ndots:")?.parse().ok())
}

/// The words after one of the keys, a list for each line.
fn entries(file: &str, keys: &[&str]) -> Vec<Vec<String>> {
    let of = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        words.next().filter(|key| keys.contains(&key.as_str())).map(|_| words.collect())
    };
    file.lines().filter_map(of).collect()
}

fn servers(file: &str) -> Vec<String> {
    entries(file, &["nameserver"]).into_iter().filter_map(|words| words.into_iter().next()).collect()
}

/// A line that is for the resolver and not ours to change, as `sortlist`.
fn is_other(line: &str) -> bool {
    let key = line.split_whitespace().next();
    key.is_some_and(|key| {
        !key.starts_with(['#', ';']) && !["nameserver", "search", "domain", "options"].contains(&key)
    })
}

/// From a network that is not the host's: its loopback is another, and it may have no IPv6.
fn is_reachable(whom: Whom, server: &str) -> bool {
    let Some(ip) = address(server) else { return false };
    match whom {
        Whom::HostsReachable => ip.is_ipv4() && !ip.is_loopback(),
        Whom::HostsReachableIpv6 => !ip.is_loopback(),
        Whom::HostsOwn | Whom::Us => true,
    }
}

/// Without its interface, as in `fe80::1%eth0`.
fn address(server: &str) -> Option<IpAddr> {
    match server.split_once('%') {
        None => server.parse().ok(),
        Some((address, interface)) => {
            address.parse::<Ipv6Addr>().ok().filter(|_| !interface.is_empty()).map(IpAddr::V6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without comments.
    fn made(host_file: &str, asked: &Asked, whom: Whom) -> String {
        let text = generate(host_file, "/etc/resolv.conf", asked, whom);
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn the_host_s_servers_where_they_can_be_reached() {
        let nothing = Asked::default();
        let file = "# x\nnameserver 127.0.0.1\nnameserver 10.0.0.2\nnameserver fd00::1\ndomain a.b\noptions rotate\n\
                    options ndots:2\nsortlist 10.0.0.0\n";
        assert_eq!(
            made(file, &nothing, Whom::HostsReachable),
            "nameserver 10.0.0.2|search a.b|options rotate ndots:2|sortlist 10.0.0.0"
        );
        assert!(
            made(file, &nothing, Whom::HostsReachableIpv6)
                .starts_with("nameserver 10.0.0.2|nameserver fd00::1|")
        );
        let only_local = "nameserver ::1\nnameserver 127.0.1.1\n";
        assert_eq!(made(only_local, &nothing, Whom::HostsReachable), "nameserver 8.8.8.8|nameserver 8.8.4.4");
        assert_eq!(
            made(only_local, &nothing, Whom::HostsReachableIpv6),
            "nameserver 8.8.8.8|nameserver 8.8.4.4|nameserver 2001:4860:4860::8888|nameserver 2001:4860:4860::8844"
        );
        assert_eq!(made(only_local, &nothing, Whom::HostsOwn), "nameserver ::1|nameserver 127.0.1.1");
        assert_eq!(made("", &nothing, Whom::HostsOwn), "");
    }

    #[test]
    fn what_is_asked_for_wins() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let asked = Asked {
            servers: list(&["127.0.0.1", "fd00::7"]),
            search: list(&["."]),
            options: list(&["debug"]),
        };
        let file = "nameserver 10.0.0.2\nsearch a b\noptions rotate\n";
        let wanted = "nameserver 127.0.0.1|nameserver fd00::7|options debug";
        assert_eq!(made(file, &asked, Whom::HostsReachable), wanted);
        let text = generate(file, "/etc/resolv.conf", &asked, Whom::HostsReachable);
        let ends = "\n# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: [nameservers search options]\n";
        assert!(text.ends_with(ends), "{text}");
    }

    #[test]
    fn where_containers_have_names_we_are_asked() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let of = |file: &str, asked: &Asked| {
            let text = generate(file, "/etc/resolv.conf", asked, Whom::Us);
            text.split_once("\n\n").unwrap().1.to_owned()
        };
        assert_eq!(
            of("nameserver 127.0.0.1\nnameserver fd00::1\nsearch lan\noptions rotate\n", &Asked::default()),
            "nameserver 127.0.0.11\nsearch lan\noptions rotate ndots:0\n\n# Based on host file: '/etc/resolv.conf' \
             (internal resolver)\n# ExtServers: [host(127.0.0.1) host(fd00::1)]\n# Overrides: []\n# Option ndots from: \
             internal\n"
        );
        let asked =
            Asked { servers: list(&["10.1.1.1"]), search: vec![], options: list(&["ndots:x", "ndots:2"]) };
        assert_eq!(
            of("", &asked),
            "nameserver 127.0.0.11\noptions ndots:2\n\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# \
             ExtServers: [10.1.1.1]\n# Overrides: [nameservers options]\n# Option ndots from: override\n"
        );
        let text = of("nameserver fe80::1%eth0\nnameserver me\n", &Asked::default());
        assert!(text.contains("# ExtServers: [host(fe80::1%eth0)]\n# Invalid nameservers: [me]\n"), "{text}");
        assert!(of("", &Asked::default()).contains("# NO EXTERNAL NAMESERVERS DEFINED\n"));
    }
}
