//! What an administrator wants of manifests, beyond what makes one.

use regex::Regex;
use serde_json::Value;

use crate::error::{Code, Error, Result};

#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// Which manifests that an index names have to be here.
    pub indexes: Indexes,
    /// Addresses of layers that are elsewhere: one of the first must match if there are any, and none of the second.
    pub urls_allowed: Vec<Regex>,
    pub urls_denied: Vec<Regex>,
    /// `image`, `plugin`, ...; empty: all.
    pub classes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Indexes {
    #[default]
    Whole,
    /// None of them.
    Sparse,
    /// Those for one of these: operating system and architecture.
    Platforms(Vec<(String, String)>),
}

impl Validation {
    /// Must this one, which an index names, be here?
    pub(crate) fn wants(&self, child: &Value) -> bool {
        match &self.indexes {
            Indexes::Whole => true,
            Indexes::Sparse => false,
            Indexes::Platforms(list) => {
                let platform = &child["platform"];
                list.iter().any(|(os, architecture)| {
                    platform["os"] == os.as_str() && platform["architecture"] == architecture.as_str()
                })
            }
        }
    }

    /// A layer that is elsewhere.
    pub(crate) fn elsewhere(&self, descriptor: &Value) -> Result<()> {
        if self.urls_allowed.is_empty() && self.urls_denied.is_empty() {
            return Ok(());
        }
        let urls = descriptor["urls"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for url in urls {
            let web = url.starts_with("https://") || url.starts_with("http://");
            let allowed = self.urls_allowed.is_empty() || self.urls_allowed.iter().any(|r| r.is_match(url));
            if !web || url.contains('#') || !allowed || self.urls_denied.iter().any(|r| r.is_match(url)) {
                let message = format!("invalid URL on layer: this registry does not allow {url}");
                return Err(Error::new(Code::ManifestInvalid, message).with("url", url));
            }
        }
        Ok(())
    }

    /// What kind of thing it is, by the media type of its config (of an index: an image).
    pub(crate) fn class(&self, manifest: &Value) -> Result<()> {
        let class = match manifest["config"]["mediaType"].as_str() {
            None
            | Some(
                "application/vnd.docker.container.image.v1+json" | "application/vnd.oci.image.config.v1+json",
            ) => "image",
            Some("application/vnd.docker.plugin.v1+json" | "application/vnd.docker.plugin.image.v1+json") => {
                "plugin"
            }
            Some(other) => other,
        };
        match self.classes.is_empty() || self.classes.iter().any(|known| known == class) {
            true => Ok(()),
            false => Err(Error::new(Code::Denied, format!("registry does not allow {class} manifest"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_administrator_wants_is_checked() {
        let validation = Validation {
            indexes: Indexes::Platforms(vec![("linux".into(), "amd64".into())]),
            urls_allowed: vec![Regex::new("^https://good/").unwrap()],
            urls_denied: vec![Regex::new("bad").unwrap()],
            classes: vec!["image".into()],
        };
        let child = |os: &str| json!({ "platform": { "os": os, "architecture": "amd64" } });
        assert!(validation.wants(&child("linux")) && !validation.wants(&child("windows")));
        for (url, good) in [
            ("https://good/x", true),
            ("https://good/bad", false),
            ("https://other/x", false),
            ("ftp://good/x", false),
            ("https://good/x#y", false),
        ] {
            assert_eq!(validation.elsewhere(&json!({ "urls": [url] })).is_ok(), good, "{url}");
        }
        let of = |kind: &str| json!({ "config": { "mediaType": kind } });
        assert!(validation.class(&of("application/vnd.oci.image.config.v1+json")).is_ok());
        let error = validation.class(&of("application/vnd.docker.plugin.v1+json")).unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            (Code::Denied, "registry does not allow plugin manifest")
        );
    }
}
