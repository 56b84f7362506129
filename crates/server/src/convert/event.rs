//! Events.

use api::events::{Actor, EventMessage};
use engine::events::Event;

pub(crate) fn message(event: &Event) -> EventMessage {
    EventMessage {
        kind: event.kind.into(),
        action: event.action.clone(),
        actor: Actor { id: event.actor_id.clone(), attributes: event.attributes.clone() },
        scope: "local".to_owned(),
        time: event.at.as_second(),
        // Nanoseconds fit until the year 2262.
        time_nano: i64::try_from(event.at.as_nanosecond()).unwrap_or(i64::MAX),
    }
}
