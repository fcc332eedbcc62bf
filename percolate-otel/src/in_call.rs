//! Asynchronous calls: the body of an annotated `async fn` as a future inside its call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use crate::operation::Call;

pin_project_lite::pin_project! {
    /// The body of an asynchronous call. The call is entered for every poll, and ends as cancelled
    /// if the future is dropped before it is ready.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InCall<F> {
        #[pin]
        future: Option<F>,
        call: Option<Call>,
        // Set while the body runs. It is still set at the drop if the body panicked.
        is_running: bool,
    }

    impl<F> PinnedDrop for InCall<F> {
        fn drop(this: Pin<&mut Self>) {
            // The body's locals are dropped inside the call.
            let mut this = this.project();
            let scope = this.call.as_mut().map(Call::scope);
            this.future.set(None);
            drop(scope);
            match this.call.take() {
                Some(call) if *this.is_running => call.end_panicked(),
                Some(call) => call.end_cancelled(),
                None => {}
            }
        }
    }
}

/// Runs the body of an asynchronous call. The output has the call, to be finished with the outcome
/// of the value.
pub fn run<F: Future>(call: Call, future: F) -> InCall<F> {
    InCall {
        future: Some(future),
        call: Some(call),
        is_running: false,
    }
}

impl<F: Future> Future for InCall<F> {
    type Output = (Call, F::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (Some(call), Some(future)) = (this.call.as_mut(), this.future.as_mut().as_pin_mut())
        else {
            return Poll::Pending;
        };
        let scope = call.scope();
        *this.is_running = true;
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.future.set(None);
        }
        *this.is_running = false;
        drop(scope);
        match (polled, this.call) {
            (Poll::Ready(output), call) => match call.take() {
                Some(call) => Poll::Ready((call, output)),
                None => Poll::Pending,
            },
            (Poll::Pending, _) => Poll::Pending,
        }
    }
}
