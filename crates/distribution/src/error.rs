//! What can go wrong with a registry. Texts are Docker's, which are Go's where the network speaks.

use http::{Method, StatusCode};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    NotFound,
    /// Other credentials are needed, or some.
    Unauthorized,
    /// These credentials may not do it.
    Denied,
    /// What was asked, or what the registry has, is not what it should be.
    Invalid,
    /// The network, or a registry that has other worries.
    Unavailable,
    Unsupported,
}

#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer, or it broke off: `Get "https://h/v2/": dial tcp ...`.
    #[error("{} \"{url}\": {why}", verb(method))]
    Transport { method: Method, url: String, why: String, transient: bool },
    /// The registry said no, in its own words: code and message.
    #[error("{}", refusal(code, message))]
    Refused { status: StatusCode, code: String, message: String },
    /// An answer that is no answer of a registry.
    #[error("received unexpected HTTP status: {}", status_line(*status))]
    Status { status: StatusCode },
    #[error("error parsing HTTP {} response body: {why}: {body:?}", status.as_u16())]
    Unreadable { status: StatusCode, why: String, body: String },
    #[error("{} \"{url}\": no basic auth credentials", verb(method))]
    NoCredentials { method: Method, url: String },
    /// Another one, with what was being asked.
    #[error("{} \"{url}\": {source}", verb(method))]
    At { method: Method, url: String, source: Box<Error> },
    /// What came is not what was promised.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Unsupported(String),
    /// Nothing for this platform in an index.
    #[error("no matching manifest for {0} in the manifest list entries")]
    NoPlatform(String),
    #[error("{0}")]
    Local(String),
}

impl Error {
    pub fn class(&self) -> Class {
        match self {
            Error::At { source, .. } => source.class(),
            Error::NoPlatform(_) => Class::NotFound,
            Error::NoCredentials { .. } => Class::Unauthorized,
            Error::Refused { status, code, .. } => match (code.as_str(), status.as_u16()) {
                ("UNAUTHORIZED", _) => Class::Unauthorized,
                ("DENIED", _) => Class::Denied,
                (_, 404) => Class::NotFound,
                (_, 401) => Class::Unauthorized,
                (_, 403) => Class::Denied,
                (_, 429 | 500..) => Class::Unavailable,
                _ => Class::Invalid,
            },
            Error::Status { status } | Error::Unreadable { status, .. } => match status.as_u16() {
                404 => Class::NotFound,
                401 => Class::Unauthorized,
                403 => Class::Denied,
                _ => Class::Unavailable,
            },
            Error::Transport { .. } | Error::Local(_) => Class::Unavailable,
            Error::Invalid(_) => Class::Invalid,
            Error::Unsupported(_) => Class::Unsupported,
        }
    }

    /// The registry's own code (`MANIFEST_UNKNOWN`), or nothing.
    pub fn code(&self) -> &str {
        match self {
            Error::Refused { code, .. } => code,
            _ => "",
        }
    }

    /// Could it go better the next time?
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Error::Transport { transient, .. } => *transient,
            Error::Refused { status, .. } | Error::Status { status } | Error::Unreadable { status, .. } => {
                is_transient(*status)
            }
            _ => false,
        }
    }

    /// From an answer that is a refusal: its JSON, if it is a registry's.
    pub(crate) fn of(status: StatusCode, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Document {
            #[serde(default)]
            errors: Vec<One>,
            // Token servers and some proxies have other shapes.
            #[serde(default)]
            details: Option<String>,
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            error: Option<serde_json::Value>,
        }
        #[derive(serde::Deserialize)]
        struct One {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let default_code = match status.as_u16() {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            404 => "NOT_FOUND",
            429 => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        if body.trim_ascii().is_empty() {
            return match status.as_u16() {
                401 => Self::refused(status, "UNAUTHORIZED", "authentication required"),
                403 => Self::refused(status, "DENIED", "requested access to the resource is denied"),
                429 => Self::refused(status, "TOOMANYREQUESTS", "too many requests"),
                _ => Self::Status { status },
            };
        }
        match serde_json::from_slice::<Document>(body) {
            Ok(Document { errors, details, message, error }) => {
                if let Some(first) = errors.into_iter().next() {
                    return Self::refused(status, &first.code, &first.message);
                }
                let error = error.and_then(|error| error.as_str().map(str::to_owned));
                match details.or(message).or(error) {
                    Some(text) => Self::refused(status, default_code, &text),
                    None if status.is_server_error() => Self::Status { status },
                    None if status.as_u16() == 401 => Self::of(status, b""),
                    None => Self::unreadable(status, body, "no error details found in HTTP response body"),
                }
            }
            Err(_) if status.is_server_error() => Self::Status { status },
            Err(_) if status.as_u16() == 429 => Self::refused(status, default_code, "too many requests"),
            Err(_) if status.as_u16() == 401 => Self::of(status, b""),
            Err(error) if error.is_syntax() => {
                let first = String::from_utf8_lossy(body).chars().next().unwrap_or(' ');
                let why = format!("invalid character '{first}' looking for beginning of value");
                Self::unreadable(status, body, &why)
            }
            Err(error) => Self::unreadable(status, body, &error.to_string()),
        }
    }

    /// With so much of the answer that one sees who has spoken.
    fn unreadable(status: StatusCode, body: &[u8], why: &str) -> Self {
        let body = String::from_utf8_lossy(body).chars().take(256).collect();
        Self::Unreadable { status, why: why.to_owned(), body }
    }

    fn refused(status: StatusCode, code: &str, message: &str) -> Self {
        Self::Refused { status, code: code.to_owned(), message: message.to_owned() }
    }
}

/// Statuses behind which there is trouble that may pass.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// `manifest unknown: manifest unknown`.
fn refusal(code: &str, message: &str) -> String {
    format!("{}: {message}", code.to_ascii_lowercase().replace('_', " "))
}

fn status_line(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

/// Go's spelling of a method in errors: `Get`.
fn verb(method: &Method) -> String {
    let text = method.as_str();
    format!("{}{}", &text[..1], text[1..].to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_and_spelled_as_docker_does() {
        let of = |status: u16, body: &str| Error::of(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let unknown =
            of(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#);
        assert_eq!(unknown.to_string(), "manifest unknown: manifest unknown");
        assert_eq!((unknown.class(), unknown.code()), (Class::NotFound, "MANIFEST_UNKNOWN"));
        let denied = of(
            403,
            r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
        );
        assert_eq!(denied.class(), Class::Denied);
        assert_eq!(of(401, "").to_string(), "unauthorized: authentication required");
        assert_eq!(
            of(401, r#"{"details":"incorrect username or password"}"#).to_string(),
            "unauthorized: incorrect username or password"
        );
        assert_eq!(
            of(500, "<html>").to_string(),
            "received unexpected HTTP status: 500 Internal Server Error"
        );
        assert!(of(503, "").is_transient() && of(429, "x").is_transient() && !unknown.is_transient());
        // A gateway's pages are not for who asks for an image.
        for body in ["{}", "<html>"] {
            assert_eq!(of(401, body).to_string(), "unauthorized: authentication required");
        }
        assert_eq!(
            of(403, "{}").to_string(),
            "error parsing HTTP 403 response body: no error details found in HTTP response body: \"{}\""
        );
        assert_eq!(
            of(404, "<html>").to_string(),
            "error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: \"<html>\""
        );
    }
}
