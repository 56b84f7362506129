//! From Go's flags to the parser's: runc's command line takes `-root` for `--root` and `--debug=false`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, Command};

/// Spells flags with two dashes and switches without a value. What is no flag of runc's, and what belongs to
/// the program of `exec` or to `ps`, stays as it is.
pub(super) fn spell(args: Vec<OsString>, root: &Command) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut all: Vec<OsString> = args.next().into_iter().collect();
    let mut verb: Option<&Command> = None;
    while let Some(arg) = args.next() {
        let level = verb.unwrap_or(root);
        let bytes = arg.as_bytes();
        if bytes == b"--" || bytes.first() != Some(&b'-') || bytes.len() < 2 {
            all.push(arg);
            let last = bytes_are_last(&all, level, verb.is_some());
            if verb.is_none() && !last {
                let name = all.last().and_then(|a| a.to_str()).unwrap_or_default();
                verb = root.find_subcommand(name);
                if verb.is_some() {
                    continue;
                }
            }
            if last {
                break;
            }
            continue;
        }
        let (name, value) = split(bytes);
        let Some(flag) = find(level, name) else {
            all.push(arg);
            continue;
        };
        let dashes = if name.len() == 1 { "-" } else { "--" };
        let spelled = [dashes.as_bytes(), name].concat();
        if matches!(flag.get_action(), ArgAction::SetTrue) {
            match value.map(boolean) {
                None | Some(Some(true)) => all.push(OsString::from_vec(spelled)),
                Some(Some(false)) => {}
                Some(None) => all.push(arg),
            }
        } else if let Some(value) = value {
            all.push(OsString::from_vec([&spelled[..], b"=", value].concat()));
        } else {
            all.push(OsString::from_vec(spelled));
            // Its value, whatever it looks like.
            all.extend(args.next());
        }
    }
    all.extend(args);
    all
}

/// After `--`, and after the container's name where a program's own arguments follow.
fn bytes_are_last(all: &[OsString], level: &Command, in_verb: bool) -> bool {
    let is_end = all.last().is_some_and(|a| a == OsStr::new("--"));
    is_end || in_verb && level.get_arguments().any(Arg::is_trailing_var_arg_set)
}

fn find<'c>(level: &'c Command, name: &[u8]) -> Option<&'c Arg> {
    let name = std::str::from_utf8(name).ok()?;
    level.get_arguments().find(|flag| {
        flag.get_long() == Some(name)
            || flag.get_short().is_some_and(|short| name.len() == 1 && name.starts_with(short))
    })
}

/// `--name=value` or `-name`.
fn split(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let text = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")).unwrap_or(bytes);
    match text.iter().position(|b| *b == b'=') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// As Go's `strconv.ParseBool`.
fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn spelled(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let all = spell(args, &super::super::Cli::command());
        all.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_dash_is_two_and_switches_take_a_truth() {
        assert_eq!(spelled("runc -root /r -debug list -f json"), "runc --root /r --debug list -f json");
        assert_eq!(spelled("runc --debug=false -log=/l delete -force=1 c"), "runc --log=/l delete --force c");
        assert_eq!(spelled("runc run -bundle /b c -d"), "runc run --bundle /b c -d");
    }

    #[test]
    fn what_belongs_to_the_program_stays() {
        let line = "runc -root /r exec -user 1 --env A=-root c -root --tty=false";
        assert_eq!(spelled(line), "runc --root /r exec --user 1 --env A=-root c -root --tty=false");
        assert_eq!(spelled("runc ps c -root"), "runc ps c -root");
        // A name that no flag has is left for the parser to complain of.
        assert_eq!(spelled("runc list -nosuch"), "runc list -nosuch");
        assert_eq!(spelled("runc delete --force=maybe c"), "runc delete --force=maybe c");
    }
}
