//! `volume backup`: a volume's data in a registry, or in a file. Not in Docker.

use crate::app::App;
use crate::backups::{self, Place};
use crate::command::{Command, Operands, Outcome};
use crate::flags::{Flag, Parsed};
use crate::output::file;
use crate::{output, progress};

pub(crate) const COMMAND: Command = Command {
    name: "backup",
    aliases: &[],
    usage: "[OPTIONS] VOLUME",
    about: "Back up a volume's data, with its name and labels, to a registry or a file",
    flags: &[
        Flag::switch("quiet", "Do not show how it goes").short('q'),
        Flag::text(
            "to",
            "NAME[:TAG] in a registry, or a file: a path with a '/' in front of it or '.tar' behind",
        ),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["volume backup"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let (volume, quiet) = (&line.operands[0], line.switch("quiet"));
    match backups::place(line.text("to"), "to")? {
        Place::File(path) => {
            let found = app.client.volumes().inspect_raw(volume).await?;
            let name = found["Name"].as_str().unwrap_or_default();
            let labels = found["Labels"].as_object().into_iter().flatten();
            let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            let head = backups::head(name, &labels.collect());
            let stream = async { app.client.volumes().export(volume).await };
            file::to_path_behind(&head, stream, &path, "failed to back up volume").await?;
            if !quiet {
                output::out(&format!("{path}\n"));
            }
        }
        Place::Registry(to) => {
            let auth = crate::credentials::header(app, to.domain());
            let stream = app.client.volumes().backup(volume, &to.familiar(), &auth).await?;
            let shown = if quiet { progress::To::Nowhere } else { progress::To::Stdout };
            let mut digest = String::new();
            progress::show_with(stream, shown, |aux| {
                digest = aux["Digest"].as_str().unwrap_or_default().to_owned();
            })
            .await?;
            if quiet {
                output::out(&format!("{}@{digest}\n", to.name_only().familiar()));
            }
        }
    }
    Ok(0)
}
