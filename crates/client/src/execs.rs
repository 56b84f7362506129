//! `/exec`.

use crate::connection::{Http, json_body, no_body};
use crate::error::Result;
use crate::hijack::Hijacked;
use crate::query::{Target, escape};
use api::exec::{ExecInspectResponse, ExecStartRequest};
use http::Method;

/// Everything about execs once they are created (by [`Containers::exec`](crate::Containers::exec)).
#[derive(Debug, Clone, Copy)]
pub struct Execs<'a> {
    pub(crate) http: &'a Http,
}

impl Execs<'_> {
    fn on(id: &str, verb: &str) -> Target {
        Target::new(format!("/exec/{}/{verb}", escape(id)))
    }

    /// Runs it with its streams on the connection.
    pub async fn attach(&self, id: &str, tty: bool, console_size: Option<[u32; 2]>) -> Result<Hijacked> {
        let request = ExecStartRequest { detach: false, tty, console_size };
        self.http.hijack(Self::on(id, "start"), json_body(&request)?).await
    }

    /// Connects for [`Execs::inspect`] while the command runs: whoever attached asks for its exit status in the end.
    pub async fn prepare_inspect(&self) {
        self.http.prepare().await;
    }

    /// Runs it in the background.
    pub async fn start_detached(&self, id: &str, tty: bool) -> Result<()> {
        let request = ExecStartRequest { detach: true, tty, console_size: None };
        self.http.whole(Method::POST, Self::on(id, "start"), json_body(&request)?).await.map(drop)
    }

    pub async fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        let target = Self::on(id, "resize").arg("h", &rows.to_string()).arg("w", &columns.to_string());
        self.http.whole(Method::POST, target, no_body()).await.map(drop)
    }

    pub async fn inspect(&self, id: &str) -> Result<ExecInspectResponse> {
        self.http.json(Method::GET, Self::on(id, "json"), no_body()).await
    }
}
