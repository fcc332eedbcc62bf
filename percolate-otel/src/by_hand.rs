//! Calls by hand, for code that an annotation cannot describe: cursors with methods of their own,
//! iterator types of an engine, calls that begin in one function and end in another. A call has the
//! span and the metrics of an annotated one.
//!
//! [`db_site!`](crate::db_site) and [`job_site!`](crate::job_site) declare the static part,
//! [`operation`] starts a call. Rows that are read by an iterator are in `observed`.

use std::time::Instant;

use crate::conventions::JobStatus;
use crate::details::{Details, FieldValue, Names};
use crate::in_call::run;
use crate::link_target::LinkTarget;
use crate::operation::{Call, CallScope, start, start_target};
use crate::outcome::{ErrorInfo, Outcome};
use crate::site::{Parent, Site};

/// Starts a call of an operation or of a background job by hand.
///
/// An annotation is shorter and cannot be forgotten at the end of a function; use this where an
/// annotation does not fit. The call is in the metrics like an annotated one, and its span is
/// sampled, named and exported like one.
///
/// # Examples
/// ```
/// use percolate_otel::{RunningCall, db_site, operation};
///
/// db_site!(static SCAN = "scan", system = "shelf");
///
/// /// A cursor of the engine. The call ends with it.
/// struct Cursor<'a> {
///     rows: std::slice::Iter<'a, u64>,
///     call: RunningCall,
/// }
///
/// impl<'a> Cursor<'a> {
///     fn open(table: &str, rows: &'a [u64]) -> Self {
///         let call = operation(SCAN).collection(table).start_cursor();
///         Self { rows: rows.iter(), call }
///     }
///
///     fn advance(&mut self) -> Option<&'a u64> {
///         let row = self.call.in_scope(|| self.rows.next())?;
///         self.call.row();
///         Some(row)
///     }
/// }
///
/// let mut cursor = Cursor::open("articles", &[1, 2, 3]);
/// while let Some(row) = cursor.advance() {
///     assert!(*row > 0);
/// }
/// ```
pub fn operation<'a>(site: &'static Site) -> CallBuilder<'a> {
    CallBuilder {
        site,
        names: Names::default(),
        parent: Parent::Child,
        batch_size: None,
        query_text: None,
        query_summary: None,
        fields: Vec::new(),
        started_at: None,
        link_target: None,
    }
}

/// What is known when a call by hand starts. Created by [`operation`].
#[derive(Debug, Clone)]
#[must_use = "a call starts with `start` or `start_cursor`"]
pub struct CallBuilder<'a> {
    site: &'static Site,
    names: Names<'a>,
    parent: Parent,
    batch_size: Option<i64>,
    query_text: Option<QueryText<'a>>,
    query_summary: Option<&'a str>,
    fields: Vec<(usize, FieldValue)>,
    started_at: Option<Instant>,
    link_target: Option<LinkTarget>,
}

#[derive(Debug, Clone, Copy)]
enum QueryText<'a> {
    Sanitized(&'a str),
    Raw(&'a str),
}

impl<'a> CallBuilder<'a> {
    /// Sets `db.collection.name`.
    pub fn collection(self, name: &'a str) -> Self {
        self.target(name)
    }

    /// Sets `job.target`.
    pub fn target(mut self, name: &'a str) -> Self {
        self.names.target = Some(name);
        self
    }

    /// Replaces the operation or the type of the job that the site declares. It is an attribute of
    /// metrics, so it must be one of few.
    pub fn named(mut self, name: &'a str) -> Self {
        self.names.operation = Some(name);
        self
    }

    /// Replaces the database system that the site declares, for a site of several systems. It is an
    /// attribute of metrics, and its name is lower-case.
    pub fn system(mut self, name: &'a str) -> Self {
        self.names = self.names.with_system(name);
        self
    }

    /// Sets `db.namespace`.
    pub fn namespace(mut self, name: &'a str) -> Self {
        self.names.namespace = Some(name);
        self
    }

    /// Sets `server.address`.
    pub fn server_address(mut self, address: &'a str) -> Self {
        self.names.server_address = Some(address);
        self
    }

    /// Sets the relation to the span in which the call starts. The default is [`Parent::Child`].
    pub fn parent(mut self, parent: Parent) -> Self {
        self.parent = parent;
        self
    }

    /// Sets `db.operation.batch.size` or `job.batch_size`.
    pub fn batch_size(mut self, size: usize) -> Self {
        self.batch_size = Some(i64::try_from(size).unwrap_or(i64::MAX));
        self
    }

    /// Sets `db.query.text` to a query without its literals, and `db.query.summary`. See
    /// [`query_text`](crate::query_text).
    pub fn query_text(mut self, query: &'a str) -> Self {
        self.query_text = Some(QueryText::Sanitized(query));
        self
    }

    /// Sets `db.query.text` to a query as it is, and `db.query.summary`. Its values must be
    /// parameters: literals are exported.
    pub fn raw_query_text(mut self, query: &'a str) -> Self {
        self.query_text = Some(QueryText::Raw(query));
        self
    }

    /// Sets `db.query.summary`, which is the name of the span when there is no collection. The
    /// default is a summary of the query text.
    pub fn query_summary(mut self, summary: &'a str) -> Self {
        self.query_summary = Some(summary);
        self
    }

    /// Sets an attribute of your own, which the site must declare in `fields`. Any other is left
    /// out, which is reported once as a `tracing` event of the level WARN.
    pub fn field(mut self, name: &str, value: impl Into<FieldValue>) -> Self {
        match self.site.def.custom.iter().position(|known| *known == name) {
            Some(index) => self.fields.push((index, value.into())),
            None => report_undeclared(self.site, name),
        }
        self
    }

    /// Sets the time at which the call started, if that was before [`start`](Self::start), for example
    /// because another thread reports it. A span of a `tracing` layer or of a foreign tracer provider
    /// starts now.
    ///
    /// ```
    /// use std::time::Instant;
    /// use percolate_otel::{job_site, operation};
    ///
    /// job_site!(static MERGE = "segment.merge", late = ["app.segments"]);
    ///
    /// // What an engine reports of work that its own threads have done.
    /// let (began, ended, segments) = (Instant::now(), Instant::now(), 4);
    /// let mut job = operation(MERGE).target("articles").started_at(began).start();
    /// job.record("app.segments", segments);
    /// job.finish_at(ended);
    /// ```
    pub fn started_at(mut self, time: Instant) -> Self {
        self.started_at = Some(time);
        self
    }

    /// Starts the call with the ids of a span to which others link, as the root of a trace. It is recorded
    /// if the sampler samples its trace, or if there is a link when the call ends. Calls inside are
    /// recorded in the first case only.
    ///
    /// ```
    /// use percolate_otel::{LinkTarget, job_site, operation};
    ///
    /// job_site!(static STALL = "engine.stall");
    ///
    /// // Known when the first write has waited; the engine reports the stall later.
    /// let stall = LinkTarget::new();
    /// let link = stall.link();
    /// # assert!(link.is_some());
    /// operation(STALL).link_target(stall).start().finish();
    /// ```
    pub fn link_target(mut self, target: LinkTarget) -> Self {
        self.link_target = Some(target);
        self
    }

    /// Starts the call. A call that is dropped before [`RunningCall::finish`] ends as cancelled, or
    /// as a panic if the thread unwinds.
    pub fn start(self) -> RunningCall {
        self.started(false)
    }

    /// Starts a call that reads rows. A call that is dropped ends with the rows that were read,
    /// because a reader may stop early.
    pub fn start_cursor(self) -> RunningCall {
        let mut call = self.started(true);
        call.outcome.returned_rows = Some(0);
        call
    }

    fn started(self, is_cursor: bool) -> RunningCall {
        let Self {
            site,
            names,
            parent,
            batch_size,
            query_text,
            query_summary,
            mut fields,
            started_at,
            link_target,
        } = self;
        let mut describe = |details: &mut Details| {
            if let Some(size) = batch_size {
                details.batch_size(size);
            }
            if let Some(summary) = query_summary {
                details.query_summary(summary);
            }
            match query_text {
                Some(QueryText::Sanitized(query)) => details.query_text(query),
                Some(QueryText::Raw(query)) => details.raw_query_text(query),
                None => {}
            }
            details.custom.append(&mut fields);
        };
        let mut call = match link_target {
            None => start(site, names, parent, &mut describe),
            Some(target) => start_target(site, names, &target, &mut describe),
        };
        if let Some(time) = started_at {
            call.set_start(time);
        }
        RunningCall {
            site,
            call: Some(call),
            outcome: Outcome::success(),
            is_cursor,
        }
    }
}

#[cold]
fn report_undeclared(site: &Site, name: &str) {
    static REPORTED: std::sync::Once = std::sync::Once::new();
    REPORTED.call_once(|| {
        tracing::warn!(
            target: "percolate::by_hand",
            "cannot record `{name}` on a call of `{}`: add it to `fields` or `late` of the site",
            site.def.name
        );
    });
}

/// A call by hand that has started and has not ended.
#[derive(Debug)]
#[must_use = "the call ends when this is dropped"]
pub struct RunningCall {
    site: &'static Site,
    /// `None` after the end.
    call: Option<Call>,
    outcome: Outcome,
    /// A drop is an ordinary end.
    is_cursor: bool,
}

impl RunningCall {
    /// Runs `work` inside the call: spans that it creates are children.
    pub fn in_scope<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let scope = self.call.as_mut().map(Call::scope);
        let value = work();
        drop(scope);
        value
    }

    /// Makes the call the current one on this thread until the guard is dropped. Do not hold the
    /// guard across an `.await`; use [`run`](Self::run).
    pub fn enter(&mut self) -> Option<CallScope<'_>> {
        self.call.as_mut().map(Call::scope)
    }

    /// Runs a future inside the call, and returns both. If the future is dropped before its end, the
    /// call ends as cancelled.
    pub async fn run<F: Future>(mut self, future: F) -> (Self, F::Output) {
        let Some(call) = self.call.take() else {
            let value = future.await;
            return (self, value);
        };
        let (call, value) = run(call, future).await;
        self.call = Some(call);
        (self, value)
    }

    /// Counts one returned row.
    #[inline]
    pub fn row(&mut self) {
        self.rows(1);
    }

    /// Counts returned rows.
    #[inline]
    pub fn rows(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows = self.outcome.returned_rows.get_or_insert(0);
        *rows = rows.saturating_add(count);
    }

    /// Sets `db.response.affected_rows`.
    pub fn affected_rows(&mut self, count: usize) {
        self.outcome.affected_rows = i64::try_from(count).ok();
    }

    /// Sets how a job ended that did not fail.
    pub fn job_status(&mut self, status: JobStatus) {
        self.outcome.status = status;
    }

    /// Marks the call as failed: with an [`ErrorInfo`], a reference to an error that implements
    /// [`ErrorType`](crate::ErrorType), or a low-cardinality name. The first failure counts.
    ///
    /// For an error of another type use [`error_info!`](crate::error_info).
    pub fn fail(&mut self, error: impl Into<ErrorInfo>) {
        if self.outcome.error.is_none() {
            self.outcome.error = Some(error.into());
        }
    }

    /// Sets an attribute of your own, which the site must declare in `late`. Recording a name again
    /// replaces its value. Any other name is left out, which is reported once as a `tracing` event of
    /// the level WARN.
    pub fn record(&mut self, name: &str, value: impl Into<FieldValue>) {
        let index = self.site.def.custom.iter().position(|known| *known == name);
        match index.filter(|index| self.site.is_late(*index)) {
            Some(index) => {
                if let Some(call) = &mut self.call {
                    call.record(index, value.into());
                }
            }
            None => report_undeclared(self.site, name),
        }
    }

    /// Ends the call.
    pub fn finish(mut self) {
        self.end();
    }

    /// Ends the call at a time that has passed. A span of a `tracing` layer ends now, and one of a
    /// foreign tracer provider has the duration of the call.
    pub fn finish_at(mut self, end: Instant) {
        let outcome = self.take_outcome();
        if let Some(call) = self.call.take() {
            call.finish_at(end, outcome);
        }
    }

    fn end(&mut self) {
        let outcome = self.take_outcome();
        if let Some(call) = self.call.take() {
            call.finish(outcome);
        }
    }

    fn take_outcome(&mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        if outcome.error.is_some() {
            outcome.affected_rows = None;
        }
        outcome
    }

    pub(crate) fn into_call(mut self) -> Option<Call> {
        self.call.take()
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        // Another call ends itself as cancelled or as a panic.
        if self.is_cursor || self.outcome.error.is_some() {
            self.end();
        }
    }
}

/// Returns the [`ErrorInfo`] of a reference to any error, as an annotation reads it: by
/// [`ErrorType`](crate::ErrorType), by a known cause, or by its type.
///
/// ```
/// use percolate_otel::error_info;
///
/// let error = "x".parse::<u8>().unwrap_err();
/// assert_eq!(error_info!(&error).error_type, "core::num::error::ParseIntError");
/// ```
#[macro_export]
macro_rules! error_info {
    ($error:expr) => {{
        #[allow(unused_imports, reason = "one of the traits reads the error")]
        use $crate::__private::autoref::traits::*;
        let failure = $crate::__private::autoref::Failure($error);
        (&&&&&failure).__percolate_info()
    }};
}

/// Declares the static part of a database operation for calls by hand: see
/// [`operation`](crate::operation()).
///
/// The operation becomes `db.operation.name` and the system `db.system.name`. `fields` are the
/// attributes of your own that its calls may have from their start, `late` those that
/// [`RunningCall::record`] can set.
///
/// ```
/// percolate_otel::db_site!(pub static RANGE = "scan", system = "redb", fields = ["app.reverse"]);
/// ```
#[macro_export]
macro_rules! db_site {
    (
        $(#[$attribute:meta])*
        $vis:vis static $NAME:ident = $operation:literal, system = $system:literal
        $(, fields = [$($field:literal),* $(,)?])?
        $(, late = [$($late:literal),* $(,)?])? $(,)?
    ) => {
        $(#[$attribute])*
        $vis static $NAME: &$crate::Site = {
            const _: () = $crate::__private::assert_operation($operation, $system);
            $crate::__private::site!(
                SITE, db, INFO, $crate::__private::attr::OF_DB_SITES, [$($($field,)*)? $($($late,)*)?],
                {
                    name: $operation,
                    system: $crate::__private::Some($system),
                    late: $crate::__private::late(&[$($($field),*)?], &[$($($late),*)?]),
                }
            );
            &SITE
        };
    };
}

/// Declares the static part of a background job for calls by hand: see
/// [`operation`](crate::operation()).
///
/// The type becomes `job.type`: lower-case words joined by dots. `fields` and `late` are those of
/// [`db_site!`](crate::db_site).
///
/// ```
/// use percolate_otel::{job_site, operation};
///
/// job_site!(static WARM = "cache.warm");
///
/// let mut job = operation(WARM).target("articles").start();
/// job.in_scope(|| { /* the work */ });
/// job.finish();
/// ```
#[macro_export]
macro_rules! job_site {
    (
        $(#[$attribute:meta])*
        $vis:vis static $NAME:ident = $job_type:literal
        $(, fields = [$($field:literal),* $(,)?])?
        $(, late = [$($late:literal),* $(,)?])? $(,)?
    ) => {
        $(#[$attribute])*
        $vis static $NAME: &$crate::Site = {
            const _: () = $crate::__private::assert_job_type($job_type);
            $crate::__private::site!(
                SITE, job, INFO, $crate::__private::attr::OF_JOB_SITES, [$($($field,)*)? $($($late,)*)?],
                {
                    name: $job_type,
                    late: $crate::__private::late(&[$($($field),*)?], &[$($($late),*)?]),
                }
            );
            &SITE
        };
    };
}

/// Returns the bits of the attributes that are recorded late: those after `fields`.
///
/// # Panics
/// Panics at compile time if there are too many.
pub const fn late(fields: &[&str], late: &[&str]) -> u64 {
    assert!(
        fields.len() + late.len() < 64,
        "a site has at most 63 attributes of its own"
    );
    ((1 << late.len()) - 1) << fields.len()
}

/// Checks the names of a `db_site!`.
///
/// # Panics
/// Panics at compile time if one of them is malformed.
pub const fn assert_operation(operation: &str, system: &str) {
    assert!(
        is_words(operation.as_bytes(), b"_.- "),
        "the operation must be words of ASCII letters and digits, such as \"range_delete\""
    );
    assert!(
        is_words(system.as_bytes(), b"_.") && system.as_bytes()[0].is_ascii_lowercase(),
        "the system must be the lower-case name of the database system, such as \"redb\""
    );
}

/// Checks the type of a `job_site!`.
///
/// # Panics
/// Panics at compile time if it is malformed.
pub const fn assert_job_type(job_type: &str) {
    let bytes = job_type.as_bytes();
    let (mut place, mut dots) = (0, 0);
    while place < bytes.len() {
        dots += (bytes[place] == b'.') as usize;
        place += 1;
    }
    assert!(
        dots > 0 && is_words(bytes, b"_.") && bytes[0].is_ascii_lowercase(),
        "the type of a job must be lower-case words joined by dots, such as \"report.render\""
    );
}

/// Whether `name` starts with a letter and consists of letters, digits and the given characters,
/// which do not follow each other and are not the last.
const fn is_words(name: &[u8], others: &[u8]) -> bool {
    let mut place = 0;
    let mut after_other = true;
    while place < name.len() {
        let byte = name[place];
        let is_word = byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && place > 0);
        let mut is_other = false;
        let mut known = 0;
        while known < others.len() {
            is_other |= others[known] == byte;
            known += 1;
        }
        if !is_word && (!is_other || after_other) {
            return false;
        }
        after_other = is_other;
        place += 1;
    }
    !after_other
}

#[cfg(test)]
mod tests;
