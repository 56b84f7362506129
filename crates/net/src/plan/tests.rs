use super::*;
use crate::forward::ForwardChain;
use crate::observe::Orphan;

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn any(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn bridge(addresses: &[&str]) -> ObservedLink {
    let addresses = addresses.iter().map(|a| net(a)).collect();
    ObservedLink {
        index: 3,
        kind: "bridge".into(),
        up: true,
        mtu: 1500,
        addresses,
        addresses6: Vec::new(),
        without_ipv6: false,
        hears_routers: false,
        marked: false,
    }
}

fn with(bridge: ObservedLink) -> Observed {
    Observed { bridges: [("docker0".to_owned(), bridge)].into(), ..Observed::default() }
}

fn text(desired: &Desired, observed: &Observed) -> String {
    plan(desired, observed).unwrap().to_string()
}

#[test]
fn a_fresh_host() {
    assert_eq!(
        text(&Desired::default(), &Observed::default()),
        "create bridge docker0 with mtu 1500\n\
         add address 172.17.0.1/16 to docker0\n\
         ignore IPv6 routers on docker0\n\
         set docker0 up\n\
         turn on net.ipv4.ip_forward\n\
         replace firewall table inet wharf for docker0, which drops what others forward\n"
    );
}

#[test]
fn the_second_start_changes_nothing_that_is_seen() {
    let mut observed = Observed { ip_forward: true, ..with(bridge(&["172.17.0.1/16"])) };
    let replaced = "replace firewall table inet wharf for docker0";
    assert_eq!(text(&Desired::default(), &observed), format!("{replaced}\n"));
    observed.guarded = true;
    assert_eq!(
        text(&Desired::default(), &observed),
        format!("{replaced}, which drops what others forward\n")
    );
    assert_eq!(text(&Desired { guard: false, ..Desired::default() }, &observed), format!("{replaced}\n"));
}

#[test]
fn pools_that_are_routed_elsewhere_are_left_alone() {
    let observed =
        Observed { routes: vec![any("172.17.0.0/16"), any("172.18.4.0/24")], ..Observed::default() };
    assert_eq!(plan(&Desired::default(), &observed).unwrap().bridges[0].address, Some(net("172.19.0.1/16")));
    let observed = Observed { routes: vec![any("128.0.0.0/1")], ..Observed::default() };
    assert!(matches!(plan(&Desired::default(), &observed), Err(Error::NoFreePool(_))));
}

#[test]
fn an_existing_address_is_used_and_bip_wins() {
    let observed = with(bridge(&["10.9.0.1/24"]));
    let mut desired = Desired { firewall: None, ip_forward: false, ..Desired::default() };
    let kept = plan(&desired, &observed).unwrap();
    assert_eq!(
        (kept.bridges[0].address, kept.to_string().as_str()),
        (Some(net("10.9.0.1/24")), "WARNING: IPv4 forwarding is disabled\n")
    );
    desired.bridges[0].address = Some(net("10.7.0.1/24"));
    assert!(
        text(&desired, &observed)
            .starts_with("remove address 10.9.0.1/24 from docker0\nadd address 10.7.0.1/24 to docker0\n")
    );
    desired.bridges[0].address = Some(net("10.7.0.0/24"));
    assert!(matches!(plan(&desired, &observed), Err(Error::Config(_))));
}

#[test]
fn a_configured_subnet_that_is_routed_elsewhere_is_told() {
    let mut desired = Desired::default();
    desired.bridges[0].address = Some(net("10.7.0.1/24"));
    let observed = Observed { routes: vec![any("10.0.0.0/8")], ..Observed::default() };
    let told = plan(&desired, &observed).unwrap().warnings.concat();
    assert!(told.contains("10.7.0.0/24 of docker0 overlaps with this host's route to 10.0.0.0/8"), "{told}");
}

#[test]
fn a_range_chooses_the_subnet() {
    let mut desired = Desired::default();
    desired.bridges[0].range = Some(net("10.9.5.0/24"));
    assert_eq!(plan(&desired, &Observed::default()).unwrap().bridges[0].address, Some(net("10.9.5.1/24")));
    let observed = with(bridge(&["172.17.0.1/16", "10.9.0.1/16"]));
    assert_eq!(plan(&desired, &observed).unwrap().bridges[0].address, Some(net("10.9.0.1/16")));
    let observed = with(bridge(&["172.17.0.1/16"]));
    assert_eq!(plan(&desired, &observed).unwrap().bridges[0].address, Some(net("10.9.5.1/24")));
}

#[test]
fn only_a_bridge_will_do() {
    let mut desired = Desired::default();
    desired.bridges[0].name = "br7".into();
    let link = ObservedLink { kind: "dummy".into(), ..bridge(&[]) };
    let observed = Observed { bridges: [("br7".to_owned(), link)].into(), ..Observed::default() };
    assert_eq!(plan(&desired, &observed).unwrap_err().to_string(), "br7 exists and is a dummy, not a bridge");
}

#[test]
fn ports_without_a_bridge_are_connected() {
    let observed = Observed {
        orphans: vec![Orphan { index: 9, link: "veth7".into(), bridge: "docker0".into() }],
        ..Observed::default()
    };
    assert!(text(&Desired::default(), &observed).contains("\nconnect veth7 to docker0\n"));
}

#[test]
fn a_drop_policy_is_stood_in_for_or_told() {
    let chain = ForwardChain { family: "inet", table: "filter".into(), name: "through".into(), drops: true };
    let observed = Observed { foreign_drops: vec![chain], ..Observed::default() };
    let told = plan(&Desired::default(), &observed).unwrap().warnings.concat();
    assert!(told.contains("chain inet filter through drops"), "{told}");
    assert!(told.ends_with("nft add rule inet filter through oifname \"docker0\" accept"), "{told}");

    let step = |drops, ours: &[u64], stale: &[u64]| {
        let shared =
            SharedChain { drops, ours: [("docker0".to_owned(), ours.to_vec())].into(), stale: stale.into() };
        amend_forward(false, &["docker0".to_owned()], &shared)
            .map(|step| step.to_string())
            .unwrap_or_default()
    };
    let accept = "accept what comes from and goes to docker0";
    assert_eq!(step(true, &[], &[]), format!("in ip filter FORWARD: {accept}"));
    assert_eq!(step(true, &[4], &[5, 6]), format!("in ip filter FORWARD: remove 3 rules, {accept}"));
    assert_eq!(step(true, &[4, 5], &[]), "");
    assert_eq!(step(false, &[], &[7]), "in ip filter FORWARD: remove 1 rules");
    assert_eq!(step(false, &[], &[]), "");
}

#[test]
fn a_user_s_bridge_is_made_beside_and_what_has_no_network_goes() {
    let mut desired = Desired::default();
    desired.bridges.push(BridgeConfig {
        name: "br-1".into(),
        address: Some(net("172.18.0.1/16")),
        owned: true,
        ..BridgeConfig::default()
    });
    let mut observed =
        Observed { ip_forward: true, strays: vec!["br-2".into()], ..with(bridge(&["172.17.0.1/16"])) };
    assert_eq!(
        text(&desired, &observed),
        "remove bridge br-2, whose network is no more\n\
         create bridge br-1 with mtu 1500\n\
         add address 172.18.0.1/16 to br-1\n\
         ignore IPv6 routers on br-1\n\
         set br-1 up\n\
         replace firewall table inet wharf for docker0, br-1\n"
    );
    // At the start the records are not read yet: nothing that may be a network's is touched.
    desired.bridges.pop();
    desired.incomplete = true;
    assert_eq!(text(&desired, &observed), "");
    // The host needs no address on it.
    observed.strays.clear();
    let bare = BridgeConfig { bare: true, ..desired.bridges[0].clone() };
    assert_eq!(
        text(&desired.with_only(BridgeConfig { name: "br-3".into(), ..bare }), &observed),
        "create bridge br-3 with mtu 1500\nignore IPv6 routers on br-3\nset br-3 up\n"
    );
}

#[test]
fn ipv6_comes_beside_and_this_host_s_own_way_out_stays() {
    let mut desired = Desired::default();
    let ipv6 = Ipv6Config { address: Some("fd00::1/64".parse().unwrap()), ..Ipv6Config::default() };
    desired.bridges[0].ipv6 = Some(ipv6);
    let mut observed = Observed {
        ip_forward: true,
        ipv6_forward: Some(false),
        hearing: vec!["eth0".into(), "default".into()],
        ..with(ObservedLink { without_ipv6: true, ..bridge(&["172.17.0.1/16"]) })
    };
    assert_eq!(
        text(&desired, &observed),
        "switch on IPv6 on docker0\n\
         add address fd00::1/64 to docker0\n\
         go on hearing IPv6 routers by eth0\n\
         go on hearing IPv6 routers by default\n\
         turn on net.ipv6.conf.all.forwarding\n\
         replace firewall table inet wharf for docker0, which drops what others forward of IPv6\n"
    );
    observed.ipv6_forward = Some(true);
    observed.bridges.get_mut("docker0").unwrap().addresses6 = vec!["fd00:1::1/64".parse().unwrap()];
    assert!(text(&desired, &observed).contains(
        "remove address fd00:1::1/64 from docker0\n\
         add address fd00::1/64 to docker0\n\
         replace firewall table inet wharf for docker0\n"
    ));
    // Without IPv4, and nothing for the host itself.
    let alone = BridgeConfig {
        name: "br-1".into(),
        ipv4: false,
        ipv6: Some(Ipv6Config { mode: GatewayMode::Isolated, ..desired.bridges[0].ipv6.clone().unwrap() }),
        owned: true,
        ..BridgeConfig::default()
    };
    let plan = plan(&desired.with_only(alone), &observed).unwrap();
    let made = "create bridge br-1 with mtu 1500\nignore IPv6 routers on br-1\nset br-1 up\n";
    assert_eq!((plan.to_string().as_str(), plan.bridges[0].address), (made, None));
    assert!(
        matches!(&plan.steps[0], Step::CreateBridge { mac, .. } if mac.to_string() == "02:42:00:00:00:01")
    );
}

#[test]
fn addresses_of_ipv6_are_chosen_alike() {
    let pools = [AddressPool { base: any("fd12:3456:789a::/48"), size: 64 }];
    let choose = |config: &Ipv6Config, existing: &[&str]| {
        let existing: Vec<Ipv6Net> = existing.iter().map(|text| text.parse().unwrap()).collect();
        let routes = [any("fd12:3456:789a::/64")];
        choose_address6(config, &pools, &existing, &routes)
            .map(|net| net.to_string())
            .map_err(|e| e.to_string())
    };
    let none = Ipv6Config::default();
    assert_eq!(choose(&none, &[]).unwrap(), "fd12:3456:789a:1::1/64");
    assert_eq!(choose(&none, &["fd00::9/80"]).unwrap(), "fd00::9/80");
    let range = Ipv6Config { range: Some("2001:db8::/64".parse().unwrap()), ..none.clone() };
    assert_eq!(choose(&range, &["fd00::9/80"]).unwrap(), "2001:db8::1/64");
    let odd = Ipv6Config { address: Some("fd00::/64".parse().unwrap()), ..none };
    assert!(choose(&odd, &[]).unwrap_err().contains("bip6 fd00::/64 is not the address of a host"));
}
