//! The engine's error class as an HTTP status: one exhaustive match, nothing else.

use engine::Class;
use http::StatusCode;

pub(crate) fn status(class: Class) -> StatusCode {
    match class {
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Conflict => StatusCode::CONFLICT,
        Class::Invalid => StatusCode::BAD_REQUEST,
        Class::NotModified => StatusCode::NOT_MODIFIED,
        Class::Unauthorized => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Cancelled | Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
