//! The static part of an annotated function: everything its annotation says, known when the program is compiled.
//!
//! A [`Site`] is also the `tracing` call site of its spans. The attributes it may record are a bit set over one fixed
//! order ([`attr`]), so that its `tracing` fields are exactly those attributes and the place of each is counted, not
//! searched.

use std::borrow::Cow;

use tracing_core::callsite::{DefaultCallsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind as MetadataKind;
use tracing_core::{Level, Metadata};

use super::conventions::{attribute, target};

/// The attributes an annotation can record, as bits in the order of the `tracing` fields.
pub mod attr {
    use super::attribute;

    /// Every attribute by the place of its bit.
    pub(crate) const NAMES: [&str; 20] = [
        attribute::OTEL_NAME,
        attribute::OTEL_KIND,
        attribute::DB_SYSTEM_NAME,
        attribute::DB_OPERATION_NAME,
        attribute::DB_COLLECTION_NAME,
        attribute::DB_NAMESPACE,
        attribute::SERVER_ADDRESS,
        attribute::DB_OPERATION_BATCH_SIZE,
        attribute::DB_QUERY_SUMMARY,
        attribute::DB_QUERY_TEXT,
        attribute::DB_RESPONSE_RETURNED_ROWS,
        attribute::DB_RESPONSE_AFFECTED_ROWS,
        attribute::DB_RESPONSE_STATUS_CODE,
        attribute::JOB_TYPE,
        attribute::JOB_TARGET,
        attribute::JOB_BATCH_SIZE,
        attribute::JOB_STATUS,
        attribute::JOB_DURATION_MS,
        attribute::ERROR_TYPE,
        attribute::OTEL_STATUS_CODE,
    ];

    pub(crate) const OTEL_NAME: u32 = 1 << 0;
    pub(crate) const OTEL_KIND: u32 = 1 << 1;
    pub(crate) const SYSTEM: u32 = 1 << 2;
    pub(crate) const OPERATION: u32 = 1 << 3;
    /// `db.collection.name`.
    pub const COLLECTION: u32 = 1 << 4;
    /// `db.namespace`.
    pub const NAMESPACE: u32 = 1 << 5;
    /// `server.address`.
    pub const SERVER_ADDRESS: u32 = 1 << 6;
    /// `db.operation.batch.size`.
    pub const BATCH_SIZE: u32 = 1 << 7;
    /// `db.query.summary`.
    pub const QUERY_SUMMARY: u32 = 1 << 8;
    /// `db.query.text`.
    pub const QUERY_TEXT: u32 = 1 << 9;
    /// `db.response.returned_rows`.
    pub const RETURNED_ROWS: u32 = 1 << 10;
    /// `db.response.affected_rows`.
    pub const AFFECTED_ROWS: u32 = 1 << 11;
    /// `db.response.status_code`.
    pub const STATUS_CODE: u32 = 1 << 12;
    pub(crate) const JOB_TYPE: u32 = 1 << 13;
    /// `job.target`.
    pub const JOB_TARGET: u32 = 1 << 14;
    /// `job.batch_size`.
    pub const JOB_BATCH_SIZE: u32 = 1 << 15;
    pub(crate) const JOB_STATUS: u32 = 1 << 16;
    pub(crate) const JOB_DURATION_MS: u32 = 1 << 17;
    pub(crate) const ERROR_TYPE: u32 = 1 << 18;
    pub(crate) const OTEL_STATUS_CODE: u32 = 1 << 19;

    const ALWAYS: u32 = OTEL_NAME | OTEL_KIND | ERROR_TYPE | OTEL_STATUS_CODE;

    /// What every database operation can record.
    #[expect(
        non_upper_case_globals,
        reason = "named by the macro from the site's kind"
    )]
    pub const db: u32 = ALWAYS | SYSTEM | OPERATION | STATUS_CODE;
    /// What every background job can record.
    #[expect(
        non_upper_case_globals,
        reason = "named by the macro from the site's kind"
    )]
    pub const job: u32 = ALWAYS | JOB_TYPE | JOB_STATUS | JOB_DURATION_MS;

    /// The number of fields of a site.
    pub const fn count(attributes: u32, custom: &[&str]) -> usize {
        attributes.count_ones() as usize + custom.len()
    }

    /// The names of a site's fields: the known attributes in their fixed order, then the annotation's own.
    ///
    /// # Panics
    /// When `N` is not [`count`] of the same arguments; evaluated when the program is compiled.
    pub const fn names<const N: usize>(
        attributes: u32,
        custom: &[&'static str],
    ) -> [&'static str; N] {
        assert!(
            N == count(attributes, custom),
            "a site has as many fields as attributes"
        );
        let mut names = [""; N];
        let mut filled = 0;
        let mut bit = 0;
        while bit < NAMES.len() {
            if attributes & (1 << bit) != 0 {
                names[filled] = NAMES[bit];
                filled += 1;
            }
            bit += 1;
        }
        let mut index = 0;
        while index < custom.len() {
            names[filled] = custom[index];
            filled += 1;
            index += 1;
        }
        names
    }
}

/// The span's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call to a database, as the conventions want it.
    Client,
    /// Work inside the process.
    Internal,
}

/// How a call's span relates to the context it starts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The current span is the parent.
    Child,
    /// A new trace, with a link to the current span.
    Link,
    /// A new trace.
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

/// Everything an annotation says.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the annotation, independent of the others"
)]
pub struct SiteDef {
    /// What the annotation instruments.
    pub site_kind: SiteKind,
    /// The operation's name or the job's type.
    pub name: &'static str,
    /// A span name that replaces the one made from the conventions.
    pub span_name: Option<&'static str>,
    /// `db.system.name`.
    pub system: &'static str,
    /// The span's kind.
    pub kind: Kind,
    /// How the span relates to the context it starts in.
    pub parent: Parent,
    /// From which duration on an unsampled call is reported, where the annotation says so.
    pub slow: Option<core::time::Duration>,
    /// Whether calls are measured.
    pub metrics: bool,
    /// The body makes no spans: the call need not become the current context.
    pub leaf: bool,
    /// A recorded call says more at entry than its names.
    pub describes: bool,
    /// The span is a `tracing` span only, made by `db_span` and its like.
    pub by_hand: bool,
    /// The attributes this site can record, bits of [`attr`].
    pub attributes: u32,
    /// The annotation's own attributes.
    pub custom: &'static [&'static str],
}

impl SiteDef {
    /// What a database operation says when its annotation says nothing more.
    pub const fn db() -> Self {
        Self {
            site_kind: SiteKind::Db,
            name: "",
            span_name: None,
            system: "rocksdb",
            kind: Kind::Client,
            parent: Parent::Child,
            slow: None,
            metrics: true,
            leaf: false,
            describes: true,
            by_hand: false,
            attributes: attr::db,
            custom: &[],
        }
    }

    /// What a background job says when its annotation says nothing more.
    pub const fn job() -> Self {
        Self {
            site_kind: SiteKind::Job,
            kind: Kind::Internal,
            attributes: attr::job,
            ..Self::db()
        }
    }
}

/// The static part of one annotated function.
#[derive(Debug)]
pub struct Site {
    pub(crate) def: &'static SiteDef,
    pub(crate) metadata: &'static Metadata<'static>,
    callsite: DefaultCallsite,
}

impl Site {
    /// A site; its `metadata` must have been made by [`metadata`] with this very site.
    pub const fn new(def: &'static SiteDef, metadata: &'static Metadata<'static>) -> Self {
        Self {
            def,
            metadata,
            callsite: DefaultCallsite::new(metadata),
        }
    }

    /// Whether some `tracing` layer may want this call's span. Where there is no layer at all, neither the site nor its
    /// metadata are looked at: they would have to come from memory.
    #[inline]
    pub(crate) fn is_watched(&'static self) -> bool {
        let most = tracing_core::LevelFilter::current();
        most != tracing_core::LevelFilter::OFF
            && *self.metadata.level() <= most
            && !self.callsite.interest().is_never()
            && has_subscriber()
    }

    /// Whether some `tracing` layer wants the span that is made now. Layers with filters of their own keep the answer
    /// on the thread until that span comes: ask right before making it, and never without.
    pub(crate) fn is_enabled(&'static self) -> bool {
        self.callsite.interest().is_always()
            || tracing_core::dispatcher::get_default(|d| d.enabled(self.metadata))
    }

    /// The place of an attribute among the `tracing` fields.
    pub(crate) fn field_index(&self, bit: u32) -> Option<usize> {
        let attributes = self.def.attributes;
        (attributes & bit != 0).then(|| (attributes & (bit - 1)).count_ones() as usize)
    }

    /// The place of the annotation's own attribute number `index` among the `tracing` fields.
    pub(crate) fn custom_index(&self, index: usize) -> Option<usize> {
        (index < self.def.custom.len()).then(|| self.def.attributes.count_ones() as usize + index)
    }
}

/// The name of a call's span: the annotation's own name, or `{operation} {target}`, or the query's summary, or the
/// operation.
pub(crate) fn span_name(
    site: &Site,
    operation: &'static str,
    target: Option<&str>,
    summary: Option<&str>,
) -> Cow<'static, str> {
    match (site.def.span_name, target, summary) {
        (Some(name), _, _) => Cow::Borrowed(name),
        (None, Some(target), _) => Cow::Owned(format!("{operation} {target}")),
        (None, None, Some(summary)) => Cow::Owned(summary.to_owned()),
        (None, None, None) => Cow::Borrowed(operation),
    }
}

/// Whether this thread has a subscriber: what those of other threads want is not asked of its calls.
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
