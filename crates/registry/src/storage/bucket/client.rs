//! Conversations with a server of S3: on a thread of its own, which has an event loop, for callers that wait. The requests are
//! signed in their addresses (`rusty_s3`), so that the same one can be sent again, or given away.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::mpsc;

use crate::web::Origin;

/// A server closes what is idle after a while; we before that.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// One part over a slow line.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// How long a body may rest.
const STALL: Duration = Duration::from_secs(60);
/// First pause before another attempt; each is twice as long as the one before.
const AGAIN: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 4;

/// What to ask; its address is signed.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer that is on its way.
#[derive(Debug)]
pub(super) struct Pending(Receiver<Result<Answer, String>>);

impl Pending {
    pub(super) fn wait(self) -> Result<Answer, String> {
        self.0.recv().unwrap_or_else(|_| Err("the conversation was broken off".into()))
    }
}

#[derive(Debug)]
struct Job {
    asked: Asked,
    answer: SyncSender<Result<Answer, String>>,
    /// Where the body goes if it is a good one, piece by piece.
    pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
}

#[derive(Debug)]
pub(super) struct Client {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Client {
    /// # Errors
    /// There are no more threads.
    pub(super) fn new(origin: Origin) -> io::Result<Client> {
        let (jobs, mut coming) = mpsc::unbounded_channel::<Job>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let host = Arc::new(Host { origin, idle: Mutex::default() });
        // Ends when the client is dropped.
        std::thread::Builder::new().name("s3".into()).spawn(move || {
            runtime.block_on(async {
                while let Some(job) = coming.recv().await {
                    tokio::spawn(serve(host.clone(), job));
                }
            });
        })?;
        Ok(Client { jobs })
    }

    pub(super) fn begin(&self, asked: Asked) -> Pending {
        self.send(asked, None)
    }

    pub(super) fn ask(&self, asked: Asked) -> Result<Answer, String> {
        self.begin(asked).wait()
    }

    /// The body comes in pieces.
    pub(super) fn stream(&self, asked: Asked, pieces: mpsc::Sender<io::Result<Bytes>>) -> Pending {
        self.send(asked, Some(pieces))
    }

    fn send(&self, asked: Asked, pieces: Option<mpsc::Sender<io::Result<Bytes>>>) -> Pending {
        let (answer, pending) = sync_channel(1);
        // Without its thread nobody answers, and that is what is said.
        let _ = self.jobs.send(Job { asked, answer, pieces });
        Pending(pending)
    }
}

#[derive(Debug)]
struct Host {
    origin: Origin,
    // A take or a put; never across an await.
    idle: Mutex<Vec<(SendRequest<Full<Bytes>>, Instant)>>,
}

async fn serve(host: Arc<Host>, job: Job) {
    let Job { asked, answer, pieces } = job;
    let mut pause = AGAIN;
    for attempt in 1..=ATTEMPTS {
        let outcome = host.once(&asked).await;
        let passing = match &outcome {
            Ok((response, _)) => response.status().is_server_error(),
            Err(_) => true,
        };
        if passing && attempt < ATTEMPTS {
            tokio::time::sleep(pause).await;
            pause *= 2;
            continue;
        }
        match outcome {
            Err(why) => _ = answer.send(Err(why)),
            Ok((response, sender)) => host.finish(response, sender, &answer, pieces).await,
        }
        return;
    }
}

type Sender = SendRequest<Full<Bytes>>;

impl Host {
    async fn once(&self, asked: &Asked) -> Result<(http::Response<Incoming>, Sender), String> {
        loop {
            let (mut sender, kept) = match self.take().await {
                Some(sender) => (sender, true),
                None => (self.origin.connect::<Full<Bytes>>().await?, false),
            };
            let mut request = Request::new(Full::new(asked.body.clone()));
            *request.method_mut() = asked.method.clone();
            *request.uri_mut() = asked.target.parse().map_err(|_| "an address that is none".to_owned())?;
            *request.headers_mut() = asked.headers.clone();
            let host = HeaderValue::from_str(&self.origin.authority()).map_err(|error| error.to_string())?;
            request.headers_mut().insert(HOST, host);
            request.headers_mut().insert(CONTENT_LENGTH, asked.body.len().into());
            match tokio::time::timeout(ANSWER_MAX, sender.send_request(request)).await {
                Ok(Ok(response)) => return Ok((response, sender)),
                // It may have been closed just when we wrote.
                Ok(Err(_)) if kept => {}
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => return Err("no answer in time".into()),
            }
        }
    }

    async fn finish(
        &self,
        response: http::Response<Incoming>,
        sender: Sender,
        answer: &SyncSender<Result<Answer, String>>,
        pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
    ) {
        let (head, mut body) = response.into_parts();
        let (status, headers) = (head.status, head.headers);
        if let Some(pieces) = pieces.filter(|_| status.is_success()) {
            let _ = answer.send(Ok(Answer { status, headers, body: Bytes::new() }));
            loop {
                let piece = match tokio::time::timeout(STALL, body.frame()).await {
                    Ok(Some(Ok(frame))) => frame.into_data().ok().map(Ok),
                    Ok(Some(Err(error))) => Some(Err(io::Error::other(error))),
                    Ok(None) => break self.keep(sender),
                    Err(_) => Some(Err(io::ErrorKind::TimedOut.into())),
                };
                let Some(piece) = piece else { continue };
                let failed = piece.is_err();
                // Who has gone away wants no more.
                if pieces.send(piece).await.is_err() || failed {
                    break;
                }
            }
            return;
        }
        let _ = match tokio::time::timeout(ANSWER_MAX, body.collect()).await {
            Ok(Ok(body)) => {
                self.keep(sender);
                answer.send(Ok(Answer { status, headers, body: body.to_bytes() }))
            }
            Ok(Err(error)) => answer.send(Err(error.to_string())),
            Err(_) => answer.send(Err("no answer in time".into())),
        };
    }

    async fn take(&self) -> Option<Sender> {
        loop {
            let (mut sender, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() < IDLE_MAX && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE_MAX);
        idle.push((sender, Instant::now()));
    }
}
