//! One health check, done: by an exec in the container or by a probe from outside.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::container::Container;
use crate::container::health::{Check, HealthResult, OUTPUT_BYTES_MAX, go_duration};
use crate::container::index::Published;
use crate::core::Core;
use crate::execs::check;

/// Waits, then checks. What has been begun is brought to an end when the future is dropped: a process is killed.
pub(super) async fn after(
    core: Arc<Core>,
    published: watch::Receiver<Published>,
    wait: Duration,
) -> HealthResult {
    core.ports.clock.sleep(wait).await;
    let start = core.ports.clock.now();
    let (mut tell, told) = oneshot::channel();
    let view = published.borrow().view.clone();
    // A task of its own: an exec that is on its way is not to be forgotten half-way.
    tokio::spawn(async move {
        let (exit_code, output) = once(&core, &view, &mut tell).await;
        let _ = tell.send(HealthResult { start, end: core.ports.clock.now(), exit_code, output });
    });
    match told.await {
        Ok(result) => result,
        // It has panicked, which is in the log.
        Err(_) => failed(start, "the health check was lost"),
    }
}

fn failed(at: Timestamp, why: &str) -> HealthResult {
    HealthResult { start: at, end: at, exit_code: -1, output: why.to_owned() }
}

async fn once(
    core: &Arc<Core>,
    container: &Arc<Container>,
    unwanted: &mut oneshot::Sender<HealthResult>,
) -> (i32, String) {
    let limit = container.spec.healthcheck.as_ref().map_or(Duration::ZERO, |check| check.timeout());
    let too_long = || format!("Health check exceeded timeout ({})", go_duration(limit));
    match Check::of(&container.spec) {
        // Taken away since.
        None => (-1, "there is no health check any more".to_owned()),
        Some(Check::Command(command)) if command.is_empty() => {
            (-1, format!("healthcheck for container {} has no command", container.id))
        }
        Some(Check::Command(command)) => {
            match check::run(core, container, command, limit, OUTPUT_BYTES_MAX, unwanted).await {
                Err(error) => (-1, error.message),
                Ok(checked) => {
                    let output = String::from_utf8_lossy(&checked.output).into_owned();
                    match (checked.exit.timed_out, output.is_empty()) {
                        (false, _) => (checked.exit.code, output),
                        (true, true) => (-1, too_long()),
                        (true, false) => (-1, format!("{}: {output}", too_long())),
                    }
                }
            }
        }
        Some(Check::Probe(probe)) => tokio::select! {
            probed = core.ports.runtime.probe(&container.id, &probe) => match probed {
                Ok(probed) => (i32::from(!probed.healthy), probed.words),
                Err(error) => (-1, error.message),
            },
            () = core.ports.clock.sleep(limit) => (-1, too_long()),
        },
    }
}
