//! `wharf registry`: serving one, and removing what nobody has any more. What Docker's registry has in its `config.yml`
//! and in its variables of the environment is understood (`config/`); flags come before both.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, address, duration};
use crate::error::{Code, Error, Result};
use crate::listen::Listener;
use crate::log::Level;
use crate::settings::{Address, Settings, Tls};
use crate::socket;
use crate::validation::Indexes;

/// A registry for images: the OCI distribution API
#[derive(Debug, Parser)]
#[command(name = "wharf registry", version, disable_version_flag = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Show the version and exit
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: (),
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve a registry
    Serve(Box<ServeArgs>),
    /// Remove blobs that no repository has; the registry may be serving meanwhile
    #[command(visible_alias = "gc")]
    GarbageCollect(CollectArgs),
    /// Remove tags that no rule of the configuration keeps (wharf.retention.rules), and manifests that only those lead to
    Retain(RetainArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The file with the settings, as Docker's registry has it; flags come before it, and before REGISTRY_* variables
    #[arg(env = "REGISTRY_CONFIGURATION_PATH")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: :5000]
    #[arg(long, value_parser = address)]
    addr: Option<SocketAddr>,
    /// Directory that holds everything [default: /var/lib/registry]
    #[arg(long)]
    root: Option<PathBuf>,
    /// The data root of an engine on the same file system: what it has need not be sent here, and takes no room twice
    #[arg(long)]
    share: Option<PathBuf>,
    /// Serve TLS with this certificate chain (PEM)
    #[arg(long, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Clients must have a certificate of this authority (PEM); may be given several times
    #[arg(long, value_delimiter = ',')]
    tls_client_ca: Vec<PathBuf>,
    /// Users and their passwords, as `htpasswd -B` writes them; without it everybody may do everything
    #[arg(long)]
    htpasswd: Option<PathBuf>,
    /// What clients are told that they log in to [default: Registry]
    #[arg(long)]
    realm: Option<String>,
    /// Clients get a token for their password at /token, and bring that
    #[arg(long, env = "REGISTRY_TOKEN_AUTH")]
    token_auth: bool,
    /// The address under which clients see this registry, such as https://registry.example
    #[arg(long)]
    url: Option<String>,
    /// Who may do what where: lines of `<user,...|*> <pull,push,delete> <repository>`
    #[arg(long, env = "REGISTRY_RULES")]
    rules: Option<PathBuf>,
    /// Nothing may be pushed or deleted
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    read_only: Option<bool>,
    /// Tags, manifests and blobs may be deleted [default: true without a file, false with one]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    delete: Option<bool>,
    /// An index may name manifests that were not pushed
    #[arg(long)]
    sparse_indexes: bool,
    /// No line of JSON for each request on standard output
    #[arg(long)]
    no_access_log: bool,
    /// Remove what nobody has every so often, such as 24h
    #[arg(long, value_parser = duration)]
    collect_every: Option<Duration>,
}

#[derive(Debug, Args)]
struct CollectArgs {
    /// The file with the settings, as Docker's registry has it
    #[arg(env = "REGISTRY_CONFIGURATION_PATH")]
    config: Option<PathBuf>,
    /// Directory of the registry [default: /var/lib/registry]
    #[arg(long)]
    root: Option<PathBuf>,
    /// Only say what would go
    #[arg(short, long)]
    dry_run: bool,
    /// Manifests that no tag leads to are nobody's, too
    #[arg(short = 'm', long, visible_alias = "delete-untagged")]
    untagged: bool,
    /// What is younger stays
    #[arg(long, default_value = "1h", value_parser = duration)]
    grace: Duration,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct RetainArgs {
    /// The file with the settings and the rules
    #[arg(env = "REGISTRY_CONFIGURATION_PATH")]
    config: PathBuf,
    /// Directory of the registry [default: the configuration's]
    #[arg(long)]
    root: Option<PathBuf>,
    /// Only say what would go
    #[arg(short, long)]
    dry_run: bool,
}

/// Runs `wharf registry`; `args` begins with the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 125 } else { 0 });
        }
    };
    let done = match cli.verb {
        Verb::Serve(args) => serve(*args),
        Verb::GarbageCollect(args) => collect(args),
        Verb::Retain(args) => retain(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("wharf registry: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: ServeArgs) -> Result<()> {
    let settings = args.settings()?;
    let failed = |what: &str, error: std::io::Error| Error::new(Code::Unknown, format!("{what}: {error}"));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = settings.threads {
        runtime.max_blocking_threads(threads);
    }
    let runtime = runtime.enable_all().build().map_err(|error| failed("start threads", error))?;
    runtime.block_on(async move {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let (listener, place) = match &settings.address {
            Address::Tcp(address) => {
                let listener = socket::bind(*address).await;
                let listener = listener.map_err(|error| failed(&format!("listen on {address}"), error))?;
                let bound = listener.local_addr().map_err(|error| failed("listen", error))?;
                (Listener::Tcp(listener), format!("{scheme}://{bound}"))
            }
            Address::Unix(path) => {
                let what = || format!("listen on {}", path.display());
                let listener = socket::bind_unix(path).map_err(|error| failed(&what(), error))?;
                (Listener::Unix(listener), format!("{scheme}+unix://{}", path.display()))
            }
        };
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| failed("wait for signals", error))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| failed("wait for signals", error))?;
        say(&format!("listening on {place}, serving {}", settings.place()));
        crate::serve(settings, listener, async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
    })
}

impl ServeArgs {
    /// Flags over the environment over the file.
    fn settings(self) -> Result<Settings> {
        let mut settings = load(self.config.as_deref())?;
        if let Some(address) = self.addr {
            settings.address = Address::Tcp(address);
        }
        settings = settings.at(self.root);
        settings.share = self.share.or(settings.share);
        if let Some((certificate, key)) = self.tls_certificate.zip(self.tls_key) {
            settings.tls = Some(Tls {
                certificate,
                key,
                client_authorities: Vec::new(),
                client_optional: false,
                only_1_3: false,
                cipher_suites: Vec::new(),
            });
        }
        if !self.tls_client_ca.is_empty() {
            let message = "--tls-client-ca needs --tls-certificate and --tls-key";
            let tls = settings.tls.as_mut().ok_or_else(|| Error::new(Code::Unknown, message))?;
            tls.client_authorities = self.tls_client_ca;
        }
        settings.htpasswd = self.htpasswd.or(settings.htpasswd);
        settings.realm = self.realm.unwrap_or(settings.realm);
        settings.token_auth |= self.token_auth;
        settings.url = self.url.map(|url| url.trim_end_matches('/').to_owned()).or(settings.url);
        settings.rules = self.rules.or(settings.rules);
        settings.read_only = self.read_only.unwrap_or(settings.read_only);
        settings.delete = self.delete.unwrap_or(settings.delete);
        if self.sparse_indexes {
            settings.validation.indexes = Indexes::Sparse;
        }
        settings.log.access &= !self.no_access_log;
        settings.collect_every = self.collect_every.or(settings.collect_every);
        Ok(settings)
    }
}

fn load(file: Option<&Path>) -> Result<Settings> {
    let variables = std::env::vars_os();
    let variables =
        variables.filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let loaded = config::load(file, variables)?;
    for name in &loaded.strangers {
        let message = format!("Ignoring unrecognized environment variable {name}");
        loaded.settings.log.say(Level::Warn, &message);
    }
    Ok(loaded.settings)
}

fn collect(args: CollectArgs) -> Result<()> {
    let settings = load(args.config.as_deref())?.at(args.root);
    let collected = settings.storage()?.collect(args.grace, args.untagged, args.dry_run)?;
    if args.quiet {
        return Ok(());
    }
    let lines = collected.blobs.iter().map(|digest| format!("{digest}\n"));
    let verb = if args.dry_run { "would be" } else { "were" };
    let sum = format!(
        "{} blobs ({} bytes) and {} uploads {verb} removed\n",
        collected.blobs.len(),
        collected.bytes,
        collected.uploads
    );
    print(&lines.chain([sum]).collect::<String>());
    Ok(())
}

fn retain(args: RetainArgs) -> Result<()> {
    let settings = load(Some(&args.config))?.at(args.root);
    let rules = &settings.retention.rules;
    if rules.is_empty() {
        let message = format!("{}: there are no rules: wharf.retention.rules", args.config.display());
        return Err(Error::new(Code::Unknown, message));
    }
    let retired = settings.storage()?.retain(rules, args.dry_run)?;
    let tags = retired.iter().filter(|one| one.tag.is_some()).count();
    let verb = if args.dry_run { "would be" } else { "were" };
    let sum = format!("{tags} tags and {} manifests {verb} removed\n", retired.len() - tags);
    print(&retired.iter().map(|one| format!("{one}\n")).chain([sum]).collect::<String>());
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the command's own words")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn print(text: &str) {
    print!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address(":5000").unwrap().to_string(), "[::]:5000");
        assert_eq!(address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for bad in ["", "5000", "name:80", ":x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
