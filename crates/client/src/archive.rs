//! `/containers/{id}/archive`: files in and out.

use crate::connection::no_body;
use crate::containers::Containers;
use crate::error::{Error, Result};
use crate::query::Target;
use crate::stream::ByteStream;
use crate::upload::Upload;
use api::archive::{FilesystemChange, PATH_STAT_HEADER, PathStat};
use api::exec::IdResponse;
use http::{HeaderMap, Method, Response};
use hyper::body::Incoming;

/// What a commit makes.
#[derive(Clone, Debug, Default)]
pub struct Commit<'a> {
    /// Empty: it has no name.
    pub repo: &'a str,
    pub tag: &'a str,
    pub comment: &'a str,
    pub author: &'a str,
    pub changes: &'a [String],
    pub no_pause: bool,
}

impl Containers<'_> {
    /// What is at a path.
    pub async fn stat_path(&self, container: &str, path: &str) -> Result<PathStat> {
        let target = Self::on(container, "archive")?.arg("path", path);
        let (response, _) = self.http.send(&Method::HEAD, &target, HeaderMap::new(), no_body()).await?;
        stat(&response)
    }

    /// What is at a path, and it as a tar.
    pub async fn archive(&self, container: &str, path: &str) -> Result<(PathStat, ByteStream)> {
        let target = Self::on(container, "archive")?.arg("path", path);
        let (response, _) = self.http.send(&Method::GET, &target, HeaderMap::new(), no_body()).await?;
        Ok((stat(&response)?, ByteStream::new(response)))
    }

    /// What has changed in its root file system.
    pub async fn changes(&self, container: &str) -> Result<Vec<FilesystemChange>> {
        let target = Self::on(container, "changes")?;
        let changes: Option<_> = self.http.json(Method::GET, target, no_body()).await?;
        Ok(changes.unwrap_or_default())
    }

    /// Its root file system as a tar.
    pub async fn export(&self, container: &str) -> Result<ByteStream> {
        self.http.stream(Method::GET, Self::on(container, "export")?, no_body()).await
    }

    /// An image of what has changed: its id.
    pub async fn commit(&self, container: &str, how: &Commit<'_>) -> Result<String> {
        let target = Target::new("/commit")
            .arg("container", container)
            .arg_if("repo", how.repo)
            .arg_if("tag", how.tag)
            .arg_if("comment", how.comment)
            .arg_if("author", how.author);
        let target = how.changes.iter().fold(target, |t, change| t.arg("changes", change));
        let target = if how.no_pause { target.arg("pause", "0") } else { target };
        let answer: IdResponse = self.http.json(Method::POST, target, no_body()).await?;
        Ok(answer.id)
    }

    /// Unpacks a tar, compressed or not, into a directory. No directory gives way to a file, and no file to a directory.
    /// `copy_owner`: all belongs to the container's user then.
    pub async fn extract(&self, container: &str, path: &str, copy_owner: bool, from: Upload) -> Result<()> {
        let said = |on| if on { "true" } else { "" };
        let target = Self::on(container, "archive")?
            .arg("path", path)
            .arg("noOverwriteDirNonDir", "true")
            .arg_if("copyUIDGID", said(copy_owner));
        self.http.whole(Method::PUT, target, from.body()).await.map(drop)
    }
}

fn stat(response: &Response<Incoming>) -> Result<PathStat> {
    let header = response.headers().get(PATH_STAT_HEADER).and_then(|value| value.to_str().ok());
    header.and_then(PathStat::from_header).ok_or_else(|| Error::Decode {
        what: format!("the header {PATH_STAT_HEADER}"),
        source: serde::de::Error::custom("it is missing or cannot be read"),
    })
}
