//! `network connect`.

use std::collections::BTreeMap;

use api::network::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest};

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    name: "connect",
    aliases: &[],
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    flags: &[
        Flag::list("alias", "Add network-scoped alias for the container"),
        Flag::list("driver-opt", "driver options for the network"),
        Flag::int(
            "gw-priority",
            "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
        ),
        Flag::text("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
        Flag::text("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
        Flag::list("link", "Add link to another container"),
        Flag::list("link-local-ip", "Add a link-local address for the container"),
    ],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["network connect"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let mut driver_opts = BTreeMap::new();
    for option in line.list("driver-opt").iter().flat_map(|list| list.split(',')) {
        let pair = option.split_once('=').filter(|(key, _)| !key.trim().is_empty());
        let (key, value) =
            pair.ok_or_else(|| Failure::new("invalid key/value pair format in driver options"))?;
        driver_opts.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    let ipam = EndpointIpamConfig {
        ipv4_address: line.text("ip").to_owned(),
        ipv6_address: line.text("ip6").to_owned(),
        link_local_ips: line.list("link-local-ip"),
    };
    let settings = EndpointSettings {
        ipam_config: Some(ipam).filter(|ipam| *ipam != EndpointIpamConfig::default()),
        links: line.list("link"),
        aliases: line.list("alias").iter().flat_map(|list| list.split(',')).map(str::to_owned).collect(),
        driver_opts,
        gw_priority: line.int("gw-priority"),
        ..EndpointSettings::default()
    };
    let request =
        NetworkConnectRequest { container: line.operands[1].clone(), endpoint_config: Some(settings) };
    app.client.networks().connect(&line.operands[0], &request).await?;
    Ok(0)
}
