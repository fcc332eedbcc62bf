//! What the fuzz targets call: functions that the public interface reaches only with threads and
//! exporters. Outside of semantic versioning.

use crate::pipeline::{self, ConfigWarning, Environment};

/// Reads all variables as a pipeline does, and returns the warnings.
pub fn read_environment(environment: &Environment) -> Vec<ConfigWarning> {
    pipeline::read_variables(environment)
}
