//! [`Observed`] and [`ObservedStream`]: the rows of an engine's own iterator type, with the call
//! that reads them inside. The counting is in `stream`, which annotations use too.

use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::by_hand::RunningCall;
use crate::outcome::{ErrorInfo, ErrorType};
use crate::stream::Counted;

/// Returns the error of an item.
type ErrorOf<T> = fn(&T) -> Option<ErrorInfo>;

/// An iterator of rows with the call that reads them, for the iterator types of an engine.
///
/// Each step runs inside the call. The call ends when the iterator is exhausted or dropped, with the
/// number of rows that were read. An item that is an error marks it as failed and is not counted.
///
/// # Examples
/// ```
/// use percolate_otel::{Observed, db_site, operation};
///
/// db_site!(static SCAN = "scan", system = "shelf");
///
/// type Row = Result<u64, std::io::Error>;
///
/// /// The iterator type of the engine.
/// pub struct Range {
///     rows: Observed<std::vec::IntoIter<Row>>,
/// }
///
/// impl Iterator for Range {
///     type Item = Row;
///
///     fn next(&mut self) -> Option<Row> {
///         self.rows.next()
///     }
/// }
///
/// pub fn range(table: &str) -> Range {
///     let call = operation(SCAN).collection(table).start_cursor();
///     Range { rows: Observed::new(call, vec![Ok(1), Ok(2)].into_iter()) }
/// }
/// assert_eq!(range("articles").count(), 2);
/// ```
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are read"]
pub struct Observed<I: Iterator>(Counted<I, ErrorOf<I::Item>>);

impl<I, T, E> Observed<I>
where
    I: Iterator<Item = Result<T, E>>,
    E: ErrorType,
{
    /// Reads rows that can fail with an error that has a name.
    pub fn new(call: RunningCall, rows: I) -> Self {
        Self::with_errors(call, rows, |item| item.as_ref().err().map(ErrorInfo::of))
    }
}

impl<I: Iterator> Observed<I> {
    /// Reads rows that cannot fail.
    pub fn infallible(call: RunningCall, rows: I) -> Self {
        Self::with_errors(call, rows, |_| None)
    }

    /// Reads rows whose errors `error` recognises, for example with
    /// [`error_info!`](crate::error_info).
    pub fn with_errors(
        call: RunningCall,
        rows: I,
        error: fn(&I::Item) -> Option<ErrorInfo>,
    ) -> Self {
        Self(Counted::iterator(call.into_call(), rows, error))
    }

    /// Returns the engine's iterator.
    pub fn inner(&self) -> &I {
        self.0.rows()
    }

    /// Returns the engine's iterator, for example to seek. Rows that are read from it are not
    /// counted.
    pub fn inner_mut(&mut self) -> &mut I {
        self.0.rows_mut()
    }
}

impl<I: Iterator> Iterator for Observed<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: DoubleEndedIterator> DoubleEndedIterator for Observed<I> {
    fn next_back(&mut self) -> Option<I::Item> {
        self.0.next_back()
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Observed<I> {
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<I: FusedIterator> FusedIterator for Observed<I> {}

pin_project_lite::pin_project! {
    /// A stream of rows with the call that reads them: the asynchronous form of [`Observed`].
    #[derive(Debug)]
    #[must_use = "streams do nothing unless they are polled"]
    pub struct ObservedStream<S: Stream> {
        #[pin]
        counted: Counted<S, ErrorOf<S::Item>>,
    }
}

impl<S, T, E> ObservedStream<S>
where
    S: Stream<Item = Result<T, E>>,
    E: ErrorType,
{
    /// Reads rows that can fail with an error that has a name.
    pub fn new(call: RunningCall, rows: S) -> Self {
        Self::with_errors(call, rows, |item| item.as_ref().err().map(ErrorInfo::of))
    }
}

impl<S: Stream> ObservedStream<S> {
    /// Reads rows that cannot fail.
    pub fn infallible(call: RunningCall, rows: S) -> Self {
        Self::with_errors(call, rows, |_| None)
    }

    /// Reads rows whose errors `error` recognises.
    pub fn with_errors(
        call: RunningCall,
        rows: S,
        error: fn(&S::Item) -> Option<ErrorInfo>,
    ) -> Self {
        Self {
            counted: Counted::stream(call.into_call(), rows, error),
        }
    }
}

impl<S: Stream> Stream for ObservedStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.project().counted.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.counted.size_hint()
    }
}
