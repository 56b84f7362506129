//! `stats`: what containers use, once or as it changes.

mod entry;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::events::EventMessage;
use api::stats::StatsResponse;
use client::{Events, JsonStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::filters;
use crate::flags::{Flag, Parsed};
use crate::output;
use crate::output::table::render;
use entry::Entry;

pub(crate) const COMMAND: Command = Command {
    name: "stats",
    aliases: &[],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    flags: &[
        Flag::switch("all", "Show all containers (default shows just running)").short('a'),
        Flag::text("format", output::FORMAT_HELP),
        Flag::switch("no-stream", "Disable streaming stats and only pull the first result"),
        Flag::switch("no-trunc", "Do not truncate output"),
    ],
    operands: Operands::AtLeast(0),
    interspersed: true,
    spellings: &["container stats", "stats"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// Between two pages.
const REDRAW: Duration = Duration::from_millis(500);
/// A sample of a stream that is later than this is not waited for, and the numbers are no longer shown.
const LATE: Duration = Duration::from_secs(2);
/// One sample takes the engine a second.
const LATE_ONCE: Duration = Duration::from_secs(20);

async fn run(app: &App, line: &Parsed) -> Outcome {
    let format = match (line.text("format"), app.config.stats_format.as_str()) {
        ("", "") | ("table", _) | ("", "table") => TABLE.to_owned(),
        ("", configured) => configured.to_owned(),
        (format, _) => format.to_owned(),
    };
    let page = Page { format, truncate: !line.switch("no-trunc") };
    let mut board = Board { app, entries: Vec::new(), stream: !line.switch("no-stream") };
    let all = line.switch("all");
    if !line.operands.is_empty() {
        let mut failures = Vec::new();
        for name in &line.operands {
            match board.add(name).await {
                Ok(()) => {}
                Err(error) if error.is_connect() => return Err(error.into()),
                Err(error) => failures.push(error.to_string()),
            }
        }
        if !failures.is_empty() {
            return Err(Failure::new(failures.join("\n")));
        }
        board.first().await;
        return match board.stream {
            true => board.show(&page, None, all).await,
            false => board.once(&page),
        };
    }
    // Listened to before the list is asked for, so that no container falls in between.
    let events = match board.stream {
        true => {
            let filters = filters::collect(&["type=container".to_owned()]);
            Some(app.client.system().events(&Events { filters, ..Events::default() }).await?)
        }
        false => None,
    };
    for container in app.client.containers().list(all, 0, false, &filters::collect(&[])).await? {
        // One that has gone since is no failure.
        let _ = board.add(&container.id).await;
    }
    board.first().await;
    match board.stream {
        true => board.show(&page, events, all).await,
        false if board.entries.is_empty() => Ok(0),
        false => board.once(&page),
    }
}

/// How a page is written.
struct Page {
    format: String,
    truncate: bool,
}

/// What is shown, in the order it came.
struct Board<'a> {
    app: &'a App,
    entries: Vec<Shown>,
    stream: bool,
}

struct Shown {
    /// Written by a task of its own, which ends with this.
    entry: Arc<Mutex<Entry>>,
    reader: AbortHandle,
    /// Resolves with the first sample, or when that is late.
    first: Option<oneshot::Receiver<()>>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Board<'_> {
    async fn add(&mut self, container: &str) -> Result<(), client::Error> {
        if self.entries.iter().any(|shown| lock(&shown.entry).container == container) {
            return Ok(());
        }
        let samples = self.app.client.containers().stats(container, self.stream).await?;
        let entry = Arc::new(Mutex::new(Entry::new(container)));
        let (seen, first) = oneshot::channel();
        let late = if self.stream { LATE } else { LATE_ONCE };
        let reader = tokio::spawn(read(samples, entry.clone(), seen, late)).abort_handle();
        self.entries.push(Shown { entry, reader, first: Some(first) });
        Ok(())
    }

    fn remove(&mut self, container: &str) {
        self.entries.retain(|shown| lock(&shown.entry).container != container);
    }

    /// Waits until each has something to show.
    async fn first(&mut self) {
        for shown in &mut self.entries {
            if let Some(first) = shown.first.take() {
                // An error: its stream has ended.
                let _ = first.await;
            }
        }
    }

    fn page(&self, page: &Page) -> Result<String, Failure> {
        let rows = self.entries.iter().map(|shown| lock(&shown.entry).row(page.truncate)).collect();
        render(&entry::LISTING, &page.format, rows).map_err(Failure::new)
    }

    fn once(&self, page: &Page) -> Outcome {
        output::out(&self.page(page)?);
        Ok(0)
    }

    async fn show(
        &mut self,
        page: &Page,
        mut events: Option<JsonStream<EventMessage>>,
        all: bool,
    ) -> Outcome {
        let mut tick = tokio::time::interval(REDRAW);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = async {
                match &mut events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = tick.tick() => output::out(&frame(&self.page(page)?)),
                // The engine ends: so do its streams.
                event = event => match event {
                    Ok(Some(event)) => self.follow(&event, all).await,
                    Ok(None) | Err(_) => return Ok(0),
                },
            }
        }
    }

    async fn follow(&mut self, event: &EventMessage, all: bool) {
        let container = event.actor.id.as_str();
        match event.action.as_str() {
            "create" if all => drop(self.add(container).await),
            "start" => drop(self.add(container).await),
            "die" if !all => self.remove(container),
            "destroy" => self.remove(container),
            _ => {}
        }
    }
}

fn lock(entry: &Mutex<Entry>) -> MutexGuard<'_, Entry> {
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(
    mut samples: JsonStream<StatsResponse>,
    entry: Arc<Mutex<Entry>>,
    seen: oneshot::Sender<()>,
    late: Duration,
) {
    let mut seen = Some(seen);
    loop {
        let next = tokio::time::timeout(late, samples.next()).await;
        let ended = match next {
            Ok(Ok(Some(sample))) => {
                lock(&entry).put(&sample);
                false
            }
            // What was shown last stays, but for the numbers.
            Ok(Ok(None) | Err(_)) => {
                // Of one sample, the end follows it.
                if late == LATE || seen.is_some() {
                    lock(&entry).invalid = true;
                }
                true
            }
            Err(_) => {
                lock(&entry).reset();
                false
            }
        };
        if let Some(seen) = seen.take() {
            let _ = seen.send(());
        }
        if ended {
            return;
        }
    }
}

/// A page over the one before it: from the corner on, each line to its end, and nothing below.
fn frame(page: &str) -> String {
    let lines: String = page.split('\n').map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{lines}\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_over_the_last_one() {
        assert_eq!(frame("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[K\n\x1b[J");
    }
}
