//! From a host's name to its addresses: `/etc/hosts`, then the servers of `/etc/resolv.conf`.
//!
//! Not by glibc's `getaddrinfo`: the binary is static, and that would load the host's NSS modules into it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

/// For a name, over all servers, attempts and search domains: without a network they add up to minutes.
const LOOKUP_MAX: Duration = Duration::from_secs(6);
/// For one question to one server, so that a second server, or a second try, fits in.
const QUESTION_MAX: Duration = Duration::from_millis(2500);

/// A name that leads nowhere; in Go's words, which clients show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    #[error("lookup {0}: no such host")]
    UnknownHost(String),
    #[error("lookup {host}: {why}")]
    Failed { host: String, why: String },
}

/// The socket addresses of a host, best first.
///
/// # Errors
/// The name is nobody's, or nobody who knows answers.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) if host == "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Err(_) => {
            let table = tokio::fs::read_to_string("/etc/hosts").await.unwrap_or_default();
            let listed: Vec<IpAddr> = hosts_entries(&table, host).collect();
            if listed.is_empty() { ask(host).await? } else { listed }
        }
    };
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

async fn ask(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let failed =
        |why: &dyn std::fmt::Display| LookupError::Failed { host: host.to_owned(), why: why.to_string() };
    let mut builder = TokioResolver::builder_tokio().map_err(|error| failed(&error))?;
    let options = builder.options_mut();
    options.timeout = options.timeout.min(QUESTION_MAX);
    let resolver = builder.build().map_err(|error| failed(&error))?;
    match tokio::time::timeout(LOOKUP_MAX, resolver.lookup_ip(host)).await {
        Ok(Ok(found)) => Ok(found.iter().collect()),
        Ok(Err(error)) if error.is_no_records_found() => Err(LookupError::UnknownHost(host.to_owned())),
        Ok(Err(error)) => Err(failed(&reason(&error))),
        Err(_) => Err(failed(&TIMED_OUT)),
    }
}

const TIMED_OUT: &str = "i/o timeout";

/// As Go, or the C library that it asks, says it.
fn reason(error: &NetError) -> String {
    match error {
        NetError::Timeout => TIMED_OUT.to_owned(),
        NetError::NoConnections => "Temporary failure in name resolution".to_owned(),
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail | ResponseCode::Refused)) => {
            "server misbehaving".to_owned()
        }
        other => other.to_string(),
    }
}

/// hosts(5): an address, then names; `#` begins a comment.
fn hosts_entries<'a>(table: &'a str, host: &'a str) -> impl Iterator<Item = IpAddr> + 'a {
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
        let found: Vec<IpAddr> = hosts_entries(table, "box").collect();
        assert_eq!(found, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
    }
}
