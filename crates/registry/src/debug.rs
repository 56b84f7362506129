//! The second address: health and metrics for machines that look after this one, where clients do not come.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::body::Body;
use crate::error::{Code, Error, Result};
use crate::handlers;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::settings::Debug;
use crate::socket;

const HEAD: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens at once; what comes back serves for ever.
pub(crate) async fn serve(
    debug: Debug,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) -> Result<impl Future<Output = ()> + Send + 'static> {
    let address = debug.address;
    let listener = socket::bind(address).await;
    let listener = listener.map_err(|error| {
        Error::new(Code::Unknown, format!("http.debug.addr: listen on {address}: {error}"))
    })?;
    Ok(accept(listener, debug.metrics, health, metrics))
}

async fn accept(listener: TcpListener, path: Option<String>, health: Arc<Health>, metrics: Arc<Metrics>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (path, health, metrics) = (path.clone(), health.clone(), metrics.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            let answer = answer(request.uri().path(), path.as_deref(), &health, &metrics);
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
            let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(asked: &str, metrics_path: Option<&str>, health: &Health, metrics: &Metrics) -> Response<Body> {
    match asked {
        "/debug/health" => {
            let failing = health.failing();
            let status = match failing {
                None => StatusCode::OK,
                Some(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            let text = failing.map_or_else(|| "{}".to_owned(), |failing| failing.to_string());
            handlers::bytes(status, "application/json; charset=utf-8", text)
        }
        path if Some(path) == metrics_path => {
            handlers::bytes(StatusCode::OK, "text/plain; version=0.0.4", metrics.text())
        }
        _ => handlers::bytes(StatusCode::NOT_FOUND, "text/plain", "404 page not found\n"),
    }
}
