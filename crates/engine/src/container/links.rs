//! Links on the default bridge (`--link db:alias`): what one container is told of another.
//!
//! The container that has the link hears of the other's address by variables, when a process starts, and by its
//! `/etc/hosts`, which follows when the other starts again with another address. With `--icc=false` it may also connect
//! to the ports that the other exposes, and nobody else may.

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Container, NetworkMode, published};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ports::PortProtocol;

/// The other container, and what it is called here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Full id.
    pub(crate) target: String,
    pub(crate) alias: String,
}

/// `name`, `name:alias`, and what inspect shows: `/name:/web/alias`.
pub(crate) fn parse(text: &str) -> Result<(&str, &str)> {
    let invalid = || Error::invalid(format!("bad format for links: {text}"));
    let (name, alias) = match text.split(':').collect::<Vec<_>>()[..] {
        [""] => return Err(Error::invalid("empty string specified for links")),
        [name] => (name, name),
        [name, alias] => (name, alias),
        _ => return Err(invalid()),
    };
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    Ok((name, alias))
}

/// The links that were asked for, to containers that there are.
///
/// # Errors
///
/// In Docker's words. Not "not found": to a create that means the image, and clients would pull.
pub(crate) fn resolve(core: &Core, asked: &[String]) -> Result<Vec<Link>> {
    let mut links: Vec<Link> = Vec::new();
    for text in asked {
        let (name, alias) = parse(text)?;
        let find = |reference: &str| {
            let found = core.index.find(reference).map(|handle| handle.view());
            found.map_err(|error| {
                Error::invalid(format!("could not get container for {reference}: {}", error.message))
            })
        };
        let mut target = find(name)?;
        while let NetworkMode::Container(other) = &target.spec.host.network_mode {
            target = find(other)?;
        }
        if target.spec.host.network_mode == NetworkMode::Host {
            return Err(Error::invalid(
                "conflicting options: host type networking can't be used with links. This would result in undefined \
                 behavior",
            ));
        }
        // The first of a name holds, as in Docker.
        if links.iter().all(|link| link.alias != alias) {
            links.push(Link { target: target.id.clone(), alias: alias.to_owned() });
        }
    }
    Ok(links)
}

/// A link with the container it leads to, which runs.
#[derive(Debug)]
pub(crate) struct Linked {
    alias: String,
    target: Arc<Container>,
    address: Ipv4Addr,
}

/// Where the links of a container lead.
///
/// # Errors
///
/// One of them does not run.
pub(crate) fn follow(core: &Core, name: &str, links: &[Link]) -> Result<Vec<Linked>> {
    let one = |link: &Link| {
        let Link { target, alias } = link;
        // It was removed, and the link with it.
        let Ok(view) = core.index.find(target).map(|handle| handle.view()) else { return Ok(None) };
        let stopped = || {
            Error::internal(format!(
                "Cannot link to a non running container: /{} AS /{name}/{alias}",
                view.name
            ))
        };
        if view.state.pid == 0 {
            return Err(stopped());
        }
        let Some(address) = address(&view) else {
            return Err(Error::internal(format!(
                "Cannot link to /{}, as it does not belong to the default network",
                view.name
            )));
        };
        Ok(Some(Linked { alias: alias.clone(), address, target: view }))
    };
    links.iter().filter_map(|link| one(link).transpose()).collect()
}

/// Those that run now: what is told of the others follows when they start.
pub(crate) fn follow_running(core: &Core, links: &[Link]) -> Vec<Linked> {
    links.iter().filter_map(|link| follow(core, "", std::slice::from_ref(link)).ok()).flatten().collect()
}

/// On the default bridge.
fn address(view: &Container) -> Option<Ipv4Addr> {
    view.network.endpoints.get("bridge").and_then(|endpoint| endpoint.ipv4)
}

impl Linked {
    /// Docker's variables.
    pub(crate) fn environment(&self, name: &str) -> Vec<String> {
        let ports = self.target.spec.exposed_ports.iter().filter_map(|port| published::parse(port)).collect();
        environment(&format!("/{name}/{}", self.alias), self.address, ports, &self.target.spec.env)
    }

    /// The line of `/etc/hosts`.
    pub(crate) fn hosts_line(&self) -> String {
        format!("{}\t{}\n", self.address, self.names())
    }

    /// Whether a line of `/etc/hosts` is of this link: by the alias, as the other may have been renamed.
    fn is_in(&self, line: &str) -> bool {
        line.split_once('\t').is_some_and(|(_, names)| names.split(' ').next() == Some(self.alias.as_str()))
    }

    fn names(&self) -> String {
        let mut names = format!("{} {}", self.alias, self.target.spec.hostname);
        if self.target.name != self.alias {
            names.push(' ');
            names.push_str(&self.target.name);
        }
        names
    }

    /// What the other exposes.
    pub(crate) fn opened(&self) -> (Ipv4Addr, Vec<(u16, PortProtocol)>) {
        let exposed = published::exposed(&self.target.spec);
        (self.address, exposed.into_iter().filter_map(|port| published::parse(port)).collect())
    }
}

fn environment(
    name: &str,
    address: Ipv4Addr,
    mut ports: Vec<(u16, PortProtocol)>,
    env: &[String],
) -> Vec<String> {
    let alias = name.rsplit('/').next().unwrap_or(name).to_uppercase().replace('-', "_");
    // TCP comes first, then the others by their names.
    let order = |protocol: PortProtocol| (protocol != PortProtocol::Tcp, protocol.word());
    ports.sort_unstable_by_key(|(port, protocol)| (order(*protocol), *port));
    let url = |(port, protocol): (u16, PortProtocol)| format!("{}://{address}:{port}", protocol.word());
    let prefix = |(port, protocol): (u16, PortProtocol)| {
        format!("{alias}_PORT_{port}_{}", protocol.word().to_uppercase())
    };
    let mut all: Vec<String> =
        ports.first().map(|port| format!("{alias}_PORT={}", url(*port))).into_iter().collect();
    let is_next =
        |a: &(u16, PortProtocol), b: &(u16, PortProtocol)| a.1 == b.1 && a.0.checked_add(1) == Some(b.0);
    for run in ports.chunk_by(is_next) {
        for port in run {
            let (own, number, protocol) = (prefix(*port), port.0, port.1.word());
            all.push(format!("{own}={}", url(*port)));
            all.push(format!("{own}_ADDR={address}"));
            all.push(format!("{own}_PORT={number}"));
            all.push(format!("{own}_PROTO={protocol}"));
        }
        if let [first, .., last] = run {
            let own = prefix(*first);
            all.push(format!("{own}_START={}", url(*first)));
            all.push(format!("{own}_PORT_START={}", first.0));
            all.push(format!("{own}_END={}", url(*last)));
            all.push(format!("{own}_PORT_END={}", last.0));
        }
    }
    all.push(format!("{alias}_NAME={name}"));
    // What a build leaves says nothing of the container.
    let told = env.iter().filter_map(|variable| variable.split_once('='));
    let told = told.filter(|(key, _)| !matches!(*key, "HOME" | "PATH"));
    all.extend(told.map(|(key, value)| format!("{alias}_ENV_{key}={value}")));
    all
}

/// `/etc/hosts` with these links in it: a line that names the same gets the new address, and the user's own lines stay.
pub(crate) fn in_hosts(text: &str, links: &[Linked]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for link in links {
        let line = link.hosts_line().trim_end().to_owned();
        match lines.iter_mut().find(|line| link.is_in(line)) {
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Without the line of a link that is no more.
pub(crate) fn not_in_hosts(text: &str, link: &Linked) -> String {
    let others = text.lines().filter(|line| !link.is_in(line));
    others.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_docker_does() {
        for (text, name, alias) in
            [("redis", "redis", "redis"), ("redis:db", "redis", "db"), ("/redis:/web/db", "/redis", "db")]
        {
            assert_eq!(parse(text).unwrap(), (name, alias));
        }
        assert_eq!(parse("a:b:c").unwrap_err().message, "bad format for links: a:b:c");
        assert_eq!(parse("").unwrap_err().message, "empty string specified for links");
    }

    #[test]
    fn variables_are_docker_s() {
        use PortProtocol::{Tcp, Udp};
        let env = ["PASSWORD=gordon", "PATH=/bin", "HOME=/", "BARE"].map(str::to_owned);
        let ports = vec![(6300, Udp), (6380, Tcp), (6379, Tcp), (80, Tcp)];
        assert_eq!(
            environment("/web/my-db", Ipv4Addr::new(172, 17, 0, 2), ports, &env).join("\n"),
            "MY_DB_PORT=tcp://172.17.0.2:80\n\
             MY_DB_PORT_80_TCP=tcp://172.17.0.2:80\n\
             MY_DB_PORT_80_TCP_ADDR=172.17.0.2\n\
             MY_DB_PORT_80_TCP_PORT=80\n\
             MY_DB_PORT_80_TCP_PROTO=tcp\n\
             MY_DB_PORT_6379_TCP=tcp://172.17.0.2:6379\n\
             MY_DB_PORT_6379_TCP_ADDR=172.17.0.2\n\
             MY_DB_PORT_6379_TCP_PORT=6379\n\
             MY_DB_PORT_6379_TCP_PROTO=tcp\n\
             MY_DB_PORT_6380_TCP=tcp://172.17.0.2:6380\n\
             MY_DB_PORT_6380_TCP_ADDR=172.17.0.2\n\
             MY_DB_PORT_6380_TCP_PORT=6380\n\
             MY_DB_PORT_6380_TCP_PROTO=tcp\n\
             MY_DB_PORT_6379_TCP_START=tcp://172.17.0.2:6379\n\
             MY_DB_PORT_6379_TCP_PORT_START=6379\n\
             MY_DB_PORT_6379_TCP_END=tcp://172.17.0.2:6380\n\
             MY_DB_PORT_6379_TCP_PORT_END=6380\n\
             MY_DB_PORT_6300_UDP=udp://172.17.0.2:6300\n\
             MY_DB_PORT_6300_UDP_ADDR=172.17.0.2\n\
             MY_DB_PORT_6300_UDP_PORT=6300\n\
             MY_DB_PORT_6300_UDP_PROTO=udp\n\
             MY_DB_NAME=/web/my-db\n\
             MY_DB_ENV_PASSWORD=gordon"
        );
        assert_eq!(environment("/w/a", Ipv4Addr::LOCALHOST, vec![], &[]), ["A_NAME=/w/a"]);
    }
}
