//! `/_ping`, `/version`, `/info`, `/events`, `/system/df`.

use crate::connection::{Http, no_body};
use crate::error::{Error, Result};
use crate::query::Target;
use crate::stream::JsonStream;
use api::events::EventMessage;
use api::filters::Filters;
use api::system::{DiskUsage, DiskUsageLists, SystemInfo, VersionResponse};
use http::Method;

/// The engine about itself.
#[derive(Debug, Clone, Copy)]
pub struct System<'a> {
    pub(crate) http: &'a Http,
}

/// What the headers of `_ping` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    pub api_version: String,
    pub os_type: String,
    pub experimental: bool,
    pub builder_version: String,
    pub swarm: String,
}

/// Which events; empty fields are not sent.
#[derive(Clone, Debug, Default)]
pub struct Events<'a> {
    /// Seconds since the epoch, with fraction.
    pub since: &'a str,
    pub until: &'a str,
    pub filters: Filters,
}

impl System<'_> {
    pub async fn ping(&self) -> Result<Ping> {
        let target = Target::new("/_ping");
        let (response, _) = self.http.send(&Method::HEAD, &target, Default::default(), no_body()).await?;
        let header = |name: &str| {
            response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        Ok(Ping {
            api_version: header("api-version"),
            os_type: header("ostype"),
            experimental: header("docker-experimental") == "true",
            builder_version: header("builder-version"),
            swarm: header("swarm"),
        })
    }

    pub async fn version(&self) -> Result<VersionResponse> {
        self.http.json(Method::GET, Target::new("/version"), no_body()).await
    }

    pub async fn info(&self) -> Result<SystemInfo> {
        self.http.json(Method::GET, Target::new("/info"), no_body()).await
    }

    /// `kinds`: `container`, `image`, `volume`, `build-cache`; none is all.
    pub async fn disk_usage(&self, kinds: &[&str], verbose: bool) -> Result<DiskUsage> {
        let target = kinds.iter().fold(Target::new("/system/df"), |t, kind| t.arg("type", kind));
        let target = target.flag("verbose", verbose);
        let what = format!("GET {}", target.as_str());
        let (_, bytes) = self.http.whole(Method::GET, target, no_body()).await?;
        let failed = |source| Error::Decode { what: what.clone(), source };
        let usage: DiskUsage = api::go::from_slice(&bytes).map_err(failed)?;
        if usage != DiskUsage::default() {
            return Ok(usage);
        }
        // An engine of before 1.52, or one that is asked as such.
        let lists: DiskUsageLists = api::go::from_slice(&bytes).map_err(failed)?;
        Ok(lists.into())
    }

    pub async fn events(&self, which: &Events<'_>) -> Result<JsonStream<EventMessage>> {
        let target = Target::new("/events")
            .arg_if("since", which.since)
            .arg_if("until", which.until)
            .arg_if("filters", &which.filters.to_json());
        Ok(self.http.stream(Method::GET, target, no_body()).await?.json())
    }
}
