//! Import from a URL: what comes over the network is unpacked while it comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::pieces::Pieces;
use super::{Images, ImportRequest, Progress, Report};
use crate::error::{Error, Result};

/// Between the network and the disk: enough to keep both busy.
const PIECES_IN_FLIGHT: usize = 2;
/// Between two lines about how far it is.
const LINE_PAUSE: Duration = Duration::from_millis(100);

impl Images {
    /// As [`Images::import`], of what `url` gives; without a scheme it means http, as in Docker. Dropped half-way, it leaves
    /// nothing.
    pub async fn import_from(&self, url: &str, request: ImportRequest, report: Report) -> Result<String> {
        let report = Arc::new(Mutex::new(report));
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        // Who is told to nobody else: neither to the log of the client nor to the image.
        let shown = without_password(&url);

        let mut fetch = self.registries.client().fetch(&url).await?;
        say(&report, Progress::Line(format!("Downloading from {shown}")));
        let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let reader = Pieces::new(pieces);
        let request = ImportRequest { source: shown, ..request };
        let importing = self.import(request, Box::new(reader));
        let (told, total) = (report.clone(), fetch.total().unwrap_or_default());
        let downloading = async move {
            let mut last_line = Instant::now();
            loop {
                // Without an end: who reads hears that it was given up, the client why.
                let piece = fetch.chunk().await.map_err(Error::from)?;
                let is_last = piece.is_none();
                // Who reads has stopped, and says why.
                if sender.send(piece).await.is_err() || is_last {
                    return Ok::<(), Error>(());
                }
                if last_line.elapsed() >= LINE_PAUSE {
                    last_line = Instant::now();
                    let (id, current) = (String::new(), fetch.position());
                    say(&told, Progress::Layer { id, status: "Importing", current, total });
                }
            }
        };
        let (imported, downloaded) = tokio::join!(importing, downloading);
        downloaded?;
        imported
    }
}

/// What a URL's user would not want to see in an image.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{}", &rest[end..]),
        None => url.to_owned(),
    }
}

fn say(report: &Arc<Mutex<Report>>, progress: Progress) {
    (report.lock().unwrap_or_else(PoisonError::into_inner))(progress);
}
