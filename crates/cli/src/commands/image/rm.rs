//! `rmi`: removes names of images, and images with their last name.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{output, platforms};

pub(crate) const COMMAND: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    flags: &[
        Flag::switch("force", "Force removal of the image").short('f'),
        Flag::switch("no-prune", "Do not delete untagged parents"),
        Flag::list(
            "platform",
            "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["image rm", "image remove", "rmi"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let force = line.switch("force");
    let platforms = platforms::all_encoded(&line.list("platform"))?;
    let (mut failures, mut fatal) = (Vec::new(), false);
    for image in &line.operands {
        match app.client.images().remove(image, force, line.switch("no-prune"), &platforms).await {
            Ok(items) => {
                for item in items {
                    if item.deleted.is_empty() {
                        output::out(&format!("Untagged: {}\n", item.untagged));
                    } else {
                        output::out(&format!("Deleted: {}\n", item.deleted));
                    }
                }
            }
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => {
                fatal |= !error.is_not_found();
                failures.push(error.to_string());
            }
        }
    }
    if failures.is_empty() {
        return Ok(0);
    }
    let text = failures.join("\n");
    // With --force, what was not there is as good as removed.
    if force && !fatal {
        output::err(&format!("{text}\n"));
        return Ok(0);
    }
    Err(Failure::new(text))
}
