//! The start of the built-in `registry` image, and of a copy of the binary that is called `registry`: what Docker's
//! registry takes as its command line becomes this one's.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::command;

/// What a shell says of a command that is not there.
const NOT_FOUND: u8 = 127;

/// Runs what `args`, which begin with the program's name, ask for.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let words = match words(args) {
        Ok(words) => words,
        Err((status, text)) => {
            say(&text);
            return ExitCode::from(status);
        }
    };
    command::main(words)
}

/// The line of `wharf registry` that means the same.
fn words(args: Vec<OsString>) -> Result<Vec<OsString>, (u8, String)> {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let mut words: Vec<OsString> = args.collect();
    if Path::new(&program).file_name() == Some(OsStr::new("entrypoint.sh")) {
        let first = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        match &*first {
            config if is_config(config) => words.insert(0, "serve".into()),
            "serve" | "garbage-collect" | "help" => {}
            flag if flag.starts_with('-') => {}
            "registry" | "/bin/registry" => drop(words.remove(0)),
            other => {
                return Err((
                    NOT_FOUND,
                    format!("exec: {other:?}: executable file not found: the registry is all that is here"),
                ));
            }
        }
    }
    words.insert(0, "registry".into());
    Ok(words)
}

fn is_config(word: &str) -> bool {
    !word.starts_with('-') && (word.ends_with(".yml") || word.ends_with(".yaml"))
}

#[expect(clippy::print_stderr, reason = "the command's own words")]
fn say(text: &str) {
    eprintln!("registry: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<String, (u8, String)> {
        let words = words(line.split(' ').map(OsString::from).collect())?;
        Ok(words.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn lines_of_dockers_registry_are_understood() {
        for (line, wanted) in [
            ("/entrypoint.sh /c.yml", "registry serve /c.yml"),
            ("/entrypoint.sh serve /c.yml", "registry serve /c.yml"),
            ("/entrypoint.sh registry serve --read-only /c.yml", "registry serve --read-only /c.yml"),
            ("/entrypoint.sh garbage-collect -m /c.yml", "registry garbage-collect -m /c.yml"),
            ("registry garbage-collect /c.yml", "registry garbage-collect /c.yml"),
            ("/entrypoint.sh --help", "registry --help"),
            ("registry serve --addr :5001", "registry serve --addr :5001"),
        ] {
            assert_eq!(of(line).as_deref(), Ok(wanted), "{line}");
        }
        assert_eq!(of("/entrypoint.sh sh -c true").unwrap_err().0, NOT_FOUND);
    }
}
