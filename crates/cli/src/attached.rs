//! A user in front of a process: streams, signals, window, until one of them ends it.

use std::future::Future;
use std::time::{Duration, Instant};

use api::container::{WaitCondition, WaitResponse};
use api::exec::ExecInspectResponse;
use client::Wait;

use crate::app::App;
use crate::failure::Failure;
use crate::terminal::signals::{Caught, Signals};
use crate::terminal::stream::{End, Session};
use crate::terminal::{restore, size};

/// Whose terminal it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Container(&'a str),
    Exec(&'a str),
}

impl Target<'_> {
    /// Makes the process's terminal as big as ours. A process that is not there yet, or no more, is no failure.
    pub(crate) async fn resize(self, app: &App) {
        let Some(size) = size() else { return };
        let result = match self {
            Self::Container(id) => app.client.containers().resize(id, size.rows, size.columns).await,
            Self::Exec(id) => app.client.execs().resize(id, size.rows, size.columns).await,
        };
        if let Err(error) = result
            && app.debug
        {
            crate::output::err(&format!("resize: {error}\r\n"));
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ending<T> {
    /// The streams ended, if any were there, and `until` gave its answer.
    Answer(T),
    /// The user typed the detach keys.
    Detached,
}

/// Attends to everything until the streams ended and `until` is ready.
///
/// Output that still comes after the answer is waited for; an answer that comes after the output, too. An answer that
/// will not come, because the engine has died, does not end the output: that comes from the process's monitor.
pub(crate) async fn attend<T>(
    app: &App,
    target: Target<'_>,
    session: Option<Session>,
    mut signals: Signals,
    until: impl Future<Output = Result<T, Failure>>,
) -> Result<Ending<T>, Failure> {
    let mut until = std::pin::pin!(until);
    let mut answer: Option<Result<T, Failure>> = None;
    let mut session = session;
    loop {
        if session.is_none()
            && let Some(answer) = answer.take()
        {
            return answer.map(Ending::Answer);
        }
        tokio::select! {
            // Output first: what is there is shown before anything ends.
            end = ended(&mut session), if session.is_some() => match end {
                End::Done => session = None,
                End::Detached => return Ok(Ending::Detached),
                End::Broken(error) => {
                    restore();
                    return Err(Failure::new(error.to_string()));
                }
            },
            result = &mut until, if answer.is_none() => answer = Some(result),
            caught = signals.next() => match caught {
                Caught::End(number) => {
                    restore();
                    return Err(Failure::status(128 + number));
                }
                Caught::Resize => target.resize(app).await,
                Caught::Forward(name) => {
                    if let Target::Container(id) = target {
                        // The container may be gone already; its exit says so.
                        let _ = app.client.containers().kill(id, name).await;
                    }
                }
            },
        }
    }
}

/// How long an engine may be away that is being replaced or started again.
const ENGINE_AWAY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// How the container ended. An engine that goes away meanwhile (an upgrade, a crash) takes the wait along, and nothing else:
/// the output comes from the container's monitor. So the next engine is asked again.
pub(crate) async fn end_of(
    app: &App,
    id: &str,
    condition: &WaitCondition,
    wait: Wait,
) -> Result<WaitResponse, Failure> {
    // The next exit may have been in between.
    let condition =
        if *condition == WaitCondition::NEXT_EXIT { WaitCondition::default() } else { condition.clone() };
    let mut wait = wait;
    loop {
        match wait.answer().await {
            Err(error) if error.is_lost() => {}
            answer => return Ok(answer?),
        }
        let until = Instant::now() + ENGINE_AWAY;
        wait = loop {
            match app.client.containers().wait(id, &condition).await {
                Ok(wait) => break wait,
                Err(error) if (error.is_lost() || error.is_connect()) && Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
    }
}

/// How an exec ended, which is asked for when its output has; as [`end_of`] where the engine is another by then.
pub(crate) async fn end_of_exec(app: &App, id: &str) -> Result<ExecInspectResponse, Failure> {
    let until = Instant::now() + ENGINE_AWAY;
    loop {
        match app.client.execs().inspect(id).await {
            Err(error) if (error.is_lost() || error.is_connect()) && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return Ok(answer?),
        }
    }
}

async fn ended(session: &mut Option<Session>) -> End {
    match session {
        Some(session) => session.ended().await,
        None => End::Done,
    }
}
