//! Help pages in Docker's layout.

use crate::command::{Command, Noun};
use crate::commands;
use crate::flags::help::flag_usages;
use crate::globals;
use crate::terminal;

/// The version Docker's clients and scripts compare with.
const DOCKER_VERSION: &str = "29.7.2";

pub(crate) fn version_line(program: &str) -> String {
    match program {
        // Installers and editors parse this line; it says whose behaviour to expect.
        "docker" => format!("Docker version {DOCKER_VERSION}, build wharf-{}", env!("CARGO_PKG_VERSION")),
        _ => format!("Wharf version {}, as Docker {DOCKER_VERSION}", env!("CARGO_PKG_VERSION")),
    }
}

fn width() -> usize {
    terminal::size().map_or(80, |size| usize::from(size.columns)).max(20)
}

pub(crate) fn usage_line(program: &str, path: &str, command: &Command) -> String {
    // A second line names the program, too.
    let usage = command.usage.replace("\tdocker ", &format!("\t{program} "));
    format!("{program} {path} {usage}").trim_end().to_owned()
}

pub(crate) fn verb(program: &str, path: &str, command: &Command) -> String {
    let mut page = format!("Usage:  {}\n\n{}\n", usage_line(program, path, command), command.about);
    if command.spellings.len() > 1 {
        let spelled: Vec<String> =
            command.spellings.iter().map(|spelling| format!("{program} {spelling}")).collect();
        page.push_str(&format!("\nAliases:\n  {}\n", spelled.join(", ")));
    }
    if !command.flags.is_empty() {
        page.push_str(&format!("\nOptions:\n{}", flag_usages(command.flags, width())));
    }
    page
}

pub(crate) fn noun(program: &str, noun: &Noun) -> String {
    let rows = noun.verbs.iter().map(|verb| (verb.name, verb.about));
    format!(
        "Usage:  {program} {0} COMMAND\n\n{1}\n\nCommands:\n{2}\nRun '{program} {0} COMMAND --help' for more information on a command.\n",
        noun.name,
        noun.about,
        list(rows.collect()),
    )
}

pub(crate) fn root(program: &str) -> String {
    let top = commands::top();
    let (common, others): (Vec<_>, Vec<_>) =
        top.iter().copied().partition(|(name, _)| commands::COMMON.contains(name));
    let mut common = common;
    common.sort_by_key(|(name, _)| commands::COMMON.iter().position(|common| common == name));
    let row = |(name, command): (&'static str, &'static Command)| (name, command.about);
    let mut others: Vec<_> = others.into_iter().map(row).collect();
    others.sort_unstable();
    format!(
        "Usage:  {program} [OPTIONS] COMMAND\n\nContainers from one binary, for everything that speaks Docker\n\nCommon Commands:\n{}\nManagement Commands:\n{}\nCommands:\n{}\nGlobal Options:\n{}\nRun '{program} COMMAND --help' for more information on a command.\n",
        list(common.into_iter().map(row).collect()),
        list(commands::NOUNS.iter().map(|noun| (noun.name, noun.about)).collect()),
        list(others),
        flag_usages(globals::FLAGS, width()),
    )
}

fn list(rows: Vec<(&str, &'static str)>) -> String {
    // Cobra pads names to eleven columns.
    let column = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(11) + 1;
    let line = |about: &'static str| about.lines().next().unwrap_or_default();
    rows.iter().map(|(name, about)| format!("  {name:column$}{}\n", line(about))).collect()
}
