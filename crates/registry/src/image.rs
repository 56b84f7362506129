//! The start of the built-in `registry` image, and of a copy of the binary that is called `registry`: what Docker's
//! registry takes as its command line becomes this one's.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::command;

/// What a shell says of a command that is not there.
const NOT_FOUND: u8 = 127;
const WRONG_USE: u8 = 125;

/// Every line of a configuration that changes nothing here: Docker's default file, and the one in the image.
const DEFAULTS: &[&str] = &[
    "version: 0.1",
    "log:",
    "fields:",
    "service: registry",
    "storage:",
    "cache:",
    "blobdescriptor: inmemory",
    "filesystem:",
    "rootdirectory: /var/lib/registry",
    "http:",
    "addr: :5000",
    "headers:",
    "X-Content-Type-Options: [nosniff]",
    "health:",
    "storagedriver:",
    "enabled: true",
    "interval: 10s",
    "threshold: 3",
];

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
    let verb = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if matches!(&*verb, "serve" | "garbage-collect")
        && let Some(at) = words.iter().position(|word| is_config(&word.to_string_lossy()))
    {
        let path = words.remove(at);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| (WRONG_USE, format!("open {}: {error}", path.display())))?;
        check(&text).map_err(|line| (WRONG_USE, refusal(&path, line)))?;
    }
    words.insert(0, "registry".into());
    Ok(words)
}

fn is_config(word: &str) -> bool {
    !word.starts_with('-') && (word.ends_with(".yml") || word.ends_with(".yaml"))
}

/// The first line that says something else than what holds anyway.
fn check(text: &str) -> Result<(), &str> {
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let other = |line: &&str| !line.is_empty() && !line.starts_with('#') && !DEFAULTS.contains(line);
    lines.into_iter().find(other).map_or(Ok(()), Err)
}

fn refusal(path: &OsStr, line: &str) -> String {
    format!(
        "{}: {line:?} is not supported in a configuration file: set it by its variable, such as \
         REGISTRY_STORAGE_DELETE_ENABLED=true (wharf registry serve --help lists them)",
        path.display()
    )
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
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.yml");
        std::fs::write(&config, "version: 0.1 # as ever\n\n# none\nhttp:\n  addr: :5000\n").unwrap();
        let config = config.display();
        for (line, wanted) in [
            (format!("/entrypoint.sh {config}"), "registry serve"),
            (format!("/entrypoint.sh serve {config}"), "registry serve"),
            (format!("/entrypoint.sh registry serve --read-only {config}"), "registry serve --read-only"),
            (format!("/entrypoint.sh garbage-collect -m {config}"), "registry garbage-collect -m"),
            (format!("registry garbage-collect {config}"), "registry garbage-collect"),
            ("/entrypoint.sh --help".into(), "registry --help"),
            ("registry serve --addr :5001".into(), "registry serve --addr :5001"),
        ] {
            assert_eq!(of(&line).as_deref(), Ok(wanted), "{line}");
        }
        assert_eq!(of("/entrypoint.sh sh -c true").unwrap_err().0, NOT_FOUND);
        assert!(of("registry serve /nosuch.yml").unwrap_err().1.starts_with("open /nosuch.yml: "));
    }

    #[test]
    fn a_configuration_that_means_something_else_is_refused() {
        assert_eq!(check("version: 0.1\nauth:\n  htpasswd:\n"), Err("auth:"));
        assert_eq!(check("http:\n  addr: :5001\n"), Err("addr: :5001"));
    }
}
