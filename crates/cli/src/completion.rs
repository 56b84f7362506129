//! Completion in shells: `completion <shell>` prints a script, which asks `__complete <words>` at each press of the key.
//!
//! ```text
//! candidate TAB what it is        one a line
//! :4                              what the shell may add: 4 nothing, 0 files, 1 it went wrong
//! ```
//! That is the protocol of the scripts that come with Docker's client, so those work, too. What an operand is stands in the
//! command's usage line; nothing is said twice.

use crate::app::App;
use crate::command::{Command, Outcome};
use crate::commands::{self, Found};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::globals::{self, Globals};
use crate::output;
use api::filters::Filters;

mod scripts;

/// One candidate and what it is.
type Candidate = (String, String);

/// What the shell may do beside the candidates.
const FILES: u8 = 0;
const ERROR: u8 = 1;
const NO_FILES: u8 = 4;

/// Answers `completion ...`, `__complete ...` and `__completeNoDesc ...`; `None` for any other line.
pub(crate) fn run(program: &'static str, globals: &Globals) -> Option<Outcome> {
    let (first, rest) = globals.rest.split_first()?;
    match first.as_str() {
        "completion" => Some(script(program, rest)),
        "__complete" => Some(answer(program, rest, true)),
        "__completeNoDesc" => Some(answer(program, rest, false)),
        _ => None,
    }
}

fn script(program: &str, words: &[String]) -> Outcome {
    let usage = format!(
        "Usage:  {program} completion SHELL\n\nPrint a script that completes command lines, for bash, zsh or fish\n\nbash:  source <({program} completion bash)\nzsh:   source <({program} completion zsh)\nfish:  {program} completion fish | source\n"
    );
    let shell = match words {
        [] => "--help",
        [shell, ..] => shell,
    };
    let text = match shell {
        "bash" => scripts::bash(program),
        "zsh" => scripts::zsh(program),
        "fish" => scripts::fish(program),
        "--help" | "-h" => usage,
        "powershell" => {
            return Err(Failure::new(format!("{program}: completion for powershell is not supported")));
        }
        other => {
            return Err(Failure::new(format!(
                "{program}: unknown command: {program} completion {other}\n\nUsage:  {program} completion\n\nRun '{program} completion --help' for more information"
            )));
        }
    };
    output::out(&text);
    Ok(0)
}

fn answer(program: &'static str, words: &[String], described: bool) -> Outcome {
    let Some((typed, before)) = words.split_last() else {
        return Err(Failure::new("requires at least 1 arg(s), only received 0"));
    };
    let (candidates, directive) = complete(program, before, typed);
    let typed =
        typed.split_once('=').filter(|_| typed.starts_with("--")).map_or(typed.as_str(), |(_, value)| value);
    let mut page = String::new();
    for (name, about) in candidates.iter().filter(|(name, _)| name.starts_with(typed)) {
        page.push_str(name);
        if described && !about.is_empty() {
            page.push('\t');
            page.push_str(about.lines().next().unwrap_or_default());
        }
        page.push('\n');
    }
    output::out(&format!("{page}:{directive}\n"));
    Ok(0)
}

fn complete(program: &'static str, before: &[String], typed: &str) -> (Vec<Candidate>, u8) {
    let line = Line::read(globals::FLAGS, before, false);
    if let Some(flag) = line.waiting(typed) {
        return value(flag);
    }
    let names = &line.operands;
    if names.is_empty() && typed.starts_with('-') {
        return (flags(globals::FLAGS), NO_FILES);
    }
    match commands::find(names) {
        _ if names.is_empty() => (top(), NO_FILES),
        Found::Help(words) if words.is_empty() => (top(), NO_FILES),
        Found::Noun(noun) if !typed.starts_with('-') => {
            (noun.verbs.iter().map(|verb| candidate(verb.name, verb.about)).collect(), NO_FILES)
        }
        Found::Verb { command, rest, .. } => {
            let line = Line::read(command.flags, rest, command.interspersed);
            if let Some(flag) = line.waiting(typed) {
                return value(flag);
            }
            let ended = line.ended || (!command.interspersed && !line.operands.is_empty());
            if typed.starts_with('-') && !ended {
                return (flags(command.flags), NO_FILES);
            }
            let globals = Globals::read(before).unwrap_or_default();
            operand(program, &globals, command, &line.operands)
        }
        _ => (Vec::new(), NO_FILES),
    }
}

fn candidate(name: &str, about: &str) -> Candidate {
    (name.to_owned(), about.to_owned())
}

fn top() -> Vec<Candidate> {
    let verbs = commands::top().iter().map(|(name, command)| candidate(name, command.about));
    let nouns = commands::NOUNS.iter().map(|noun| candidate(noun.name, noun.about));
    let mut all: Vec<Candidate> = verbs.chain(nouns).collect();
    all.sort_unstable();
    all
}

fn flags(flags: &[Flag]) -> Vec<Candidate> {
    let shown = flags.iter().filter(|flag| !flag.hidden);
    let mut all: Vec<Candidate> =
        shown.map(|flag| candidate(&format!("--{}", flag.long), flag.about)).collect();
    all.push(candidate("--help", "Print usage"));
    all.sort_unstable();
    all
}

/// What a flag may be given, where that is a short list; otherwise the shell offers files.
fn value(flag: &Flag) -> (Vec<Candidate>, u8) {
    let words: &[&str] = match flag.long {
        "pull" => &["always", "missing", "never"],
        "restart" => &["always", "no", "on-failure", "unless-stopped"],
        "network" | "net" => &["bridge", "host", "none"],
        "attach" => &["stderr", "stdin", "stdout"],
        "cgroupns" => &["host", "private"],
        "log-driver" => &["json-file", "none"],
        "log-level" => &["debug", "info", "warn", "error", "fatal"],
        "type" => &["container", "image"],
        _ => return (Vec::new(), FILES),
    };
    (words.iter().map(|word| candidate(word, "")).collect(), NO_FILES)
}

/// The line up to the cursor, by pflag's rules but without complaints: what is being typed is often still wrong.
struct Line {
    flags: &'static [Flag],
    operands: Vec<String>,
    /// The last word was a flag whose value comes next.
    pending: Option<&'static Flag>,
    /// `--` was there.
    ended: bool,
}

impl Line {
    fn read(flags: &'static [Flag], words: &[String], interspersed: bool) -> Self {
        let mut line = Self { flags, operands: Vec::new(), pending: None, ended: false };
        for word in words {
            let operand = line.ended || (!interspersed && !line.operands.is_empty());
            if line.pending.take().is_some() {
                continue;
            }
            match word.strip_prefix('-') {
                _ if operand => line.operands.push(word.clone()),
                Some("-") => line.ended = true,
                Some(body) if !body.is_empty() => line.pending = line.flag_before_value(body),
                _ => line.operands.push(word.clone()),
            }
        }
        line
    }

    /// The flag in `body` (a word without its first dash) whose value is the next word.
    fn flag_before_value(&self, body: &str) -> Option<&'static Flag> {
        let takes = |flag: &&Flag| !matches!(flag.kind, Kind::Switch);
        if let Some(long) = body.strip_prefix('-') {
            return self.flags.iter().find(|flag| flag.long == long).filter(takes);
        }
        // Switches may be stacked; the first flag that takes a value takes the rest of the word, if there is any.
        let mut letters = body.chars();
        while let Some(letter) = letters.next() {
            let flag = self.flags.iter().find(|flag| flag.short == Some(letter))?;
            if takes(&flag) {
                return letters.as_str().is_empty().then_some(flag);
            }
        }
        None
    }

    /// The flag whose value is being typed: `--flag <here>` or `--flag=<here>`.
    fn waiting(&self, typed: &str) -> Option<&'static Flag> {
        let attached = || {
            let (long, _) = typed.strip_prefix("--")?.split_once('=')?;
            self.flags.iter().find(|flag| flag.long == long)
        };
        self.pending.or_else(attached)
    }
}

/// Which things an operand names, by its word in the usage line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Container,
    Image,
    Volume,
    Any,
    /// A command's own words, a file, a new name.
    Other,
}

/// The operand number `index` of a command.
fn thing(usage: &str, index: usize) -> Thing {
    let words: Vec<&str> = usage.split(' ').filter(|word| *word != "[OPTIONS]" && *word != "|").collect();
    let repeats = words.last().is_some_and(|word| word.contains("..."));
    let word = match words.get(index) {
        Some(word) => word,
        None if repeats => words.last().copied().unwrap_or_default(),
        None => return Thing::Other,
    };
    match word.trim_matches(|c| c == '[' || c == ']').trim_end_matches("...") {
        "CONTAINER" => Thing::Container,
        "IMAGE" => Thing::Image,
        word if word.starts_with("SOURCE_IMAGE") || word.starts_with("TARGET_IMAGE") => Thing::Image,
        "VOLUME" => Thing::Volume,
        "NAME|ID" => Thing::Any,
        _ => Thing::Other,
    }
}

fn operand(
    program: &'static str,
    globals: &Globals,
    command: &Command,
    given: &[String],
) -> (Vec<Candidate>, u8) {
    let wanted = thing(command.usage, given.len());
    if wanted == Thing::Other {
        return (Vec::new(), FILES);
    }
    match ask(program, globals, command, wanted) {
        Ok(mut names) => {
            names.retain(|name| !given.contains(name));
            names.sort_unstable();
            (names.iter().map(|name| candidate(name, "")).collect(), NO_FILES)
        }
        Err(_) => (Vec::new(), ERROR),
    }
}

/// Names of the engine's things. No engine is started for this.
fn ask(
    program: &'static str,
    globals: &Globals,
    command: &Command,
    wanted: Thing,
) -> Result<Vec<String>, Failure> {
    let app = App::new(program, globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let mut names = Vec::new();
        if matches!(wanted, Thing::Container | Thing::Any) {
            let containers = app.client.containers().list(true, 0, false, &Filters::default()).await?;
            let fit = containers.iter().filter(|container| suits(command.name, container.state.as_ref()));
            names.extend(
                fit.flat_map(|container| &container.names).map(|name| name.trim_start_matches('/').into()),
            );
        }
        if matches!(wanted, Thing::Image | Thing::Any) {
            let images = app.client.images().list(false, false, &Filters::default()).await?;
            names.extend(images.into_iter().flat_map(|image| image.repo_tags));
        }
        if matches!(wanted, Thing::Volume | Thing::Any) {
            let volumes = app.client.volumes().list(&Filters::default()).await?.volumes;
            names.extend(volumes.into_iter().map(|volume| volume.name));
        }
        Ok(names)
    })
}

/// Could the command do anything with a container in this state?
fn suits(command: &str, state: &str) -> bool {
    match command {
        "attach" | "exec" | "kill" | "pause" | "port" | "stop" | "top" => state == "running",
        "unpause" => state == "paused",
        "start" => matches!(state, "created" | "exited"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(line: &str) -> (Vec<String>, u8) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (typed, before) = words.split_last().unwrap();
        let (found, directive) = complete("docker", before, typed);
        (
            found.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(typed.as_str())).collect(),
            directive,
        )
    }

    #[test]
    fn commands_flags_and_values() {
        assert_eq!(candidates("ru"), (vec!["run".into()], NO_FILES));
        assert_eq!(candidates("container ren"), (vec!["rename".into()], NO_FILES));
        assert_eq!(candidates("-H unix:///x run --pull m"), (vec!["missing".into()], NO_FILES));
        assert_eq!(candidates("run --cidf"), (vec!["--cidfile".into()], NO_FILES));
        assert_eq!(candidates("run --env-file "), (vec![], FILES));
        // Everything behind the image is the container's.
        assert_eq!(candidates("run -it busybox --r"), (vec![], FILES));
        assert!(candidates("--tlsv").0.contains(&"--tlsverify".to_owned()));
    }

    #[test]
    fn usage_lines_say_what_operands_are() {
        assert_eq!(thing("[OPTIONS] IMAGE [COMMAND] [ARG...]", 0), Thing::Image);
        assert_eq!(thing("[OPTIONS] IMAGE [COMMAND] [ARG...]", 1), Thing::Other);
        assert_eq!(thing("[OPTIONS] CONTAINER [CONTAINER...]", 5), Thing::Container);
        assert_eq!(thing("CONTAINER NEW_NAME", 1), Thing::Other);
        assert_eq!(thing("[OPTIONS] NAME|ID [NAME|ID...]", 3), Thing::Any);
        assert_eq!(thing("[OPTIONS] VOLUME [VOLUME...]", 1), Thing::Volume);
    }
}
