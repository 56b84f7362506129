//! `/containers/{id}/checkpoints`.

use crate::connection::{Http, json_body, no_body};
use crate::containers::Containers;
use crate::error::Result;
use crate::query::{Target, escape};
use api::checkpoint::{CreateRequest, Summary};
use http::Method;

/// Everything about checkpoints. `container` is an id, a prefix of one, or a name; an empty `directory` is the container's.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoints<'a> {
    pub(crate) http: &'a Http,
}

impl Checkpoints<'_> {
    fn on(container: &str) -> Result<Target> {
        Containers::on(container, "checkpoints")
    }

    pub async fn create(&self, container: &str, request: &CreateRequest) -> Result<()> {
        self.http.whole(Method::POST, Self::on(container)?, json_body(request)?).await.map(drop)
    }

    pub async fn list(&self, container: &str, directory: &str) -> Result<Vec<Summary>> {
        let target = Self::on(container)?.arg_if("dir", directory);
        self.http.json(Method::GET, target, no_body()).await
    }

    pub async fn remove(&self, container: &str, checkpoint: &str, directory: &str) -> Result<()> {
        let target = Containers::on(container, &format!("checkpoints/{}", escape(checkpoint)))?;
        self.http.whole(Method::DELETE, target.arg_if("dir", directory), no_body()).await.map(drop)
    }
}
