//! The static part of an annotated function: everything in its annotation that is known at compile
//! time.
//!
//! A [`Site`] is also the `tracing` call site of its spans. The attributes it can record are a bit
//! set in a fixed order ([`attr`]). Its `tracing` fields are exactly those attributes, and the
//! index of each is a bit count.

use std::borrow::Cow;
use std::cell::Cell;

use tracing_core::callsite::{DefaultCallsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind as MetadataKind;
use tracing_core::{Level, Metadata};

pub(crate) use crate::attributes as attr;
use crate::conventions::target;
use crate::details::Names;
use crate::query_text::Dialect;

/// The span's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call to a database, as in the conventions.
    Client,
    /// Work inside the process.
    Internal,
}

/// The relation of a call's span to the span in which the call starts: the type of the key
/// `parent`.
///
/// ```
/// use percolate_otel::{Parent, background_job};
///
/// // A caller that waits for the job is its parent; any other caller is linked.
/// #[background_job(index.save, table, parent = if waits { Parent::Child } else { Parent::Link })]
/// fn save(table: &str, waits: bool) {}
/// # save("articles", true);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parent {
    /// A child of that span.
    #[default]
    Child,
    /// The root of a new trace, with a link to that span.
    Link,
    /// The root of a new trace.
    Root,
}

/// What an annotation instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteKind {
    /// A database operation (`#[db_op]`).
    Db,
    /// A background job (`#[background_job]`).
    Job,
}

/// The definition of a site: the content of its annotation.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent key of the annotation"
)]
pub struct SiteDef {
    /// What the annotation instruments.
    pub site_kind: SiteKind,
    /// The operation's name or the job's type.
    pub name: &'static str,
    /// A span name that replaces the name by the conventions.
    pub span_name: Option<&'static str>,
    /// `db.system.name`; `None` if each call has its own.
    pub system: Option<&'static str>,
    /// The span's kind.
    pub kind: Kind,
    /// The duration from which an unsampled call is reported, if the annotation has one.
    pub slow: Option<core::time::Duration>,
    /// Whether calls are measured.
    pub metrics: bool,
    /// The body creates no spans, so the call does not become the current context.
    pub leaf: bool,
    /// Recorded calls have details in addition to their names.
    pub describes: bool,
    /// The span is only a `tracing` span, created by `db_span` and similar functions.
    pub by_hand: bool,
    /// The attributes this site can record, bits of [`attr`].
    pub attributes: u32,
    /// The annotation's own attributes.
    pub custom: &'static [&'static str],
    /// Those of `custom` that `record!` can set, as bits. Spans get them when the call ends, because
    /// an attribute that is set twice is exported twice.
    pub late: u64,
}

impl SiteDef {
    /// The defaults of a database operation.
    pub const fn db() -> Self {
        Self {
            site_kind: SiteKind::Db,
            name: "",
            span_name: None,
            system: Some("rocksdb"),
            kind: Kind::Client,
            slow: None,
            metrics: true,
            leaf: false,
            describes: true,
            by_hand: false,
            attributes: attr::db,
            custom: &[],
            late: 0,
        }
    }

    /// The defaults of a background job.
    pub const fn job() -> Self {
        Self {
            site_kind: SiteKind::Job,
            kind: Kind::Internal,
            attributes: attr::job,
            ..Self::db()
        }
    }
}

/// The static part of one annotated function, or of the calls by hand that
/// [`db_site!`](crate::db_site) or [`job_site!`](crate::job_site) declares.
#[derive(Debug)]
pub struct Site {
    pub(crate) def: &'static SiteDef,
    pub(crate) metadata: &'static Metadata<'static>,
    callsite: DefaultCallsite,
}

impl Site {
    #[doc(hidden)] // for the macros
    /// Creates a site. Its `metadata` must be the result of [`metadata`] with the same site.
    pub const fn new(def: &'static SiteDef, metadata: &'static Metadata<'static>) -> Self {
        Self {
            def,
            metadata,
            callsite: DefaultCallsite::new(metadata),
        }
    }

    /// Returns `db.system.name` of a call with these names.
    #[inline]
    pub(crate) fn system<'a>(&self, names: &Names<'a>) -> Option<&'a str> {
        names.system.or(self.def.system)
    }

    /// Returns the dialect of the query text of a call with these names.
    #[inline]
    pub(crate) fn dialect(&self, names: &Names<'_>) -> Dialect {
        let system = match self.def.attributes & attr::QUERY_TEXT {
            0 => None,
            _ => self.system(names),
        };
        system.map_or(Dialect::Any, Dialect::of_system)
    }

    /// Whether a `tracing` layer may be interested in this call's span. Without any layer, neither
    /// the site nor its metadata are read, which saves cache misses.
    #[inline]
    pub(crate) fn is_watched(&'static self) -> bool {
        let most = tracing_core::LevelFilter::current();
        most != tracing_core::LevelFilter::OFF
            && *self.metadata.level() <= most
            // The features `max_level_*` of `tracing`.
            && *self.metadata.level() <= tracing::level_filters::STATIC_MAX_LEVEL
            && !self.callsite.interest().is_never()
            && has_subscriber()
    }

    /// Whether a `tracing` layer is interested in the span of a call that starts now. `is_unsampled`
    /// is whether its parent is not sampled. Per-layer filters keep their result on the thread until
    /// the span is created, so call this again directly before creating it.
    pub(crate) fn is_enabled(&'static self, is_unsampled: bool) -> bool {
        if self.callsite.interest().is_always() {
            return true;
        }
        let before = UNSAMPLED_START.replace(is_unsampled);
        let is_enabled = tracing_core::dispatcher::get_default(|d| d.enabled(self.metadata));
        UNSAMPLED_START.set(before);
        is_enabled
    }

    /// The index of an attribute among the `tracing` fields.
    pub(crate) fn field_index(&self, bit: u32) -> Option<usize> {
        let attributes = self.def.attributes;
        (attributes & bit != 0).then(|| (attributes & (bit - 1)).count_ones() as usize)
    }

    /// Whether spans get the annotation's own attribute number `index` when the call ends.
    pub(crate) fn is_late(&self, index: usize) -> bool {
        u32::try_from(index)
            .ok()
            .and_then(|index| self.def.late.checked_shr(index))
            .is_some_and(|bits| bits & 1 == 1)
    }

    /// The index of the annotation's own attribute number `index` among the `tracing` fields.
    pub(crate) fn custom_index(&self, index: usize) -> Option<usize> {
        (index < self.def.custom.len()).then(|| self.def.attributes.count_ones() as usize + index)
    }
}

/// The name of a call's span, as the conventions define it: the query's summary, or the operation
/// with its collection or else its namespace, or the operation alone. The annotation's own name
/// replaces it.
pub(crate) fn span_name(site: &Site, names: Names<'_>, summary: Option<&str>) -> Cow<'static, str> {
    if let Some(name) = site.def.span_name {
        return Cow::Borrowed(name);
    }
    if let Some(summary) = summary {
        return Cow::Owned(summary.to_owned());
    }
    let operation = names.operation.unwrap_or(site.def.name);
    match names.target.or(names.namespace) {
        Some(target) => Cow::Owned(format!("{operation} {target}")),
        None if names.operation.is_none() => Cow::Borrowed(site.def.name),
        None => Cow::Owned(operation.to_owned()),
    }
}

thread_local! {
    static UNSAMPLED_START: Cell<bool> = const { Cell::new(false) };
}

/// Whether the call is not sampled whose span [`Site::is_enabled`] is about, on this thread.
#[cfg(feature = "layer")]
pub(crate) fn is_unsampled_start() -> bool {
    UNSAMPLED_START.get()
}

/// Whether this thread has a subscriber. Subscribers of other threads do not see its calls.
fn has_subscriber() -> bool {
    tracing_core::dispatcher::get_default(|dispatch| {
        !dispatch.is::<tracing_core::subscriber::NoSubscriber>()
    })
}

/// The `tracing` metadata of a site.
pub const fn metadata(
    def: &'static SiteDef,
    level: Level,
    file: &'static str,
    line: u32,
    module_path: &'static str,
    fields: &'static [&'static str],
    site: &'static Site,
) -> Metadata<'static> {
    let target = match (def.site_kind, def.by_hand) {
        (SiteKind::Db, false) => target::DB,
        (SiteKind::Job, false) => target::JOB,
        (SiteKind::Db, true) => target::DB_BY_HAND,
        (SiteKind::Job, true) => target::JOB_BY_HAND,
    };
    Metadata::new(
        def.name,
        target,
        level,
        Some(file),
        Some(line),
        Some(module_path),
        FieldSet::new(fields, Identifier(&site.callsite)),
        MetadataKind::SPAN,
    )
}
