//! The network service: the methods the server calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CreateRequest, Inspected, Member, Network, create, remove};
use crate::container::command::{Command, Reply};
use crate::container::{EndpointSpec, Filters, names_match, until};
use crate::core::Core;
use crate::error::{Class, Error, Result};

/// Everything about networks. Cheap to clone. `reference` is an id, an unambiguous id prefix, or a name.
#[derive(Debug, Clone)]
pub struct Networks {
    pub(crate) core: Arc<Core>,
}

impl Networks {
    pub async fn create(&self, request: CreateRequest) -> Result<Arc<Network>> {
        create::run(&self.core, request).await
    }

    /// By name.
    pub async fn list(&self, filters: Filters) -> Result<Vec<Inspected>> {
        filters.check(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        let dangling = filters.flag("dangling")?;
        for kind in filters.get("type") {
            if !["builtin", "custom"].contains(&kind.as_str()) {
                return Err(Error::invalid(format!("invalid filter 'type={kind}'")));
            }
        }
        let all = self.core.networks.all().into_iter().map(|network| self.with_members(network));
        let wanted = |found: &Inspected| {
            let network = &found.network;
            let ids = filters.get("id");
            // Docker finds names by parts of them.
            let kind = if network.predefined { "builtin" } else { "custom" };
            dangling.is_none_or(|dangling| !network.predefined && dangling == found.containers.is_empty())
                && filters.exact("driver", &network.driver)
                && filters.exact("scope", "local")
                && filters.exact("type", kind)
                && (ids.is_empty() || ids.iter().any(|id| network.id.contains(id.as_str())))
                && names_match(filters.get("name"), &network.name)
                && filters.labels_match("label", &network.labels)
        };
        Ok(all.filter(wanted).collect())
    }

    pub async fn inspect(&self, reference: &str) -> Result<Inspected> {
        Ok(self.with_members(self.core.networks.find(reference)?))
    }

    pub async fn remove(&self, reference: &str) -> Result<()> {
        remove::run(&self.core, reference).await
    }

    /// Remove what no running container is on and what matches `label`, `label!`, `until`. Answers names.
    pub async fn prune(&self, filters: Filters) -> Result<Vec<String>> {
        filters.check(&["label", "label!", "until"])?;
        let until = until(&self.core, &filters)?;
        let mut pruned = Vec::new();
        for network in self.core.networks.all() {
            let unwanted = filters.has("label!") && filters.labels_match("label!", &network.labels);
            let old_enough = until.is_none_or(|until| network.created < until);
            if network.predefined
                || network.config_only
                || unwanted
                || !old_enough
                || !filters.labels_match("label", &network.labels)
            {
                continue;
            }
            match self.remove(&network.id).await {
                Ok(()) => pruned.push(network.name.clone()),
                // In use, or removed meanwhile.
                Err(error) if matches!(error.class, Class::Forbidden | Class::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }

    pub async fn connect(&self, reference: &str, container: &str, spec: EndpointSpec) -> Result<()> {
        let network = self.core.networks.find(reference)?;
        self.ask(container, |reply| Command::Connect(network.id.clone(), Box::new(spec), reply)).await
    }

    /// `force` is for endpoints whose container is gone, which there are none of.
    pub async fn disconnect(&self, reference: &str, container: &str) -> Result<()> {
        let network = self.core.networks.find(reference)?;
        self.ask(container, |reply| Command::Disconnect(network.id.clone(), reply)).await
    }

    /// Send a container's task a command and wait for its reply.
    async fn ask(&self, container: &str, command: impl FnOnce(Reply<()>) -> Command) -> Result<()> {
        let handle = self.core.index.find(container)?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        let gone = || Error::no_such_container(container);
        handle.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn with_members(&self, network: Arc<Network>) -> Inspected {
        let containers = members(&self.core, &network);
        Inspected { network, containers }
    }
}

/// Running containers on a network, by id.
pub(super) fn members(core: &Core, network: &Network) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    for view in core.index.views() {
        if !view.state.is_running() {
            continue;
        }
        let of = |endpoint: &&crate::ports::Endpoint| {
            endpoint.network_id == network.id && !endpoint.endpoint_id.is_empty()
        };
        if let Some(endpoint) = view.network.endpoints.values().find(of) {
            let member = Member { name: view.name.clone(), endpoint: endpoint.clone() };
            members.insert(view.id.clone(), member);
        }
    }
    members
}
