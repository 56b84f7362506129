//! The options before the command: where the engine is, where the configuration is, how much to say.

use crate::environment::environment;
use crate::flags::{Flag, FlagError, Parsed};
use crate::tls::TlsOptions;

pub(crate) const FLAGS: &[Flag] = &[
    Flag::text("config", "Directory of the client's configuration files"),
    Flag::text(
        "context",
        "Name of the context to connect with (before DOCKER_HOST and \"docker context use\")",
    )
    .short('c'),
    Flag::switch("debug", "Say more about what happens").short('D'),
    Flag::once("host", "Socket of the engine to connect to").short('H'),
    Flag::text("log-level", "How much to log (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")")
        .short('l')
        .default("info"),
    Flag::switch("tls", "Speak TLS; --tlsverify includes it"),
    Flag::text("tlscacert", "Believe only what this authority signed"),
    Flag::text("tlscert", "File of the client's certificate"),
    Flag::text("tlskey", "File of the client's key"),
    Flag::switch("tlsverify", "Speak TLS and look who the engine is"),
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
    pub(crate) tls: TlsOptions,
    pub(crate) version: bool,
    pub(crate) help: bool,
    /// About flags that go away.
    pub(crate) warnings: Vec<String>,
    /// The command and everything after it.
    pub(crate) rest: Vec<String>,
}

impl Globals {
    pub(crate) fn read(args: &[String]) -> Result<Self, FlagError> {
        let parsed: Parsed = crate::flags::parse(FLAGS, args, false)?;
        let set = |name: &str| environment(name).is_some();
        let verify = match parsed.given("tlsverify") {
            Some(_) => parsed.switch("tlsverify"),
            None => set("DOCKER_TLS_VERIFY"),
        };
        let tls = match parsed.given("tls") {
            Some(_) => parsed.switch("tls"),
            None => set("DOCKER_TLS"),
        };
        let file = |name: &str| parsed.given(name).map(str::to_owned);
        let tls = TlsOptions {
            // Said at all, even `--tlsverify=false` turns TLS on: that is "encrypt, but believe anybody".
            on: tls || verify || parsed.changed("tlsverify"),
            verify,
            ca: file("tlscacert"),
            cert: file("tlscert"),
            key: file("tlskey"),
        };
        Ok(Self {
            tls,
            config_dir: parsed.given("config").map(str::to_owned),
            context: parsed.given("context").map(str::to_owned),
            debug: parsed.switch("debug") || parsed.text("log-level") == "debug",
            hosts: parsed.list("host"),
            log_level: parsed.text("log-level").to_owned(),
            log_level_known: LEVELS.contains(&parsed.text("log-level")),
            version: parsed.switch("version"),
            help: parsed.help,
            warnings: parsed.warnings,
            rest: parsed.operands,
        })
    }
}

const LEVELS: [&str; 8] = ["trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"];
