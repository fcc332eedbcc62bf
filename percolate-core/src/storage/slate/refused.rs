//! [`Refused`]: the error of a request that has the same answer however often it is sent.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use slatedb::object_store::Error;
use slatedb_common::retry::NonRetryable;

/// Why an object store refuses a request for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The credentials are wrong, or not sufficient; the file system allows no access or no writes.
    Denied,
    /// There are no credentials, neither given nor of the machine.
    NoCredentials,
    /// The bucket does not exist.
    NoBucket,
    /// The bucket is in another region than that of the options.
    OtherRegion,
    /// The file system cannot have this path: a name is too long, or a part of it is a file.
    Path,
    /// The directory of the database was removed or replaced while it was open.
    Gone,
    /// Any other reason.
    Other,
}

/// The error of a request that is refused for good. Neither SlateDB nor percolate repeats the request.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub(super) struct Refused {
    reason: Reason,
    source: Error,
}

impl Refused {
    /// Returns the error with a mark that it is refused, if it is.
    pub(super) fn marked(error: Error, reason: Option<Reason>) -> Error {
        let Some(reason) = reason else {
            return error;
        };
        let refused = Self {
            reason,
            source: error,
        };
        Error::Generic {
            store: "object store",
            source: Box::new(NonRetryable(Box::new(refused))),
        }
    }

    /// Finds the mark in an error or its sources.
    pub(super) fn find<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Self> {
        find(error)
    }

    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the error of the operating system, for a database in files.
    pub(super) fn of_system(&self) -> Option<io::Error> {
        let error: &io::Error = find(&self.source)?;
        let unclear = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "a symbolic link in it has no target; create the target"
            }
            io::ErrorKind::NotFound => "the file system does not create directories there",
            _ => "",
        };
        if !unclear.is_empty() {
            return Some(io::Error::new(error.kind(), unclear));
        }
        Some(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        })
    }
}

/// Finds an error of a type in an error or its sources.
fn find<'e, E: StdError + 'static>(mut error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    loop {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // The source of an error of input or output is that of the error in it.
        error = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref()?,
            None => error.source()?,
        };
    }
}

/// Returns whether an object is missing, which is not refused.
pub(super) fn lacks_object(error: &slatedb::Error) -> bool {
    let error = match find::<Arc<Error>>(error) {
        Some(error) => Some(&**error),
        None => find::<Error>(error),
    };
    matches!(error, Some(Error::NotFound { .. }))
}

/// Returns why a file system refuses a request for good, `None` if it may succeed later.
pub(super) fn reason_of_files(error: &Error) -> Option<Reason> {
    if !matches!(error, Error::Generic { .. }) {
        return None;
    }
    let error: &io::Error = find(error)?;
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(Reason::Denied),
        // These two are about directories; missing and existing objects have errors of their own.
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotFound
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory => Some(Reason::Path),
        io::ErrorKind::Unsupported => Some(Reason::Other),
        // The kind of a loop of symbolic links cannot be named yet.
        kind if format!("{kind:?}") == "FilesystemLoop" => Some(Reason::Path),
        _ => None,
    }
}

/// Returns why a bucket refuses a request for good, `None` if it may succeed later, or if SlateDB
/// expects this error. The client of S3 has errors of their own for only some answers; the others have
/// the status and the document in their texts. A bucket that has answered had credentials: the service
/// from which they come may be back soon.
pub(super) fn reason_of_bucket(error: &Error, has_answered: bool) -> Option<Reason> {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Some(Reason::Denied),
        // A missing object is not refused.
        Error::NotFound { source, .. } => {
            let text = source.to_string();
            has_code(&text, &["NoSuchBucket"]).then_some(Reason::NoBucket)
        }
        Error::Generic { source, .. } => {
            let text = source.to_string();
            let has_decided = status_of(&text).is_some() || !has_answered;
            if has_decided && lacks_credentials(&text) {
                return Some(Reason::NoCredentials);
            }
            reason_of_answer(&text)
        }
        _ => None,
    }
}

/// Returns why an answer of S3 is final.
fn reason_of_answer(text: &str) -> Option<Reason> {
    const REGION: &[&str] = &[
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    ];
    const CREDENTIALS: &[&str] = &["ExpiredToken", "InvalidToken", "TokenRefreshRequired"];
    // Parts of the request were lost on the way.
    const TRANSIENT: &[&str] = &["BadDigest", "IncompleteBody", "RequestTimeout"];
    if has_code(text, TRANSIENT) {
        return None;
    }
    if text.contains("redirect without LOCATION") || has_code(text, REGION) {
        return Some(Reason::OtherRegion);
    }
    if has_code(text, &["NoSuchBucket"]) {
        return Some(Reason::NoBucket);
    }
    if has_code(text, CREDENTIALS) {
        return Some(Reason::Denied);
    }
    match status_of(text)? {
        "301" => Some(Reason::OtherRegion),
        "401" | "403" => Some(Reason::Denied),
        "501" => Some(Reason::Other),
        status => is_final(status).then_some(Reason::Other),
    }
}

/// Returns the status in the text of an answer of HTTP.
fn status_of(text: &str) -> Option<&str> {
    let (_, status) = text.split_once("status code: ")?;
    status.get(..3)
}

/// Returns whether a status says that the request was wrong, and would be if it is sent again.
fn is_final(status: &str) -> bool {
    status.starts_with('4') && !["408", "425", "429"].contains(&status)
}

/// Returns whether the client of S3 has no credentials. Without given ones, it looks for those of the
/// machine, and in the file that the environment names. A machine whose service does not answer has
/// none. One whose service fails may have some later.
fn lacks_credentials(text: &str) -> bool {
    const SOURCES: &[&str] = &[
        "http://169.254.",
        "/latest/api/token in ",
        "/latest/meta-data/iam/security-credentials/",
        "Failed to read token file",
    ];
    SOURCES.iter().any(|source| text.contains(source)) && status_of(text).is_none_or(is_final)
}

/// Returns whether the document that S3 answers with has one of these codes.
fn has_code(text: &str, codes: &[&str]) -> bool {
    let code = text.split_once("<Code>").map(|(_, rest)| rest);
    let code = code.and_then(|rest| rest.split_once("</Code>"));
    code.is_some_and(|(code, _)| codes.contains(&code.trim()))
}

/// Returns whether a request may succeed if it is repeated, by the rules of SlateDB.
pub(super) fn may_pass(error: &Error) -> bool {
    slatedb_common::retry::should_retry(error)
}
