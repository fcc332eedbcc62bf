//! [`ConventionLayer`]: checks the telemetry of a process against the conventions, where it is made.
//!
//! What a call site decides is decided once (`site.rs`); a span leaves bits behind as its fields pass by
//! (`state.rs`), which are judged when it ends (`check.rs`); broken rules are counted per call site and put into
//! words (`rule.rs`) only when a [`Report`] is asked for. Values are looked at and never kept. No lock is held while
//! anything outside is called, nothing panics outside [`Profile::Strict`]'s own scope, and the Layer's log lines are
//! made outside of any span.

mod check;
#[cfg(feature = "registry")]
mod definition;
mod metrics;
mod registry;
mod report;
mod rule;
mod site;
mod state;
mod text;
#[cfg(feature = "registry")]
mod yaml;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use tracing_core::callsite::Identifier;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level as TracingLevel, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

#[cfg(feature = "registry")]
pub use definition::RegistryError;
pub use metrics::CheckingExporter;
pub use report::{Example, Finding, Place, Report};
pub use rule::{Level, Rule};

use super::conventions::attribute;
use metrics::MetricFindings;
use registry::{Class, Registry};
use rule::{Case, Facts, words};
use site::{CallSite, Slot, Subject};
use state::{Seen, SpanState, Texts, Visitor};

/// The `tracing` target of the Layer's own log lines.
pub const LOG_TARGET: &str = "percolate::conventions";

/// What happens with findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// Nothing is checked.
    Off,
    /// Findings are collected for [`ConventionLayer::report`].
    #[default]
    Collect,
    /// As `Collect`; the first finding of each rule at each call site is also logged, as a WARN event of the target
    /// [`LOG_TARGET`] outside of any span.
    Log,
    /// As `Collect`, and nothing is tolerated; at the end of a [test scope](ConventionLayer::test_scope) the test
    /// fails on any finding.
    Strict,
}

impl Profile {
    /// The profile named by `PERCOLATE_CONVENTIONS` (`off`, `collect`, `log` or `strict`), or else `otherwise`.
    pub fn from_env_or(otherwise: Self) -> Self {
        let named = std::env::var("PERCOLATE_CONVENTIONS").unwrap_or_default();
        match named.trim().to_ascii_lowercase().as_str() {
            "off" => Self::Off,
            "collect" => Self::Collect,
            "log" => Self::Log,
            "strict" => Self::Strict,
            _ => otherwise,
        }
    }
}

/// Checks database and job spans, whoever makes them, against the conventions.
///
/// A handle: clones share what was found. Put [`layer`](Self::layer) on the subscriber and keep the handle for the
/// [`report`](Self::report).
///
/// ```
/// use percolate_otel::ConventionLayer;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let conventions = ConventionLayer::new();
/// let subscriber = tracing_subscriber::registry().with(conventions.layer());
/// tracing::subscriber::with_default(subscriber, || {
///     let fields = tracing::info_span!("get articles", otel.kind = "client", db.operation.name = "get");
///     fields.in_scope(|| ());
/// });
/// let report = conventions.report();
/// assert_eq!(report.findings()[0].rule.id(), "required_attribute_not_present");
/// assert!(report.to_string().contains("a database span without `db.system.name`"));
/// ```
///
/// As a `tracing_subscriber::Layer` itself it has no filter, and so enables every span and event that reaches it;
/// [`layer`](Self::layer) asks for nothing but the spans it checks.
#[derive(Clone)]
pub struct ConventionLayer {
    shared: Arc<Shared>,
}

type Sites = HashMap<Identifier, Option<&'static CallSite>, BuildHasherDefault<PointerHasher>>;

struct Shared {
    settings: Settings,
    registry: Registry,
    sites: ArcSwap<Sites>,
    metrics: MetricFindings,
}

#[derive(Debug, Clone)]
struct Settings {
    profile: Profile,
    opt_in: Vec<String>,
    ignored: Vec<Rule>,
    fail_on: Level,
}

impl ConventionLayer {
    /// A Layer that collects what it finds.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A Layer for tests: see [`Profile::Strict`].
    pub fn strict() -> Self {
        Self::builder().profile(Profile::Strict).build()
    }

    /// A Layer with settings.
    pub fn builder() -> ConventionLayerBuilder {
        ConventionLayerBuilder {
            settings: Settings {
                profile: Profile::Collect,
                opt_in: vec![
                    attribute::DB_RESPONSE_RETURNED_ROWS.to_owned(),
                    attribute::DB_RESPONSE_AFFECTED_ROWS.to_owned(),
                ],
                ignored: Vec::new(),
                fail_on: Level::Improvement,
            },
            registry: Registry::builtin(),
        }
    }

    /// The Layer with a filter of its own: only the call sites it checks are enabled on its behalf, and that is
    /// decided once per call site. This is what belongs on a subscriber.
    pub fn layer<S>(&self) -> Filtered<Self, RelevantSpans, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.clone().with_filter(RelevantSpans {
            layer: self.clone(),
        })
    }

    /// The profile it was built with.
    pub fn profile(&self) -> Profile {
        self.shared.settings.profile
    }

    /// Everything found so far.
    pub fn report(&self) -> Report {
        let sites = self.shared.sites.load();
        let (mut findings, mut spans, mut call_sites) = (Vec::new(), 0, 0);
        for site in sites.values().flatten() {
            let checked = site.checked.load(Ordering::Relaxed);
            spans += checked;
            call_sites += usize::from(checked > 0);
            findings.extend(site.found().iter().map(|slot| self.finding(site, slot)));
        }
        let (metrics, of_metrics) = self.shared.metrics.findings(&self.shared.registry);
        findings.extend(of_metrics);
        findings.retain(|finding| !self.shared.settings.ignored.contains(&finding.rule));
        findings.sort_by(|a: &Finding, b: &Finding| {
            (
                a.place.order(),
                std::cmp::Reverse(a.level),
                a.rule,
                &a.subject,
            )
                .cmp(&(
                    b.place.order(),
                    std::cmp::Reverse(b.level),
                    b.rule,
                    &b.subject,
                ))
        });
        Report {
            findings,
            spans,
            call_sites,
            metrics,
            fail_on: self.shared.settings.fail_on,
        }
    }

    /// Forgets everything found so far.
    pub fn clear(&self) {
        for site in self.shared.sites.load().values().flatten() {
            site.clear();
        }
        self.shared.metrics.clear();
    }

    /// A scope at whose end the test fails on any finding, if the profile is [`Profile::Strict`].
    #[must_use = "the check happens when the scope is dropped"]
    pub fn test_scope(&self) -> TestScope {
        TestScope {
            layer: self.clone(),
        }
    }

    fn finding(&self, site: &CallSite, slot: &Slot) -> Finding {
        let facts = self.facts(site, slot);
        let (message, help) = words(slot.case, &facts);
        let metadata = site.metadata;
        Finding {
            rule: slot.case.rule(),
            level: slot.case.level(),
            place: Place::CallSite {
                span: metadata.name().to_owned(),
                target: metadata.target().to_owned(),
                file: metadata.file().map(str::to_owned),
                line: metadata.line(),
            },
            subject: facts.subject,
            message,
            help,
            count: slot.count,
            first: example(site, &slot.first),
            last: example(site, &slot.last),
        }
    }

    fn facts(&self, site: &CallSite, slot: &Slot) -> Facts {
        let mut facts = Facts {
            span: site.span_type.clone(),
            ..Facts::default()
        };
        match slot.subject {
            Subject::Span => {}
            Subject::Known(name) => name.clone_into(&mut facts.subject),
            Subject::Missing(index) => {
                facts.subject = site
                    .missing
                    .get(usize::from(index))
                    .cloned()
                    .unwrap_or_default();
            }
            Subject::Field(index) => {
                let index = usize::from(index);
                site.field(index).clone_into(&mut facts.subject);
                facts.expected = site.expected.get(&index).cloned().unwrap_or_default();
                slot.last.type_of(index).clone_into(&mut facts.found);
            }
        }
        match slot.case {
            Case::TypeMismatch => {
                let index = if let Subject::Field(index) = slot.subject {
                    usize::from(index)
                } else {
                    0
                };
                site.types
                    .get(&index)
                    .copied()
                    .unwrap_or("any")
                    .clone_into(&mut facts.expected);
            }
            Case::RequiredMissing => {
                facts.expected = match self.shared.registry.attribute(&facts.subject) {
                    Some(attribute) => attribute.in_words(),
                    None => "any value".to_owned(),
                };
            }
            Case::KindMissing | Case::KindWrong | Case::KindOdd => {
                facts.expected.clone_from(&site.kind)
            }
            Case::NameMismatch => facts.expected = name_pattern(site, &slot.last),
            _ => {}
        }
        facts
    }

    /// What is known of a call site; judged now if it never was registered.
    fn site(&self, metadata: &'static Metadata<'static>) -> Option<&'static CallSite> {
        let id = metadata.callsite();
        if let Some(known) = self.shared.sites.load().get(&id) {
            return *known;
        }
        if !metadata.is_span() {
            return None;
        }
        let settings = &self.shared.settings;
        let site = match settings.profile {
            Profile::Off => None,
            _ => CallSite::new(metadata, &self.shared.registry, &settings.opt_in),
        };
        // A call site lives as long as the process, and so does what is known of it: spans need not share in it.
        let site = site.map(|site| -> &'static CallSite { Box::leak(Box::new(site)) });
        // Whoever comes first decides, so that all spans of a call site count together.
        self.shared.sites.rcu(|sites| {
            let mut sites = Sites::clone(sites);
            sites.entry(id.clone()).or_insert(site);
            sites
        });
        self.shared.sites.load().get(&id).copied().flatten()
    }

    fn is_relevant(&self, metadata: &'static Metadata<'static>) -> bool {
        metadata.target() != LOG_TARGET
            && self.profile() != Profile::Off
            && if metadata.is_span() {
                self.site(metadata).is_some()
            } else {
                is_error_event(metadata)
            }
    }

    fn close(&self, state: &SpanState) {
        let settings = &self.shared.settings;
        if state.error != 0 && state.operation != 0 && state.site.is_ours {
            self.shared
                .metrics
                .span_failed(state.operation, state.error);
        }
        let strict = settings.profile == Profile::Strict;
        let mut news: Vec<Slot> = Vec::new();
        check::check(state, strict, &mut |case, subject| {
            if settings.ignored.contains(&case.rule()) {
                return;
            }
            let is_new = state.site.add(case, subject, &state.seen);
            if is_new && settings.profile == Profile::Log && case.level() > Level::Information {
                news.push(Slot {
                    case,
                    subject,
                    count: 1,
                    first: state.seen,
                    last: state.seen,
                });
            }
        });
        for slot in &news {
            log(&self.finding(state.site, slot));
        }
    }
}

/// Outside of any span: an event inside the one that is checked would become part of it.
fn log(finding: &Finding) {
    tracing::warn!(
        target: LOG_TARGET,
        parent: None,
        rule = finding.rule.id(),
        level = finding.level.as_str(),
        place = %finding.place,
        "{}; {}",
        finding.message,
        finding.help
    );
}

fn is_error_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && *metadata.level() == TracingLevel::ERROR
}

/// How the name of a span that carried these fields is made.
fn name_pattern(site: &CallSite, seen: &Seen) -> String {
    let keys = if site.class == Class::Job {
        [attribute::JOB_TYPE, attribute::JOB_TARGET]
    } else if seen.given() & site.masks.summary != 0 {
        [attribute::DB_QUERY_SUMMARY, ""]
    } else {
        [attribute::DB_OPERATION_NAME, attribute::DB_COLLECTION_NAME]
    };
    let is_given = |key: &str| {
        (0..site.roles.len())
            .any(|index| seen.given() & (1 << index) != 0 && site.field(index) == key)
    };
    let parts: Vec<String> = keys
        .iter()
        .filter(|key| is_given(key))
        .map(|key| format!("{{{key}}}"))
        .collect();
    parts.join(" ")
}

fn example(site: &CallSite, seen: &Seen) -> Example {
    let given = seen.given();
    (0..site.roles.len())
        .filter(|index| given & (1 << index) != 0)
        .map(|index| (site.field(index).to_owned(), seen.type_of(index)))
        .collect()
}

impl Default for ConventionLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ConventionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConventionLayer")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`ConventionLayer`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ConventionLayerBuilder {
    settings: Settings,
    registry: Registry,
}

impl ConventionLayerBuilder {
    /// What happens with findings.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.settings.profile = profile;
        self
    }

    /// Allows an opt-in attribute, such as `db.query.parameter`.
    pub fn opt_in(mut self, key: impl Into<String>) -> Self {
        self.settings.opt_in.push(key.into());
        self
    }

    /// Allows only the opt-in attributes named after this call; by default the rows percolate records are allowed.
    pub fn no_opt_in(mut self) -> Self {
        self.settings.opt_in.clear();
        self
    }

    /// Does not check a rule.
    pub fn ignore(mut self, rule: Rule) -> Self {
        self.settings.ignored.push(rule);
        self
    }

    /// From which level on a finding fails a test; [`Level::Improvement`] unless this is called.
    pub fn fail_on(mut self, level: Level) -> Self {
        self.settings.fail_on = level;
        self
    }

    /// Builds the Layer.
    pub fn build(self) -> ConventionLayer {
        let Self { settings, registry } = self;
        ConventionLayer {
            shared: Arc::new(Shared {
                settings,
                registry,
                sites: ArcSwap::default(),
                metrics: MetricFindings::default(),
            }),
        }
    }
}

/// Checks at the end of a test; made by [`ConventionLayer::test_scope`].
#[derive(Debug)]
pub struct TestScope {
    layer: ConventionLayer,
}

impl Drop for TestScope {
    fn drop(&mut self) {
        // A test that fails for another reason says that reason.
        if self.layer.profile() == Profile::Strict && !std::thread::panicking() {
            self.layer.report().assert_clean();
        }
    }
}

impl<S> Layer<S> for ConventionLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let _ = self.site(metadata);
        // `never` here would switch the call site off for every other layer too.
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(site) = self.site(attributes.metadata()) else {
            return;
        };
        let Some(span) = ctx.span(id) else { return };
        let mut state = SpanState::new(site);
        let mut texts = Texts::new();
        let mut visitor = Visitor::at_start(&mut state, &mut texts);
        attributes.record(&mut visitor);
        visitor.finish();
        // Another ConventionLayer on the same subscriber may have been here: the outermost one checks.
        span.extensions_mut().replace(state);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(state) = span.extensions_mut().get_mut::<SpanState>() {
            values.record(&mut Visitor::later(state));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if !is_error_event(event.metadata()) || event.metadata().target() == LOG_TARGET {
            return;
        }
        let Some(span) = ctx.event_span(event) else {
            return;
        };
        if let Some(state) = span.extensions_mut().get_mut::<SpanState>() {
            state.error_event();
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let state = span.extensions_mut().remove::<SpanState>();
        if let Some(state) = state {
            self.close(&state);
        }
    }
}

/// Enables the spans a [`ConventionLayer`] checks, and the ERROR events that would fail them.
#[derive(Debug, Clone)]
pub struct RelevantSpans {
    layer: ConventionLayer,
}

impl<S> Filter<S> for RelevantSpans {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        if metadata.is_span() {
            let id = metadata.callsite();
            // Unknown call sites were not registered here, and are judged when their first span comes.
            self.layer
                .shared
                .sites
                .load()
                .get(&id)
                .is_none_or(Option::is_some)
                && self.layer.profile() != Profile::Off
        } else {
            is_error_event(metadata)
                && metadata.target() != LOG_TARGET
                && self.layer.profile() != Profile::Off
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.layer.is_relevant(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}

/// Hashes the address of a call site.
#[derive(Debug, Default, Clone, Copy)]
struct PointerHasher(u64);

impl Hasher for PointerHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
