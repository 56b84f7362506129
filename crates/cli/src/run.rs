//! From a line to an exit status: the one place that turns an error into text, hint and code.

use std::process::ExitCode;

use crate::app::App;
use crate::autostart;
use crate::command::{Command, Operands, Outcome};
use crate::commands::{self, Found};
use crate::completion;
use crate::failure::Failure;
use crate::flags::{self, FlagError};
use crate::globals::Globals;
use crate::help;
use crate::nearby;
use crate::output;
use crate::terminal;

/// A wrong flag; `run` and `docker` itself use it too.
const FLAG_STATUS: u8 = 125;

/// Runs a line; `args` is without `argv[0]`.
pub(crate) fn run(program: &'static str, args: &[String]) -> ExitCode {
    match start(program, args) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            terminal::restore();
            if !failure.text.is_empty() {
                output::err(&format!("{}\n", failure.text));
            }
            ExitCode::from(failure.status)
        }
    }
}

fn start(program: &'static str, args: &[String]) -> Outcome {
    let globals = Globals::read(args).map_err(|error| wrong_global(program, args, &error))?;
    for warning in &globals.warnings {
        output::out(&format!("{warning}\n"));
    }
    if !globals.log_level_known {
        return Err(Failure::new(format!("Unable to parse logging level: {}", globals.log_level)));
    }
    if globals.version {
        output::out(&format!("{}\n", help::version_line(program)));
        return Ok(0);
    }
    // Help that is asked for before the command is the first page, whatever follows.
    if globals.help || globals.rest.is_empty() {
        output::out(&help::root(program));
        return Ok(0);
    }
    if let Some(outcome) = completion::run(program, &globals) {
        return outcome;
    }
    match commands::find(&globals.rest) {
        Found::Verb { command, path, rest } => verb(program, &globals, command, &path, rest),
        Found::Noun(noun) => {
            // Who asked for help gets it on stdout, who left the verb out on stderr.
            let asked = globals.help || globals.rest.len() > 1;
            let print = if asked { output::out } else { output::err };
            print(&help::noun(program, noun));
            Ok(0)
        }
        Found::NotInNoun { noun, name } => Err(Failure::new(format!(
            "{program}: unknown command: {program} {0} {name}\n\nUsage:  {program} {0}{1}\n\nRun '{program} {0} --help' for more information",
            noun.name, noun.usage
        ))),
        Found::NounFlag { noun, flag } => Err(Failure::with_status(
            format!(
                "{flag}\n\nUsage:  {program} {0}{1}\n\nRun '{program} {0} --help' for more information",
                noun.name, noun.usage
            ),
            FLAG_STATUS,
        )),
        Found::Help(words) => help_for(program, &words),
        Found::NotSupported { name, why } => {
            Err(Failure::new(format!("{program}: '{program} {name}' is not supported yet: {why}")))
        }
        Found::Unknown(name) => Err(unknown(program, &name)),
    }
}

fn verb(
    program: &'static str,
    globals: &Globals,
    command: &'static Command,
    path: &str,
    rest: &[String],
) -> Outcome {
    let parsed = flags::parse(command.flags, rest, command.interspersed).map_err(|error| {
        let usage = help::usage_line(program, path, command);
        Failure::with_status(
            format!("{error}\n\nUsage:  {usage}\n\nRun '{program} {path} --help' for more information"),
            FLAG_STATUS,
        )
    })?;
    // pflag says it where help is printed.
    for warning in &parsed.warnings {
        output::out(&format!("{warning}\n"));
    }
    if parsed.help {
        output::out(&help::verb(program, path, command));
        return Ok(0);
    }
    if let Some(complaint) = command.operands.complaint(parsed.operands.len()) {
        let usage = help::usage_line(program, path, command);
        // Docker says "See" for one of its rules and "Run" for the others.
        let see = if matches!(command.operands, Operands::AtLeast(_)) { "See" } else { "Run" };
        return Err(Failure::new(format!(
            "{program}: '{program} {path}' {complaint}\n\nUsage:  {usage}\n\n{see} '{program} {path} --help' for more information"
        )));
    }
    let windows: Vec<String> = parsed
        .windows_only()
        .into_iter()
        .map(|flag| {
            format!(
                "\"--{flag}\" is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux"
            )
        })
        .collect();
    if !windows.is_empty() {
        return Err(Failure::new(windows.join("\n")));
    }
    let app = App::new(program, globals)?;
    // One thread: a client waits for one engine, and starting threads costs more than what it does.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the event loop: {error}")))?;
    let outcome = runtime.block_on((command.run)(&app, parsed.clone()));
    let outcome = match outcome {
        Err(failure) if failure.no_engine && autostart::applies(&app) => {
            autostart::start(program)?;
            runtime.block_on((command.run)(&app, parsed))
        }
        outcome => outcome,
    };
    let outcome = outcome.map_err(|mut failure| {
        if let Some(hint) = runtime.block_on(nearby::hint(&app, &failure.text)) {
            failure.text.push_str(&hint);
        }
        failure
    });
    // The process ends now. What still blocks in a read of the terminal must not hold that up, nor what would be closed
    // and given back one by one.
    std::mem::forget((runtime, app));
    outcome
}

fn wrong_global(program: &str, args: &[String], error: &FlagError) -> Failure {
    let mut text = format!(
        "{error}\n\nUsage:  {program} [OPTIONS] COMMAND [ARG...]\n\nRun '{program} --help' for more information"
    );
    if let FlagError::UnknownShort { short: 'i' | 't' | 'd', .. } = error {
        let words: Vec<&str> =
            args.iter().map(String::as_str).filter(|word| *word != "run" && *word != "exec").collect();
        let said = ["run", "exec"].into_iter().filter(|verb| args.iter().any(|word| word == verb));
        // An image or a container: only the engine knows.
        let meant = match said.collect::<Vec<_>>() {
            none if none.is_empty() => vec!["run", "exec"],
            said => said,
        };
        text.push_str(if meant.len() == 1 {
            "\n\nDid you mean this?"
        } else {
            "\n\nDid you mean one of these?"
        });
        for verb in meant {
            text.push_str(&format!("\n\t{program} {verb} {}", words.join(" ")));
        }
    }
    Failure::with_status(text, FLAG_STATUS)
}

fn unknown(program: &str, name: &str) -> Failure {
    Failure::new(format!(
        "{program}: unknown command: {program} {name}\n\nRun '{program} --help' for more information"
    ))
}

fn help_for(program: &'static str, words: &[String]) -> Outcome {
    let page = match commands::find(words) {
        _ if words.is_empty() => help::root(program),
        Found::Verb { command, path, .. } => help::verb(program, &path, command),
        Found::Noun(noun) => help::noun(program, noun),
        _ => {
            return Err(Failure::new(format!("unknown help topic: {}", words.join(" "))));
        }
    };
    output::out(&page);
    Ok(0)
}
