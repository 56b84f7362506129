//! From a collector's name to its addresses: `/etc/hosts`, then the servers of `/etc/resolv.conf`.
//!
//! Not by glibc's `getaddrinfo`: the binary is static, and that would load the host's NSS modules into it. The resolver
//! wants an event loop, which lives as long as the question.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;

pub(super) fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if matches!(host, "localhost" | "") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let listed: Vec<IpAddr> = entries(&table, host).collect();
    if !listed.is_empty() {
        return Ok(listed);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let failed = |why: &dyn std::fmt::Display| io::Error::other(format!("lookup {host}: {why}"));
        let resolver =
            TokioResolver::builder_tokio().and_then(|builder| builder.build()).map_err(|e| failed(&e))?;
        match resolver.lookup_ip(host).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_no_records_found() => Err(failed(&"no such host")),
            Err(error) => Err(failed(&error)),
        }
    })
}

/// hosts(5): an address, then names; `#` begins a comment.
fn entries<'a>(table: &'a str, host: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
    table.lines().filter_map(move |line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(ip)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_hosts() {
        let table = "127.0.0.1 localhost\n# 1.1.1.1 box\n10.0.0.7\tother box # x\nfe80::1 BOX\n";
        let found: Vec<IpAddr> = entries(table, "box").collect();
        assert_eq!(found, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
    }
}
