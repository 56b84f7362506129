//! An image of what a container has changed (`docker commit`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci::{ContainerConfig, GoSet};
use store::CommitOptions;
use tokio::sync::oneshot;

use super::Containers;
use crate::container::command::Command;
use crate::container::index::Handle;
use crate::container::{Container, ContainerSpec, Healthcheck, Status};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::images::{ImageConfig, name_of};
use crate::layout;

/// What the new image is to be.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    pub repo: String,
    pub tag: String,
    pub author: String,
    pub comment: String,
    /// Dockerfile instructions (`CMD ...`, `ENV ...`).
    pub changes: Vec<String>,
    /// The container goes on while its files are read.
    pub no_pause: bool,
    /// Before the container's own configuration, where it says something.
    pub config: Option<ImageConfig>,
}

impl Containers {
    /// The new image's id. What was begun is finished, also when nobody waits for it any more: a container that was
    /// paused goes on.
    pub async fn commit(&self, reference: &str, request: CommitRequest) -> Result<String> {
        let handle = self.core.index.find(reference)?;
        let containers = self.clone();
        let committing = tokio::spawn(async move { containers.commit_now(&handle, request).await });
        committing.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    async fn commit_now(&self, handle: &Handle, request: CommitRequest) -> Result<String> {
        let view = handle.view();
        let refused = |state: &str| {
            Err(Error::conflict(format!("You cannot commit container {} which is {state}", view.id)))
        };
        match view.state.status {
            Status::Dead => return refused("Dead"),
            Status::Removing => return refused("being removed"),
            _ => {}
        }
        let reference = match request.repo.as_str() {
            "" => None,
            repo => Some(name_of(repo, &request.tag)?),
        };
        let own = config_of_container(&view.spec);
        let mut config = request.config.map_or_else(|| own.clone(), config_of_request);
        store::apply_changes(&mut config, &request.changes)?;
        merge(&mut config, own);
        let options = CommitOptions {
            reference: reference.clone(),
            config,
            changes: Vec::new(),
            author: request.author,
            comment: request.comment.clone(),
            created_by: view.spec.cmd.clone().unwrap_or_default().join(" "),
            created: Some(self.core.ports.clock.now().to_string()),
        };
        let paused = !request.no_pause && view.state.status == Status::Running && self.hold(handle).await;
        let (read, reading) = oneshot::channel();
        let committing = {
            let (core, view) = (self.core.clone(), view.clone());
            tokio::spawn(blocking(move || {
                core.failpoints.hit("commit.read")?;
                let done = Box::new(move || {
                    // Nobody waits when nothing was paused.
                    let _ = read.send(());
                });
                core.ports.storage.commit(&view.id, &view.image_id, &options, done)
            }))
        };
        if paused {
            // An error says that it has failed before.
            let _ = reading.await;
            self.let_go(handle).await;
        }
        let id = committing.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let name = reference.map(|reference| reference.familiar()).unwrap_or_default();
        let image = |action: &str, name: &str| {
            let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
            self.core.events.publish("image", action, id.as_str(), attributes);
        };
        image("create", &id);
        if !name.is_empty() {
            image("tag", &name);
        }
        let told = [("comment", request.comment), ("imageID", id.clone()), ("imageRef", name)];
        self.event(&view, "commit", &told);
        Ok(id)
    }

    /// Pauses it, with a note for the next engine should this one be killed meanwhile. As Docker, what cannot be paused
    /// is read as it runs.
    async fn hold(&self, handle: &Handle) -> bool {
        let view = handle.view();
        let note = note(&self.core, &view.id);
        if let Err(error) = std::fs::write(&note, "") {
            tracing::warn!(container = %view.id, %error, "not paused for its commit: no note can be made of it");
            return false;
        }
        let paused = self.ask(handle, Command::Pause).await;
        if paused.is_err() {
            // It tells of a pause that is not there.
            let _ = std::fs::remove_file(note);
        }
        paused.is_ok()
    }

    async fn let_go(&self, handle: &Handle) {
        let view = handle.view();
        // Somebody else may have done so, or it has been killed.
        let _ = self.ask(handle, Command::Unpause).await;
        let _ = std::fs::remove_file(note(&self.core, &view.id));
    }
}

fn note(core: &Core, id: &str) -> PathBuf {
    layout::committing(&layout::container(&core.settings().data_root, id))
}

/// Whether a container is paused only because an engine was killed while it was committed. Asked once.
pub(super) fn was_held(core: &Core, id: &str) -> bool {
    std::fs::remove_file(note(core, id)).is_ok()
}

fn set<'a>(keys: impl IntoIterator<Item = &'a String>) -> Option<GoSet> {
    let set: GoSet = keys.into_iter().map(|key| (key.clone(), Default::default())).collect();
    Some(set).filter(|set| !set.is_empty())
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn list(list: &[String]) -> Option<Vec<String>> {
    Some(list.to_vec()).filter(|list| !list.is_empty())
}

fn healthcheck(check: &Healthcheck) -> oci::Healthcheck {
    oci::Healthcheck {
        test: check.test.clone(),
        interval: check.interval_ns,
        timeout: check.timeout_ns,
        start_period: check.start_period_ns,
        start_interval: check.start_interval_ns,
        retries: check.retries,
        ..oci::Healthcheck::default()
    }
}

fn config_of_container(spec: &ContainerSpec) -> ContainerConfig {
    ContainerConfig {
        user: text(&spec.user),
        exposed_ports: set(&spec.exposed_ports),
        env: list(&spec.env),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.cmd.clone(),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        args_escaped: spec.args_escaped.then_some(true),
        volumes: set(&spec.volumes),
        working_dir: text(&spec.working_dir),
        on_build: spec.on_build.clone(),
        labels: Some(spec.labels.clone()).filter(|labels| !labels.is_empty()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout_s,
        shell: spec.shell.clone(),
        ..ContainerConfig::default()
    }
}

fn config_of_request(config: ImageConfig) -> ContainerConfig {
    ContainerConfig {
        user: text(&config.user),
        exposed_ports: set(&config.exposed_ports),
        env: list(&config.env),
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        healthcheck: config.healthcheck.as_ref().map(healthcheck),
        args_escaped: config.args_escaped.then_some(true),
        volumes: set(&config.volumes),
        working_dir: text(&config.working_dir),
        on_build: config.on_build,
        labels: Some(config.labels).filter(|labels| !labels.is_empty()),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout_s,
        shell: config.shell,
        ..ContainerConfig::default()
    }
}

/// Where the image's own configuration says nothing, the container's counts.
fn merge(config: &mut ContainerConfig, own: ContainerConfig) {
    fn more<V>(into: &mut Option<BTreeMap<String, V>>, from: Option<BTreeMap<String, V>>) {
        for (key, value) in from.into_iter().flatten() {
            into.get_or_insert_default().entry(key).or_insert(value);
        }
    }
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    config.user = config.user.take().or(own.user);
    more(&mut config.exposed_ports, own.exposed_ports);
    more(&mut config.volumes, own.volumes);
    more(&mut config.labels, own.labels);
    let env = config.env.get_or_insert_default();
    for line in own.env.into_iter().flatten() {
        let key = line.split('=').next().unwrap_or_default();
        if !env.iter().any(|known| known.split('=').next() == Some(key)) {
            env.push(line);
        }
    }
    config.env.take_if(|env| env.is_empty());
    if empty(&config.entrypoint) {
        if empty(&config.cmd) {
            (config.cmd, config.args_escaped) = (own.cmd, own.args_escaped);
        }
        config.entrypoint = config.entrypoint.take().or(own.entrypoint);
    }
    match (&mut config.healthcheck, own.healthcheck) {
        (Some(check), Some(own)) => {
            if check.test.is_empty() {
                check.test = own.test;
            }
            let said = |value: &mut i64, own: i64| *value = if *value == 0 { own } else { *value };
            said(&mut check.interval, own.interval);
            said(&mut check.timeout, own.timeout);
            said(&mut check.start_period, own.start_period);
            said(&mut check.start_interval, own.start_interval);
            said(&mut check.retries, own.retries);
        }
        (check @ None, own) => *check = own,
        (Some(_), None) => {}
    }
    config.working_dir = config.working_dir.take().or(own.working_dir);
    config.stop_signal = config.stop_signal.take().or(own.stop_signal);
}

/// Whether it is one that a boot finds paused by a commit: then it goes on.
pub(super) async fn resume_held(core: &Core, view: &Container) -> bool {
    was_held(core, &view.id) && core.ports.runtime.resume(&view.id).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_s_configuration_fills_what_the_image_s_leaves_open() {
        let own = ContainerConfig {
            user: Some("web".into()),
            env: Some(vec!["A=own".into(), "B=own".into()]),
            cmd: Some(vec!["run".into()]),
            entrypoint: Some(vec!["enter".into()]),
            labels: Some([("a".into(), "own".into()), ("b".into(), "own".into())].into()),
            ..ContainerConfig::default()
        };
        let mut config = ContainerConfig {
            env: Some(vec!["A=new".into()]),
            labels: Some([("a".into(), "new".into())].into()),
            ..ContainerConfig::default()
        };
        merge(&mut config, own.clone());
        assert_eq!(config.env, Some(vec!["A=new".into(), "B=own".into()]));
        assert_eq!(config.user.as_deref(), Some("web"));
        assert_eq!((config.cmd, config.entrypoint), (own.cmd.clone(), own.entrypoint.clone()));
        assert_eq!(config.labels.unwrap()["a"], "new");
        // A command belongs to its entry point.
        let mut config = ContainerConfig { entrypoint: Some(vec!["x".into()]), ..ContainerConfig::default() };
        merge(&mut config, own.clone());
        assert_eq!((config.cmd, config.entrypoint), (None, Some(vec!["x".into()])));
        let mut config = own.clone();
        merge(&mut config, own.clone());
        assert_eq!(config, own);
    }
}
