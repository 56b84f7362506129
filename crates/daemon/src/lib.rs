//! The daemon: composition root of the engine. It reads flags and `daemon.json`, binds the sockets, plugs the
//! adapters in, and listens to signals. It decides nothing about containers.

pub mod adapters;
mod config;
mod dump;
mod listen;
mod log;
mod notify;
mod pidfile;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use config::{Asked, Config};
use log::LevelHandle;

/// `wharf daemon`, `dockerd`. `args` without the words that name the face.
pub fn main(args: &[String]) -> ExitCode {
    let config = match config::read(args) {
        Ok(Asked::Run(config)) => config,
        Ok(Asked::Help) => return say(&config::help()),
        Ok(Asked::Version) => {
            return say(&format!("Docker version {}, build {}\n", wire::SERVER_VERSION, wire::GIT_COMMIT));
        }
        Ok(Asked::Valid) => {
            // To stderr, as `nginx -t` and `sshd -t` do, and dockerd.
            complain("configuration OK");
            return ExitCode::SUCCESS;
        }
        Err(error) => return complain(&error),
    };
    let level = match log::start(&config) {
        Ok(level) => level,
        Err(error) => return complain(&error),
    };
    make_room();
    // Two to four: the work is system calls, and each thread costs memory while idle.
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("wharf")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("could not start: {error}")),
    };
    let result = runtime.block_on(run(config, args, &level));
    // Log followers and the like must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

/// So many descriptors an engine has seldom.
const DESCRIPTORS: i32 = 1024;

/// When the table of descriptors of a process with threads grows, the kernel has it wait for all processors: tens of
/// milliseconds of somebody's request each time. So it grows now, when there are none.
fn make_room() {
    drop(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), DESCRIPTORS - 1));
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn say(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, reason = "why it did not start, before or instead of a log")]
fn complain(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

async fn run(config: Config, args: &[String], level: &LevelHandle) -> Result<ExitCode, String> {
    for option in &config.without_effect {
        tracing::warn!("--{option} has no effect: Wharf does not have this part");
    }
    for option in config.without_ipv6() {
        tracing::warn!("--{option} has no effect: the default network has IPv6 with --ipv6 only");
    }
    let pid_path = config.text("pidfile").unwrap_or("/var/run/docker.pid");
    let _pidfile = pidfile::Pidfile::create(std::path::Path::new(pid_path))?;
    let _exec_root = pidfile::lock_exec_root(&config.exec_root())?;
    let failed = |error: std::io::Error| error.to_string();
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut user = signal(SignalKind::user_defined1()).map_err(failed)?;

    // First the sockets: who connects now waits in the backlog instead of being refused.
    let mut bound = Vec::new();
    for host in config.hosts() {
        bound.extend(listen::bind(&host, config.text("group"))?);
    }
    let sockets: Vec<_> = bound.iter().filter_map(|b| b.socket.clone()).collect();
    let result = async {
        let engine = wire::engine(&config).await?;
        let server = server::Server::new(engine.clone());
        let (stop, stopped) = watch::channel(false);
        let mut serving = tokio::task::JoinSet::new();
        for one in bound {
            let (server, mut stopped) = (server.clone(), stopped.clone());
            serving.spawn(async move {
                let shutdown = async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                };
                server.serve(one.listener, shutdown).await;
            });
        }
        notify::notify("READY=1");
        tracing::info!(hosts = ?config.hosts(), "API listens");
        tokio::spawn(async {
            tokio::time::sleep(SETTLED).await;
            // What only the start needs is most of what it has used.
            if let Err(error) = sys::code::give_back() {
                tracing::debug!(%error, "pages of the program's code stay mapped");
            }
            sys::malloc::trim();
        });
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => match reload(args, &engine, level) {
                    Ok(()) => tracing::info!("configuration reloaded"),
                    Err(error) => tracing::error!(%error, "configuration not reloaded"),
                },
                // On the side: what it is asked about may be what hangs.
                _ = user.recv() => drop(tokio::spawn(dump::dump(config.exec_root(), engine.clone()))),
            }
        }
        notify::notify("STOPPING=1");
        tracing::info!("stopping");
        let ending = async {
            engine.system.shut_down().await;
            let _ = stop.send(true);
            while serving.join_next().await.is_some() {}
            engine.events.flush().await;
        };
        tokio::select! {
            () = ending => Ok(ExitCode::SUCCESS),
            number = forced(&mut terminate, &mut interrupt) => {
                tracing::warn!("three signals to stop: not waiting for containers and requests any longer");
                Ok(ExitCode::from(128 + number))
            }
        }
    }
    .await;
    for socket in sockets {
        let _ = std::fs::remove_file(socket);
    }
    result
}

/// After this long a start is over: whoever was waiting for the engine has been served.
const SETTLED: Duration = Duration::from_millis(300);

/// Waits for the two signals more, after the one that began the stopping, with which dockerd ends at once. Answers
/// the last one's number.
async fn forced(terminate: &mut Signal, interrupt: &mut Signal) -> u8 {
    let mut last = 0;
    for _ in 0..2 {
        last = tokio::select! {
            _ = terminate.recv() => 15,
            _ = interrupt.recv() => 2,
        };
    }
    last
}

/// SIGHUP: flags as they were, the file as it is now; the reloadable part of both.
fn reload(args: &[String], engine: &engine::Engine, level: &LevelHandle) -> Result<(), String> {
    let Asked::Run(config) = config::read(args)? else { return Ok(()) };
    let mut checked = wire::settings(&config)?;
    wire::reloadable(&config, &mut checked)?;
    level.reload(EnvFilter::new(config.level()?)).map_err(|error| error.to_string())?;
    engine.images.reload_registries(checked.registries.clone());
    engine.system.reload(|settings| {
        settings.registries = checked.registries;
        settings.debug = checked.debug;
        settings.image_gc = checked.image_gc;
        settings.labels = checked.labels;
        settings.live_restore = checked.live_restore;
        settings.shutdown_timeout_s = checked.shutdown_timeout_s;
        settings.runtimes = checked.runtimes;
        settings.default_runtime = checked.default_runtime;
    });
    Ok(())
}
