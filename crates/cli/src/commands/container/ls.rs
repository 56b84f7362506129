//! `ps`: the list of containers.

use std::time::{SystemTime, UNIX_EPOCH};

use api::container::{ContainerSummary, PortSummary};
use gotemplate::{Missing, Template};
use serde_json::{Value, json};

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::table::{Listing, Row, render};
use crate::output::units::{human_duration, human_size};
use crate::output::{self, ellipsis, short_id};
use crate::{filters, moment};

pub(crate) const COMMAND: Command = Command {
    name: "ls",
    aliases: &["list", "ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    flags: &[
        Flag::switch("all", "Show all containers (default shows just running)").short('a'),
        Flag::checked_list("filter", "filter", filters::check, "Filter output based on conditions provided")
            .short('f'),
        Flag::text("format", output::FORMAT_HELP),
        Flag::int("last", "Show n last created containers (includes all states)").short('n').default("-1"),
        Flag::switch("latest", "Show the latest created container (includes all states)").short('l'),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only display container IDs").short('q'),
        Flag::switch("size", "Display total file sizes").short('s'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["container ls", "container list", "container ps", "ps"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const TABLE: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
pub(crate) const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

pub(crate) const LISTING: Listing = Listing {
    type_name: "*formatter.ContainerContext",
    titles: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("HealthStatus", "HEALTH STATUS"),
    ],
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let quiet = line.switch("quiet");
    let format = match line.text("format") {
        "" => app.config.ps_format.clone(),
        format => format.to_owned(),
    };
    if quiet && !line.text("format").is_empty() {
        output::err("WARNING: Ignoring custom format, because both --format and --quiet are set.\n");
    }
    try_out(&format)?;
    let size = line.switch("size") || (!quiet && !line.changed("size") && names_size(&format));
    let template = template(&format, quiet, size);
    let last = if line.switch("latest") && !line.changed("last") { 1 } else { line.int("last") };
    let limit = usize::try_from(last).unwrap_or(0);
    let filters = filters::collect(&line.list("filter"));
    let containers = app.client.containers().list(line.switch("all"), limit, size, &filters).await?;
    let rows = containers.iter().map(|container| row(container, !line.switch("no-trunc"))).collect();
    output::out(&render(&LISTING, &template, rows).map_err(Failure::new)?);
    Ok(0)
}

/// A template that fails does so before the engine is asked.
fn try_out(format: &str) -> Result<(), Failure> {
    let template = Template::parse(format)
        .map_err(|error| Failure::new(format!("failed to parse template: {error}")))?;
    template
        .execute(&row(&ContainerSummary::default(), true).data(), Missing::Field(LISTING.type_name))
        .map(drop)
        .map_err(|error| Failure::new(format!("failed to execute template: {error}")))
}

/// Does a template ask for sizes, by name or as JSON of the whole row? They cost the engine a walk through the files.
fn names_size(format: &str) -> bool {
    let whole_row = |rest: &str| {
        rest.trim_start().strip_prefix('.').is_some_and(|rest| rest.trim_start().starts_with(['}', ')', '|']))
    };
    format.contains(".Size") || format.split("json").skip(1).any(whole_row)
}

fn template(format: &str, quiet: bool, size: bool) -> String {
    match format {
        "" | "table" if quiet => "{{.ID}}".into(),
        "" | "table" if size => format!("{TABLE}\t{{{{.Size}}}}"),
        "" | "table" => TABLE.into(),
        "raw" if quiet => "container_id: {{.ID}}".into(),
        // Docker's own has no line's end there, but the two characters.
        "raw" if size => format!("{RAW}size: {{{{.Size}}}}\\n"),
        "raw" => RAW.into(),
        _ if quiet => "{{.ID}}".into(),
        custom => custom.into(),
    }
}

pub(crate) fn row(container: &ContainerSummary, truncate: bool) -> Row {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
    let age = now - i128::from(container.created) * 1_000_000_000;
    let command = if truncate { ellipsis(&container.command, 20) } else { container.command.clone() };
    let size = human_size(container.size_rw as f64, 3);
    let size = match container.size_root_fs {
        0 => size,
        root => format!("{size} (virtual {})", human_size(root as f64, 3)),
    };
    let labels: Vec<String> = container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mounts: Vec<String> = container
        .mounts
        .iter()
        .map(|mount| if mount.name.is_empty() { &mount.source } else { &mount.name })
        .map(|name| if truncate { ellipsis(name, 15) } else { name.clone() })
        .collect();
    let networks: Vec<&str> = container
        .network_settings
        .iter()
        .flat_map(|settings| settings.networks.keys().map(String::as_str))
        .collect();
    let platform =
        container.image_manifest_descriptor.as_ref().and_then(|descriptor| descriptor.platform.as_ref());
    let health = container.health.as_ref().map_or("", |health| health.status.as_str());
    let health = if health == "none" { "" } else { health };
    let id = if truncate { short_id(&container.id) } else { &container.id };
    let cells: Vec<(&'static str, Value)> = vec![
        ("Command", json!(format!("{command:?}"))),
        ("CreatedAt", json!(moment::go_string(container.created))),
        ("HealthStatus", json!(health)),
        ("ID", json!(id)),
        ("Image", json!(image(container, truncate))),
        ("Labels", json!(labels.join(","))),
        (
            "LocalVolumes",
            json!(container.mounts.iter().filter(|mount| mount.driver == "local").count().to_string()),
        ),
        ("Mounts", json!(mounts.join(","))),
        ("Names", json!(names(&container.names, truncate))),
        ("Networks", json!(networks.join(","))),
        ("Platform", json!(platform)),
        ("Ports", json!(ports(&container.ports))),
        ("RunningFor", json!(format!("{} ago", human_duration(age)))),
        ("Size", json!(size)),
        ("State", json!(container.state.as_str())),
        ("Status", json!(container.status)),
    ];
    Row { cells, labels: Some(container.labels.clone()) }
}

/// Only the container's own name when cut; links have slashes inside.
fn names(names: &[String], truncate: bool) -> String {
    let mut bare = names.iter().map(|name| name.trim_start_matches('/'));
    if truncate {
        return bare.find(|name| !name.contains('/')).unwrap_or_default().to_owned();
    }
    bare.collect::<Vec<_>>().join(",")
}

fn image(container: &ContainerSummary, truncate: bool) -> String {
    let image = &container.image;
    match image.as_str() {
        "" => "<no image>".into(),
        _ if !truncate => image.clone(),
        _ if short_id(image) == short_id(&container.image_id) => short_id(image).into(),
        // A digest is cut off, a tag before it stays.
        _ => image.split_once('@').map_or(image.as_str(), |(name, _)| name).into(),
    }
}

/// `0.0.0.0:80->80/tcp, 443/tcp`, with runs of the same ports drawn together.
fn ports(ports: &[PortSummary]) -> String {
    let mut sorted: Vec<&PortSummary> = ports.iter().collect();
    sorted.sort_by_key(|port| (port.private_port, port.ip.clone(), port.public_port, port.kind.clone()));
    let host = |ip: &str| if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let mut groups: Vec<(String, String, u16, u16)> = Vec::new();
    let mut mapped = Vec::new();
    for port in sorted {
        if !port.ip.is_empty() && port.public_port != port.private_port {
            mapped.push(format!(
                "{}:{}->{}/{}",
                host(&port.ip),
                port.public_port,
                port.private_port,
                port.kind
            ));
            continue;
        }
        match groups.iter_mut().find(|(ip, kind, _, last)| {
            *ip == port.ip
                && *kind == port.kind
                && (port.private_port == *last || Some(port.private_port) == last.checked_add(1))
        }) {
            Some((.., last)) => *last = port.private_port,
            None => groups.push((port.ip.clone(), port.kind.clone(), port.private_port, port.private_port)),
        }
    }
    let mut shown: Vec<String> = groups
        .into_iter()
        .map(|(ip, kind, first, last)| {
            let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
            if ip.is_empty() {
                format!("{range}/{kind}")
            } else {
                format!("{}:{range}->{range}/{kind}", host(&ip))
            }
        })
        .collect();
    shown.extend(mapped);
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_table() {
        let container = ContainerSummary {
            id: "0123456789abcdef".into(),
            names: vec!["/web".into(), "/other/link".into()],
            image: "debian:12@sha256:00".into(),
            command: "sh -c 'a very long command line'".into(),
            status: "Up 2 seconds".into(),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ..ContainerSummary::default()
        };
        let format = "{{.ID}}|{{.Names}}|{{.Image}}|{{.Command}}|{{.Status}}|{{.Label \"a\"}}|{{.Size}}";
        assert_eq!(
            render(&LISTING, format, vec![row(&container, true)]).unwrap(),
            "0123456789ab|web|debian:12|\"sh -c 'a very long …\"|Up 2 seconds|1|0B\n"
        );
        assert!(
            render(&LISTING, TABLE, Vec::new())
                .unwrap()
                .starts_with("CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n")
        );
    }

    #[test]
    fn ports_are_drawn_together() {
        let port = |ip: &str, private, public| PortSummary {
            ip: ip.into(),
            private_port: private,
            public_port: public,
            kind: "tcp".into(),
        };
        assert_eq!(ports(&[port("", 80, 0), port("", 81, 0), port("", 443, 0)]), "80-81/tcp, 443/tcp");
        assert_eq!(
            ports(&[port("0.0.0.0", 80, 8080), port("::", 80, 80)]),
            "[::]:80->80/tcp, 0.0.0.0:8080->80/tcp"
        );
    }
}
