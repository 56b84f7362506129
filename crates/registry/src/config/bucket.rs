//! `storage.s3`: where the bucket is, and who we are to it.

use crate::settings::Settings;
use crate::storage::BucketSettings;

use super::read::Tree;

/// The least that S3 takes as a part, and what Docker's registry takes without a word.
const CHUNK_BYTES_MIN: usize = 5 << 20;
const CHUNK_BYTES: usize = 10 << 20;

pub(super) fn read(tree: &Tree<'_>, redirect: bool) -> Result<BucketSettings, String> {
    let needed = |key: &str| {
        tree.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| tree.wrong(key, "it is missing"))
    };
    let region = needed("region")?;
    let scheme = if tree.flag("secure")? == Some(false) { "http" } else { "https" };
    let said = tree.text("regionendpoint")?.filter(|text| !text.is_empty());
    let endpoint = match &said {
        Some(said) if said.contains("://") => said.clone(),
        Some(said) => format!("{scheme}://{said}"),
        None => format!("{scheme}://s3.{region}.amazonaws.com"),
    };
    if tree.flag("v4auth")? == Some(false) {
        return Err(tree.wrong("v4auth", "there is only the fourth version"));
    }
    let chunk_bytes = tree.number("chunksize")?.unwrap_or(CHUNK_BYTES);
    if chunk_bytes < CHUNK_BYTES_MIN {
        return Err(tree.wrong("chunksize", &format!("S3 takes no part below {CHUNK_BYTES_MIN} bytes")));
    }
    let of = |key: &str, variable: &str| {
        let said = tree.text(key)?.filter(|text| !text.is_empty());
        Ok::<_, String>(said.or_else(|| std::env::var(variable).ok().filter(|text| !text.is_empty())))
    };
    let without =
        |key: &str, variable: &str| tree.wrong(key, &format!("it is missing, and {variable} is not set"));
    let encrypt = tree.flag("encrypt")?.unwrap_or(false);
    Ok(BucketSettings {
        bucket: needed("bucket")?,
        region,
        endpoint,
        path_style: tree.flag("forcepathstyle")?.unwrap_or(said.is_some()),
        access_key: of("accesskey", "AWS_ACCESS_KEY_ID")?
            .ok_or_else(|| without("accesskey", "AWS_ACCESS_KEY_ID"))?,
        secret_key: of("secretkey", "AWS_SECRET_ACCESS_KEY")?
            .ok_or_else(|| without("secretkey", "AWS_SECRET_ACCESS_KEY"))?,
        session_token: of("sessiontoken", "AWS_SESSION_TOKEN")?,
        chunk_bytes,
        root: tree.text("rootdirectory")?.unwrap_or_default().trim_matches('/').to_owned(),
        storage_class: tree.text("storageclass")?.filter(|class| !matches!(class.as_str(), "" | "NONE")),
        encrypt,
        key_id: tree.text("keyid")?.filter(|key| !key.is_empty()),
        redirect,
    })
}

/// What wants files of this machine that all processes share.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let refused = |what: &str, why: &str| Err(format!("{what}: not with storage.s3: {why}"));
    match settings.bucket {
        None => Ok(()),
        Some(_) if !settings.upstreams.is_empty() => {
            refused("proxy and wharf.upstreams", "what is fetched is read from a file while it is written")
        }
        Some(_) if !settings.quotas.is_empty() => {
            refused("wharf.quotas", "processes lock a file so that they do not count past each other")
        }
        Some(_) if !settings.notifications.endpoints.is_empty() => {
            refused("notifications.endpoints", "events wait in files")
        }
        Some(_) if settings.share.is_some() => refused("wharf.share", "blobs are shared as files"),
        Some(_) => Ok(()),
    }
}
