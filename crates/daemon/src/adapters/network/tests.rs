use super::*;
use net::default_pools;

/// In a thread with a network namespace of its own. Needs root.
fn on_a_host(test: impl AsyncFnOnce(&dyn Fn() -> Network) + Send + 'static) {
    let body = move || {
        net::NetNs::unshare().expect("this test needs root");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let start = || {
            Network::start(Desired::default(), default_pools(), "ab".repeat(32), "/nowhere".into()).unwrap()
        };
        runtime.block_on(test(&start));
    };
    std::thread::spawn(body).join().unwrap();
}

/// One endpoint, on the default bridge.
async fn take(network: &Network, container: &str) -> Endpoint {
    network.take(container, &wish(None, None)).await.unwrap().endpoints.remove(0)
}

fn wish(mac: Option<&str>, ipv4: Option<Ipv4Addr>) -> SandboxRequest {
    let mac = mac.map(str::to_owned);
    SandboxRequest {
        endpoints: vec![EndpointRequest {
            mac,
            ipv4,
            network_id: "ab".repeat(32),
            is_gateway: true,
            ..EndpointRequest::default()
        }],
        ..SandboxRequest::default()
    }
}

#[test]
fn addresses_are_given_and_returned_once() {
    on_a_host(async |start| {
        let network = start();
        let first = take(&network, "a").await;
        assert_eq!(first.ipv4, Some(Ipv4Addr::new(172, 17, 0, 2)));
        assert_eq!((first.mac.as_str(), first.ipv4_prefix), ("02:42:ac:11:00:02", 16));
        assert_eq!(first.gateway, Some(Ipv4Addr::new(172, 17, 0, 1)));
        assert_eq!(first.endpoint_id.len(), 64);
        network.release("a", std::slice::from_ref(&first)).await;
        let second = take(&network, "b").await;
        assert_eq!(second.ipv4, first.ipv4);
        // A late second release of the first container.
        network.release("a", std::slice::from_ref(&first)).await;
        let third = take(&network, "c").await;
        assert_eq!(third.ipv4, Some(Ipv4Addr::new(172, 17, 0, 3)));
    });
}

#[test]
fn a_restarted_engine_learns_who_has_what() {
    on_a_host(async |start| {
        let network = start();
        let endpoint = take(&network, "a").await;
        drop(network);
        let network = start();
        network.reconcile(Vec::new(), vec![("a".into(), vec![endpoint.clone()])]).await.unwrap();
        let next = take(&network, "b").await;
        assert_eq!(next.ipv4, Some(Ipv4Addr::new(172, 17, 0, 3)));
        network.release("a", std::slice::from_ref(&endpoint)).await;
        let next = take(&network, "c").await;
        assert_eq!(next.ipv4, endpoint.ipv4);
    });
}

#[test]
fn none_needs_no_bridge_and_bridge_says_so() {
    on_a_host(async |_| {
        let none = Desired { bridges: Vec::new(), incomplete: true, ..Desired::default() };
        let network = Network::start(none, default_pools(), String::new(), "/nowhere".into()).unwrap();
        let isolated = network.take("a", &SandboxRequest::default()).await.unwrap();
        assert_eq!(isolated.endpoints, []);
        let refused = network.take("a", &wish(None, None)).await.unwrap_err();
        assert_eq!(refused.class, Class::NotFound);
        assert_eq!(network.facts().bridge, None);
    });
}

#[test]
fn wishes_are_checked() {
    on_a_host(async |start| {
        let network = start();
        let refused = network.take("a", &wish(Some("xx"), None)).await.unwrap_err();
        assert_eq!(refused.message, "invalid MAC address: xx");
        network.take("a", &wish(None, Some(Ipv4Addr::new(10, 0, 0, 1)))).await.unwrap_err();
        let ip = Ipv4Addr::new(172, 17, 9, 9);
        let mut given = network.take("a", &wish(Some("02:00:00:00:00:07"), Some(ip))).await.unwrap();
        let endpoint = given.endpoints.remove(0);
        assert_eq!((endpoint.mac.as_str(), endpoint.ipv4), ("02:00:00:00:00:07", Some(ip)));
    });
}

fn network(name: &str) -> BridgeNetwork {
    BridgeNetwork {
        id: name.repeat(8),
        bridge: name.into(),
        inter_container: true,
        masquerade: true,
        ..BridgeNetwork::default()
    }
}

fn on(name: &str) -> EndpointRequest {
    EndpointRequest { network: name.into(), network_id: name.repeat(8), ..EndpointRequest::default() }
}

#[test]
fn networks_are_made_used_and_removed() {
    on_a_host(async |start| {
        let host = start();
        let one = host.add_network(&network("br-one-1")).await.unwrap();
        assert_eq!(one.subnet.unwrap().to_string(), "172.18.0.0/16");
        host.add_network(&network("br-two-2")).await.unwrap();
        let request = SandboxRequest {
            endpoints: vec![on("br-one-1"), EndpointRequest { is_gateway: true, ..on("br-two-2") }],
            ..SandboxRequest::default()
        };
        let taken = host.take("a", &request).await.unwrap();
        let said: Vec<_> =
            taken.endpoints.iter().map(|e| (e.interface.as_str(), e.ipv4.unwrap().to_string())).collect();
        assert_eq!(said, [("eth0", "172.18.0.2".to_owned()), ("eth1", "172.19.0.2".to_owned())]);
        let refused = host.remove_network(&one.id).await.unwrap_err();
        assert_eq!(refused.class, Class::Forbidden);
        // What fails at the second leaves nothing of the first.
        let missing =
            SandboxRequest { endpoints: vec![on("br-one-1"), on("br-not-3")], ..SandboxRequest::default() };
        assert_eq!(host.take("b", &missing).await.unwrap_err().message, "network br-not-3 not found");
        let again = SandboxRequest { endpoints: vec![on("br-one-1")], ..SandboxRequest::default() };
        let next = host.take("b", &again).await.unwrap().endpoints;
        assert_eq!(next[0].ipv4.unwrap().to_string(), "172.18.0.3");
        host.release("a", &taken.endpoints).await;
        host.release("b", &next).await;
        host.remove_network(&one.id).await.unwrap();
        host.remove_network(&one.id).await.unwrap();
        assert_eq!(host.take("c", &again).await.unwrap_err().class, Class::NotFound);
    });
}
