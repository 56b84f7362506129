//! `events`: what happens, as it happens.

use api::events::EventMessage;
use client::Events;
use gotemplate::{Data, Missing, Template};

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{filters, moment, output};

pub(crate) const COMMAND: Command = Command {
    name: "events",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Get real time events from the server",
    flags: &[
        Flag::checked_list("filter", "filter", filters::check, "Filter output based on conditions provided")
            .short('f'),
        Flag::text("format", output::FORMAT_HELP),
        Flag::text("since", "Show all events created since timestamp"),
        Flag::text("until", "Stream events until this timestamp"),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["system events", "events"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let bad = |error: String| Failure::new(error);
    let template = match line.text("format") {
        "" => None,
        "json" => Some("{{json .}}"),
        source => Some(source),
    };
    let template = template.map(checked).transpose()?;
    let (since, until) =
        (moment::parse(line.text("since")).map_err(bad)?, moment::parse(line.text("until")).map_err(bad)?);
    let which = Events { since: &since, until: &until, filters: filters::collect(&line.list("filter")) };
    let mut stream = app.client.system().events(&which).await?;
    while let Some(event) = stream.next().await? {
        let text = match &template {
            None => pretty(&event),
            Some(template) => {
                let json = serde_json::to_value(with_old_names(&event))
                    .map_err(|error| Failure::new(error.to_string()))?;
                template
                    .execute(&Data::from_json(&json), Missing::Field("*events.Message"))
                    .map_err(|error| Failure::new(error.to_string()))?
            }
        };
        output::out(&format!("{text}\n"));
    }
    Ok(0)
}

/// A template that fails does so before events come.
fn checked(source: &str) -> Result<Template, Failure> {
    let refused =
        |error: gotemplate::Error| Failure::with_status(format!("Error parsing format: {error}"), 64);
    let template = Template::parse(source).map_err(refused)?;
    let empty = Data::from_json(&with_old_names(&EventMessage::default()));
    template.execute(&empty, Missing::Field("*events.Message")).map_err(refused)?;
    Ok(template)
}

/// Templates name Go's fields, where the wire has lower-case keys.
fn with_old_names(event: &EventMessage) -> serde_json::Value {
    let mut json = serde_json::to_value(event).unwrap_or_default();
    if let Some(object) = json.as_object_mut() {
        object.insert("Scope".into(), event.scope.clone().into());
        object.insert("Time".into(), event.time.into());
        object.insert("TimeNano".into(), event.time_nano.into());
    }
    json
}

fn pretty(event: &EventMessage) -> String {
    let time = match (event.time_nano, event.time) {
        (0, 0) => String::new(),
        (0, seconds) => format!("{} ", moment::rfc3339_nano(seconds * 1_000_000_000)),
        (nanoseconds, _) => format!("{} ", moment::rfc3339_nano(nanoseconds)),
    };
    let mut text = format!("{time}{} {} {}", event.kind, event.action, event.actor.id);
    if !event.actor.attributes.is_empty() {
        let attributes: Vec<String> =
            event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        text.push_str(&format!(" ({})", attributes.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = EventMessage {
            kind: "container".into(),
            action: "start".into(),
            actor: api::events::Actor {
                id: "abc".into(),
                attributes: [("name".to_owned(), "web".to_owned()), ("image".to_owned(), "x".to_owned())]
                    .into(),
            },
            ..EventMessage::default()
        };
        assert_eq!(pretty(&event), "container start abc (image=x, name=web)");
    }
}
