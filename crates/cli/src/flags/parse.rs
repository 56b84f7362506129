//! One line into flags and operands, by pflag's rules.

use std::collections::BTreeSet;

use super::{Flag, Kind, values};

/// Why a line was refused; the text is pflag's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("unknown flag: --{0}")]
    UnknownLong(String),
    #[error("unknown shorthand flag: '{short}' in -{word}")]
    UnknownShort { short: char, word: String },
    #[error("flag needs an argument: --{0}")]
    MissingLong(String),
    #[error("flag needs an argument: '{short}' in -{word}")]
    MissingShort { short: char, word: String },
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("invalid argument {value:?} for \"{flag}\" flag: {reason}")]
    Value { flag: String, value: String, reason: String },
}

/// A line that was read: the flags that were given, and the operands.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    flags: &'static [Flag],
    given: Vec<(&'static str, String)>,
    pub(crate) operands: Vec<String>,
    /// `--help` was there (or `-h` where no flag has that shorthand).
    pub(crate) help: bool,
    /// Warnings about deprecated flags.
    pub(crate) warnings: Vec<String>,
}

impl Parsed {
    /// Does the command have the flag?
    pub(crate) fn knows(&self, long: &str) -> bool {
        self.flags.iter().any(|flag| flag.long == long)
    }

    /// Was the flag on the line?
    pub(crate) fn changed(&self, long: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == long)
    }

    /// The value as text: the last one given, else the default.
    pub(crate) fn text(&self, long: &str) -> &str {
        self.given(long).unwrap_or_else(|| self.flag(long).default)
    }

    /// The last value given, if any was.
    pub(crate) fn given(&self, long: &str) -> Option<&str> {
        self.given.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    pub(crate) fn switch(&self, long: &str) -> bool {
        values::parse_bool(self.text(long)).unwrap_or(false)
    }

    pub(crate) fn list(&self, long: &str) -> Vec<String> {
        self.given.iter().filter(|(name, _)| *name == long).map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn int(&self, long: &str) -> i64 {
        values::parse_int(self.text(long)).unwrap_or(0)
    }

    /// Nanoseconds.
    pub(crate) fn duration(&self, long: &str) -> i64 {
        values::parse_duration(self.text(long)).unwrap_or(0)
    }

    /// All flags given, in order and with their values.
    pub(crate) fn all_given(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.given.iter().map(|(name, _)| *name)
    }

    /// Flags given that only an engine on Windows has, by name.
    pub(crate) fn windows_only(&self) -> BTreeSet<&'static str> {
        self.all_given().filter(|name| self.flag(name).windows).collect()
    }

    fn flag(&self, long: &str) -> &'static Flag {
        match self.flags.iter().find(|flag| flag.long == long) {
            Some(flag) => flag,
            None => panic!("this command has no flag --{long}"),
        }
    }
}

/// Reads `args`. With `interspersed` off, the first operand ends the flags.
///
/// # Errors
/// What pflag would say about the first wrong word.
pub(crate) fn parse(
    flags: &'static [Flag],
    args: &[String],
    interspersed: bool,
) -> Result<Parsed, FlagError> {
    let mut parsed =
        Parsed { flags, given: Vec::new(), operands: Vec::new(), help: false, warnings: Vec::new() };
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            parsed.operands.extend(rest.cloned());
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            parsed.long(word, long, &mut rest)?;
        } else if word.len() > 1 && word.starts_with('-') {
            parsed.shorts(&word[1..], &mut rest)?;
        } else {
            parsed.operands.push(word.clone());
            if !interspersed {
                parsed.operands.extend(rest.cloned());
                break;
            }
        }
        if parsed.help {
            break;
        }
    }
    Ok(parsed)
}

type Rest<'a> = std::slice::Iter<'a, String>;

impl Parsed {
    fn long(&mut self, word: &str, body: &str, rest: &mut Rest<'_>) -> Result<(), FlagError> {
        if body.starts_with('-') || body.starts_with('=') {
            return Err(FlagError::Syntax(word.into()));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let Some(flag) = self.flags.iter().find(|flag| flag.long == name) else {
            if name == "help" {
                let said = value.unwrap_or("true");
                self.help = values::parse_bool(said).map_err(|reason| FlagError::Value {
                    flag: "--help".into(),
                    value: said.into(),
                    reason,
                })?;
                return Ok(());
            }
            return Err(FlagError::UnknownLong(name.into()));
        };
        let value = match (value, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => rest.next().ok_or_else(|| FlagError::MissingLong(name.into()))?.clone(),
        };
        self.set(flag, value)
    }

    fn shorts(&mut self, word: &str, rest: &mut Rest<'_>) -> Result<(), FlagError> {
        let mut tail = word;
        while let Some(short) = tail.chars().next() {
            let shorthands = tail;
            tail = &tail[short.len_utf8()..];
            let Some(flag) = self.flags.iter().find(|flag| flag.short == Some(short)) else {
                if short == 'h' {
                    self.warnings.push("Flag shorthand -h has been deprecated, use --help".into());
                    self.help = true;
                    return Ok(());
                }
                return Err(FlagError::UnknownShort { short, word: shorthands.into() });
            };
            if let Some(value) = tail.strip_prefix('=').filter(|_| tail.len() > 1) {
                return self.set(flag, value.to_owned());
            }
            if matches!(flag.kind, Kind::Switch) {
                self.set(flag, "true".to_owned())?;
                continue;
            }
            let value = if tail.is_empty() {
                rest.next().ok_or_else(|| FlagError::MissingShort { short, word: shorthands.into() })?.clone()
            } else {
                tail.to_owned()
            };
            return self.set(flag, value);
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), FlagError> {
        let said = matches!(flag.kind, Kind::Once) && self.changed(flag.long);
        let again = || format!("specify only one -{}", flag.short.map_or(flag.long.into(), String::from));
        let checked = if said { Err(again()) } else { flag.check(&value) };
        if let Err(reason) = checked {
            return Err(FlagError::Value { flag: flag.spelled(), value, reason });
        }
        if let Some(message) = flag.deprecated {
            self.warnings.push(format!("Flag --{} has been deprecated, {message}", flag.long));
        }
        if !flag.is_list() {
            self.given.retain(|(name, _)| *name != flag.long);
        }
        self.given.push((flag.long, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::switch("rm", ""),
        Flag::switch("interactive", "").short('i'),
        Flag::switch("tty", "").short('t'),
        Flag::list("env", "").short('e'),
        Flag::text("memory", "").short('m'),
        Flag::int("cpu-shares", "").short('c'),
        Flag::switch("sig-proxy", "").default("true"),
        Flag::text("hostname", "").short('h'),
    ];

    fn read(line: &str) -> Result<Parsed, String> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        parse(FLAGS, &args, false).map_err(|error| error.to_string())
    }

    #[test]
    fn stacked_and_attached() {
        let parsed = read("-it -eA=1 -e B=2 -m=512m --rm=false --env=C busybox sh -c ls").unwrap();
        assert!(parsed.switch("interactive") && parsed.switch("tty"));
        assert_eq!(parsed.list("env"), ["A=1", "B=2", "C"]);
        assert_eq!(parsed.text("memory"), "512m");
        assert!(parsed.changed("rm") && !parsed.switch("rm"));
        assert!(parsed.switch("sig-proxy"));
        assert_eq!(parsed.operands, ["busybox", "sh", "-c", "ls"]);
    }

    #[test]
    fn a_switch_takes_no_following_word() {
        assert_eq!(read("--rm false").unwrap().operands, ["false"]);
        assert_eq!(read("-it=false x").unwrap().text("tty"), "false");
    }

    #[test]
    fn double_dash_ends_flags() {
        assert_eq!(read("--rm -- -x y").unwrap().operands, ["-x", "y"]);
    }

    #[test]
    fn refusals_in_pflags_words() {
        let refused = |line: &str| read(line).map(drop).unwrap_err();
        assert_eq!(refused("--zzz"), "unknown flag: --zzz");
        assert_eq!(refused("-iz"), "unknown shorthand flag: 'z' in -z");
        assert_eq!(refused("--memory"), "flag needs an argument: --memory");
        assert_eq!(refused("-e"), "flag needs an argument: 'e' in -e");
        assert_eq!(refused("---x"), "bad flag syntax: ---x");
        assert_eq!(
            refused("-c abc"),
            "invalid argument \"abc\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax"
        );
        assert_eq!(
            refused("--rm=foo"),
            "invalid argument \"foo\" for \"--rm\" flag: strconv.ParseBool: parsing \"foo\": invalid syntax"
        );
    }

    #[test]
    fn h_is_the_hostname_where_a_flag_claims_it() {
        assert_eq!(read("-h box img").unwrap().text("hostname"), "box");
        assert!(read("--help").unwrap().help);
    }
}
