//! Reading a return value: rows, error type, job status. A value says what it is through [`Rows`], [`ErrorType`]
//! and [`JobOutcome`]; a type that implements none of them records nothing and compiles all the same.
//!
//! The result of the reading is an [`Outcome`], the only thing the end of a call needs to know of the value. It
//! never holds an error's message or a row: what is read here is counts and low-cardinality names.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use super::conventions::JobStatus;
use super::conventions::value::ERROR_TYPE_OTHER;

/// How one annotated call ended, as read from the value it returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `db.response.returned_rows`.
    pub returned_rows: Option<i64>,
    /// `db.response.affected_rows`.
    pub affected_rows: Option<i64>,
    /// `db.operation.batch.size` or `job.batch_size`, where it is only known from the value.
    pub batch_size: Option<i64>,
    /// The failure, if the call failed.
    pub error: Option<ErrorInfo>,
    /// How a job ended that returned no error.
    pub status: JobStatus,
}

impl Outcome {
    /// The outcome of a call of which nothing more is known than that it did not fail.
    pub const fn success() -> Self {
        Self {
            returned_rows: None,
            affected_rows: None,
            batch_size: None,
            error: None,
            status: JobStatus::Success,
        }
    }

    /// The outcome of a call that failed.
    pub fn failed(error: ErrorInfo) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// What telemetry says about a failure: never its message, which may hold data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorInfo {
    /// `error.type`: a low-cardinality name.
    pub error_type: Cow<'static, str>,
    /// `db.response.status_code`: the code the database gave, if there is one.
    pub status_code: Option<Cow<'static, str>>,
}

impl ErrorInfo {
    /// A failure of this type, without a code of the database.
    pub fn new(error_type: impl Into<Cow<'static, str>>) -> Self {
        Self {
            error_type: error_type.into(),
            status_code: None,
        }
    }

    /// A failure of which nothing low-cardinality is known: `_OTHER`.
    pub fn other() -> Self {
        Self::new(ERROR_TYPE_OTHER)
    }

    /// Reads what an error says of itself.
    pub fn of<E: ErrorType + ?Sized>(error: &E) -> Self {
        Self {
            error_type: error.error_type(),
            status_code: error.status_code(),
        }
    }

    /// Looks through an error and its sources for a known cause: the outermost error that is registered with
    /// [`register_error_type`], which knows what lies below it; without one the deepest that is an [`io::Error`] or a parsing
    /// error of the standard library. `None` if there is neither.
    pub fn from_chain(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut found = None;
        let mut current = Some(error);
        // A chain that loops would hold the caller forever; no honest chain is longer than this.
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

/// An error that names its own kind.
///
/// The name is exported as `error.type` on spans and metrics, so it must come from a small fixed set: a variant's
/// name, a status code, never text with ids or paths in it.
///
/// An error type without this trait is named all the same: an error that wraps others (`anyhow::Error`,
/// `Box<dyn Error>`) by the deepest known cause, another one by its type.
///
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
    /// The low-cardinality name recorded as `error.type`.
    fn error_type(&self) -> Cow<'static, str>;

    /// The database's own code, recorded as `db.response.status_code`.
    fn status_code(&self) -> Option<Cow<'static, str>> {
        None
    }
}

/// Named by its [`io::ErrorKind`], such as `NotFound`, or by the cause it carries if that is known.
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

/// A value that knows how many rows it holds; read from what a `#[db_op]` function returns when its annotation has
/// no `rows` key, and recorded as `db.response.returned_rows`.
///
/// | Value | Rows |
/// |---|---|
/// | `Option<T>` | 0 or 1, whatever `T` is |
/// | `Vec<T>`, `[T]`, `[T; N]`, `VecDeque`, `LinkedList`, `BinaryHeap`, maps and sets | their length |
/// | bytes: `Vec<u8>`, `[u8]`, `[u8; N]` | 1: a value, not a collection of rows |
/// | `Result<T, E>` | those of `T`; unknown for `Err` |
/// | a tuple of two to four | those of its first element |
/// | `&T`, `&mut T`, `Box<T>`, `Rc<T>`, `Arc<T>`, `Pin<P>`, `Cow<T>` | those of `T` |
///
/// Implement it for your own page or result-set type; a type without it records nothing and compiles all the same.
///
/// ```
/// use percolate_otel::Rows;
///
/// struct Page { rows: Vec<String>, next: Option<u64> }
///
/// impl Rows for Page {
///     fn rows(&self) -> Option<usize> {
///         Some(self.rows.len())
///     }
/// }
/// assert_eq!(Page { rows: vec!["a".into()], next: None }.rows(), Some(1));
/// ```
pub trait Rows {
    /// The number of rows, `None` where it is unknown.
    fn rows(&self) -> Option<usize>;
}

impl<T> Rows for Option<T> {
    fn rows(&self) -> Option<usize> {
        Some(usize::from(self.is_some()))
    }
}

impl<T: Rows, E> Rows for Result<T, E> {
    fn rows(&self) -> Option<usize> {
        self.as_ref().ok().and_then(Rows::rows)
    }
}

impl<T> Rows for [T] {
    fn rows(&self) -> Option<usize> {
        Some(if is_byte::<T>() { 1 } else { self.len() })
    }
}

impl<T, const N: usize> Rows for [T; N] {
    fn rows(&self) -> Option<usize> {
        self.as_slice().rows()
    }
}

impl<T> Rows for Vec<T> {
    fn rows(&self) -> Option<usize> {
        self.as_slice().rows()
    }
}

macro_rules! rows_by_len {
    ($([$($generics:tt)*] $collection:ty),* $(,)?) => {$(
        impl<$($generics)*> Rows for $collection {
            fn rows(&self) -> Option<usize> {
                Some(self.len())
            }
        }
    )*};
}
rows_by_len! {
    [T] VecDeque<T>, [T] LinkedList<T>, [T] BinaryHeap<T>,
    [K, V, S] HashMap<K, V, S>, [T, S] HashSet<T, S>, [K, V] BTreeMap<K, V>, [T] BTreeSet<T>,
}

macro_rules! rows_of_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: Rows + ?Sized> Rows for $pointer {
            fn rows(&self) -> Option<usize> {
                (**self).rows()
            }
        }
    )*};
}
rows_of_pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: Rows + ToOwned + ?Sized> Rows for Cow<'_, T> {
    fn rows(&self) -> Option<usize> {
        (**self).rows()
    }
}

impl<P: std::ops::Deref<Target: Rows>> Rows for Pin<P> {
    fn rows(&self) -> Option<usize> {
        (**self).rows()
    }
}

macro_rules! rows_of_tuples {
    ($(($($rest:ident),+))*) => {$(
        impl<First: Rows, $($rest),+> Rows for (First, $($rest),+) {
            fn rows(&self) -> Option<usize> {
                self.0.rows()
            }
        }
    )*};
}
rows_of_tuples!((B)(B, C)(B, C, D));

/// The result of a job that can end without an error and still not be a full success.
///
/// ```
/// use percolate_otel::{JobOutcome, JobStatus};
///
/// struct Report { embedded: usize, refused: usize }
///
/// impl JobOutcome for Report {
///     fn job_status(&self) -> JobStatus {
///         if self.refused > 0 { JobStatus::Partial } else { JobStatus::Success }
///     }
/// }
/// ```
pub trait JobOutcome {
    /// Returns how the job ended. `Partial` and `Cancelled` are not failures: the span has no error.
    fn job_status(&self) -> JobStatus;
}

macro_rules! job_outcome_of_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: JobOutcome + ?Sized> JobOutcome for $pointer {
            fn job_status(&self) -> JobStatus {
                (**self).job_status()
            }
        }
    )*};
}
job_outcome_of_pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: JobOutcome> JobOutcome for Option<T> {
    fn job_status(&self) -> JobStatus {
        self.as_ref()
            .map_or(JobStatus::Success, JobOutcome::job_status)
    }
}

/// Makes errors of type `E` known by name wherever they are the cause inside an `anyhow::Error`, a
/// `Box<dyn Error>` or another error that wraps them. Call it once, at start; a second call for `E` changes nothing.
pub fn register_error_type<E: Error + ErrorType + 'static>() {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let read: ReadCause = |error| error.downcast_ref::<E>().map(ErrorInfo::of);
    if !registered.iter().any(|(name, _)| *name == type_name::<E>()) {
        registered.push((type_name::<E>(), read));
    }
}

type ReadCause = fn(&(dyn Error + 'static)) -> Option<ErrorInfo>;

/// Consulted for failed calls only.
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

/// An `io::Error` is often a coat for another error; that one has the better name.
fn io_error(error: &io::Error) -> ErrorInfo {
    let inner: Option<&(dyn Error + 'static)> = match error.get_ref() {
        Some(inner) => Some(inner),
        None => None,
    };
    inner
        .and_then(ErrorInfo::from_chain)
        .unwrap_or_else(|| ErrorInfo::of(&error.kind()))
}

/// `Vec<u8>` is a value. There is no specialisation, and no `TypeId` for types that borrow; the name is a constant
/// and the comparison is folded away.
fn is_byte<T>() -> bool {
    size_of::<T>() == 1 && type_name::<T>() == "u8"
}

/// A type's path without its generic arguments, if it says anything about an error: `my_store::WriteError`, also of one
/// behind a pointer, but nothing for `String`, `()` or a slice.
fn error_type_by_name<E: ?Sized>() -> Option<&'static str> {
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

/// The expansion's way into this module: method calls, of names that no trait of a user has, that pick the best reading a type allows, by autoref: the
/// candidate that matches the receiver with the fewest dereferences wins, so the first choice has the most references.
#[doc(hidden)]
pub mod probe {
    use super::{
        Error, ErrorInfo, ErrorType, Infallible, JobOutcome, JobStatus, Rows, error_type_by_name,
        type_name,
    };

    /// What the function returned.
    #[derive(Debug)]
    pub struct Returned<'a, T>(pub &'a T);
    /// The value of a call that did not fail.
    #[derive(Debug)]
    pub struct Success<'a, T>(pub &'a T);
    /// The error of a call that failed.
    #[derive(Debug)]
    pub struct Failure<'a, E>(pub &'a E);

    impl<'a, T, E> Returned<'a, Result<T, E>> {
        /// A `Result` of any name is a success or a failure.
        pub fn __percolate_split(&self) -> Result<Success<'a, T>, Failure<'a, E>> {
            match self.0 {
                Ok(value) => Ok(Success(value)),
                Err(error) => Err(Failure(error)),
            }
        }
    }

    /// Anything else is a success.
    pub trait SplitOther<'a, T> {
        /// See the trait.
        fn __percolate_split(&self) -> Result<Success<'a, T>, Failure<'a, Infallible>>;
    }
    impl<'a, T> SplitOther<'a, T> for Returned<'a, T> {
        fn __percolate_split(&self) -> Result<Success<'a, T>, Failure<'a, Infallible>> {
            Ok(Success(self.0))
        }
    }

    /// `(&success).__percolate_rows()`: from [`Rows`].
    pub trait RowsKnown {
        /// See the trait.
        fn __percolate_rows(&self) -> Option<i64>;
    }
    impl<T: Rows> RowsKnown for Success<'_, T> {
        fn __percolate_rows(&self) -> Option<i64> {
            self.0.rows().and_then(|rows| i64::try_from(rows).ok())
        }
    }
    /// `(&success).__percolate_rows()`: unknown.
    pub trait RowsUnknown {
        /// See the trait.
        fn __percolate_rows(&self) -> Option<i64>;
    }
    impl<T> RowsUnknown for &Success<'_, T> {
        fn __percolate_rows(&self) -> Option<i64> {
            None
        }
    }

    /// `(&success).__percolate_status()`: from [`JobOutcome`].
    pub trait StatusKnown {
        /// See the trait.
        fn __percolate_status(&self) -> JobStatus;
    }
    impl<T: JobOutcome> StatusKnown for Success<'_, T> {
        fn __percolate_status(&self) -> JobStatus {
            self.0.job_status()
        }
    }
    /// The same for other types: success.
    pub trait StatusUnknown {
        /// See the trait.
        fn __percolate_status(&self) -> JobStatus;
    }
    impl<T> StatusUnknown for &Success<'_, T> {
        fn __percolate_status(&self) -> JobStatus {
            JobStatus::Success
        }
    }

    /// `(&&&&&failure).__percolate_info()`, first choice: the error names itself.
    pub trait InfoNamed {
        /// See the trait.
        fn __percolate_info(&self) -> ErrorInfo;
    }
    impl<E: ErrorType> InfoNamed for &&&&Failure<'_, E> {
        fn __percolate_info(&self) -> ErrorInfo {
            ErrorInfo::of(self.0)
        }
    }
    /// Second choice: it wraps another one, as `anyhow::Error` and `Box<dyn Error + Send + Sync>` do.
    pub trait InfoWrapped {
        /// See the trait.
        fn __percolate_info(&self) -> ErrorInfo;
    }
    impl<E: AsRef<dyn Error + Send + Sync>> InfoWrapped for &&&Failure<'_, E> {
        fn __percolate_info(&self) -> ErrorInfo {
            let error: &(dyn Error + 'static) = self.0.as_ref();
            ErrorInfo::from_chain(error).unwrap_or_else(ErrorInfo::other)
        }
    }
    /// Third choice: `Box<dyn Error>`.
    pub trait InfoBoxed {
        /// See the trait.
        fn __percolate_info(&self) -> ErrorInfo;
    }
    impl<E: AsRef<dyn Error>> InfoBoxed for &&Failure<'_, E> {
        fn __percolate_info(&self) -> ErrorInfo {
            let error: &(dyn Error + 'static) = self.0.as_ref();
            ErrorInfo::from_chain(error).unwrap_or_else(ErrorInfo::other)
        }
    }
    /// Fourth choice: the type's name, the standard library's included.
    pub trait InfoError {
        /// See the trait.
        fn __percolate_info(&self) -> ErrorInfo;
    }
    impl<E: Error> InfoError for &Failure<'_, E> {
        fn __percolate_info(&self) -> ErrorInfo {
            match error_type_by_name::<E>() {
                Some(name) => ErrorInfo::new(name),
                None if type_name::<E>().starts_with("alloc::string::") => {
                    ErrorInfo::new(type_name::<E>())
                }
                None => ErrorInfo::other(),
            }
        }
    }
    /// Last: a type that is not even an error is named only if the name is its own.
    pub trait InfoOther {
        /// See the trait.
        fn __percolate_info(&self) -> ErrorInfo;
    }
    impl<E> InfoOther for Failure<'_, E> {
        fn __percolate_info(&self) -> ErrorInfo {
            match error_type_by_name::<E>() {
                Some(name) if !name.starts_with("core::") && !name.starts_with("std::") => {
                    ErrorInfo::new(name)
                }
                _ => ErrorInfo::other(),
            }
        }
    }

    /// A number that counts rows or items, as an expression or closure of an annotation gives it.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` does not count rows or items",
        label = "expected an integer, or an `Option` of one",
        note = "write for instance `rows = |out| out.len()` or `batch_size = self.len()`"
    )]
    pub trait Count {
        /// The count, `None` where it is unknown.
        fn count(&self) -> Option<i64>;
    }
    macro_rules! count_of_integers {
        ($($integer:ty),*) => {$(
            impl Count for $integer {
                fn count(&self) -> Option<i64> {
                    #[expect(clippy::allow_attributes, reason = "true of some of the integers only")]
                    #[allow(clippy::useless_conversion, reason = "true of some of the integers only")]
                    i64::try_from(*self).ok()
                }
            }
        )*};
    }
    count_of_integers!(
        u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize
    );
    impl<C: Count> Count for Option<C> {
        fn count(&self) -> Option<i64> {
            self.as_ref().and_then(Count::count)
        }
    }
    impl<C: Count + ?Sized> Count for &C {
        fn count(&self) -> Option<i64> {
            (**self).count()
        }
    }

    /// What `rows = |out| …` says of a success.
    pub fn counted<T, C: Count>(
        success: &Success<'_, T>,
        count: impl FnOnce(&T) -> C,
    ) -> Option<i64> {
        count(success.0).count()
    }

    /// What `error_type = path` says of a failure.
    pub fn named<E, N: Into<std::borrow::Cow<'static, str>>>(
        failure: &Failure<'_, E>,
        name: impl FnOnce(&E) -> N,
    ) -> ErrorInfo {
        ErrorInfo::new(name(failure.0))
    }

    /// The traits alone, so that a glob import names nothing.
    pub mod traits {
        pub use super::{
            InfoBoxed as _, InfoError as _, InfoNamed as _, InfoOther as _, InfoWrapped as _,
            RowsKnown as _, RowsUnknown as _, SplitOther as _, StatusKnown as _,
            StatusUnknown as _,
        };
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_borrow,
    reason = "the number of references is what picks the reading"
)]
mod tests {
    use super::probe::traits::*;
    use super::probe::{Returned, Success};
    use super::*;

    /// What the expansion does with a value.
    macro_rules! info {
        ($value:expr) => {
            match Returned(&$value).__percolate_split() {
                Ok(_) => None,
                Err(failure) => Some((&&&&&failure).__percolate_info().error_type.into_owned()),
            }
        };
    }
    macro_rules! rows {
        ($value:expr) => {
            match Returned(&$value).__percolate_split() {
                Ok(success) => (&success).__percolate_rows(),
                Err(_) => Some(-1),
            }
        };
    }

    #[derive(Debug)]
    struct Plain;
    impl std::fmt::Display for Plain {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("secret")
        }
    }
    impl Error for Plain {}

    #[derive(Debug)]
    struct Wraps(io::Error);
    impl std::fmt::Display for Wraps {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("secret")
        }
    }
    impl Error for Wraps {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    /// Like `anyhow::Error`: not an `Error` itself.
    struct Anyhow(Box<dyn Error + Send + Sync>);
    impl AsRef<dyn Error + Send + Sync> for Anyhow {
        fn as_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
            &*self.0
        }
    }

    fn not_found() -> io::Error {
        io::Error::from(io::ErrorKind::NotFound)
    }

    #[test]
    fn rows_come_from_the_type_and_bytes_are_one_value() {
        assert_eq!(rows!(Some("x")), Some(1));
        assert_eq!(rows!(None::<Vec<u8>>), Some(0));
        assert_eq!(rows!(Ok::<_, Plain>(vec![1, 2, 3])), Some(3));
        assert_eq!(rows!(vec![0_u8; 40]), Some(1));
        assert_eq!(rows!([[0_u8; 4]; 5]), Some(5));
        assert_eq!(rows!(Arc::new(BTreeMap::from([(1, 2)]))), Some(1));
        assert_eq!(rows!(Box::new([1_i32, 2]) as Box<[i32]>), Some(2));
        assert_eq!(rows!(Cow::Borrowed(&[1_i32, 2][..])), Some(2));
        assert_eq!(rows!((vec!["a"], Some("cursor"))), Some(1));
        assert_eq!(rows!(&Some(1)), Some(1));
    }

    #[test]
    fn a_type_without_rows_records_nothing() {
        assert_eq!(rows!(()), None);
        assert_eq!(rows!(String::from("x")), None);
        assert_eq!(rows!(Ok::<_, Plain>(Plain)), None);
    }

    #[test]
    fn a_generic_function_compiles_and_falls_back() {
        fn read<T, E>(value: &Result<T, E>) -> (Option<i64>, Option<String>) {
            let value = Returned(value).__percolate_split();
            match value {
                Ok(success) => ((&success).__percolate_rows(), None),
                Err(failure) => (
                    None,
                    Some((&&&&&failure).__percolate_info().error_type.into_owned()),
                ),
            }
        }
        assert_eq!(read::<_, Plain>(&Ok(vec![1])), (None, None));
        assert!(
            read::<(), _>(&Err(Plain))
                .1
                .is_some_and(|name| name.ends_with("::Plain"))
        );
    }

    #[test]
    fn an_error_is_named_by_what_it_says_then_by_its_cause_then_by_its_type() {
        assert_eq!(
            info!(Err::<(), _>(not_found())).as_deref(),
            Some("NotFound")
        );
        assert_eq!(
            info!(Err::<(), _>(Arc::new(not_found()))).as_deref(),
            Some("NotFound")
        );
        assert_eq!(
            info!(Err::<(), Box<dyn Error>>(Box::new(Wraps(not_found())))).as_deref(),
            Some("NotFound")
        );
        assert_eq!(
            info!(Err::<(), Box<dyn Error + Send + Sync>>(Box::new(
                not_found()
            )))
            .as_deref(),
            Some("NotFound")
        );
        assert_eq!(
            info!(Err::<(), _>(Anyhow(Box::new(Wraps(not_found()))))).as_deref(),
            Some("NotFound")
        );
        assert_eq!(
            info!(Err::<(), _>(Anyhow(Box::new(Plain)))).as_deref(),
            Some("_OTHER")
        );
        assert!(
            info!(Err::<(), _>(Plain)).is_some_and(|name| name.ends_with("outcome::tests::Plain"))
        );
        assert!(
            info!(Err::<(), _>(Arc::new(Box::new(Plain))))
                .is_some_and(|name| name.ends_with("outcome::tests::Plain"))
        );
        assert_eq!(
            info!("x".parse::<i32>()).as_deref(),
            Some("core::num::error::ParseIntError")
        );
        assert_eq!(
            info!(Err::<(), _>(String::from("user 7"))).as_deref(),
            Some("_OTHER")
        );
        assert_eq!(info!(Err::<(), _>("user 7")).as_deref(), Some("_OTHER"));
        assert_eq!(info!(Err::<(), _>(())).as_deref(), Some("_OTHER"));
        assert_eq!(
            info!(Err::<(), _>(Vec::<Plain>::new())).as_deref(),
            Some("_OTHER")
        );
        assert_eq!(info!(3), None);
    }

    #[test]
    fn an_io_error_that_carries_another_is_named_by_it() {
        let inner = io::Error::other(Wraps(not_found()));
        assert_eq!(ErrorInfo::of(&inner).error_type, "NotFound");
        assert_eq!(ErrorInfo::of(&io::Error::other("text")).error_type, "Other");
    }

    #[test]
    fn a_registered_error_is_known_inside_a_box() {
        #[derive(Debug)]
        struct Code(u8);
        impl std::fmt::Display for Code {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl Error for Code {}
        impl ErrorType for Code {
            fn error_type(&self) -> Cow<'static, str> {
                "Corruption".into()
            }
            fn status_code(&self) -> Option<Cow<'static, str>> {
                Some("2".into())
            }
        }
        register_error_type::<Code>();
        register_error_type::<Code>();
        let boxed: Box<dyn Error> = Box::new(Code(2));
        let info = ErrorInfo::from_chain(&*boxed);
        assert_eq!(
            info,
            Some(ErrorInfo {
                error_type: "Corruption".into(),
                status_code: Some("2".into())
            })
        );
    }

    #[test]
    fn an_error_that_borrows_compiles() {
        #[derive(Debug)]
        struct Borrowed<'a>(&'a str);
        impl std::fmt::Display for Borrowed<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl Error for Borrowed<'_> {}
        fn read(text: &str) -> Option<String> {
            info!(Err::<(), _>(Borrowed(text)))
        }
        let text = String::from("x");
        assert!(read(&text).is_some_and(|name| name.ends_with("::Borrowed")));
    }

    #[test]
    fn the_status_of_a_job_is_read_from_its_value_also_behind_a_pointer() {
        struct Report(JobStatus);
        impl JobOutcome for Report {
            fn job_status(&self) -> JobStatus {
                self.0
            }
        }
        for status in JobStatus::ALL {
            let boxed = Some(Box::new(Report(status)));
            assert_eq!((&Success(&boxed)).__percolate_status(), status);
        }
        assert_eq!(
            (&Success(&None::<Report>)).__percolate_status(),
            JobStatus::Success
        );
        assert_eq!((&Success(&7)).__percolate_status(), JobStatus::Success);
    }
}
