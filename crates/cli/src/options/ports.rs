//! `-p`: `[address:][host:]container[/protocol]`, each port also a range. What it means is worked out here, as Docker's
//! client does: the engine is told of single ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::container::Empty;
use api::network::{PortBinding, PortMap};

/// What is exposed, and what is published.
pub(crate) fn parse(given: &[String]) -> Result<(BTreeMap<String, Empty>, PortMap), String> {
    let mut all = Vec::new();
    for text in given {
        let text = if text.contains('=') { short(text)? } else { text.clone() };
        all.extend(one(&text)?);
    }
    // Maps are made at once: of ten thousand ports each would be looked up for its place.
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut published: Vec<(String, Option<Vec<PortBinding>>)> = Vec::with_capacity(all.len());
    for (port, binding) in all {
        match published.last_mut() {
            Some((last, Some(bindings))) if *last == port => bindings.push(binding),
            _ => published.push((port, Some(vec![binding]))),
        }
    }
    let exposed = published.iter().map(|(port, _)| (port.clone(), Empty::default())).collect();
    Ok((exposed, published.into_iter().collect()))
}

/// `published=8080,target=80,protocol=udp` in the short form.
fn short(text: &str) -> Result<String, String> {
    let mut fields = BTreeMap::from([("protocol", "tcp"), ("published", ""), ("target", "")]);
    for field in text.split(',') {
        match field.split_once('=') {
            Some((key, value)) if !key.is_empty() => fields.insert(key, value),
            _ => {
                return Err(format!("invalid publish opts format (should be name=value but got '{field}')"));
            }
        };
    }
    Ok(format!("{}:{}/{}", fields["published"], fields["target"], fields["protocol"]))
}

fn one(text: &str) -> Result<Vec<(String, PortBinding)>, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (address, host, container) = match parts[..] {
        [container] => (String::new(), "", container),
        [host, container] => (String::new(), host, container),
        // Colons of an IPv6 address.
        [ref address @ .., host, container] => (address.join(":"), host, container),
        [] => (String::new(), "", ""),
    };
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let protocol = match protocol.to_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        other => return Err(format!("invalid proto: {other}")),
    };
    let host_ip = match address.strip_prefix('[') {
        None => address,
        Some(rest) => rest.strip_suffix(']').map(str::to_owned).ok_or_else(|| {
            format!("invalid IP address {address}: address {address}:: missing ']' in address")
        })?,
    };
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {host_ip}"));
    }
    let (first, last) = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let there = match host {
        "" => None,
        _ => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    if there.is_some_and(|(from, to)| to - from != last - first) && first != last {
        return Err(format!("invalid ranges specified for container and host Ports: {container} and {host}"));
    }
    let binding = |n: u16| {
        let host_port = match there {
            None => String::new(),
            // One container port and a range: any of it.
            Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
            Some((from, _)) => (from + n).to_string(),
        };
        (format!("{}/{protocol}", first + n), PortBinding { host_ip: host_ip.clone(), host_port })
    };
    Ok((0..=last - first).map(binding).collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Of digits alone: Go's parser, and so Docker's engine, takes no `+`.
fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(given: &[&str]) -> String {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        let (_, published) = match parse(&given) {
            Ok(parsed) => parsed,
            Err(error) => return error,
        };
        let of = |(port, bindings): (&String, &Option<Vec<PortBinding>>)| {
            let bindings = bindings.iter().flatten();
            let places: Vec<String> = bindings.map(|b| format!("{}|{}", b.host_ip, b.host_port)).collect();
            format!("{port}={}", places.join("+"))
        };
        published.iter().map(of).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn all_forms() {
        for (given, meant) in [
            (&["80"][..], "80/tcp=|"),
            (&["8080:80"], "80/tcp=|8080"),
            (&[":80"], "80/tcp=|"),
            (&["127.0.0.1:8080:80"], "80/tcp=127.0.0.1|8080"),
            (&["127.0.0.1::80"], "80/tcp=127.0.0.1|"),
            (&["53:53/udp", "54:53/UDP", "53:53"], "53/tcp=|53 53/udp=|53+|54"),
            (&["7:7/sctp"], "7/sctp=|7"),
            (&["8000-8001:80-81"], "80/tcp=|8000 81/tcp=|8001"),
            (&["8000-8010:80"], "80/tcp=|8000-8010"),
            (&["80-81"], "80/tcp=| 81/tcp=|"),
            (&["[::1]:8080:80"], "80/tcp=::1|8080"),
            (&["::1:8080:80"], "80/tcp=::1|8080"),
            (&["published=8080,target=80"], "80/tcp=|8080"),
            (&["published=53,target=54,protocol=udp,mode=host"], "54/udp=|53"),
        ] {
            assert_eq!(text(given), meant, "{given:?}");
        }
        let (exposed, _) = parse(&["8000-8001:80-81".to_owned()]).unwrap();
        assert_eq!(exposed.into_keys().collect::<Vec<_>>(), ["80/tcp", "81/tcp"]);
    }

    #[test]
    fn what_is_none_is_refused_in_docker_s_words() {
        for (given, said) in [
            ("", "no port specified: <empty>"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("80/foo", "invalid proto: foo"),
            ("x:80", "invalid hostPort: x"),
            ("80:x", "invalid containerPort: x"),
            ("80:+80", "invalid containerPort: +80"),
            ("+80:80", "invalid hostPort: +80"),
            ("70000:80", "invalid hostPort: 70000"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("8000-8001:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
            ("published=80,target", "invalid publish opts format (should be name=value but got 'target')"),
        ] {
            assert_eq!(text(&[given]), said, "{given}");
        }
    }
}
