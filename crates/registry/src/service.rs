//! One request, from its head to its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{
    ALLOW, AUTHORIZATION, HOST, LINK, LOCATION, USER_AGENT, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};

use crate::access::{Access, Caller};
use crate::action::Action;
use crate::body::Body;
use crate::error::{Code, Error, Result};
use crate::handlers::{self, Call, House, Query, blocking};
use crate::health::Health;
use crate::log::Line;
use crate::metrics::Metrics;
use crate::notify::{Happened, Notifier};
use crate::page;
use crate::route::{self, Target};
use crate::settings::Settings;
use crate::storage::Storage;
use crate::upstream::Upstreams;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A registry, ready to answer.
#[derive(Debug)]
pub(crate) struct Service {
    house: Arc<House>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    notifier: Arc<Notifier>,
    /// Of every answer, in place of ours.
    headers: HeaderMap,
}

impl Service {
    pub(crate) fn new(
        settings: Settings,
        storage: Storage,
        upstreams: Upstreams,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        notifier: Arc<Notifier>,
    ) -> Result<Service> {
        let access = Access::new(&settings)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.append(name, value);
            }
        }
        let house = Arc::new(House { storage, upstreams, access, settings });
        Ok(Service { house, health, metrics, notifier, headers })
    }

    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        remote: Option<SocketAddr>,
    ) -> Response<Body> {
        let began = Instant::now();
        self.metrics.begin();
        let (head, body) = request.into_parts();
        let mut caller = Caller::Nobody;
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let path = head.uri.path().strip_prefix(self.house.settings.prefix.as_str());
        let target = path.map_or(Ok(None), route::target).and_then(|target| {
            let Some(namespace) = query.get("ns") else { return Ok(target) };
            let at_home = |name: &str| self.house.upstreams.place(namespace, name);
            target.map(|target| target.renamed(at_home)).transpose()
        });
        let kind = target.as_ref().map_or("unknown", |target| target.as_ref().map_or("unknown", kind));
        let (mut wanted, mut place) = (Action::Pull, None);
        let result = match target {
            Ok(Some(target)) => {
                wanted = action(&target, &head.method).unwrap_or(Action::Pull);
                place = target.repository().map(str::to_owned);
                let told = (!self.notifier.is_idle()).then(|| (target.clone(), query.clone()));
                let call = Call {
                    house: self.house.clone(),
                    caller: Caller::Nobody,
                    method: head.method.clone(),
                    query,
                    headers: head.headers.clone(),
                    body,
                };
                let result = self.serve(target, call, &mut caller).await;
                if let (Ok(response), Some((target, query))) = (&result, told) {
                    let happened = self.happened(target, &head, &query, response, &caller, remote);
                    if let Some(happened) = happened {
                        self.notifier.tell(happened).await;
                    }
                }
                result
            }
            Ok(None) => Err(Error::new(Code::NameUnknown, "page not found")),
            Err(error) => Err(error),
        };
        let mut refused = None;
        let mut response = result.unwrap_or_else(|error| {
            let mut response = refusal(&error, &head.method);
            if error.code == Code::Unauthorized
                && let Some(challenge) =
                    self.house.access.challenge(&self.url(&head.headers), wanted, place.as_deref())
            {
                handlers::set(&mut response, WWW_AUTHENTICATE, &challenge);
            }
            refused = Some(error.message);
            response
        });
        handlers::set(&mut response, API_VERSION, "registry/2.0");
        handlers::set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
        self.dress(&mut response);
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        let (status, took) = (response.status().as_u16(), began.elapsed());
        self.metrics.end(kind, head.method.as_str(), status, took, bytes);
        self.house.settings.log.request(&Line {
            remote: remote.map(|remote| remote.ip()),
            user: caller.name(),
            method: head.method.as_str(),
            uri: head.uri.path_and_query().map_or("/", |uri| uri.as_str()),
            status,
            bytes,
            took,
            agent: head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()),
            error: refused.as_deref(),
        });
        response
    }

    async fn serve(&self, target: Target, mut call: Call, caller: &mut Caller) -> Result<Response<Body>> {
        // Those two are for machines that look after this one, and tell nothing of what is in it.
        match target {
            Target::Health => return Ok(handlers::bytes(StatusCode::OK, "text/plain", "OK\n")),
            Target::Ready => {
                return Ok(match self.health.failing() {
                    None => handlers::bytes(StatusCode::OK, "text/plain", "OK\n"),
                    Some(failing) => handlers::bytes(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "application/json",
                        failing.to_string(),
                    ),
                });
            }
            Target::Metrics => {
                return Ok(handlers::bytes(StatusCode::OK, "text/plain; version=0.0.4", self.metrics.text()));
            }
            _ => {}
        }
        if let Some(failing) = self.health.failing() {
            let error = Error::new(Code::Unavailable, "health check failed: please see /readyz");
            return Err(Error { detail: failing, ..error });
        }
        let action = action(&target, &call.method)?;
        let house = self.house.clone();
        let authorization = call.header(AUTHORIZATION).map(str::to_owned);
        if authorization.is_some() && !house.access.is_open() {
            call.caller = blocking(move || house.access.caller(authorization.as_deref())).await?;
            caller.clone_from(&call.caller);
        }
        if target == Target::Token {
            return handlers::tokens::give(&call, &self.url(&call.headers));
        }
        self.house.access.check(&call.caller, action, target.repository())?;
        if action != Action::Pull
            && let Some(upstream) = target.repository().and_then(|name| self.house.upstreams.of(name))
        {
            let message = format!("the operation is unsupported: this is fetched from {}", upstream.url());
            return Err(Error::new(Code::Unsupported, message));
        }
        let method = call.method.clone();
        let is_read = matches!(method, Method::GET | Method::HEAD);
        match target {
            Target::Base => Ok(handlers::bytes(StatusCode::OK, "application/json", "{}")),
            Target::Ping => Ok(handlers::bytes(StatusCode::OK, "application/json", "true")),
            Target::Catalog => handlers::catalog::list(call).await,
            Target::Search => handlers::search::find(call).await,
            Target::Page { repository } => page::show(call, repository).await,
            Target::Tags { repository } => handlers::tags::list(call, repository).await,
            Target::Referrers { repository, digest } => {
                handlers::referrers::list(call, repository, digest).await
            }
            Target::Blob { repository, digest } if is_read => {
                handlers::blobs::get(call, repository, digest).await
            }
            Target::Blob { repository, digest } => handlers::blobs::delete(call, repository, digest).await,
            Target::Uploads { repository } => handlers::uploads::begin(call, repository).await,
            Target::Upload { repository, id } => match method {
                Method::PATCH => handlers::uploads::append(call, repository, id).await,
                Method::PUT => handlers::uploads::finish(call, repository, id).await,
                Method::DELETE => handlers::uploads::cancel(call, repository, id).await,
                _ => handlers::uploads::status(call, repository, id).await,
            },
            Target::Manifest { repository, reference } => match method {
                Method::PUT => handlers::manifests::put(call, repository, reference).await,
                Method::DELETE => handlers::manifests::delete(call, repository, reference).await,
                _ => handlers::manifests::get(call, repository, reference).await,
            },
            Target::Token | Target::Health | Target::Ready | Target::Metrics => {
                Ok(handlers::empty(StatusCode::OK))
            }
        }
    }

    /// What there may be to tell of a request that was answered well.
    fn happened(
        &self,
        target: Target,
        head: &http::request::Parts,
        query: &Query,
        response: &Response<Body>,
        caller: &Caller,
        remote: Option<SocketAddr>,
    ) -> Option<Happened> {
        let status = response.status();
        // Nothing was given, or it is not at its end.
        let done = status.is_success() && !matches!(status, StatusCode::NO_CONTENT);
        let done = done && (status != StatusCode::ACCEPTED || head.method == Method::DELETE);
        let about = matches!(
            target,
            Target::Blob { .. } | Target::Uploads { .. } | Target::Upload { .. } | Target::Manifest { .. }
        );
        if !done || !about {
            return None;
        }
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let digest = response.headers().get(handlers::CONTENT_DIGEST);
        let is_mount = query.get("mount").is_some() && matches!(target, Target::Uploads { .. });
        Some(Happened {
            target,
            method: head.method.clone(),
            digest: digest.and_then(|value| value.to_str().ok()?.parse().ok()),
            mounted: is_mount.then(|| query.get("from").unwrap_or_default().to_owned()),
            user: caller.name().map(str::to_owned),
            remote,
            host: text(HOST).to_owned(),
            agent: text(USER_AGENT).to_owned(),
            url: self.url(&head.headers),
        })
    }

    /// What the settings want of every answer. Handlers know no prefix and no host: they get them here.
    fn dress(&self, response: &mut Response<Body>) {
        let settings = &self.house.settings;
        let host = settings.url.as_deref().filter(|_| !settings.relative_urls).unwrap_or_default();
        let prefix = &settings.prefix;
        let text = |response: &Response<Body>, name| {
            let value: &http::HeaderValue = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        if let Some(path) = text(response, LOCATION).filter(|path| path.starts_with('/')) {
            handlers::set(response, LOCATION, &format!("{host}{prefix}{path}"));
        }
        if let Some(link) = text(response, LINK)
            && let Some(path) = link.strip_prefix('<')
        {
            handlers::set(response, LINK, &format!("<{prefix}{path}"));
        }
        for name in self.headers.keys() {
            response.headers_mut().remove(name);
        }
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
    }

    /// Where the client sees this registry: as it was told to say, or as the client calls it.
    fn url(&self, headers: &HeaderMap) -> String {
        let prefix = &self.house.settings.prefix;
        if let Some(url) = &self.house.settings.url {
            return format!("{url}{prefix}");
        }
        let scheme = if self.house.settings.tls.is_some() { "https" } else { "http" };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("{scheme}://{}{prefix}", page::escape(host))
    }
}

fn refusal(error: &Error, method: &Method) -> Response<Body> {
    let mut response = handlers::bytes(error.code.status(), "application/json", error.body().to_string());
    if error.code == Code::Unsupported {
        handlers::set(&mut response, ALLOW, "GET, HEAD");
    }
    match *method == Method::HEAD {
        true => handlers::head_only(response),
        false => response,
    }
}

/// What the method does to the target, if it is one of its methods.
fn action(target: &Target, method: &Method) -> Result<Action> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let action = match target {
        Target::Blob { .. } if *method == Method::DELETE => Some(Action::Delete),
        Target::Manifest { .. } if *method == Method::DELETE => Some(Action::Delete),
        Target::Manifest { .. } if *method == Method::PUT => Some(Action::Push),
        Target::Uploads { .. } => (*method == Method::POST).then_some(Action::Push),
        Target::Upload { .. } => {
            let methods = [Method::GET, Method::PATCH, Method::PUT, Method::DELETE];
            methods.contains(method).then_some(Action::Push)
        }
        _ => is_read.then_some(Action::Pull),
    };
    action.ok_or_else(|| {
        Error::new(Code::Unsupported, format!("the operation is unsupported: {method} of this"))
    })
}

/// For the metrics.
fn kind(target: &Target) -> &'static str {
    match target {
        Target::Base => "base",
        Target::Catalog => "catalog",
        Target::Blob { .. } => "blob",
        Target::Uploads { .. } => "uploads",
        Target::Upload { .. } => "upload",
        Target::Manifest { .. } => "manifest",
        Target::Tags { .. } => "tags",
        Target::Referrers { .. } => "referrers",
        Target::Ping => "ping",
        Target::Search => "search",
        Target::Token => "token",
        Target::Health => "health",
        Target::Ready => "ready",
        Target::Metrics => "metrics",
        Target::Page { .. } => "page",
    }
}
