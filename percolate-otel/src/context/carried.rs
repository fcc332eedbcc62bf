//! [`Carried`]: the telemetry state of a thread as a value. How users carry it is in `carry`, and how
//! they attach a received one in `attach`.

use std::fmt;
use std::num::NonZeroU128;

use opentelemetry::{Context, ContextGuard};
use tracing::dispatcher::{self, DefaultGuard, Dispatch};

use super::outgoing;
use super::trace_context::TraceContext;
use crate::current_context;
use crate::runtime::{self, Runtime, ScopeGuard, UnsampledGuard};
use crate::unsampled_root::{UnsampledCall, is_in_unsampled_call};

/// The telemetry state of a thread, to be entered on another thread.
#[derive(Clone)]
pub(crate) struct Carried {
    context: Context,
    /// The current unsampled root. It has no span in the context.
    unsampled_root: Option<NonZeroU128>,
    /// The thread is inside a call below an unsampled caller.
    is_in_unsampled_call: bool,
    /// The runtime and dispatcher of a test. `None` in production, where both are global.
    scope: Option<(&'static Runtime, Dispatch)>,
}

impl Carried {
    /// Captures the state of this thread.
    pub(crate) fn capture() -> Self {
        Self {
            context: current_context::current(),
            unsampled_root: runtime::unsampled_root(),
            is_in_unsampled_call: is_in_unsampled_call(),
            scope: runtime::scoped()
                .map(|runtime| (runtime, dispatcher::get_default(Clone::clone))),
        }
    }

    /// Creates a state with `context` as remote parent. The rest is unchanged when it is entered.
    pub(crate) fn remote(context: &TraceContext) -> Self {
        Self::parent(context.to_context())
    }

    /// Creates a state from a context with a remote parent, or with none.
    pub(crate) fn parent(context: Context) -> Self {
        Self {
            context,
            unsampled_root: None,
            is_in_unsampled_call: false,
            scope: None,
        }
    }

    /// Returns this state with another context.
    pub(crate) fn in_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// Makes this state current until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered {
            _context: current_context::attach(self.context.clone()),
            _unsampled_root: runtime::enter_unsampled_root(self.unsampled_root),
            _unsampled_call: self.is_in_unsampled_call.then(UnsampledCall::enter),
            _scope: self.scope.as_ref().map(|(runtime, dispatch)| {
                (
                    runtime::scope(Some(runtime)),
                    dispatcher::set_default(dispatch),
                )
            }),
        }
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Carried")
            .field(&outgoing::of(&self.context).map(|(parent, _)| parent))
            .finish()
    }
}

/// Restores the previous state when dropped.
#[must_use]
pub(crate) struct Entered {
    _context: Option<ContextGuard>,
    _unsampled_root: UnsampledGuard,
    _unsampled_call: Option<UnsampledCall>,
    _scope: Option<(ScopeGuard, DefaultGuard)>,
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}
