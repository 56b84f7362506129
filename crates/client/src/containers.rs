//! `/containers`.

use crate::connection::{Http, json_body, no_body};
use crate::error::{Error, Result};
use crate::hijack::Hijacked;
use crate::query::{Target, escape};
use crate::stream::{ByteStream, JsonStream};
use api::container::{
    ContainerInspectResponse, ContainerSummary, ContainersPruneResponse, CreateRequest, CreateResponse,
    TopResponse, WaitCondition, WaitResponse, WhyResponse,
};
use api::exec::{ExecCreateRequest, IdResponse};
use api::filters::Filters;
use api::stats::StatsResponse;
use api::update::{UpdateRequest, UpdateResponse};
use http::{Method, StatusCode};
use http_body_util::BodyExt;

/// Everything about containers. `container` is an id, a prefix of one, or a name.
#[derive(Debug, Clone, Copy)]
pub struct Containers<'a> {
    pub(crate) http: &'a Http,
}

/// Which streams to attach to.
#[derive(Clone, Debug, Default)]
pub struct Attach<'a> {
    /// First what was logged until now.
    pub logs: bool,
    /// Then what comes.
    pub stream: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Empty for the default.
    pub detach_keys: &'a str,
}

/// Which log lines, and how they look.
#[derive(Clone, Debug, Default)]
pub struct Logs<'a> {
    pub follow: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Seconds since the epoch, with fraction; empty for all.
    pub since: &'a str,
    pub until: &'a str,
    pub timestamps: bool,
    pub details: bool,
    /// A number, `all`, or empty.
    pub tail: &'a str,
    /// A regular expression, of Wharf's engine alone; empty for all lines.
    pub grep: &'a str,
}

/// How to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop<'a> {
    /// Empty for the container's.
    pub signal: &'a str,
    /// Seconds until it is killed; -1 waits for ever; `None` for the container's.
    pub timeout_s: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Remove {
    pub force: bool,
    pub volumes: bool,
    pub link: bool,
}

/// A wait the engine has registered: from now on the exit is not missed.
#[derive(Debug)]
pub struct Wait {
    body: hyper::body::Incoming,
    address: String,
}

impl Wait {
    /// Resolves when the condition has come true. An engine that ends before that takes the wait along: [`Error::Lost`].
    pub async fn answer(self) -> Result<WaitResponse> {
        let lost = Error::Lost { address: self.address };
        let bytes = match self.body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Err(lost),
        };
        if bytes.is_empty() {
            return Err(lost);
        }
        let what = "wait".to_owned();
        api::go::from_slice(&bytes).map_err(|source| Error::Decode { what, source })
    }
}

impl Containers<'_> {
    pub(crate) fn on(container: &str, verb: &str) -> Result<Target> {
        Ok(Target::new(format!("/containers/{}/{verb}", name(container)?)))
    }

    async fn post(&self, target: Target) -> Result<StatusCode> {
        Ok(self.http.whole(Method::POST, target, no_body()).await?.0)
    }

    /// `name`, `platform`: empty when not said.
    pub async fn create(
        &self,
        name: &str,
        platform: &str,
        request: &CreateRequest,
    ) -> Result<CreateResponse> {
        let target = Target::new("/containers/create").arg_if("name", name).arg_if("platform", platform);
        self.http.json(Method::POST, target, json_body(request)?).await
    }

    /// `limit`: the newest so many, 0 for all.
    pub async fn list(
        &self,
        all: bool,
        limit: usize,
        size: bool,
        filters: &Filters,
    ) -> Result<Vec<ContainerSummary>> {
        let limit = if limit == 0 { String::new() } else { limit.to_string() };
        let target = Target::new("/containers/json")
            .flag("all", all)
            .arg_if("limit", &limit)
            .flag("size", size)
            .arg_if("filters", &filters.to_json());
        self.http.json(Method::GET, target, no_body()).await
    }

    pub async fn inspect(&self, container: &str, size: bool) -> Result<ContainerInspectResponse> {
        self.http.json(Method::GET, Self::on(container, "json")?.flag("size", size), no_body()).await
    }

    /// The answer as it came, for `inspect` without a loss.
    pub async fn inspect_raw(&self, container: &str, size: bool) -> Result<serde_json::Value> {
        self.http.json(Method::GET, Self::on(container, "json")?.flag("size", size), no_body()).await
    }

    pub async fn start(&self, container: &str, detach_keys: &str) -> Result<()> {
        self.post(Self::on(container, "start")?.arg_if("detachKeys", detach_keys)).await.map(drop)
    }

    /// From a checkpoint; an empty `directory` is the container's.
    pub async fn restore(&self, container: &str, checkpoint: &str, directory: &str) -> Result<()> {
        let target = Self::on(container, "start")?;
        let target = target.arg_if("checkpoint", checkpoint).arg_if("checkpoint-dir", directory);
        self.post(target).await.map(drop)
    }

    pub async fn stop(&self, container: &str, how: &Stop<'_>) -> Result<()> {
        self.post(how.put(Self::on(container, "stop")?)).await.map(drop)
    }

    pub async fn restart(&self, container: &str, how: &Stop<'_>) -> Result<()> {
        self.post(how.put(Self::on(container, "restart")?)).await.map(drop)
    }

    /// `signal`: name or number; empty for SIGKILL.
    pub async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        self.post(Self::on(container, "kill")?.arg_if("signal", signal)).await.map(drop)
    }

    pub async fn pause(&self, container: &str) -> Result<()> {
        self.post(Self::on(container, "pause")?).await.map(drop)
    }

    pub async fn unpause(&self, container: &str) -> Result<()> {
        self.post(Self::on(container, "unpause")?).await.map(drop)
    }

    pub async fn rename(&self, container: &str, name: &str) -> Result<()> {
        self.post(Self::on(container, "rename")?.arg("name", name)).await.map(drop)
    }

    pub async fn resize(&self, container: &str, rows: u16, columns: u16) -> Result<()> {
        let target =
            Self::on(container, "resize")?.arg("h", &rows.to_string()).arg("w", &columns.to_string());
        self.post(target).await.map(drop)
    }

    pub async fn remove(&self, container: &str, how: Remove) -> Result<()> {
        let target = Target::new(format!("/containers/{}", name(container)?))
            .flag("v", how.volumes)
            .flag("link", how.link)
            .flag("force", how.force);
        self.http.whole(Method::DELETE, target, no_body()).await.map(drop)
    }

    /// Removes what is stopped and the filters let through.
    pub async fn prune(&self, filters: &Filters) -> Result<ContainersPruneResponse> {
        let target = Target::new("/containers/prune").arg_if("filters", &filters.to_json());
        self.http.json(Method::POST, target, no_body()).await
    }

    /// Returns as soon as the engine has registered the wait.
    pub async fn wait(&self, container: &str, condition: &WaitCondition) -> Result<Wait> {
        let target = Self::on(container, "wait")?.arg_if("condition", condition);
        let (response, _) = self.http.send(&Method::POST, &target, Default::default(), no_body()).await?;
        Ok(Wait { body: response.into_body(), address: self.http.address.to_string() })
    }

    /// `ps_args` as for ps(1); empty for `-ef`.
    pub async fn top(&self, container: &str, ps_args: &str) -> Result<TopResponse> {
        self.http.json(Method::GET, Self::on(container, "top")?.arg_if("ps_args", ps_args), no_body()).await
    }

    /// Why it ended. Of Wharf's engine alone.
    pub async fn why(&self, container: &str) -> Result<WhyResponse> {
        self.http.json(Method::GET, Self::on(container, "why")?, no_body()).await
    }

    pub async fn attach(&self, container: &str, what: &Attach<'_>) -> Result<Hijacked> {
        let target = Self::on(container, "attach")?
            .flag("logs", what.logs)
            .flag("stream", what.stream)
            .flag("stdin", what.stdin)
            .flag("stdout", what.stdout)
            .flag("stderr", what.stderr)
            .arg_if("detachKeys", what.detach_keys);
        self.http.hijack(target, no_body()).await
    }

    pub async fn logs(&self, container: &str, what: &Logs<'_>) -> Result<ByteStream> {
        let target = Self::on(container, "logs")?
            .flag("follow", what.follow)
            .flag("stdout", what.stdout)
            .flag("stderr", what.stderr)
            .flag("timestamps", what.timestamps)
            .flag("details", what.details)
            .arg_if("since", what.since)
            .arg_if("until", what.until)
            .arg_if("tail", what.tail)
            .arg_if("grep", what.grep);
        self.http.stream(Method::GET, target, no_body()).await
    }

    /// Forgets what was logged until now. Of Wharf's engine alone.
    pub async fn clear_logs(&self, container: &str) -> Result<()> {
        let target = Self::on(container, "logs")?;
        self.http.send(&Method::DELETE, &target, Default::default(), no_body()).await.map(drop)
    }

    /// Answers warnings.
    pub async fn update(&self, container: &str, change: &UpdateRequest) -> Result<Vec<String>> {
        let target = Self::on(container, "update")?;
        let answer: UpdateResponse = self.http.json(Method::POST, target, json_body(change)?).await?;
        Ok(answer.warnings)
    }

    /// What it uses: a sample a second until it is removed, or one, which takes a second.
    pub async fn stats(&self, container: &str, stream: bool) -> Result<JsonStream<StatsResponse>> {
        let target = Self::on(container, "stats")?.arg("stream", if stream { "1" } else { "0" });
        Ok(self.http.stream(Method::GET, target, no_body()).await?.json())
    }

    /// Answers the exec's id.
    pub async fn exec(&self, container: &str, request: &ExecCreateRequest) -> Result<String> {
        let body = json_body(request)?;
        let answer: IdResponse = self.http.json(Method::POST, Self::on(container, "exec")?, body).await?;
        Ok(answer.id)
    }
}

/// A container's name as a path segment. Nothing would name the collection.
fn name(container: &str) -> Result<String> {
    match container.trim() {
        "" => Err(Error::Nameless { kind: "container" }),
        name => Ok(escape(name)),
    }
}

impl Stop<'_> {
    fn put(&self, target: Target) -> Target {
        let timeout = self.timeout_s.map(|s| s.to_string()).unwrap_or_default();
        target.arg_if("signal", self.signal).arg_if("t", &timeout)
    }
}
