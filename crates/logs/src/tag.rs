//! `--log-opt tag=`: a Go template over the container's names.

use gotemplate::{Data, Missing, Template};

use crate::facts::ContainerFacts;

/// How many characters a short id has.
const SHORT_ID: usize = 12;

/// What remote drivers call a container that names no tag.
pub(crate) const DEFAULT: &str = "{{.ID}}";

pub(crate) fn expand(template: &str, facts: &ContainerFacts<'_>) -> Result<String, String> {
    let (entrypoint, arguments) = facts.command.split_first().map_or(("", &[][..]), |(e, a)| (e.as_str(), a));
    let data = serde_json::json!({
        "ID": short(facts.id),
        "FullID": facts.id,
        "Name": facts.name.trim_start_matches('/'),
        "ImageID": short(facts.image_id),
        "ImageFullID": facts.image_id,
        "ImageName": facts.image_name,
        "Command": facts.command.join(" "),
        "Hostname": hostname(),
        "DaemonName": "docker",
        "ContainerID": facts.id,
        "ContainerName": facts.name,
        "ContainerEntrypoint": entrypoint,
        "ContainerArgs": arguments,
        "ContainerImageID": facts.image_id,
        "ContainerImageName": facts.image_name,
        "ContainerCreated": facts.created,
        "ContainerEnv": facts.env,
        "ContainerLabels": facts.labels,
    });
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    template
        .execute(&Data::from_json(&data), Missing::Field("*logger.Info"))
        .map_err(|error| error.to_string())
}

pub(crate) fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..SHORT_ID).unwrap_or(id)
}

pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
