//! `volume create`.

use api::volume::VolumeCreateRequest;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::options::environment::pair;
use crate::output;

/// They make a Swarm's volume.
const CLUSTER: &[&str] = &[
    "availability",
    "group",
    "limit-bytes",
    "required-bytes",
    "scope",
    "secret",
    "sharing",
    "topology-preferred",
    "topology-required",
    "type",
];

pub(crate) const COMMAND: Command = Command {
    name: "create",
    aliases: &[],
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    flags: &[
        Flag::text("driver", "Specify volume driver name").short('d').default("local"),
        Flag::list("label", "Set metadata for a volume"),
        Flag::text("name", "Specify volume name").hidden(),
        Flag::map("opt", "Set driver specific options").short('o'),
        Flag::text("availability", "Cluster Volume availability (\"active\", \"pause\", \"drain\")").hidden(),
        Flag::text("group", "Cluster Volume group (cluster volumes)").hidden(),
        Flag::text("limit-bytes", "Minimum size of the Cluster Volume in bytes").hidden(),
        Flag::text("required-bytes", "Maximum size of the Cluster Volume in bytes").hidden(),
        Flag::text("scope", "Cluster Volume access scope (\"single\", \"multi\")").hidden(),
        Flag::map("secret", "Cluster Volume secrets").hidden(),
        Flag::text(
            "sharing",
            "Cluster Volume access sharing (\"none\", \"readonly\", \"onewriter\", \"all\")",
        )
        .hidden(),
        Flag::list("topology-preferred", "A topology that the Cluster Volume would be preferred in").hidden(),
        Flag::list("topology-required", "A topology that the Cluster Volume must be accessible from")
            .hidden(),
        Flag::text("type", "Cluster Volume access type (\"mount\", \"block\")").hidden(),
    ],
    operands: Operands::AtMost(1),
    interspersed: true,
    spellings: &["volume create"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    if let Some(flag) = line.all_given().find(|name| CLUSTER.contains(name)) {
        return Err(Failure::new(format!("--{flag} is not supported: Swarm is not part of Wharf")));
    }
    let named = line.text("name");
    let name = match line.operands.first() {
        Some(_) if !named.is_empty() => {
            return Err(Failure::new(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        Some(name) => name.as_str(),
        None => named,
    };
    let request = VolumeCreateRequest {
        name: name.to_owned(),
        driver: line.text("driver").to_owned(),
        driver_opts: line.list("opt").iter().map(|option| pair(option)).collect(),
        labels: line.list("label").iter().map(|label| pair(label)).collect(),
        cluster_volume_spec: None,
    };
    let made = app.client.volumes().create(&request).await?;
    output::out(&format!("{}\n", made.name));
    Ok(0)
}
