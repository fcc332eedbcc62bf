//! The settings of a Layer. `convention_layer.rs` builds the Layer, `definition.rs` adds registries
//! of users.

use super::cases::Rule;
use super::level::Level;
use super::profile::Profile;
use super::registry::Registry;
use crate::conventions::attribute;

/// The settings of one Layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerSettings {
    pub(crate) profile: Profile,
    pub(crate) opt_in: Vec<String>,
    pub(crate) ignored: Vec<Rule>,
    pub(crate) fail_on: Level,
}

/// Sets the options of a [`ConventionLayer`](super::ConventionLayer).
#[derive(Debug, Clone)]
#[must_use]
pub struct ConventionLayerBuilder {
    pub(super) settings: LayerSettings,
    pub(super) registry: Registry,
}

impl ConventionLayerBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: LayerSettings {
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

    /// Sets what happens with findings. The default is [`Profile::Collect`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.settings.profile = profile;
        self
    }

    /// Allows an opt-in attribute, such as `db.query.parameter`.
    pub fn opt_in(mut self, key: impl Into<String>) -> Self {
        self.settings.opt_in.push(key.into());
        self
    }

    /// Allows only the opt-in attributes that are named after this call. By default the row counts
    /// that percolate records are allowed.
    pub fn no_opt_in(mut self) -> Self {
        self.settings.opt_in.clear();
        self
    }

    /// Ignores a rule.
    pub fn ignore(mut self, rule: Rule) -> Self {
        self.settings.ignored.push(rule);
        self
    }

    /// Sets the lowest level at which a finding fails a test. The default is
    /// [`Level::Improvement`].
    pub fn fail_on(mut self, level: Level) -> Self {
        self.settings.fail_on = level;
        self
    }
}
