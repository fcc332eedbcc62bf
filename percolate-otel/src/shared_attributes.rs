//! [`SharedAttributes`]: attributes of the application that all annotated calls in a context have on
//! their spans. How an application sets them is in `context::with_attributes`.
//!
//! They are one immutable list, a value of the OpenTelemetry `Context`, so they flow as the context
//! does. Invariant: the list has no key of the table in `attributes`, and no key twice.

use std::fmt::Debug;
use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value};

use crate::attributes::NAMES;

/// The most attributes of a context, and of a span with those of its context: the SDK's default.
pub(crate) const MAX_ATTRIBUTES: usize = 128;
/// The longest string in bytes, and the strings of an array together. Longer ones are cut.
pub(crate) const MAX_STRING: usize = 4096;
/// The most elements of an array. Longer ones are cut.
pub(crate) const MAX_ELEMENTS: usize = 512;

/// Attributes that all annotated calls in a context have on their spans.
#[derive(Debug, Clone, Default)]
pub struct SharedAttributes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    list: Vec<KeyValue>,
    /// How many attributes were dropped because there were too many.
    dropped: u32,
    /// Further attributes, which those in `list` replace.
    source: Option<Arc<dyn AttributeSource>>,
}

/// The span of a sampled call that starts now.
#[derive(Debug)]
pub struct SpanStart {
    /// The name of the span.
    pub name: String,
    /// The kind of the span.
    pub kind: SpanKind,
    /// The ids of the span.
    pub span_context: SpanContext,
    /// The ids of its parent, if it has one.
    pub parent: Option<SpanContext>,
    /// The ids of the span that it is linked to, if there is one.
    pub link: Option<SpanContext>,
    /// The attributes that are known at the start.
    pub attributes: Vec<KeyValue>,
}

/// Attributes that are decided when the first sampled call in a context starts.
pub trait AttributeSource: Debug + Send + Sync {
    /// Returns the attributes. Called at the start of each sampled call in the context, so the result
    /// is to be kept. `start` describes the span of that call.
    fn attributes(&self, start: &dyn Fn() -> SpanStart) -> SharedAttributes;
}

impl SharedAttributes {
    /// Returns the attributes of a context.
    #[inline]
    pub fn of(context: &Context) -> Option<&Self> {
        context.get::<Self>()
    }

    /// Returns `context` with these attributes.
    pub fn on(self, context: &Context) -> Context {
        context.with_value(self)
    }

    /// Returns attributes that `source` decides later.
    pub fn from_source(source: Arc<dyn AttributeSource>) -> Self {
        Self(Arc::new(Shared {
            source: Some(source),
            ..Shared::default()
        }))
    }

    /// Returns these attributes and `added`, which replace those with the same key. Attributes that
    /// annotated calls set by the conventions are left out.
    #[must_use]
    pub fn extended(&self, added: impl IntoIterator<Item = KeyValue>) -> Self {
        let mut list = self.0.list.clone();
        let mut dropped = self.0.dropped;
        for KeyValue { key, value, .. } in added {
            let name = key.as_str();
            if name.is_empty() || NAMES.contains(&name) {
                continue;
            }
            let value = shortened(value);
            if let Some(known) = list.iter_mut().find(|known| known.key == key) {
                known.value = value;
            } else if list.len() < MAX_ATTRIBUTES {
                list.push(KeyValue::new(key, value));
            } else {
                dropped = dropped.saturating_add(1);
            }
        }
        Self(Arc::new(Shared {
            list,
            dropped,
            source: self.0.source.clone(),
        }))
    }

    /// Returns a new context that has only the shared attributes of `context`.
    pub(crate) fn only(context: &Context) -> Context {
        Self::of(context).map_or_else(Context::new, |shared| shared.clone().on(&Context::new()))
    }

    /// Returns the attributes with those of the source. `start` describes the span that starts.
    #[must_use]
    pub fn resolved(&self, start: &dyn Fn() -> SpanStart) -> Self {
        let Some(source) = &self.0.source else {
            return self.clone();
        };
        let found = source.attributes(start);
        if self.0.list.is_empty() {
            return found;
        }
        found.extended(self.0.list.iter().cloned())
    }

    /// Adds the attributes to those of a call. An attribute of the call is not replaced, and neither
    /// is one that its annotation declares, in `own`. Returns how many are dropped.
    pub(crate) fn add_to(&self, own: &[&str], attributes: &mut Vec<KeyValue>) -> u32 {
        let set = attributes.len();
        let mut dropped = self.0.dropped;
        for attribute in self.beyond(own) {
            if attributes[..set].iter().any(|set| set.key == attribute.key) {
                continue;
            }
            if attributes.len() < MAX_ATTRIBUTES {
                attributes.push(attribute.clone());
            } else {
                dropped = dropped.saturating_add(1);
            }
        }
        dropped
    }

    /// The attributes that an annotation does not declare.
    pub(crate) fn beyond(&self, own: &[&str]) -> impl Iterator<Item = &KeyValue> {
        let is_own = |attribute: &KeyValue| own.contains(&attribute.key.as_str());
        self.0
            .list
            .iter()
            .filter(move |attribute| !is_own(attribute))
    }

    /// Returns the attributes, without those of a source.
    pub fn list(&self) -> &[KeyValue] {
        &self.0.list
    }

    /// Returns those of the attributes that are in `keys`, and that an annotation does not declare.
    pub(crate) fn listed(&self, keys: &[Key], own: &[&str]) -> Vec<KeyValue> {
        let listed = self.beyond(own);
        let listed = listed.filter(|attribute| keys.contains(&attribute.key));
        listed.cloned().collect()
    }
}

/// Returns a value whose strings have at most [`MAX_STRING`] bytes together, and whose arrays have at
/// most [`MAX_ELEMENTS`].
fn shortened(value: Value) -> Value {
    let array = match value {
        Value::String(text) => return Value::String(cut(text, &mut { MAX_STRING })),
        Value::Array(array) => array,
        other => return other,
    };
    Value::Array(match array {
        Array::Bool(values) => Array::Bool(first(values)),
        Array::I64(values) => Array::I64(first(values)),
        Array::F64(values) => Array::F64(first(values)),
        Array::String(texts) => {
            let mut room = MAX_STRING;
            let texts = first(texts).into_iter();
            Array::String(texts.map(|text| cut(text, &mut room)).collect())
        }
        other => other,
    })
}

/// Returns the first elements of an array.
fn first<T>(mut values: Vec<T>) -> Vec<T> {
    values.truncate(MAX_ELEMENTS);
    values
}

/// Returns the start of `text` that fits into `room`, and takes it from there.
fn cut(text: StringValue, room: &mut usize) -> StringValue {
    let whole = text.as_str();
    if whole.len() <= *room {
        *room -= whole.len();
        return text;
    }
    let is_boundary = |at: &usize| whole.is_char_boundary(*at);
    let end = (0..=*room).rev().find(is_boundary).unwrap_or(0);
    *room = 0;
    StringValue::from(whole[..end].to_owned())
}
