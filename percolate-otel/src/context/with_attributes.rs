//! Sets attributes of the application for all annotated calls inside. How they reach spans and
//! metrics is in `shared_attributes`.

use opentelemetry::{Context, Key, KeyValue, Value};

use super::attach::WithTraceContext;
use super::carried::Carried;
use crate::current_context::{attach, with_current};
use crate::shared_attributes::SharedAttributes;

/// Calls `work` so that the spans of all annotated calls inside have these attributes.
///
/// The attributes are a value of the current OpenTelemetry context: [`carry`](super::carry) and the
/// other helpers take them to threads, tasks and queues. Inner attributes are added to outer ones,
/// and replace those with the same key.
///
/// An attribute that the call sets itself wins: the attributes that annotated calls have by the
/// conventions, such as `db.collection.name` and `error.type`, cannot be set here, and neither can
/// those that the annotation declares. A span has at most 128 attributes with those of the call;
/// further ones are dropped, and percolate's pipeline counts them in the span's
/// `dropped_attributes_count`. (The SDK of another set-up counts what its own limits drop.) Strings are
/// cut after 4096 bytes, which the strings of an array have together, and arrays after 512 elements.
///
/// An iterator, stream or boxed future that an annotated function returns keeps the attributes of the
/// context in which the function was called, also for the calls inside.
///
/// Metrics have the attributes only if their names are listed at set-up, with
/// `TelemetryBuilder::metric_attributes` of the feature `pipeline`. Metrics of a call whose annotation
/// declares a listed name do not have it.
///
/// # Examples
/// ```
/// use percolate_otel::{db_op, with_attributes};
///
/// #[db_op(get, table, system = "shelf")]
/// fn get(table: &str) -> Option<u64> {
///     Some(7)
/// }
///
/// // The span `get users` has `tenant.id`.
/// let found = with_attributes([("tenant.id", "a")], || get("users"));
/// assert_eq!(found, Some(7));
/// ```
pub fn with_attributes<K: Into<Key>, V: Into<Value>, R>(
    attributes: impl IntoIterator<Item = (K, V)>,
    work: impl FnOnce() -> R,
) -> R {
    let _attached = attach(context_with(attributes));
    work()
}

/// The async form of [`with_attributes`]. The future also carries the current context, as with
/// [`Carry::carry`](super::Carry::carry), so it can be spawned.
///
/// # Examples
/// ```
/// use percolate_otel::with_attributes_async;
/// # async fn handle() -> u64 { 7 }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let handled = tokio::spawn(with_attributes_async([("tenant.id", "a")], handle()));
/// assert_eq!(handled.await.unwrap(), 7);
/// # });
/// ```
pub fn with_attributes_async<K: Into<Key>, V: Into<Value>, F: Future>(
    attributes: impl IntoIterator<Item = (K, V)>,
    future: F,
) -> WithTraceContext<F> {
    let carried = Carried::capture().in_context(context_with(attributes));
    WithTraceContext::carried(future, carried)
}

/// Returns the current context with further attributes.
fn context_with<K: Into<Key>, V: Into<Value>>(
    attributes: impl IntoIterator<Item = (K, V)>,
) -> Context {
    let attributes = attributes.into_iter();
    // The iterator runs before the current context is borrowed, because it may make annotated calls.
    let attributes: Vec<KeyValue> = attributes
        .map(|(key, value)| KeyValue::new(key, value))
        .collect();
    with_current(|current| {
        let outer = SharedAttributes::of(current).cloned().unwrap_or_default();
        outer.extended(attributes).on(current)
    })
}
