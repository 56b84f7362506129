//! Which containers a list shows.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Container, Filters, ListRequest};
use crate::core::Core;
use crate::error::{Error, Result};

const FILTER_KEYS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// Newest first.
pub(crate) fn select(core: &Core, request: &ListRequest) -> Result<Vec<Arc<Container>>> {
    let filters = &request.filters;
    filters.check(FILTER_KEYS)?;
    for status in filters.get("status") {
        if !["created", "running", "paused", "restarting", "removing", "exited", "dead"]
            .contains(&status.as_str())
        {
            return Err(Error::invalid(format!(
                "invalid filter 'status={status}': invalid value for state ({status}): must be one of created, \
                 running, paused, restarting, removing, exited, dead"
            )));
        }
    }
    for health in filters.get("health") {
        if !["none", "starting", "healthy", "unhealthy"].contains(&health.as_str()) {
            return Err(Error::invalid(format!(
                "invalid filter 'health={health}': invalid value for health ({health}): must be one of none, starting, \
                 healthy, unhealthy"
            )));
        }
    }
    let is_task = filters.flag("is-task")?;
    let codes = filters
        .get("exited")
        .iter()
        .map(|code| {
            code.parse::<i32>().map_err(|_| {
                Error::invalid(format!(
                    "invalid filter 'exited={code}': strconv.Atoi: parsing \"{code}\": invalid syntax"
                ))
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let reference = |key: &str| -> Result<Option<Timestamp>> {
        match filters.get(key).first() {
            Some(reference) => Ok(Some(core.index.find(reference)?.view().created)),
            None => Ok(None),
        }
    };
    let (before, since) = (reference("before")?, reference("since")?);
    let mut ancestors = Vec::new();
    for ancestor in filters.get("ancestor") {
        // An image nobody has matches nothing.
        ancestors.push(
            core.ports
                .storage
                .resolve(ancestor, None)
                .map_or_else(|_| ancestor.clone(), |image| image.id.clone()),
        );
    }
    let (exposed, published) = (ports_asked_for(filters, "expose")?, ports_asked_for(filters, "publish")?);
    let all = request.all || request.limit.is_some() || filters.has("status") || filters.has("exited");
    let views = core.index.views().into_iter().filter(|view| {
        let status = view.state.status;
        (all || view.state.is_running())
            && filters.exact("status", status.word())
            && (codes.is_empty()
                || codes.contains(&view.state.exit_code)
                    && view.state.started_at.is_some()
                    && !view.state.is_running())
            && before.is_none_or(|at| view.created < at)
            && since.is_none_or(|at| view.created > at)
            && (ancestors.is_empty() || ancestors.contains(&view.image_id))
            && names_match(filters.get("name"), &view.name)
            && (!filters.has("id") || filters.get("id").iter().any(|id| view.id.starts_with(id.as_str())))
            && filters.labels_match("label", &view.spec.labels)
            && networks_match(filters.get("network"), view)
            && volumes_match(filters.get("volume"), view)
            && ports_match(&exposed, |port| view.spec.exposed_ports.contains(port))
            && ports_match(&published, |port| view.spec.host.port_bindings.contains_key(port))
            && filters.exact("health", view.state.health_word())
            && is_task != Some(true)
    });
    Ok(match request.limit {
        Some(limit) => views.take(limit).collect(),
        None => views.collect(),
    })
}

/// Docker matches names as regular expressions; plain text, `^` and `$` are what people write.
pub(crate) fn names_match(asked: &[String], name: &str) -> bool {
    asked.is_empty()
        || asked.iter().any(|pattern| {
            let slashed = format!("/{name}");
            let (start, rest) = match pattern.strip_prefix('^') {
                Some(rest) => (true, rest),
                None => (false, pattern.as_str()),
            };
            let (end, core) = match rest.strip_suffix('$') {
                Some(core) => (true, core),
                None => (false, rest),
            };
            let core = core.replace("\\.", ".");
            let texts = [name, slashed.as_str()];
            texts.iter().any(|text| match (start, end) {
                (true, true) => *text == core,
                (true, false) => text.starts_with(&core),
                (false, true) => text.ends_with(&core),
                (false, false) => text.contains(&core),
            })
        })
}

fn networks_match(asked: &[String], view: &Container) -> bool {
    asked.is_empty()
        || asked.iter().any(|network| {
            view.network.endpoints.iter().any(|(name, endpoint)| {
                name == network
                    || !endpoint.network_id.is_empty() && endpoint.network_id.starts_with(network.as_str())
            })
        })
}

fn volumes_match(asked: &[String], view: &Container) -> bool {
    asked.is_empty()
        || asked.iter().any(|volume| {
            view.mounts.iter().any(|m| m.name == *volume || m.destination == *volume || m.source == *volume)
        })
}

fn ports_match(asked: &[String], has: impl Fn(&str) -> bool) -> bool {
    asked.is_empty() || asked.iter().any(|port| has(port))
}

/// `80`, `8000-8010/udp` as single ports.
fn ports_asked_for(filters: &Filters, key: &str) -> Result<Vec<String>> {
    let mut ports = Vec::new();
    for text in filters.get(key) {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bad = || Error::invalid(format!("invalid filter '{key}={text}': invalid port"));
        let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if first > last {
            return Err(bad());
        }
        ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
}

/// `until=`: a duration back from now, or a time.
pub(crate) fn until(core: &Core, filters: &Filters) -> Result<Option<Timestamp>> {
    let Some(text) = filters.get("until").first() else { return Ok(None) };
    let bad = || Error::invalid(format!("invalid filter 'until=[{text}]'"));
    if let Ok(span) = text.parse::<jiff::SignedDuration>() {
        return core.ports.clock.now().checked_sub(span).map(Some).map_err(|_| bad());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Timestamp::from_millisecond((seconds * 1000.0) as i64).map(Some).map_err(|_| bad());
    }
    text.parse::<Timestamp>().map(Some).map_err(|_| bad())
}
