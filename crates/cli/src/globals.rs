//! The options before the command: where the engine is, where the configuration is, how much to say.

use crate::flags::{Flag, FlagError, Parsed};

pub(crate) const FLAGS: &[Flag] = &[
    Flag::text("config", "Directory of the client's configuration files"),
    Flag::text("context", "Name of the context to connect with; only \"default\" exists here").short('c'),
    Flag::switch("debug", "Say more about what happens").short('D'),
    Flag::list("host", "Socket of the engine to connect to").short('H'),
    Flag::checked(
        "log-level",
        "string",
        log_level,
        "How much to log (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
    )
    .short('l')
    .default("info"),
    Flag::switch("version", "Print version information and quit").short('v'),
];

/// The options of this run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    pub(crate) config_dir: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) debug: bool,
    pub(crate) hosts: Vec<String>,
    pub(crate) version: bool,
    pub(crate) help: bool,
    /// The command and everything after it.
    pub(crate) rest: Vec<String>,
}

impl Globals {
    pub(crate) fn read(args: &[String]) -> Result<Self, FlagError> {
        let parsed: Parsed = crate::flags::parse(FLAGS, args, false)?;
        Ok(Self {
            config_dir: parsed.given("config").map(str::to_owned),
            context: parsed.given("context").map(str::to_owned),
            debug: parsed.switch("debug") || parsed.text("log-level") == "debug",
            hosts: parsed.list("host"),
            version: parsed.switch("version"),
            help: parsed.help,
            rest: parsed.operands,
        })
    }
}

fn log_level(text: &str) -> Result<(), String> {
    match text {
        "debug" | "info" | "warn" | "warning" | "error" | "fatal" | "panic" | "trace" => Ok(()),
        _ => Err(format!("not a valid logging level: {text:?}")),
    }
}
