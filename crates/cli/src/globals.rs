//! The options before the command: where the engine is, where the configuration is, how much to say.

use crate::flags::{Flag, FlagError, Parsed};

pub(crate) const FLAGS: &[Flag] = &[
    Flag::text("config", "Directory of the client's configuration files"),
    Flag::text("context", "Name of the context to connect with; only \"default\" exists here").short('c'),
    Flag::switch("debug", "Say more about what happens").short('D'),
    Flag::list("host", "Socket of the engine to connect to").short('H'),
    Flag::text("log-level", "How much to log (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")")
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
    pub(crate) log_level: String,
    pub(crate) log_level_known: bool,
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
            log_level: parsed.text("log-level").to_owned(),
            log_level_known: LEVELS.contains(&parsed.text("log-level")),
            version: parsed.switch("version"),
            help: parsed.help,
            rest: parsed.operands,
        })
    }
}

const LEVELS: [&str; 8] = ["trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"];
