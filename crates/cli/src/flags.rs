//! Flags as Docker's command line knows them: pflag's rules, pflag's error texts, in static tables.
//!
//! A command's flags are a `const` table, so that naming a hundred of them costs nothing at start. The rules are not
//! GNU's and not clap's: a switch takes a value only as `--rm=false`, a shorthand may carry its value (`-m512m`,
//! `-m=512m`) or be stacked (`-it`), and for `run` and `exec` everything after the first operand is the container's.
//!
//! * [`parse`] reads a line, [`help`] prints the page, [`values`] checks what Go's `strconv` and `time` would.

pub(crate) mod help;
mod parse;
pub(crate) mod values;

pub(crate) use parse::{FlagError, Parsed, parse};

/// What a flag takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A switch: present, or `=true`/`=false`.
    Switch,
    /// A single text; the last one wins.
    Text,
    /// A single text that may be said only once.
    Once,
    /// Any number of texts.
    List,
    /// Any number of `key=value`.
    Map,
    /// A signed number of 64 bits.
    Int,
    /// An unsigned number of 16 bits.
    Uint16,
    /// An unsigned number of 64 bits.
    Uint64,
    /// A duration as Go writes it (`1m30s`).
    Duration,
    /// A text with a rule of its own, which answers with the reason of a refusal.
    Checked { type_name: &'static str, check: fn(&str) -> Result<(), String> },
    /// Any number of texts with a rule of their own.
    CheckedList { type_name: &'static str, check: fn(&str) -> Result<(), String> },
}

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
    /// The value when absent, as the user would write it; empty for the type's zero.
    pub(crate) default: &'static str,
    /// What the help page shows as default where it is not `default`.
    pub(crate) shown_default: &'static str,
    pub(crate) hidden: bool,
    /// For an engine on Windows, and so for none of ours.
    pub(crate) windows: bool,
    /// Printed as a warning when the flag is used.
    pub(crate) deprecated: Option<&'static str>,
}

impl Flag {
    const fn new(long: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            long,
            short: None,
            kind,
            about,
            default: "",
            shown_default: "",
            hidden: false,
            windows: false,
            deprecated: None,
        }
    }

    pub(crate) const fn switch(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Switch, about)
    }

    pub(crate) const fn text(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Text, about)
    }

    pub(crate) const fn once(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Once, about)
    }

    pub(crate) const fn list(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::List, about)
    }

    pub(crate) const fn map(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Map, about)
    }

    pub(crate) const fn int(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Int, about)
    }

    pub(crate) const fn uint16(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Uint16, about)
    }

    pub(crate) const fn uint64(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Uint64, about)
    }

    pub(crate) const fn duration(long: &'static str, about: &'static str) -> Self {
        Self::new(long, Kind::Duration, about)
    }

    pub(crate) const fn checked(
        long: &'static str,
        type_name: &'static str,
        check: fn(&str) -> Result<(), String>,
        about: &'static str,
    ) -> Self {
        Self::new(long, Kind::Checked { type_name, check }, about)
    }

    pub(crate) const fn checked_list(
        long: &'static str,
        type_name: &'static str,
        check: fn(&str) -> Result<(), String>,
        about: &'static str,
    ) -> Self {
        Self::new(long, Kind::CheckedList { type_name, check }, about)
    }

    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub(crate) const fn shown_default(mut self, shown: &'static str) -> Self {
        self.shown_default = shown;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) const fn windows(mut self) -> Self {
        self.windows = true;
        self
    }

    pub(crate) const fn deprecated(mut self, message: &'static str) -> Self {
        self.deprecated = Some(message);
        self.hidden = true;
        self
    }

    /// `-m, --memory` or `--memory`, as error texts name it.
    pub(crate) fn spelled(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }

    /// The word for the value on the help page; empty for a switch.
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Switch => "",
            Kind::Text | Kind::Once => "string",
            Kind::List => "list",
            Kind::Map => "map",
            Kind::Int => "int",
            Kind::Uint16 => "uint16",
            Kind::Uint64 => "uint",
            Kind::Duration => "duration",
            Kind::Checked { type_name, .. } | Kind::CheckedList { type_name, .. } => type_name,
        }
    }

    fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List | Kind::Map | Kind::CheckedList { .. })
    }

    /// Checks a value, answering with the reason of a refusal as Go words it.
    fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Switch => values::parse_bool(value).map(drop),
            Kind::Text | Kind::Once | Kind::List | Kind::Map => Ok(()),
            Kind::Int => values::parse_int(value).map(drop),
            Kind::Uint16 => values::parse_uint(value, 16).map(drop),
            Kind::Uint64 => values::parse_uint(value, 64).map(drop),
            Kind::Duration => values::parse_duration(value).map(drop),
            Kind::Checked { check, .. } | Kind::CheckedList { check, .. } => check(value),
        }
    }
}
