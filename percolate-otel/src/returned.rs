//! The end of a call whose return type does not show whether it is a future: an alias, an
//! associated type, a type of the user. The expansion asks the value's type for its [`Plain`] or
//! boxed kind, and the kind ends the call. Return types that the macro recognises do not pass here.
//! Not public API.
//!
//! The kind is chosen by autoref, as in `outcome::autoref`.

use std::pin::Pin;

use crate::in_call::run;
use crate::operation::SyncCall;
use crate::outcome::Outcome;

/// The value that the function returned.
#[derive(Debug)]
pub struct Value<'a, V>(pub &'a V);

/// A value that is not a future.
#[derive(Debug)]
pub struct Plain;

impl Plain {
    /// Ends the call with the outcome of the value.
    #[inline]
    pub fn __percolate_end<V>(
        self,
        value: V,
        mut call: SyncCall,
        outcome: impl FnOnce(&V) -> Outcome,
    ) -> V {
        if call.is_live() {
            call.finish(outcome(&value));
        }
        value
    }
}

/// Declares the kind of one type of boxed future.
macro_rules! boxed {
    ($(#[doc = $doc:literal])+ $Kind:ident: $($marker:ident)*) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $Kind;

        impl $Kind {
            /// Returns a future that ends the call with the outcome of its value.
            pub fn __percolate_end<'a, T: 'a>(
                self,
                future: Pin<Box<dyn Future<Output = T> $(+ $marker)* + 'a>>,
                call: SyncCall,
                outcome: impl FnOnce(&T) -> Outcome $(+ $marker)* + 'a,
            ) -> Pin<Box<dyn Future<Output = T> $(+ $marker)* + 'a>> {
                if !call.is_live() {
                    return future;
                }
                let call = call.detach();
                Box::pin(async move {
                    let (call, value) = run(call, future).await;
                    call.finish(outcome(&value));
                    value
                })
            }
        }

        impl<'a, T> KindBoxed for &&Value<'_, Pin<Box<dyn Future<Output = T> $(+ $marker)* + 'a>>> {
            type Kind = $Kind;

            fn __percolate_kind(&self) -> $Kind {
                $Kind
            }
        }
    };
}

boxed! {
    /// A boxed future.
    Boxed:
}
boxed! {
    /// A boxed future that can move between threads.
    BoxedSend: Send
}
boxed! {
    /// A boxed future that threads can share.
    BoxedSync: Send Sync
}

/// First choice: a boxed future.
pub trait KindBoxed {
    /// The kind of this box.
    type Kind;

    /// See the trait.
    fn __percolate_kind(&self) -> Self::Kind;
}

/// Second choice: any other future, which cannot be replaced by one that ends the call.
pub trait KindFuture<F> {
    /// See the trait.
    fn __percolate_kind(&self) -> Plain
    where
        F: IsShownBySignature;
}
impl<F: Future> KindFuture<F> for &Value<'_, F> {
    fn __percolate_kind(&self) -> Plain
    where
        F: IsShownBySignature,
    {
        Plain
    }
}

/// Implemented for no type: the bound is the compile error for a future that is not shown.
#[diagnostic::on_unimplemented(
    message = "the annotated function returns a future of type `{Self}`, which its signature does not show",
    label = "the call would end before this future runs",
    note = "write `impl Future<Output = …>` or `Pin<Box<dyn Future<Output = …>>>` as the return type",
    note = "if the call ends when the function returns, write `future = returned` in the annotation"
)]
pub trait IsShownBySignature {}

/// Last choice: not a future.
pub trait KindPlain {
    /// See the trait.
    fn __percolate_kind(&self) -> Plain;
}
impl<V> KindPlain for Value<'_, V> {
    fn __percolate_kind(&self) -> Plain {
        Plain
    }
}

/// The traits only, so that a glob import adds no names.
pub mod traits {
    pub use super::{KindBoxed as _, KindFuture as _, KindPlain as _};
}
