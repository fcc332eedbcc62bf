//! The handle of the Layer: what it shares, and its report. The other files of this folder add what
//! it does as a `tracing` layer (`hooks.rs`), as a filter (`filter.rs`), in tests (`test_scope.rs`)
//! and for metrics (`checking_exporter.rs`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing_core::Metadata;

use super::builder::{ConventionLayerBuilder, LayerSettings};
use super::call_site::CallSite;
use super::call_sites::CallSites;
#[cfg(feature = "pipeline")]
use super::metric_findings::MetricFindings;
use super::profile::Profile;
use super::registry::Registry;
use super::report::Report;
use super::span_finding::span_finding;

/// Checks database and job spans from any source against the conventions.
///
/// A handle: its clones share the findings. Add [`layer`](Self::layer) to the subscriber and keep
/// the handle for the [`report`](Self::report).
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
/// assert!(report.to_string().contains("the database span has no `db.system.name`"));
/// ```
///
/// The handle itself is a `tracing_subscriber::Layer` without a filter, which enables every span
/// and event that reaches it. [`layer`](Self::layer) enables only the spans it checks.
#[derive(Clone)]
pub struct ConventionLayer {
    pub(super) shared: Arc<LayerShared>,
}

/// What the clones of a Layer share.
pub(super) struct LayerShared {
    pub(super) settings: LayerSettings,
    pub(super) registry: Registry,
    pub(super) call_sites: CallSites,
    #[cfg(feature = "pipeline")]
    pub(super) metrics: MetricFindings,
}

impl ConventionLayer {
    /// Creates a Layer that collects its findings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Creates a Layer for tests. See [`Profile::Strict`].
    pub fn strict() -> Self {
        Self::builder().profile(Profile::Strict).build()
    }

    /// Returns a builder for a Layer with other settings.
    pub fn builder() -> ConventionLayerBuilder {
        ConventionLayerBuilder::new()
    }

    /// Returns the profile of the Layer.
    pub fn profile(&self) -> Profile {
        self.shared.settings.profile
    }

    /// Returns all findings so far.
    pub fn report(&self) -> Report {
        let shared = &*self.shared;
        let mut report = Report {
            findings: Vec::new(),
            spans: 0,
            call_sites: 0,
            metrics: 0,
            fail_on: shared.settings.fail_on,
        };
        for site in shared.call_sites.checked() {
            let checked = site.checked.load(Ordering::Relaxed);
            report.spans += checked;
            report.call_sites += usize::from(checked > 0);
            let slots = site.findings.copy();
            report.findings.extend(
                slots
                    .iter()
                    .map(|slot| span_finding(site, slot, &shared.registry)),
            );
        }
        #[cfg(feature = "pipeline")]
        {
            let (checked, findings) = shared.metrics.findings(&shared.registry);
            report.metrics = checked;
            report.findings.extend(findings);
        }
        report
            .findings
            .retain(|finding| !shared.settings.ignored.contains(&finding.rule));
        report.sort();
        report
    }

    /// Removes all findings so far.
    pub fn clear(&self) {
        for site in self.shared.call_sites.checked() {
            site.clear();
        }
        #[cfg(feature = "pipeline")]
        self.shared.metrics.clear();
    }

    /// Returns the call site of a span, or `None` if its spans are not checked.
    pub(super) fn site(&self, metadata: &'static Metadata<'static>) -> Option<&'static CallSite> {
        if !metadata.is_span() {
            return None;
        }
        let LayerShared {
            settings,
            registry,
            call_sites,
            ..
        } = &*self.shared;
        call_sites.get_or_classify(metadata, || match settings.profile {
            Profile::Off => None,
            _ => CallSite::new(metadata, registry, &settings.opt_in),
        })
    }
}

impl ConventionLayerBuilder {
    /// Builds the Layer.
    pub fn build(self) -> ConventionLayer {
        let Self { settings, registry } = self;
        ConventionLayer {
            shared: Arc::new(LayerShared {
                settings,
                registry,
                call_sites: CallSites::default(),
                #[cfg(feature = "pipeline")]
                metrics: MetricFindings::default(),
            }),
        }
    }
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
