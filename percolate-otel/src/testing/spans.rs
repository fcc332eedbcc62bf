//! Captured spans: lookup, parents and children, the tree as text, and expectations of single
//! spans.
//!
//! The spans are those that an exporter received; nothing is inferred. An attribute that was exported
//! twice is shown twice, and no expectation of its span holds.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, Key, Value};
use opentelemetry_sdk::trace::SpanData;

use super::diff::assert_same_text;

/// One finished span.
#[derive(Debug, Clone)]
pub struct CapturedSpan {
    data: SpanData,
}

impl CapturedSpan {
    /// Returns the span's name.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Returns the span's kind.
    pub fn kind(&self) -> SpanKind {
        self.data.span_kind.clone()
    }

    /// Returns the span's status.
    pub fn status(&self) -> &Status {
        &self.data.status
    }

    /// Returns whether the status is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.data.status, Status::Error { .. })
    }

    /// Returns the span's own id.
    pub fn id(&self) -> SpanId {
        self.data.span_context.span_id()
    }

    /// Returns the id of the parent, `None` for a root.
    pub fn parent_id(&self) -> Option<SpanId> {
        (self.data.parent_span_id != SpanId::INVALID).then_some(self.data.parent_span_id)
    }

    /// Returns the id of the trace.
    pub fn trace_id(&self) -> TraceId {
        self.data.span_context.trace_id()
    }

    /// Returns the value of one attribute, with its type: the last one, if it was exported twice.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.data
            .attributes
            .iter()
            .rev()
            .find(|pair| pair.key.as_str() == key)
            .map(|pair| &pair.value)
    }

    /// Returns all attributes as they were exported, sorted by key.
    pub fn attributes(&self) -> Vec<(&str, &Value)> {
        let attributes = self.data.attributes.iter();
        let mut attributes: Vec<(&str, &Value)> = attributes
            .map(|pair| (pair.key.as_str(), &pair.value))
            .collect();
        attributes.sort_by_key(|(key, _)| *key);
        attributes
    }

    /// Returns the keys of the attributes that were exported more than once.
    fn doubled(&self) -> Vec<&str> {
        let attributes = self.attributes();
        let mut doubled: Vec<&str> = attributes
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[0].0)
            .collect();
        doubled.dedup();
        doubled
    }

    /// Ids of the spans this one links to.
    pub fn links(&self) -> Vec<(TraceId, SpanId)> {
        self.data
            .links
            .iter()
            .map(|link| (link.span_context.trace_id(), link.span_context.span_id()))
            .collect()
    }

    /// Time between start and end.
    pub fn duration(&self) -> Duration {
        self.data
            .end_time
            .duration_since(self.data.start_time)
            .unwrap_or_default()
    }

    /// Returns the name of the instrumentation scope.
    pub fn scope(&self) -> &str {
        self.data.instrumentation_scope.name()
    }

    /// Returns the span as the exporter received it.
    pub fn data(&self) -> &SpanData {
        &self.data
    }

    /// One line: name, kind and, where it is set, status.
    fn headline(&self) -> String {
        let mut line = format!("{} [{}", self.name(), kind_name(&self.data.span_kind));
        match &self.data.status {
            Status::Unset => {}
            Status::Ok => line.push_str(", ok"),
            Status::Error { description } if description.is_empty() => line.push_str(", error"),
            Status::Error { description } => {
                let _ = write!(line, ", error {description:?}");
            }
        }
        line.push(']');
        line
    }
}

impl From<SpanData> for CapturedSpan {
    fn from(data: SpanData) -> Self {
        Self { data }
    }
}

/// The finished spans of a capture, in order of their start.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    all: Vec<CapturedSpan>,
    /// The places of the parents among the spans.
    parents: Vec<Option<usize>>,
    /// The places of the children of each span, in order of their start.
    children: Vec<Vec<usize>>,
    places: HashMap<(TraceId, SpanId), usize>,
}

impl Spans {
    pub(super) fn new(data: Vec<SpanData>) -> Self {
        let mut spans: Vec<CapturedSpan> = data.into_iter().map(CapturedSpan::from).collect();
        spans.sort_by_key(|span| span.data.start_time);
        let mut places = HashMap::with_capacity(spans.len());
        for (place, span) in spans.iter().enumerate() {
            places.entry((span.trace_id(), span.id())).or_insert(place);
        }
        let parent_of = |span: &CapturedSpan| {
            let parent = (span.trace_id(), span.parent_id()?);
            places.get(&parent).copied()
        };
        let parents: Vec<Option<usize>> = spans.iter().map(parent_of).collect();
        let mut children = vec![Vec::new(); spans.len()];
        for (place, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(place);
            }
        }
        Self {
            all: spans,
            parents,
            children,
            places,
        }
    }

    /// Returns the place of a span of this capture.
    fn place_of(&self, span: &CapturedSpan) -> Option<usize> {
        self.places.get(&(span.trace_id(), span.id())).copied()
    }

    /// Returns the number of spans.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns whether nothing was captured.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns all spans in order of their start.
    pub fn iter(&self) -> impl Iterator<Item = &CapturedSpan> {
        self.all.iter()
    }

    /// Returns all names in order of start.
    pub fn names(&self) -> Vec<&str> {
        self.iter().map(CapturedSpan::name).collect()
    }

    /// Returns all spans with this name.
    pub fn all(&self, name: &str) -> Vec<&CapturedSpan> {
        self.iter().filter(|span| span.name() == name).collect()
    }

    /// Returns the first span with this name, if there is one.
    pub fn find(&self, name: &str) -> Option<&CapturedSpan> {
        self.iter().find(|span| span.name() == name)
    }

    /// Returns the only span with this name.
    ///
    /// # Panics
    ///
    /// Panics if there is not exactly one. The message shows the whole tree.
    #[track_caller]
    pub fn span(&self, name: &str) -> &CapturedSpan {
        let found = self.all(name);
        assert!(
            found.len() == 1,
            "expected one span named `{name}`, captured {}; the tree:\n{}",
            found.len(),
            self.tree()
        );
        found[0]
    }

    /// Returns the parent of a span, if it was captured too.
    pub fn parent_of(&self, span: &CapturedSpan) -> Option<&CapturedSpan> {
        let parent = (span.trace_id(), span.parent_id()?);
        self.places.get(&parent).map(|place| &self.all[*place])
    }

    /// Returns the children of a span in order of start.
    pub fn children_of(&self, span: &CapturedSpan) -> Vec<&CapturedSpan> {
        let children = self.place_of(span).map(|place| &self.children[place]);
        let children = children.into_iter().flatten();
        children.map(|place| &self.all[*place]).collect()
    }

    /// Spans whose parent was not captured: roots, and children of a remote or unfinished span.
    pub fn roots(&self) -> Vec<&CapturedSpan> {
        let spans = self.all.iter().zip(&self.parents);
        spans
            .filter(|(_, parent)| parent.is_none())
            .map(|(span, _)| span)
            .collect()
    }

    /// Returns the spans as an indented tree: `name [kind]`, `[kind, error]` with a status,
    /// `(remote parent)` where the parent is in another process, `~ link` where spans are linked.
    pub fn tree(&self) -> String {
        self.render(&|_| false)
    }

    /// [`tree`](Self::tree) with every attribute under its span: `| key = value`, strings in
    /// quotes.
    pub fn tree_with_attributes(&self) -> String {
        self.render(&|_| true)
    }

    /// [`tree`](Self::tree) with the named attributes under their spans.
    pub fn tree_with(&self, keys: &[&str]) -> String {
        self.render(&|key| keys.contains(&key))
    }

    /// Compares [`tree`](Self::tree) with a text; shared indentation does not matter.
    ///
    /// # Panics
    ///
    /// Panics if they differ. The message is a diff by lines.
    #[track_caller]
    pub fn assert_tree(&self, expected: &str) {
        assert_same_text("span tree", expected, &self.tree());
    }

    /// Compares [`tree_with_attributes`](Self::tree_with_attributes) with a text; shared
    /// indentation does not matter.
    ///
    /// # Panics
    ///
    /// Panics if they differ. The message is a diff by lines.
    #[track_caller]
    pub fn assert_tree_with_attributes(&self, expected: &str) {
        assert_same_text("span tree", expected, &self.tree_with_attributes());
    }

    /// Compares [`tree_with`](Self::tree_with) with a text; shared indentation does not matter.
    ///
    /// # Panics
    ///
    /// Panics if they differ. The message is a diff by lines.
    #[track_caller]
    pub fn assert_tree_with(&self, keys: &[&str], expected: &str) {
        assert_same_text("span tree", expected, &self.tree_with(keys));
    }

    /// Compares the only span of that name with an expectation.
    /// [`assert_span!`](crate::assert_span) does the same in one line.
    ///
    /// # Panics
    ///
    /// Panics if the span differs. The message lists all differences.
    #[track_caller]
    pub fn assert_span(&self, expected: &ExpectedSpan) -> &CapturedSpan {
        let span = self.span(&expected.name);
        let mut wrong = String::new();
        expected.compare(self, span, &mut wrong);
        assert!(
            wrong.is_empty(),
            "span `{}` is not as expected:\n{wrong}captured:\n{}",
            expected.name,
            self.tree_with_attributes()
        );
        span
    }

    fn render(&self, shown: &dyn Fn(&str) -> bool) -> String {
        let mut out = String::new();
        for root in self.roots() {
            self.render_span(root, 0, shown, &mut out);
        }
        out
    }

    fn render_span(
        &self,
        span: &CapturedSpan,
        depth: usize,
        shown: &dyn Fn(&str) -> bool,
        out: &mut String,
    ) {
        let pad = "  ".repeat(depth);
        let _ = write!(out, "{pad}{}", span.headline());
        if depth == 0 && span.parent_id().is_some() {
            let place = if span.data.parent_span_is_remote {
                "remote"
            } else {
                "unfinished"
            };
            let _ = write!(out, " ({place} parent)");
        }
        out.push('\n');
        for link in &span.data.links.links {
            let target = (link.span_context.trace_id(), link.span_context.span_id());
            let target = self.places.get(&target).map(|place| &self.all[*place]);
            let _ = writeln!(
                out,
                "{pad}  ~ link to {}",
                target.map_or("a span outside", CapturedSpan::name)
            );
        }
        for (key, value) in span.attributes() {
            if shown(key) {
                let _ = writeln!(out, "{pad}  | {key} = {}", value_text(value));
            }
        }
        for child in self.children_of(span) {
            self.render_span(child, depth + 1, shown, out);
        }
    }
}

/// What [`Spans::assert_span`] expects. Only the properties that were set are compared.
#[derive(Debug, Clone)]
pub struct ExpectedSpan {
    name: String,
    kind: Option<SpanKind>,
    parent: Option<ExpectedParent>,
    error: Option<bool>,
    attributes: Vec<(Key, Option<Value>)>,
}

#[derive(Debug, Clone)]
enum ExpectedParent {
    None,
    Named(String),
}

impl ExpectedSpan {
    /// Expects one span of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: None,
            parent: None,
            error: None,
            attributes: Vec::new(),
        }
    }

    /// Expects the kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Expects a captured parent of this name.
    #[must_use]
    pub fn parent(mut self, name: impl Into<String>) -> Self {
        self.parent = Some(ExpectedParent::Named(name.into()));
        self
    }

    /// Expects a span without a parent.
    #[must_use]
    pub fn root(mut self) -> Self {
        self.parent = Some(ExpectedParent::None);
        self
    }

    /// Expects status ERROR, or with `false` an unset status.
    #[must_use]
    pub fn error(mut self, error: bool) -> Self {
        self.error = Some(error);
        self
    }

    /// Expects an attribute with this value and type.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<Key>, value: impl Into<ExpectedValue>) -> Self {
        self.attributes.push((key.into(), value.into().0));
        self
    }

    fn compare(&self, spans: &Spans, span: &CapturedSpan, wrong: &mut String) {
        if let Some(kind) = &self.kind
            && *kind != span.kind()
        {
            let _ = writeln!(
                wrong,
                "  kind: expected {}, is {}",
                kind_name(kind),
                kind_name(&span.kind())
            );
        }
        match (&self.parent, spans.parent_of(span)) {
            (Some(ExpectedParent::Named(expected)), parent)
                if parent.map(CapturedSpan::name) != Some(expected) =>
            {
                let is = parent.map_or("not captured", CapturedSpan::name);
                let _ = writeln!(wrong, "  parent: expected `{expected}`, is {is}");
            }
            (Some(ExpectedParent::None), _) if span.parent_id().is_some() => {
                let _ = writeln!(wrong, "  parent: expected none, is {:?}", span.parent_id());
            }
            _ => {}
        }
        match self.error {
            Some(true) if !span.is_error() => {
                let _ = writeln!(wrong, "  status: expected error, is {:?}", span.status());
            }
            Some(false) if *span.status() != Status::Unset => {
                let _ = writeln!(wrong, "  status: expected unset, is {:?}", span.status());
            }
            _ => {}
        }
        for key in span.doubled() {
            let _ = writeln!(wrong, "  {key}: exported more than once");
        }
        for (key, expected) in &self.attributes {
            let is = span.attribute(key.as_str());
            if expected.as_ref() != is {
                let text =
                    |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), typed_text);
                let _ = writeln!(
                    wrong,
                    "  {key}: expected {}, is {}",
                    text(expected.as_ref()),
                    text(is)
                );
            }
        }
    }
}

/// The value that an [`ExpectedSpan`] expects of an attribute; [`ABSENT`] for none.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedValue(Option<Value>);

/// Expects that an attribute is absent.
pub const ABSENT: ExpectedValue = ExpectedValue(None);

impl From<i32> for ExpectedValue {
    fn from(value: i32) -> Self {
        Self(Some(Value::I64(value.into())))
    }
}

macro_rules! expected_from {
    ($($type:ty),*) => {$(
        impl From<$type> for ExpectedValue {
            fn from(value: $type) -> Self {
                Self(Some(Value::from(value)))
            }
        }
    )*};
}
expected_from!(i64, f64, bool, &'static str, String, Value);

/// Checks one captured span in one line: kind, parent, status and attributes with their types.
///
/// ```
/// use percolate_otel::assert_span;
/// use percolate_otel::testing::{ABSENT, Capture};
///
/// let capture = Capture::new();
/// capture.run(|| {
///     let span = tracing::info_span!("fetch", otel.kind = "client", pages = 3_i64);
///     span.in_scope(|| ());
/// });
/// assert_span!(capture.spans(), "fetch", kind: Client, root: true, error: false, "pages" = 3, "error.type" = ABSENT);
/// ```
#[macro_export]
macro_rules! assert_span {
    ($spans:expr, $name:expr $(, $($rest:tt)*)?) => {
        $spans.assert_span(&$crate::__expected_span!(
            $crate::testing::ExpectedSpan::named($name); $($($rest)*)?
        ))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __expected_span {
    ($span:expr; $(,)?) => { $span };
    ($span:expr; kind: $kind:ident $(, $($rest:tt)*)?) => {
        $crate::__expected_span!($span.kind($crate::testing::SpanKind::$kind); $($($rest)*)?)
    };
    ($span:expr; parent: $parent:expr $(, $($rest:tt)*)?) => {
        $crate::__expected_span!($span.parent($parent); $($($rest)*)?)
    };
    ($span:expr; root: true $(, $($rest:tt)*)?) => {
        $crate::__expected_span!($span.root(); $($($rest)*)?)
    };
    ($span:expr; error: $error:literal $(, $($rest:tt)*)?) => {
        $crate::__expected_span!($span.error($error); $($($rest)*)?)
    };
    ($span:expr; $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__expected_span!($span.attribute($key, $value); $($($rest)*)?)
    };
}

/// The kind in lower case, as in `otel.kind`.
pub(super) fn kind_name(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    }
}

/// Formats a value as a Rust literal, which shows its type: `"1"`, `1`, `1.0`, `true`, `["a"]`.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::F64(value) => format!("{value:?}"),
        Value::String(value) => format!("{:?}", value.as_str()),
        Value::Array(Array::String(values)) => {
            format!(
                "{:?}",
                values
                    .iter()
                    .map(opentelemetry::StringValue::as_str)
                    .collect::<Vec<_>>()
            )
        }
        Value::Array(Array::Bool(values)) => format!("{values:?}"),
        Value::Array(Array::I64(values)) => format!("{values:?}"),
        Value::Array(Array::F64(values)) => format!("{values:?}"),
        other => format!("{other:?}"),
    }
}

fn typed_text(value: &Value) -> String {
    let name = match value {
        Value::Bool(_) => "bool",
        Value::I64(_) => "int",
        Value::F64(_) => "double",
        Value::String(_) => "string",
        _ => "array",
    };
    format!("{} ({name})", value_text(value))
}
