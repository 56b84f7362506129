//! Networks: made whole or not at all, their names, and who is on them.

use super::*;
use crate::networks::{CreateRequest as NetworkRequest, Inspected, Networks};

fn networks(containers: &Containers) -> Networks {
    Networks { core: containers.core.clone() }
}

fn network(name: &str) -> NetworkRequest {
    NetworkRequest { name: name.into(), ..NetworkRequest::default() }
}

#[tokio::test]
async fn a_network_is_made_whole_or_not_at_all() {
    for point in ["network.bridge", "network.record", "network.publish"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            boot(&containers).await.unwrap();
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            networks(&containers).create(network("n")).await.unwrap_err();
            let next = engine(&world, root.path());
            boot(&next).await.unwrap();
            let bridges = world.bridges.lock().unwrap().len();
            match networks(&next).inspect("n").await {
                Ok(_) => assert_eq!((point, crash, bridges), ("network.publish", ":crash", 1)),
                Err(error) => {
                    assert_eq!(
                        (error.message.as_str(), bridges),
                        ("network n not found", 0),
                        "{point}{crash}"
                    );
                    networks(&next).create(network("n")).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn names_ids_and_the_predefined() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    boot(&containers).await.unwrap();
    let all = networks(&containers);
    let id = all.create(network("n")).await.unwrap().id.clone();
    let names =
        |found: Vec<Inspected>| -> Vec<String> { found.iter().map(|n| n.network.name.clone()).collect() };
    assert_eq!(names(all.list(Filters::default()).await.unwrap()), ["bridge", "host", "n", "none"]);
    let twice = all.create(network("n")).await.unwrap_err();
    assert_eq!(
        (twice.class, twice.message.as_str()),
        (Class::Conflict, "network with name n already exists")
    );
    assert_eq!(all.inspect(&id).await.unwrap().network.name, "n");
    let many = all.inspect(&id[..10]).await.unwrap_err();
    assert_eq!(many.message, "network 0000000000 is ambiguous (3 matches found based on ID prefix)");
    let refused = all.remove("host").await.unwrap_err();
    assert_eq!(
        (refused.class, refused.message.as_str()),
        (Class::Forbidden, "host is a pre-defined network and cannot be removed")
    );
    let host = all.inspect("host").await.unwrap().network.id.clone();
    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    assert_eq!(networks(&next).inspect("host").await.unwrap().network.id, host, "ids are kept");
    networks(&next).remove("n").await.unwrap();
    assert_eq!(networks(&next).remove("n").await.unwrap_err().message, "network n not found");
    assert!(world.bridges.lock().unwrap().is_empty());
}

#[tokio::test]
async fn containers_come_and_go_on_networks() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    boot(&containers).await.unwrap();
    let all = networks(&containers);
    all.create(network("m")).await.unwrap();
    all.create(NetworkRequest { internal: true, ..network("a") }).await.unwrap();
    let on = async |name: &str| -> Vec<(String, bool)> {
        let view = containers.inspect(name, false).await.unwrap();
        view.network.endpoints.values().map(|one| (one.network.clone(), one.is_gateway)).collect()
    };
    let at = |name: &str, gateway| (name.to_owned(), gateway);
    let mut wish = spec();
    wish.host.network_mode = NetworkMode::Named("m".into());
    wish.endpoints.insert("a".into(), EndpointSpec { aliases: vec!["db".into()], ..EndpointSpec::default() });
    let id = containers.create("web", wish).await.unwrap().id;
    containers.start("web").await.unwrap();
    assert_eq!(on("web").await, [at("a", false), at("m", true)], "an internal network leads nowhere");
    let member = all.inspect("a").await.unwrap().containers.remove(&id).unwrap();
    assert_eq!(member.endpoint.dns_names, ["web", "db", &id[..12]]);
    let refused = all.remove("a").await.unwrap_err();
    assert_eq!(refused.class, Class::Forbidden);
    assert!(
        refused
            .message
            .starts_with("error while removing network: network a has active endpoints (name:\"web\"")
    );

    let again = all.connect("m", "web", EndpointSpec::default()).await.unwrap_err();
    assert_eq!(again.message, "endpoint with name web already exists in network m");
    all.connect("bridge", "web", EndpointSpec::default()).await.unwrap();
    all.disconnect("m", "web").await.unwrap();
    assert_eq!(on("web").await, [at("a", false), at("bridge", true)]);
    assert!(all.disconnect("m", "web").await.unwrap_err().message.contains("is not connected to network m"));
    // The next start finds it so, and the next engine.
    containers.restart("web", Default::default()).await.unwrap();
    assert_eq!(on("web").await, [at("a", false), at("bridge", true)]);
    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    assert_eq!(next.inspect("web", false).await.unwrap().network.endpoints.len(), 2);

    // One that does not run is connected when it starts, and without any it starts alone.
    containers.create("idle", spec()).await.unwrap();
    all.disconnect("bridge", "idle").await.unwrap();
    assert_eq!(on("idle").await, []);
    containers.start("idle").await.unwrap();
    assert_eq!(on("idle").await, []);
    all.connect("m", "idle", EndpointSpec::default()).await.unwrap();
    assert_eq!(on("idle").await, [at("m", true)]);
    let error = all.connect("host", "idle", EndpointSpec::default()).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert_eq!(all.prune(Filters::default()).await.unwrap(), Vec::<String>::new());
}
