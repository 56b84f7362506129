//! `--log-opt tag=`: a template over the container's names.
//!
//! Docker runs Go's whole template language over it; what people write is one of eight fields, alone or
//! between literal text. Those are expanded here; anything else is refused by its text.

use crate::config::{ConfigError, ContainerFacts};

/// How many characters a short id has.
const SHORT_ID: usize = 12;

pub(crate) fn expand(template: &str, facts: &ContainerFacts<'_>) -> Result<String, ConfigError> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once("{{") {
        out.push_str(literal);
        let unsupported = || ConfigError::Tag { template: template.to_owned() };
        let (field, after) = after.split_once("}}").ok_or_else(unsupported)?;
        match field.trim() {
            ".ID" => out.push_str(short(facts.id)),
            ".FullID" => out.push_str(facts.id),
            ".Name" => out.push_str(facts.name.trim_start_matches('/')),
            ".ImageID" => out.push_str(short(facts.image_id)),
            ".ImageFullID" => out.push_str(facts.image_id),
            ".ImageName" => out.push_str(facts.image_name),
            ".DaemonName" => out.push_str("docker"),
            ".Command" => out.push_str(&facts.command.join(" ")),
            ".Hostname" => out.push_str(rustix::system::uname().nodename().to_str().unwrap_or_default()),
            _ => return Err(unsupported()),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..SHORT_ID).unwrap_or(id)
}
