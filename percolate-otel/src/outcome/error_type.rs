//! [`ErrorType`] and [`ErrorInfo`]: the low-cardinality name of an error, and the search for a
//! known cause in its sources. The choice between the readings of a type is in `autoref`.
//!
//! The message of an error is never read: it can contain user data.

use std::any::type_name;
use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use crate::conventions::value::ERROR_TYPE_OTHER;

/// What is recorded about a failure. The error's message is not: it can contain user data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorInfo {
    /// `error.type`: a low-cardinality name.
    pub error_type: Cow<'static, str>,
    /// `db.response.status_code`: the code returned by the database, if any.
    pub status_code: Option<Cow<'static, str>>,
}

impl ErrorInfo {
    /// Creates an error of this type, without a status code.
    pub fn new(error_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            error_type: error_type.into(),
            status_code: None,
        }
    }

    /// Creates an error with the type `_OTHER`, for failures without a low-cardinality name.
    pub fn other() -> Self {
        Self::new(ERROR_TYPE_OTHER)
    }

    /// Creates an error from the type and status code that `error` returns.
    pub fn of<E: ErrorType + ?Sized>(error: &E) -> Self {
        Self {
            error_type: error.error_type(),
            status_code: error.status_code(),
        }
    }

    /// Searches an error and its sources for a known cause.
    ///
    /// Returns the outermost error whose type is registered with [`register_error_type`], else the
    /// innermost [`io::Error`] or parsing error of the standard library, else `None`.
    pub fn from_chain(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut found = None;
        let mut current = Some(error);
        // The limit ends the search if the chain of sources is a cycle.
        for _ in 0..64 {
            let Some(error) = current else { break };
            if let Some(registered) = registered_cause(error) {
                return Some(registered);
            }
            found = standard_cause(error).or(found);
            current = error.source();
        }
        found
    }
}

impl<E: ErrorType + ?Sized> From<&E> for ErrorInfo {
    fn from(error: &E) -> Self {
        Self::of(error)
    }
}

/// An error with this low-cardinality name.
impl From<&'static str> for ErrorInfo {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

/// An error with a low-cardinality name, recorded as `error.type` on spans and metrics.
///
/// The name must come from a small fixed set, such as variant names or status codes. It must not
/// contain ids, paths or other values.
///
/// Error types that do not implement this trait are named too: wrappers (`anyhow::Error`,
/// `Box<dyn Error>`) after the innermost known cause, other errors after their type.
///
/// # Examples
/// ```
/// use std::borrow::Cow;
/// use percolate_otel::ErrorType;
///
/// enum StoreError { Missing, Corrupt }
///
/// impl ErrorType for StoreError {
///     fn error_type(&self) -> Cow<'static, str> {
///         Cow::Borrowed(match self {
///             StoreError::Missing => "Missing",
///             StoreError::Corrupt => "Corrupt",
///         })
///     }
/// }
/// ```
pub trait ErrorType {
    /// Returns the low-cardinality name recorded as `error.type`.
    fn error_type(&self) -> Cow<'static, str>;

    /// Returns the database's own code, recorded as `db.response.status_code`. The default is
    /// `None`.
    fn status_code(&self) -> Option<Cow<'static, str>> {
        None
    }
}

/// The name of the inner error if that is a known cause, else of the [`io::ErrorKind`], such as
/// `NotFound`.
impl ErrorType for io::Error {
    fn error_type(&self) -> Cow<'static, str> {
        io_error(self).error_type
    }

    fn status_code(&self) -> Option<Cow<'static, str>> {
        io_error(self).status_code
    }
}

impl ErrorType for io::ErrorKind {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Owned(format!("{self:?}"))
    }
}

impl ErrorType for Infallible {
    fn error_type(&self) -> Cow<'static, str> {
        match *self {}
    }
}

macro_rules! error_type_of_pointers {
    ($($pointer:ty),*) => {$(
        impl<E: ErrorType + ?Sized> ErrorType for $pointer {
            fn error_type(&self) -> Cow<'static, str> {
                (**self).error_type()
            }

            fn status_code(&self) -> Option<Cow<'static, str>> {
                (**self).status_code()
            }
        }
    )*};
}
error_type_of_pointers!(&E, &mut E, Box<E>, Rc<E>, Arc<E>);

/// Registers the error type `E`, so that it is recognised as the cause inside an `anyhow::Error`, a
/// `Box<dyn Error>` or another error that wraps it.
///
/// Call it once at start. Further calls for the same type have no effect.
pub fn register_error_type<E: Error + ErrorType + 'static>() {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let read: ReadCause = |error| error.downcast_ref::<E>().map(ErrorInfo::of);
    if !registered.iter().any(|(name, _)| *name == type_name::<E>()) {
        registered.push((type_name::<E>(), read));
    }
}

type ReadCause = fn(&(dyn Error + 'static)) -> Option<ErrorInfo>;

/// The registered types, by name. Read only when a call failed.
static REGISTERED: RwLock<Vec<(&'static str, ReadCause)>> = RwLock::new(Vec::new());

fn registered_cause(error: &(dyn Error + 'static)) -> Option<ErrorInfo> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    registered.iter().find_map(|(_, read)| read(error))
}

fn standard_cause(error: &(dyn Error + 'static)) -> Option<ErrorInfo> {
    macro_rules! known_by_type {
        ($($cause:ty),* $(,)?) => {
            $(if error.is::<$cause>() {
                return Some(ErrorInfo::new(type_name::<$cause>()));
            })*
        };
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(io_error(error));
    }
    known_by_type!(
        std::fmt::Error,
        std::num::ParseIntError,
        std::num::ParseFloatError,
        std::num::TryFromIntError,
        std::str::ParseBoolError,
        std::str::Utf8Error,
        std::string::FromUtf8Error,
        std::sync::mpsc::RecvError,
        std::sync::mpsc::RecvTimeoutError,
        std::time::SystemTimeError,
        std::env::VarError,
    );
    None
}

/// An `io::Error` often wraps another error, whose name is more precise.
fn io_error(error: &io::Error) -> ErrorInfo {
    let inner: Option<&(dyn Error + 'static)> = match error.get_ref() {
        Some(inner) => Some(inner),
        None => None,
    };
    inner
        .and_then(ErrorInfo::from_chain)
        .unwrap_or_else(|| ErrorInfo::of(&error.kind()))
}

/// Returns the path of a type without its generic arguments, such as `my_store::WriteError`.
/// Pointers are stripped.
///
/// Returns `None` for types whose name does not describe an error: `String`, `()`, slices.
pub(super) fn error_type_by_name<E: ?Sized>() -> Option<&'static str> {
    const POINTERS: [&str; 5] = [
        "&mut ",
        "&",
        "alloc::boxed::Box<",
        "alloc::rc::Rc<",
        "alloc::sync::Arc<",
    ];
    let mut name = type_name::<E>();
    while let Some(inner) = POINTERS
        .iter()
        .find_map(|pointer| name.strip_prefix(pointer))
    {
        name = inner.trim_end_matches('>');
    }
    let path = name.split_once('<').map_or(name, |(path, _)| path);
    let is_path = path.contains("::")
        && path
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    (is_path && !path.starts_with("alloc::")).then_some(path)
}
