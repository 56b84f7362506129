//! What can be wrong, as the distribution specification names it ("Error Codes").

use http::StatusCode;
use serde_json::{Value, json};

/// The specification's codes, and those that Docker's registry added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationInvalid,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    Unavailable,
    Unknown,
}

impl Code {
    pub fn word(self) -> &'static str {
        match self {
            Code::BlobUnknown => "BLOB_UNKNOWN",
            Code::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Code::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Code::DigestInvalid => "DIGEST_INVALID",
            Code::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Code::ManifestInvalid => "MANIFEST_INVALID",
            Code::ManifestUnknown => "MANIFEST_UNKNOWN",
            Code::NameInvalid => "NAME_INVALID",
            Code::NameUnknown => "NAME_UNKNOWN",
            Code::PaginationInvalid => "PAGINATION_NUMBER_INVALID",
            Code::RangeInvalid => "RANGE_INVALID",
            Code::SizeInvalid => "SIZE_INVALID",
            Code::TagInvalid => "TAG_INVALID",
            Code::Unauthorized => "UNAUTHORIZED",
            Code::Denied => "DENIED",
            Code::Unsupported => "UNSUPPORTED",
            Code::Unavailable => "UNAVAILABLE",
            Code::Unknown => "UNKNOWN",
        }
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Code::BlobUnknown | Code::BlobUploadUnknown | Code::ManifestUnknown | Code::NameUnknown => {
                StatusCode::NOT_FOUND
            }
            Code::ManifestBlobUnknown
            | Code::BlobUploadInvalid
            | Code::DigestInvalid
            | Code::ManifestInvalid
            | Code::NameInvalid
            | Code::PaginationInvalid
            | Code::TagInvalid => StatusCode::BAD_REQUEST,
            Code::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::SizeInvalid => StatusCode::PAYLOAD_TOO_LARGE,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Denied => StatusCode::FORBIDDEN,
            Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refusal, with the object in its message.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: Code,
    pub message: String,
    /// What clients show beside the message: the name, the digest.
    pub detail: Value,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), detail: Value::Null }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Error {
        self.detail = json!({ key: value.into() });
        self
    }

    pub(crate) fn blob_unknown(digest: &oci::Digest) -> Error {
        Error::new(Code::BlobUnknown, "blob unknown to registry").with("digest", digest.as_str())
    }

    pub(crate) fn manifest_unknown(reference: &str) -> Error {
        Error::new(Code::ManifestUnknown, "manifest unknown").with("Tag", reference)
    }

    pub(crate) fn name_unknown(name: &str) -> Error {
        Error::new(Code::NameUnknown, "repository name not known to registry").with("name", name)
    }

    pub(crate) fn upload_unknown(id: &str) -> Error {
        Error::new(Code::BlobUploadUnknown, "blob upload unknown to registry").with("upload", id)
    }

    /// The body that the specification asks for.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "code": self.code.word(), "message": self.message });
        if !self.detail.is_null() {
            error["detail"] = self.detail.clone();
        }
        json!({ "errors": [error] })
    }
}

/// The disk's, with the file in its text.
pub(crate) fn disk(what: &str, path: &std::path::Path, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Code::Unavailable,
        _ => Code::Unknown,
    };
    Error::new(code, format!("{what} {}: {error}", path.display()))
}
