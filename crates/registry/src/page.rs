//! The web page: repositories, their tags and sizes, and how to pull them. No script, nothing from elsewhere.

use std::fmt::Write as _;

use http::header::{CONTENT_SECURITY_POLICY, HOST};
use http::{Response, StatusCode};
use oci::media_type;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::body::Body;
use crate::bytes::human;
use crate::error::Result;
use crate::handlers::{self, Call, blocking, catalog};
use crate::storage::Storage;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}\
code{background:#f3f3f3;padding:.1rem .3rem}td.number{text-align:right}";

pub(crate) async fn show(call: Call, repository: Option<String>) -> Result<Response<Body>> {
    let host = escape(call.header(HOST).unwrap_or("localhost"));
    let prefix = call.house.settings.prefix.clone();
    let html = match repository {
        None => all(&catalog::readable(&call).await?, &host, &prefix),
        Some(name) => {
            let storage = call.house.storage.clone();
            blocking(move || one(&storage, &name, &host, &prefix)).await?
        }
    };
    let mut response = handlers::bytes(StatusCode::OK, "text/html; charset=utf-8", html);
    // Our own style, and nothing else.
    let hash = data_encoding::BASE64.encode(&Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'");
    handlers::set(&mut response, CONTENT_SECURITY_POLICY, &policy);
    Ok(response)
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         </head><body>{body}</body></html>\n"
    )
}

fn all(names: &[String], host: &str, prefix: &str) -> String {
    let mut body = format!("<h1>{host}</h1>");
    if names.is_empty() {
        let _ = write!(body, "<p>Nothing was pushed yet: <code>docker push {host}/name:tag</code></p>");
    } else {
        body.push_str("<table><tr><th>Repository</th></tr>");
        for name in names {
            let _ = write!(body, "<tr><td><a href=\"{prefix}/r/{name}\">{name}</a></td></tr>");
        }
        body.push_str("</table>");
    }
    frame(host, &body)
}

fn one(storage: &Storage, name: &str, host: &str, prefix: &str) -> Result<String> {
    let mut body = format!("<p><a href=\"{prefix}/\">{host}</a></p><h1>{name}</h1><table>");
    body.push_str("<tr><th>Tag</th><th>Digest</th><th>Size</th><th>Pull</th></tr>");
    for tag in storage.tags(name)? {
        // Removed while we look.
        let Ok(digest) = storage.resolve_tag(name, &tag) else { continue };
        let size = storage.manifest(name, &digest).map_or(0, |manifest| {
            let value = serde_json::from_slice(&manifest.bytes).unwrap_or(Value::Null);
            size_of(&value, media_type::is_index(&manifest.media_type), |child| {
                let manifest = storage.manifest(name, child).ok()?;
                serde_json::from_slice(&manifest.bytes).ok()
            })
        });
        let _ = write!(
            body,
            "<tr><td>{tag}</td><td><code>{}</code></td><td class=\"number\">{}</td>\
             <td><code>docker pull {host}/{name}:{tag}</code></td></tr>",
            digest.short(),
            human(size)
        );
    }
    body.push_str("</table>");
    Ok(frame(name, &body))
}

/// Bytes of all layers; of an index, of all its images.
fn size_of(value: &Value, is_index: bool, child: impl Fn(&oci::Digest) -> Option<Value>) -> u64 {
    let layers = |value: &Value| -> u64 {
        value["layers"].as_array().into_iter().flatten().filter_map(|layer| layer["size"].as_u64()).sum()
    };
    if !is_index {
        return layers(value);
    }
    let children = value["manifests"].as_array().into_iter().flatten();
    let digests = children.filter_map(|entry| entry["digest"].as_str()?.parse().ok());
    digests.filter_map(|digest| child(&digest)).map(|value| layers(&value)).sum()
}

/// What a client says of itself is not ours.
pub(crate) fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']' | '_'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_client_becomes_markup() {
        assert_eq!(escape("a.b:5000<script>\"'&"), "a.b:5000script");
    }

    #[test]
    fn sizes() {
        let image = serde_json::json!({ "layers": [{ "size": 3 }, { "size": 4 }] });
        assert_eq!(size_of(&image, false, |_| None), 7);
        let digest = oci::Digest::of(b"");
        let index = serde_json::json!({ "manifests": [{ "digest": digest.as_str() }] });
        assert_eq!(size_of(&index, true, |_| Some(image.clone())), 7);
    }
}
