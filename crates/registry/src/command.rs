//! `wharf registry`: serving one, and removing what nobody has any more. Each flag is also a variable of the environment,
//! under the name that Docker's registry has for it.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Code, Error, Result};
use crate::settings::{Settings, Tls};
use crate::storage::Storage;

/// A registry for images: the OCI distribution API
#[derive(Debug, Parser)]
#[command(name = "wharf registry", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve a registry
    Serve(Box<ServeArgs>),
    /// Remove blobs that no repository has; the registry may be serving meanwhile
    #[command(visible_alias = "gc")]
    GarbageCollect(CollectArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Address and port to listen on
    #[arg(long, env = "REGISTRY_HTTP_ADDR", default_value = ":5000", value_parser = address)]
    addr: SocketAddr,
    /// Directory that holds everything
    #[arg(long, env = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", default_value = "/var/lib/registry")]
    root: PathBuf,
    /// Serve TLS with this certificate chain (PEM)
    #[arg(long, env = "REGISTRY_HTTP_TLS_CERTIFICATE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, env = "REGISTRY_HTTP_TLS_KEY", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Clients must have a certificate of this authority (PEM); may be given several times
    #[arg(long, env = "REGISTRY_HTTP_TLS_CLIENTCAS", value_delimiter = ',', requires = "tls_certificate")]
    tls_client_ca: Vec<PathBuf>,
    /// Users and their passwords, as `htpasswd -B` writes them; without it everybody may do everything
    #[arg(long, env = "REGISTRY_AUTH_HTPASSWD_PATH")]
    htpasswd: Option<PathBuf>,
    /// What clients are told that they log in to
    #[arg(long, env = "REGISTRY_AUTH_HTPASSWD_REALM", default_value = "Registry")]
    realm: String,
    /// Clients get a token for their password at /token, and bring that
    #[arg(long, env = "REGISTRY_TOKEN_AUTH", requires = "htpasswd")]
    token_auth: bool,
    /// The address under which clients see this registry, such as https://registry.example
    #[arg(long, env = "REGISTRY_HTTP_HOST")]
    url: Option<String>,
    /// Who may do what where: lines of `<user,...|*> <pull,push,delete> <repository>`
    #[arg(long, env = "REGISTRY_RULES")]
    rules: Option<PathBuf>,
    /// Nothing may be pushed or deleted
    #[arg(long, env = "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", num_args = 0..=1, default_missing_value = "true", default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    read_only: bool,
    /// Tags, manifests and blobs may be deleted
    #[arg(long, env = "REGISTRY_STORAGE_DELETE_ENABLED", num_args = 0..=1, default_missing_value = "true", default_value_t = true, require_equals = true, action = clap::ArgAction::Set)]
    delete: bool,
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
    /// Directory of the registry
    #[arg(long, env = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", default_value = "/var/lib/registry")]
    root: PathBuf,
    /// Only say what would go
    #[arg(short, long)]
    dry_run: bool,
    /// Manifests that no tag leads to are nobody's, too
    #[arg(short = 'm', long, visible_alias = "delete-untagged")]
    untagged: bool,
    /// What is younger stays
    #[arg(long, default_value = "1h", value_parser = duration)]
    grace: Duration,
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
        Verb::GarbageCollect(args) => collect(&args),
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
    let tls = args.tls_certificate.zip(args.tls_key).map(|(certificate, key)| Tls {
        certificate,
        key,
        client_authorities: args.tls_client_ca,
    });
    let settings = Settings {
        address: args.addr,
        root: args.root,
        tls,
        htpasswd: args.htpasswd,
        realm: args.realm,
        token_auth: args.token_auth,
        url: args.url.map(|url| url.trim_end_matches('/').to_owned()),
        rules: args.rules,
        read_only: args.read_only,
        delete: args.delete,
        sparse_indexes: args.sparse_indexes,
        access_log: !args.no_access_log,
        collect_every: args.collect_every,
    };
    let failed = |what: &str, error: std::io::Error| Error::new(Code::Unknown, format!("{what}: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| failed("start threads", error))?.block_on(async move {
        let address = settings.address;
        let mut listener = TcpListener::bind(address).await;
        if address.ip() == Ipv6Addr::UNSPECIFIED && listener.is_err() {
            // Every address of a kernel without IPv6.
            listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await.or(listener);
        }
        let listener = listener.map_err(|error| failed(&format!("listen on {address}"), error))?;
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| failed("wait for signals", error))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| failed("wait for signals", error))?;
        let bound = listener.local_addr().map_err(|error| failed("listen", error))?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        say(&format!("listening on {scheme}://{bound}, serving {}", settings.root.display()));
        crate::serve(settings, listener, async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
    })
}

fn collect(args: &CollectArgs) -> Result<()> {
    let collected = Storage::open(&args.root)?.collect(args.grace, args.untagged, args.dry_run)?;
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

/// `:5000` is every address, as in Go.
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("{text}: an address and a port are needed, such as 127.0.0.1:5000 or :5000");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().map_err(|_| wrong())?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// `90s`, `15m`, `24h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text}: a number with s, m or h is needed");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
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
    fn addresses_and_times() {
        assert_eq!(address(":5000").unwrap().to_string(), "[::]:5000");
        assert_eq!(address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        for bad in ["", "5000", "name:80", ":x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(duration("24h").unwrap(), Duration::from_secs(86400));
        for bad in ["", "h", "5", "5d", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
