//! The functions that expansions call to read a return value. Not public API.
//!
//! They pick the best reading that a type allows by autoref: of several method candidates the one
//! that matches the receiver with the fewest dereferences wins, so the first choice has the most
//! references. The method names have a prefix that no trait of a user has.

use std::any::type_name;
use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;

use super::error_type::error_type_by_name;
use super::{ErrorInfo, ErrorType, JobOutcome, Rows};
use crate::conventions::JobStatus;

/// The value that the function returned.
#[derive(Debug)]
pub struct Returned<'a, T>(pub &'a T);
/// The value of a call that did not fail.
#[derive(Debug)]
pub struct Success<'a, T>(pub &'a T);
/// The error of a call that failed.
#[derive(Debug)]
pub struct Failure<'a, E>(pub &'a E);

impl<'a, T, E> Returned<'a, Result<T, E>> {
    /// Splits a `Result` into success and failure.
    pub fn __percolate_split(&self) -> Result<Success<'a, T>, Failure<'a, E>> {
        match self.0 {
            Ok(value) => Ok(Success(value)),
            Err(error) => Err(Failure(error)),
        }
    }
}

impl<'a, T, E> Returned<'a, Option<Result<T, E>>> {
    /// Splits an optional `Result`, as iterators return it, into success and failure.
    pub fn __percolate_split(&self) -> Result<Success<'a, Option<Result<T, E>>>, Failure<'a, E>> {
        match self.0 {
            Some(Err(error)) => Err(Failure(error)),
            value => Ok(Success(value)),
        }
    }
}

/// Any other type: a success.
pub trait SplitOther<'a, T> {
    /// See the trait.
    fn __percolate_split(&self) -> Result<Success<'a, T>, Failure<'a, Infallible>>;
}
impl<'a, T> SplitOther<'a, T> for Returned<'a, T> {
    fn __percolate_split(&self) -> Result<Success<'a, T>, Failure<'a, Infallible>> {
        Ok(Success(self.0))
    }
}

/// `(&success).__percolate_rows()` for types that implement [`Rows`].
pub trait RowsKnown {
    /// See the trait.
    fn __percolate_rows(&self) -> Option<i64>;
}
impl<T: Rows> RowsKnown for Success<'_, T> {
    fn __percolate_rows(&self) -> Option<i64> {
        self.0.rows().and_then(|rows| i64::try_from(rows).ok())
    }
}
/// The same for other types: `None`.
pub trait RowsUnknown {
    /// See the trait.
    fn __percolate_rows(&self) -> Option<i64>;
}
impl<T> RowsUnknown for &Success<'_, T> {
    fn __percolate_rows(&self) -> Option<i64> {
        None
    }
}

/// `(&success).__percolate_status()` for types that implement [`JobOutcome`].
pub trait StatusKnown {
    /// See the trait.
    fn __percolate_status(&self) -> JobStatus;
}
impl<T: JobOutcome> StatusKnown for Success<'_, T> {
    fn __percolate_status(&self) -> JobStatus {
        self.0.job_status()
    }
}
/// The same for other types: `JobStatus::Success`.
pub trait StatusUnknown {
    /// See the trait.
    fn __percolate_status(&self) -> JobStatus;
}
impl<T> StatusUnknown for &Success<'_, T> {
    fn __percolate_status(&self) -> JobStatus {
        JobStatus::Success
    }
}

/// `(&&&&&failure).__percolate_info()`, first choice: the type implements [`ErrorType`].
pub trait InfoNamed {
    /// See the trait.
    fn __percolate_info(&self) -> ErrorInfo;
}
impl<E: ErrorType> InfoNamed for &&&&Failure<'_, E> {
    fn __percolate_info(&self) -> ErrorInfo {
        ErrorInfo::of(self.0)
    }
}
/// Second choice: a wrapper, such as `anyhow::Error` or `Box<dyn Error + Send + Sync>`.
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
/// Fourth choice: the name of an error type, including those of the standard library.
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
/// Last choice: the name of a type that is not an error, except those of the standard library.
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

/// A number of rows or items: the result of an expression or closure in an annotation.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not count rows or items",
    label = "expected an integer, or an `Option` of one",
    note = "write for instance `rows = |out| out.len()` or `batch_size = self.len()`"
)]
pub trait Count {
    /// Returns the count, `None` if it is unknown.
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

/// Returns the count of `rows = |out| …` for a success.
pub fn counted<T, C: Count>(success: &Success<'_, T>, count: impl FnOnce(&T) -> C) -> Option<i64> {
    count(success.0).count()
}

/// Returns the error of `error_type = path` for a failure.
pub fn named<E, N: Into<Cow<'static, str>>>(
    failure: &Failure<'_, E>,
    name: impl FnOnce(&E) -> N,
) -> ErrorInfo {
    ErrorInfo::new(name(failure.0))
}

/// The traits only, so that a glob import adds no names.
pub mod traits {
    pub use super::{
        InfoBoxed as _, InfoError as _, InfoNamed as _, InfoOther as _, InfoWrapped as _,
        RowsKnown as _, RowsUnknown as _, SplitOther as _, StatusKnown as _, StatusUnknown as _,
    };
}
