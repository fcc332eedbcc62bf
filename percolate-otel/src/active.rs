//! The call that `record!` on this thread adds attributes to.
//!
//! Only calls of sites with `record!` are entered here, whether they are recorded or not, so that
//! `record!` never adds to an outer call.

use std::cell::RefCell;

use crate::details::FieldValue;
use crate::site::Site;

/// A recorded call that this thread is inside of, and the values of its own attributes.
#[derive(Debug)]
pub(crate) struct ActiveCall {
    pub(crate) site: &'static Site,
    pub(crate) values: Vec<(usize, FieldValue)>,
}

thread_local! {
    static ACTIVE: RefCell<Option<Box<ActiveCall>>> = const { RefCell::new(None) };
}

/// Replaces the active call of this thread; `None` is a call that is not recorded.
pub(crate) fn replace(active: Option<Box<ActiveCall>>) -> Option<Box<ActiveCall>> {
    ACTIVE
        .try_with(|current| current.replace(active))
        .ok()
        .flatten()
}

/// Records the annotation's own attribute number `index` on the call of `site` that this thread is
/// inside of.
///
/// `value` is called only if that call is recorded.
pub fn record(site: &'static Site, index: usize, value: &mut dyn FnMut() -> FieldValue) {
    if with_active(site, |_| ()).is_none() {
        return;
    }
    // The user's code runs outside the borrow, because it may make annotated calls.
    let value = value();
    with_active(site, |active| {
        active.values.retain(|(known, _)| *known != index);
        active.values.push((index, value));
    });
}

/// Calls `f` with the call of `site` that this thread is inside of, if it is recorded.
fn with_active<T>(site: &'static Site, f: impl FnOnce(&mut ActiveCall) -> T) -> Option<T> {
    let found = ACTIVE.try_with(|active| {
        let mut active = active.try_borrow_mut().ok()?;
        let active = active.as_mut().filter(|it| std::ptr::eq(it.site, site))?;
        Some(f(active))
    });
    found.ok().flatten()
}
