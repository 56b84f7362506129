//! Networks over one of the host's interfaces: `macvlan` and `ipvlan`, with the options of each.

use super::options::{self, ENABLE_IPV4, ENABLE_IPV6, MTU, addresses, refuses_ipv4, wants_ipv6};
use super::{CreateRequest, Pool};
use crate::error::{Error, Result};
use crate::ports::{BridgeNetwork, Ipv6Network, IpvlanFlag, IpvlanMode, MacvlanMode, OverKind, OverNetwork};

const PARENT: &str = "parent";
const MACVLAN_MODE: &str = "macvlan_mode";
const IPVLAN_MODE: &str = "ipvlan_mode";
const IPVLAN_FLAG: &str = "ipvlan_flag";

/// What nobody names the interface of leads nowhere, and so the network is an internal one, as in Docker.
pub(super) fn settled(request: CreateRequest) -> Result<CreateRequest> {
    let is_over = matches!(request.driver.as_str(), "macvlan" | "ipvlan");
    let has_parent = request.options.get(PARENT).is_some_and(|parent| !parent.is_empty());
    Ok(CreateRequest { internal: request.internal || is_over && !has_parent, ..request })
}

/// A checked request as such a network; pools are known to be right.
pub(super) fn network(id: &str, request: &CreateRequest) -> Result<BridgeNetwork> {
    let kind = kind(request)?;
    let short = &id[..12.min(id.len())];
    // Docker's name for the interface that leads nowhere.
    let prefix = if matches!(kind, OverKind::Macvlan(_)) { "dm" } else { "di" };
    let parent = request.options.get(PARENT).filter(|parent| !parent.is_empty() && !request.internal);
    let over = OverNetwork {
        parent: parent.cloned().unwrap_or_else(|| format!("{prefix}-{short}")),
        dummy: parent.is_none(),
        kind,
    };
    if over.parent == "lo" {
        return Err(Error::invalid("loopback interface is not a valid parent link"));
    }
    let pool = |ipv6: bool| -> Option<&Pool> { request.pools.iter().find(|pool| pool.is_ipv6() == ipv6) };
    let without_ipv4 = refuses_ipv4(request);
    let ipv4 = addresses(pool(false).filter(|_| !without_ipv4), "")?;
    let ipv6 = wants_ipv6(request).then(|| {
        let said = addresses(pool(true), "")?;
        Ok::<_, Error>(Ipv6Network {
            subnet: said.subnet,
            range: said.range,
            gateway: said.gateway,
            auxiliary: said.auxiliary,
            ..Ipv6Network::default()
        })
    });
    Ok(BridgeNetwork {
        id: id.to_owned(),
        bridge: format!("{}-{short}", if prefix == "dm" { "mv" } else { "iv" }),
        without_ipv4,
        subnet: ipv4.subnet,
        range: ipv4.range,
        gateway: ipv4.gateway,
        auxiliary: ipv4.auxiliary,
        ipv6: ipv6.transpose()?,
        internal: request.internal,
        inter_container: true,
        mtu: options::mtu(&request.options)?,
        over: Some(over),
        ..BridgeNetwork::default()
    })
}

fn kind(request: &CreateRequest) -> Result<OverKind> {
    let is_macvlan = request.driver == "macvlan";
    for (key, value) in &request.options {
        let known = match key.as_str() {
            PARENT | MTU | ENABLE_IPV4 | ENABLE_IPV6 => true,
            MACVLAN_MODE => is_macvlan,
            IPVLAN_MODE | IPVLAN_FLAG => !is_macvlan,
            _ => !key.starts_with("com.docker.network."),
        };
        if !known {
            let driver = &request.driver;
            return Err(Error::unsupported(format!(
                "networks of driver {driver} have no option {key}={value}"
            )));
        }
    }
    let option = |key: &str| request.options.get(key).map_or("", String::as_str);
    let bad = |what: &str, value: &str, default: &str| {
        let text =
            format!("requested {what} '{value}' is not valid, '{default}' is the {what} driver default");
        Err(Error::invalid(text))
    };
    if is_macvlan {
        return Ok(OverKind::Macvlan(match option(MACVLAN_MODE) {
            "" | "bridge" => MacvlanMode::Bridge,
            "private" => MacvlanMode::Private,
            "vepa" => MacvlanMode::Vepa,
            "passthru" => MacvlanMode::Passthru,
            other => return bad("macvlan mode", other, "bridge"),
        }));
    }
    let mode = match option(IPVLAN_MODE) {
        "" | "l2" => IpvlanMode::L2,
        "l3" => IpvlanMode::L3,
        "l3s" => IpvlanMode::L3s,
        other => return bad("ipvlan mode", other, "l2"),
    };
    let flag = match option(IPVLAN_FLAG) {
        "" | "bridge" => IpvlanFlag::Bridge,
        "private" => IpvlanFlag::Private,
        "vepa" => IpvlanFlag::Vepa,
        other => return bad("ipvlan flag", other, "bridge"),
    };
    Ok(OverKind::Ipvlan(mode, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(driver: &str, options: &[(&str, &str)]) -> Result<BridgeNetwork> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request = CreateRequest { driver: driver.to_owned(), options, ..CreateRequest::default() };
        network(&"0123456789abcdef".repeat(4), &settled(request)?)
    }

    #[test]
    fn modes_parents_and_what_is_wrong() {
        let over = made("macvlan", &[("parent", "eth0"), ("macvlan_mode", "vepa")]).unwrap();
        let parent =
            OverNetwork { parent: "eth0".into(), dummy: false, kind: OverKind::Macvlan(MacvlanMode::Vepa) };
        assert_eq!((over.internal, over.over), (false, Some(parent)));
        let alone = made("ipvlan", &[("ipvlan_mode", "l3s"), ("ipvlan_flag", "private")]).unwrap();
        assert!(alone.internal);
        let over = alone.over.unwrap();
        assert_eq!((over.parent.as_str(), over.dummy), ("di-0123456789ab", true));
        assert_eq!(over.kind, OverKind::Ipvlan(IpvlanMode::L3s, IpvlanFlag::Private));
        let said = |driver, options| made(driver, options).unwrap_err().message;
        assert_eq!(
            said("macvlan", &[("macvlan_mode", "odd")]),
            "requested macvlan mode 'odd' is not valid, 'bridge' is the macvlan mode driver default"
        );
        assert_eq!(said("macvlan", &[("parent", "lo")]), "loopback interface is not a valid parent link");
        assert!(said("macvlan", &[("ipvlan_mode", "l2")]).contains("have no option ipvlan_mode=l2"));
        assert!(said("ipvlan", &[("com.docker.network.bridge.name", "x")]).contains("have no option"));
    }
}
