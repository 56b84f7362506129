//! One health check, done: by an exec in the container or by a probe from outside.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::container::health::{Check, HealthResult, OUTPUT_BYTES_MAX, go_duration};
use crate::container::index::Published;
use crate::container::{Container, Probe};
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
    let view = published.borrow().view.clone();
    let result = move |core: &Core, (exit_code, output)| HealthResult {
        start,
        end: core.ports.clock.now(),
        exit_code,
        output,
    };
    let command = match Check::of(&view.spec) {
        // Taken away since.
        None => return failed(start, "there is no health check any more"),
        Some(Check::Probe(probe)) => return result(&core, look(&core, &view, &probe).await),
        Some(Check::Command(command)) => command,
    };
    let (mut tell, told) = oneshot::channel();
    // A task of its own: an exec that is on its way is not to be forgotten half-way.
    tokio::spawn(async move {
        let outcome = once(&core, &view, command, &mut tell).await;
        // Whoever hears of it changes what was published, and that is copied while another has it.
        drop(view);
        let _ = tell.send(result(&core, outcome));
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

fn too_long(limit: Duration) -> String {
    format!("Health check exceeded timeout ({})", go_duration(limit))
}

fn limit(container: &Container) -> Duration {
    container.spec.healthcheck.as_ref().map_or(Duration::ZERO, |check| check.timeout())
}

async fn look(core: &Core, container: &Container, probe: &Probe) -> (i32, String) {
    let limit = limit(container);
    tokio::select! {
        // Most are over before there is anything to wait for.
        biased;
        probed = core.ports.runtime.probe(&container.id, probe) => match probed {
            Ok(probed) => (i32::from(!probed.healthy), probed.words),
            Err(error) => (-1, error.message),
        },
        () = core.ports.clock.sleep(limit) => (-1, too_long(limit)),
    }
}

async fn once(
    core: &Arc<Core>,
    container: &Arc<Container>,
    command: Vec<String>,
    unwanted: &mut oneshot::Sender<HealthResult>,
) -> (i32, String) {
    if command.is_empty() {
        return (-1, format!("healthcheck for container {} has no command", container.id));
    }
    let limit = limit(container);
    match check::run(core, container, command, limit, OUTPUT_BYTES_MAX, unwanted).await {
        Err(error) => (-1, error.message),
        Ok(checked) => {
            let output = String::from_utf8_lossy(&checked.output).into_owned();
            match (checked.exit.timed_out, output.is_empty()) {
                (false, _) => (checked.exit.code, output),
                (true, true) => (-1, too_long(limit)),
                (true, false) => (-1, format!("{}: {output}", too_long(limit))),
            }
        }
    }
}
