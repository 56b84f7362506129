//! `network create`.

use std::net::IpAddr;

use api::network::{ConfigReference, Ipam, IpamConfig, NetworkCreateRequest};

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::options::environment::pair;
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "create",
    aliases: &[],
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    flags: &[
        Flag::switch("attachable", "Enable manual container attachment"),
        Flag::map("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        Flag::text("config-from", "The network from which to copy the configuration"),
        Flag::switch("config-only", "Create a configuration only network"),
        Flag::text("driver", "Driver to manage the Network").short('d').default("bridge"),
        Flag::list("gateway", "IPv4 or IPv6 Gateway for the master subnet"),
        Flag::switch("ingress", "Create swarm routing-mesh network"),
        Flag::switch("internal", "Restrict external access to the network"),
        Flag::list("ip-range", "Allocate container ip from a sub-range"),
        Flag::text("ipam-driver", "IP Address Management Driver").default("default"),
        Flag::map("ipam-opt", "Set IPAM driver specific options"),
        Flag::switch("ipv4", "Enable or disable IPv4 address assignment").default("true"),
        Flag::switch("ipv6", "Enable or disable IPv6 address assignment"),
        Flag::list("label", "Set metadata on a network"),
        Flag::map("opt", "Set driver specific options").short('o'),
        Flag::text("scope", "Control the network's scope"),
        Flag::list("subnet", "Subnet in CIDR format that represents a network segment"),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["network create"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let pairs = |flag: &str| line.list(flag).iter().map(|option| pair(option)).collect();
    let switch = |flag: &str| line.changed(flag).then(|| line.switch(flag));
    let config_from = Some(line.text("config-from")).filter(|name| !name.is_empty());
    let request = NetworkCreateRequest {
        name: line.operands[0].clone(),
        driver: line.text("driver").to_owned(),
        scope: line.text("scope").to_owned(),
        enable_ipv4: switch("ipv4"),
        enable_ipv6: switch("ipv6"),
        ipam: Some(Ipam {
            driver: line.text("ipam-driver").to_owned(),
            options: pairs("ipam-opt"),
            config: pools(line).map_err(Failure::new)?,
        }),
        internal: line.switch("internal"),
        attachable: line.switch("attachable"),
        ingress: line.switch("ingress"),
        config_only: line.switch("config-only"),
        config_from: config_from.map(|name| ConfigReference { network: name.to_owned() }),
        options: pairs("opt"),
        labels: pairs("label"),
    };
    let made = app.client.networks().create(&request).await?;
    output::out(&format!("{}\n", made.id));
    Ok(0)
}

/// A network in CIDR form: the address as it was written, and how many of its bits are the network's.
#[derive(Clone, Copy)]
struct Block {
    ip: IpAddr,
    prefix: u32,
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = text.split_once('/')?;
        let (ip, prefix) = (ip.parse::<IpAddr>().ok()?, prefix.parse::<u32>().ok()?);
        (prefix <= if ip.is_ipv4() { 32 } else { 128 }).then_some(Self { ip, prefix })
    }

    fn contains(self, other: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
            IpAddr::V6(ip) => u128::from(ip),
        };
        let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
        self.ip.is_ipv4() == other.is_ipv4() && bits(self.ip) & mask == bits(other) & mask
    }
}

/// Go's words.
fn no_block(text: &str) -> String {
    let why = match text.split_once('/') {
        None => "no '/'".to_owned(),
        Some((ip, _)) if ip.parse::<IpAddr>().is_err() => format!("ParseAddr({ip:?}): unable to parse IP"),
        Some((_, bits)) if bits.parse::<u32>().is_err() => format!("bad bits after slash: {bits:?}"),
        Some(_) => "prefix length out of range".to_owned(),
    };
    format!("netip.ParsePrefix({text:?}): {why}")
}

/// Each range, gateway and auxiliary address belongs to the subnet that has it.
fn pools(line: &Parsed) -> Result<Vec<IpamConfig>, String> {
    let words = |flag: &str| -> Vec<String> {
        line.list(flag).iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
    };
    let (subnets, ranges, gateways) = (words("subnet"), words("ip-range"), words("gateway"));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".into());
    }
    let block = |text: &str| Block::parse(text).ok_or_else(|| no_block(text));
    let mut pools: Vec<(Block, IpamConfig)> = Vec::new();
    for subnet in subnets {
        let this = block(&subnet)?;
        if pools.iter().any(|(other, _)| this.contains(other.ip) || other.contains(this.ip)) {
            return Err("multiple overlapping subnet configuration is not supported".into());
        }
        pools.push((this, IpamConfig { subnet, ..IpamConfig::default() }));
    }
    for range in ranges {
        let ip = Block::parse(&range)
            .ok_or_else(|| {
                format!("invalid argument \"{range}\" for \"--ip-range\" flag: invalid CIDR address: {range}")
            })?
            .ip;
        let found = pools.iter_mut().find(|(subnet, _)| subnet.contains(ip));
        let (_, pool) = found.ok_or_else(|| format!("no matching subnet for range {range}"))?;
        if !pool.ip_range.is_empty() {
            return Err(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                pool.ip_range, pool.subnet
            ));
        }
        pool.ip_range = range;
    }
    for gateway in gateways {
        let ip: IpAddr = gateway.parse().map_err(|_| {
            format!("invalid argument \"{gateway}\" for \"--gateway\" flag: invalid string being converted to IP address: {gateway}")
        })?;
        let found = pools.iter_mut().find(|(subnet, _)| subnet.contains(ip));
        let (_, pool) = found.ok_or_else(|| format!("no matching subnet for gateway {gateway}"))?;
        if !pool.gateway.is_empty() {
            return Err(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                pool.gateway, pool.subnet
            ));
        }
        pool.gateway = gateway;
    }
    for (name, text) in line.list("aux-address").iter().map(|option| pair(option)) {
        if text.is_empty() {
            continue;
        }
        let ip: IpAddr = text.parse().map_err(|_| format!("ParseAddr({text:?}): unable to parse IP"))?;
        let found = pools.iter_mut().find(|(subnet, _)| subnet.contains(ip));
        let (_, pool) = found.ok_or_else(|| format!("no matching subnet for aux-address {text}"))?;
        pool.auxiliary_addresses.insert(name, text);
    }
    Ok(pools.into_iter().map(|(_, pool)| pool).collect())
}
