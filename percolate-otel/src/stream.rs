//! Rows that are read after the function has returned: `rows = stream`. The iterator or stream is
//! wrapped. Each step runs inside the call, which ends when the rows are read to their end or
//! dropped. A function from the expansion reads the error of an item, because only the expansion
//! has its type.

use std::iter::FusedIterator;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::operation::Call;
use super::outcome::{ErrorInfo, Outcome};

pin_project_lite::pin_project! {
    /// An iterator or stream of rows whose call ends with it.
    #[derive(Debug)]
    #[must_use = "iterators and streams do nothing unless they are read"]
    pub struct Counted<I, F> {
        // Dropped before `run`, so that dropping it counts to the call's duration.
        #[pin]
        rows: I,
        run: Run<F>,
    }
}

impl<I, F> Counted<I, F> {
    /// Counts the rows of an iterator; `failure` returns the error of an item, if it is one.
    pub fn iterator(call: impl Into<Option<Call>>, rows: I, failure: F) -> Self
    where
        I: Iterator,
        F: FnMut(&I::Item) -> Option<ErrorInfo>,
    {
        Self {
            rows,
            run: Run::new(call.into(), failure),
        }
    }

    /// Counts the rows of a stream; `failure` returns the error of an item, if it is one.
    pub fn stream(call: impl Into<Option<Call>>, rows: I, failure: F) -> Self
    where
        I: Stream,
        F: FnMut(&I::Item) -> Option<ErrorInfo>,
    {
        Self {
            rows,
            run: Run::new(call.into(), failure),
        }
    }
}

impl<I, F> Counted<I, F> {
    pub(crate) fn rows(&self) -> &I {
        &self.rows
    }

    pub(crate) fn rows_mut(&mut self) -> &mut I {
        &mut self.rows
    }
}

/// The call, and the rows and error so far.
#[derive(Debug)]
struct Run<F> {
    /// `None` after the end, and for an idle call.
    call: Option<Call>,
    /// Whether steps have to enter the call. Computed once, because there can be many rows.
    is_entered: bool,
    failure: F,
    seen: i64,
    /// Set while a step runs. It is still set at the drop if the step panicked.
    is_running: bool,
    /// The first error.
    error: Option<ErrorInfo>,
}

impl<F> Run<F> {
    fn new(call: Option<Call>, failure: F) -> Self {
        let call = call.filter(Call::is_live);
        Self {
            is_entered: call.as_ref().is_some_and(Call::changes_its_thread),
            call,
            failure,
            seen: 0,
            is_running: false,
            error: None,
        }
    }

    /// One step of the iterator or stream, inside the call.
    #[inline]
    fn inside<T>(&mut self, step: impl FnOnce() -> T) -> T {
        self.is_running = true;
        let scope = self
            .call
            .as_mut()
            .filter(|_| self.is_entered)
            .map(Call::scope);
        let stepped = step();
        drop(scope);
        self.is_running = false;
        stepped
    }

    /// Counts the item of a step; `None` is the end.
    #[inline]
    fn saw<T>(&mut self, item: Option<&T>)
    where
        F: FnMut(&T) -> Option<ErrorInfo>,
    {
        match item {
            _ if self.call.is_none() => {}
            None => self.end(),
            Some(item) => match (self.failure)(item) {
                None => self.seen += 1,
                Some(error) => {
                    self.error.get_or_insert(error);
                }
            },
        }
    }

    fn end(&mut self) {
        if let Some(call) = self.call.take() {
            let error = self.error.take();
            call.finish(Outcome {
                returned_rows: Some(self.seen),
                error,
                ..Outcome::default()
            });
        }
    }
}

impl<F> Drop for Run<F> {
    fn drop(&mut self) {
        match self.call.take_if(|_| self.is_running) {
            Some(call) => call.end_panicked(),
            None => self.end(),
        }
    }
}

impl<I: Iterator, F: FnMut(&I::Item) -> Option<ErrorInfo>> Iterator for Counted<I, F> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        let item = self.run.inside(|| self.rows.next());
        self.run.saw(item.as_ref());
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl<I: DoubleEndedIterator, F: FnMut(&I::Item) -> Option<ErrorInfo>> DoubleEndedIterator
    for Counted<I, F>
{
    fn next_back(&mut self) -> Option<I::Item> {
        let item = self.run.inside(|| self.rows.next_back());
        self.run.saw(item.as_ref());
        item
    }
}

impl<I: ExactSizeIterator, F: FnMut(&I::Item) -> Option<ErrorInfo>> ExactSizeIterator
    for Counted<I, F>
{
    fn len(&self) -> usize {
        self.rows.len()
    }
}

impl<I: FusedIterator, F: FnMut(&I::Item) -> Option<ErrorInfo>> FusedIterator for Counted<I, F> {}

impl<I: Stream, F: FnMut(&I::Item) -> Option<ErrorInfo>> Stream for Counted<I, F> {
    type Item = I::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I::Item>> {
        let this = self.project();
        let (run, rows) = (this.run, this.rows);
        let polled = run.inside(|| rows.poll_next(cx));
        if let Poll::Ready(item) = &polled {
            run.saw(item.as_ref());
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}
