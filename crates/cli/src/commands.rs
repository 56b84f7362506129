//! The command tree: nouns with their verbs, and the verbs that also stand at the top.

use crate::command::{Command, Noun};

pub(crate) mod checkpoint;
pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod manifest;
pub(crate) mod network;
pub(crate) mod prune;
pub(crate) mod registry;
pub(crate) mod system;
pub(crate) mod version;
pub(crate) mod volume;

pub(crate) const NOUNS: &[&Noun] = &[
    &checkpoint::NOUN,
    &container::NOUN,
    &image::NOUN,
    &manifest::NOUN,
    &network::NOUN,
    &system::NOUN,
    &volume::NOUN,
];

/// Listed first on the first help page.
pub(crate) const COMMON: &[&str] = &["run", "exec", "ps", "pull", "images", "version", "info"];

/// Top-level names and what they stand for.
const TOP: &[(&str, &Command)] = &[
    ("attach", &container::attach::COMMAND),
    ("commit", &container::commit::COMMAND),
    ("cp", &container::cp::COMMAND),
    ("create", &container::create::COMMAND),
    ("debug", &container::debug::COMMAND),
    ("diff", &container::diff::COMMAND),
    ("events", &system::events::COMMAND),
    ("exec", &container::exec::COMMAND),
    ("export", &container::export::COMMAND),
    ("history", &image::history::COMMAND),
    ("images", &image::ls::IMAGES),
    ("import", &image::import::COMMAND),
    ("info", &system::info::COMMAND),
    ("inspect", &inspect::COMMAND),
    ("kill", &container::kill::COMMAND),
    ("load", &image::load::COMMAND),
    ("login", &registry::login::COMMAND),
    ("logout", &registry::logout::COMMAND),
    ("logs", &container::logs::COMMAND),
    ("pause", &container::pause::COMMAND),
    ("port", &container::port::COMMAND),
    ("ps", &container::ls::COMMAND),
    ("pull", &image::pull::COMMAND),
    ("push", &image::push::COMMAND),
    ("rename", &container::rename::COMMAND),
    ("restart", &container::restart::COMMAND),
    ("rm", &container::rm::COMMAND),
    ("rmi", &image::rm::COMMAND),
    ("run", &container::run::COMMAND),
    ("save", &image::save::COMMAND),
    ("search", &registry::search::COMMAND),
    ("start", &container::start::COMMAND),
    ("stats", &container::stats::COMMAND),
    ("stop", &container::stop::COMMAND),
    ("tag", &image::tag::COMMAND),
    ("tags", &registry::tags::COMMAND),
    ("top", &container::top::COMMAND),
    ("unpause", &container::unpause::COMMAND),
    ("update", &container::update::COMMAND),
    ("version", &version::COMMAND),
    ("wait", &container::wait::COMMAND),
    ("why", &container::why::COMMAND),
];

/// Docker's commands whose part is not built yet: a name that is known deserves a better answer than "unknown".
const LATER: &[(&[&str], &str)] = &[
    (&["build", "builder", "buildx"], "it comes with the builder"),
    (&["compose"], "it comes with Compose"),
    (
        &["context"],
        "contexts made by Docker's client are used, with --context, DOCKER_CONTEXT or its \"use\"",
    ),
    (&["plugin", "trust"], "it is not planned soon"),
    (&["swarm", "node", "service", "stack", "secret", "config"], "Swarm is not part of Wharf"),
];

/// What a line names.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Verb {
        command: &'static Command,
        path: String,
        rest: &'a [String],
    },
    /// A noun alone, or with `--help`.
    Noun(&'static Noun),
    NotInNoun {
        noun: &'static Noun,
        name: String,
    },
    NounFlag {
        noun: &'static Noun,
        flag: String,
    },
    /// `help [command]`.
    Help(Vec<String>),
    NotSupported {
        name: String,
        why: &'static str,
    },
    Unknown(String),
}

/// Looks a line's first words up.
pub(crate) fn find(words: &[String]) -> Found<'_> {
    let Some((first, rest)) = words.split_first() else { return Found::Help(Vec::new()) };
    if first == "help" {
        return Found::Help(rest.to_vec());
    }
    if let Some((name, command)) = TOP.iter().find(|(name, _)| name == first) {
        return Found::Verb { command, path: (*name).to_owned(), rest };
    }
    if let Some(noun) = NOUNS.iter().find(|noun| noun.name == first) {
        return in_noun(noun, rest);
    }
    if let Some((_, why)) = LATER.iter().find(|(names, _)| names.contains(&first.as_str())) {
        return Found::NotSupported { name: first.clone(), why };
    }
    Found::Unknown(first.clone())
}

fn in_noun<'a>(noun: &'static Noun, words: &'a [String]) -> Found<'a> {
    let Some((name, rest)) = words.split_first() else { return Found::Noun(noun) };
    if name == "--help" || name == "-h" || name == "help" {
        return Found::Noun(noun);
    }
    if let Some(long) = name.strip_prefix("--") {
        return Found::NounFlag { noun, flag: format!("unknown flag: --{long}") };
    }
    if let Some(short) = name.strip_prefix('-').and_then(|word| word.chars().next()) {
        return Found::NounFlag { noun, flag: format!("unknown shorthand flag: '{short}' in {name}") };
    }
    match noun.verb(name) {
        // An alias is told of under the verb's own name.
        Some(command) => Found::Verb { command, path: format!("{} {}", noun.name, command.name), rest },
        None => match LATER.iter().find(|(names, _)| names.contains(&name.as_str())) {
            Some((_, why)) => Found::NotSupported { name: format!("{} {name}", noun.name), why },
            None => Found::NotInNoun { noun, name: name.clone() },
        },
    }
}

/// All top-level verbs.
pub(crate) fn top() -> &'static [(&'static str, &'static Command)] {
    TOP
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match find(&words) {
            Found::Verb { path, command, .. } => format!("{path} -> {}", command.name),
            Found::Noun(noun) => format!("noun {}", noun.name),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn nouns_verbs_and_aliases() {
        assert_eq!(path("ps -a"), "ps -> ls");
        assert_eq!(path("container ps"), "container ls -> ls");
        assert_eq!(path("container list"), "container ls -> ls");
        assert_eq!(path("rmi x"), "rmi -> rm");
        assert_eq!(path("image remove x"), "image rm -> rm");
        assert_eq!(path("container"), "noun container");
        assert_eq!(path("volume list"), "volume ls -> ls");
        assert_eq!(path("network ls"), "network ls -> ls");
        assert!(path("buildx x").starts_with("NotSupported"));
        assert!(path("container foo").starts_with("NotInNoun"));
    }

    #[test]
    fn every_table_is_sound() {
        let verbs = NOUNS.iter().flat_map(|noun| noun.verbs).chain(TOP.iter().map(|(_, command)| command));
        for command in verbs {
            let mut longs: Vec<&str> = command.flags.iter().map(|flag| flag.long).collect();
            let mut shorts: Vec<char> = command.flags.iter().filter_map(|flag| flag.short).collect();
            let (flags, short_flags) = (longs.len(), shorts.len());
            longs.sort_unstable();
            longs.dedup();
            shorts.sort_unstable();
            shorts.dedup();
            assert_eq!(
                (longs.len(), shorts.len()),
                (flags, short_flags),
                "{}: a flag stands twice",
                command.name
            );
        }
    }

    /// Every flag that Docker 29 documents for a command we have is in our table, with its shorthand: it is honoured, or
    /// refused by name, and never unknown. `flags.txt` holds Docker's lists: `command: -s/--long --long ...`.
    #[test]
    fn every_flag_of_docker_is_known() {
        let mut missing = Vec::new();
        for line in include_str!("commands/flags.txt").lines() {
            let (name, flags) = line.split_once(':').unwrap();
            let words: Vec<String> = name.split(' ').map(str::to_owned).collect();
            let Found::Verb { command, .. } = find(&words) else { panic!("{name}: no such command") };
            for flag in flags.split_whitespace() {
                let (short, long) = flag.split_once('/').unwrap_or(("", flag));
                let short = short.strip_prefix('-').and_then(|text| text.chars().next());
                let long = long.trim_start_matches('-');
                if !command
                    .flags
                    .iter()
                    .any(|ours| ours.long == long && (short.is_none() || ours.short == short))
                {
                    missing.push(format!("{name} {flag}"));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
