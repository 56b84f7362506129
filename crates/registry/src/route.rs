//! From a path to what is meant by it. Pure: names are checked here, so that behind it a name is safe as a path.

use oci::Digest;

use crate::error::{Code, Error, Result};
use crate::name;

/// A tag, or a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(String),
    Digest(Digest),
}

/// What a request is about. `repository` is a valid name in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    Blob {
        repository: String,
        digest: Digest,
    },
    /// `blobs/uploads/`
    Uploads {
        repository: String,
    },
    Upload {
        repository: String,
        id: String,
    },
    Manifest {
        repository: String,
        reference: Reference,
    },
    Tags {
        repository: String,
    },
    Referrers {
        repository: String,
        digest: Digest,
    },
    /// `/v1/_ping` and `/_ping`
    Ping,
    /// `/v1/search`
    Search,
    /// `/token`
    Token,
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// The web page: `/`, or of one repository.
    Page {
        repository: Option<String>,
    },
}

impl Target {
    /// Under another name.
    pub(crate) fn renamed(mut self, rename: impl FnOnce(&str) -> Result<String>) -> Result<Target> {
        if let Target::Blob { repository, .. }
        | Target::Uploads { repository }
        | Target::Upload { repository, .. }
        | Target::Manifest { repository, .. }
        | Target::Tags { repository }
        | Target::Referrers { repository, .. } = &mut self
        {
            let name = rename(repository)?;
            name::check_repository(&name)?;
            *repository = name;
        }
        Ok(self)
    }

    /// The repository whose rules decide.
    pub(crate) fn repository(&self) -> Option<&str> {
        match self {
            Target::Blob { repository, .. }
            | Target::Uploads { repository }
            | Target::Upload { repository, .. }
            | Target::Manifest { repository, .. }
            | Target::Tags { repository }
            | Target::Referrers { repository, .. } => Some(repository),
            Target::Page { repository } => repository.as_deref(),
            _ => None,
        }
    }
}

/// `None`: no such page.
pub(crate) fn target(path: &str) -> Result<Option<Target>> {
    let Some(rest) = path.strip_prefix("/v2/") else {
        return Ok(match path {
            "/v2" => Some(Target::Base),
            "/" => Some(Target::Page { repository: None }),
            "/_ping" | "/v1/_ping" => Some(Target::Ping),
            "/v1/search" => Some(Target::Search),
            "/token" => Some(Target::Token),
            "/healthz" => Some(Target::Health),
            "/readyz" => Some(Target::Ready),
            "/metrics" => Some(Target::Metrics),
            _ => match path.strip_prefix("/r/") {
                Some(repository) => {
                    name::check_repository(repository)?;
                    Some(Target::Page { repository: Some(repository.to_owned()) })
                }
                None => None,
            },
        });
    };
    match rest {
        "" => return Ok(Some(Target::Base)),
        "_catalog" => return Ok(Some(Target::Catalog)),
        _ => {}
    }
    // A repository may be called like one of these words, so the last one counts.
    let repository = |name: &str| name::check_repository(name).map(|()| name.to_owned());
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Ok(Some(Target::Tags { repository: repository(name)? }));
    }
    if let Some(name) = rest.strip_suffix("/blobs/uploads").or_else(|| rest.strip_suffix("/blobs/uploads/")) {
        return Ok(Some(Target::Uploads { repository: repository(name)? }));
    }
    let Some((before, last)) = rest.rsplit_once('/') else { return Ok(None) };
    if let Some(name) = before.strip_suffix("/blobs/uploads") {
        let repository = repository(name)?;
        return match is_upload_id(last) {
            true => Ok(Some(Target::Upload { repository, id: last.to_owned() })),
            false => Err(Error::upload_unknown(last)),
        };
    }
    if let Some(name) = before.strip_suffix("/blobs") {
        return Ok(Some(Target::Blob { repository: repository(name)?, digest: digest(last)? }));
    }
    if let Some(name) = before.strip_suffix("/referrers") {
        return Ok(Some(Target::Referrers { repository: repository(name)?, digest: digest(last)? }));
    }
    if let Some(name) = before.strip_suffix("/manifests") {
        let repository = repository(name)?;
        let reference = if last.contains(':') {
            Reference::Digest(digest(last)?)
        } else if name::is_tag(last) {
            Reference::Tag(last.to_owned())
        } else {
            return Err(Error::new(Code::TagInvalid, "manifest tag did not match URI").with("tag", last));
        };
        return Ok(Some(Target::Manifest { repository, reference }));
    }
    Ok(None)
}

pub(crate) fn digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|error: oci::DigestError| {
        Error::new(Code::DigestInvalid, error.to_string()).with("digest", text)
    })
}

/// As we make them: UUIDs. Nothing else becomes a path.
fn is_upload_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Target {
        target(path).unwrap().unwrap()
    }

    #[test]
    fn paths_mean_what_the_specification_says() {
        let hex = "a".repeat(64);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let repository = || "a/b".to_owned();
        assert_eq!(of("/v2/"), Target::Base);
        assert_eq!(of("/v2/_catalog"), Target::Catalog);
        assert_eq!(of("/v2/a/b/tags/list"), Target::Tags { repository: repository() });
        assert_eq!(
            of(&format!("/v2/a/b/blobs/sha256:{hex}")),
            Target::Blob { repository: repository(), digest: digest.clone() }
        );
        assert_eq!(of("/v2/a/b/blobs/uploads/"), Target::Uploads { repository: repository() });
        assert_eq!(of("/v2/a/b/blobs/uploads"), Target::Uploads { repository: repository() });
        assert_eq!(
            of("/v2/a/b/manifests/latest"),
            Target::Manifest { repository: repository(), reference: Reference::Tag("latest".into()) }
        );
        assert_eq!(
            of(&format!("/v2/a/b/manifests/sha256:{hex}")),
            Target::Manifest { repository: repository(), reference: Reference::Digest(digest.clone()) }
        );
        assert_eq!(
            of(&format!("/v2/a/b/referrers/sha256:{hex}")),
            Target::Referrers { repository: repository(), digest }
        );
        // Repositories with such names.
        assert_eq!(
            of("/v2/manifests/tags/manifests/v1"),
            Target::Manifest { repository: "manifests/tags".into(), reference: Reference::Tag("v1".into()) }
        );
    }

    #[test]
    fn nothing_else_becomes_a_path_on_disk() {
        for (path, code) in [
            ("/v2/../etc/manifests/x", Code::NameInvalid),
            ("/v2/A/manifests/x", Code::NameInvalid),
            ("/v2//manifests/x", Code::NameInvalid),
            ("/v2/a/manifests/..", Code::TagInvalid),
            ("/v2/a/blobs/sha256:..", Code::DigestInvalid),
            ("/v2/a/blobs/uploads/..", Code::BlobUploadUnknown),
            ("/v2/a/referrers/x", Code::DigestInvalid),
        ] {
            assert_eq!(target(path).unwrap_err().code, code, "{path}");
        }
        for path in ["/v2/a", "/v3/", "/v2/a/b", "/x"] {
            assert_eq!(target(path).unwrap(), None, "{path}");
        }
    }
}
