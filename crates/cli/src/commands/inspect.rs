//! `inspect`: objects of any kind as JSON, or through a template.

mod shapes;

use client::ObjectKind;
use gotemplate::{Data, Missing, Template};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;

pub(crate) const FORMAT_HELP: &str = "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.";

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Return low-level information on Docker objects",
    flags: &[
        Flag::text("format", FORMAT_HELP).short('f'),
        Flag::switch("size", "Display total file sizes if the type is container").short('s'),
        Flag::text("type", "Only inspect objects of the given type"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["inspect"],
    run: |app, line| Box::pin(async move { any(app, &line).await }),
};

/// What can be inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Container,
    Image,
    Network,
    Volume,
    /// It is for the engine to say that it has none.
    Other(ObjectKind),
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Other(kind) => kind.word(),
        }
    }
}

/// Which objects, and how much of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Looked for in this order.
    pub(crate) kinds: &'a [Kind],
    pub(crate) size: bool,
    /// Of an image, as JSON; empty for any.
    pub(crate) platform: &'a str,
}

const TYPES: [&str; 10] =
    ["config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"];

async fn any(app: &App, line: &Parsed) -> Outcome {
    let kinds: &[Kind] = match line.given("type") {
        None => &[Kind::Container, Kind::Image, Kind::Network, Kind::Volume],
        Some("container") => &[Kind::Container],
        Some("image") => &[Kind::Image],
        Some("network") => &[Kind::Network],
        Some("volume") => &[Kind::Volume],
        Some("") => {
            return Err(Failure::new(format!("type is empty: must be one of \"{}\"", TYPES.join("\", \""))));
        }
        Some("config") => &[Kind::Other(ObjectKind::Config)],
        Some("node") => &[Kind::Other(ObjectKind::Node)],
        Some("plugin") => &[Kind::Other(ObjectKind::Plugin)],
        Some("secret") => &[Kind::Other(ObjectKind::Secret)],
        Some("service") => &[Kind::Other(ObjectKind::Service)],
        Some("task") => &[Kind::Other(ObjectKind::Task)],
        Some(kind) => {
            return Err(Failure::new(format!(
                "unknown type: {kind:?}: must be one of \"{}\"",
                TYPES.join("\", \"")
            )));
        }
    };
    let what = Wanted { kinds, size: line.switch("size"), platform: "" };
    run(app, line.text("format"), &line.operands, &what).await
}

/// Prints all objects found, then what was not found.
pub(crate) async fn run(app: &App, format: &str, names: &[String], what: &Wanted<'_>) -> Outcome {
    let template = match format {
        "" | "json" => None,
        source => Some(
            Template::parse(source)
                .map_err(|error| Failure::with_status(format!("template parsing error: {error}"), 64))?,
        ),
    };
    let mut objects = Vec::new();
    let mut text = String::new();
    let mut failures = Vec::new();
    for name in names {
        let (kind, object) = match find(app, name, what).await {
            Ok(found) => found,
            Err(failure) if failure.no_engine => return Err(failure),
            Err(failure) => {
                failures.push(failure.text);
                continue;
            }
        };
        match &template {
            None => objects.push(object),
            Some(template) => {
                // As Docker: what the structs cannot answer, the JSON is asked for.
                let made = template
                    .execute(&Data::of(&object, shapes::of(kind)), Missing::Key)
                    .or_else(|_| template.execute(&Data::from_json(&object), Missing::Key));
                match made {
                    Ok(line) => text.push_str(&format!("{line}\n")),
                    Err(error) => failures.push(format!("template parsing error: {error}")),
                }
            }
        }
    }
    match (&template, format) {
        (Some(_), _) if text.is_empty() => output::out("\n"),
        (Some(_), _) => output::out(&text),
        (None, "json") => output::out(&format!("{}\n", Value::from(objects))),
        (None, _) => output::out(&format!("{}\n", indented(&Value::from(objects)))),
    }
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}

async fn find(app: &App, name: &str, what: &Wanted<'_>) -> Result<(Kind, Value), Failure> {
    let Wanted { kinds, size, platform } = *what;
    for kind in kinds {
        let found = match kind {
            Kind::Container => app.client.containers().inspect_raw(name, size).await,
            Kind::Image => app.client.images().inspect_raw(name, platform).await,
            Kind::Network => app.client.networks().inspect_raw(name, false).await,
            Kind::Volume => app.client.volumes().inspect_raw(name).await,
            Kind::Other(kind) => app.client.objects(*kind).inspect_raw(name).await,
        };
        match found {
            Ok(object) => {
                if size && *kind != Kind::Container {
                    output::err(&format!("WARNING: --size ignored for {}\n", kind.word()));
                }
                return Ok((*kind, object));
            }
            Err(error) if kinds.len() > 1 && is_skippable(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new(format!("error: no such object: {name}")))
}

fn is_skippable(error: &client::Error) -> bool {
    error.is_not_found() || error.to_string().contains("invalid reference format")
}

/// JSON with four blanks a level, as Go's `MarshalIndent` is asked for.
pub(crate) fn indented(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A value that was read as JSON can be written as JSON, into memory.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok());
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_blanks_a_level() {
        let value = serde_json::json!([{"a": [], "b": {"c": 1}}]);
        assert_eq!(
            indented(&value),
            "[\n    {\n        \"a\": [],\n        \"b\": {\n            \"c\": 1\n        }\n    }\n]"
        );
    }
}
