//! `volume restore`: a new volume with what a backup has. Not in Docker.

use crate::app::App;
use crate::backups::{self, Place};
use crate::command::{Command, Operands, Outcome};
use crate::commands::image::import::open;
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{output, progress};

pub(crate) const COMMAND: Command = Command {
    name: "restore",
    aliases: &[],
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume from a backup; without a name it is called as the one that was backed up",
    flags: &[
        Flag::text("from", "NAME[:TAG|@DIGEST] in a registry, or a file, as in 'volume backup'"),
        Flag::list("label", "Set metadata for a volume, beside what it had"),
        Flag::switch("quiet", "Do not show how it goes").short('q'),
    ],
    operands: Operands::AtMost(1),
    interspersed: true,
    spellings: &["volume restore"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let name = line.operands.first().map_or("", String::as_str);
    let labels = line.list("label");
    match backups::place(line.text("from"), "from")? {
        Place::File(path) => {
            let mut file = open(&path).await?;
            let about = backups::read_head(&mut file, &path).await?;
            let name = if name.is_empty() { about.name } else { name.to_owned() };
            if name.is_empty() {
                let text = format!("{path} does not say what the volume was called: name one");
                return Err(Failure::new(text));
            }
            // A later one of a key counts.
            let labels: Vec<String> = about.labels.into_iter().chain(labels).collect();
            let made = app.client.volumes().import(&name, &labels, &[], file).await?;
            output::out(&format!("{}\n", made.name));
        }
        Place::Registry(from) => {
            let auth = crate::credentials::header(app, from.domain());
            let stream = app.client.volumes().restore(name, &from.familiar(), &labels, &auth).await?;
            let shown = if line.switch("quiet") { progress::To::Nowhere } else { progress::To::Stdout };
            progress::show_with(stream, shown, |_| {}).await?;
        }
    }
    Ok(0)
}
