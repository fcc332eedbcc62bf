//! The `OTEL_*` variables.

use percolate_core::otel::{Environment, fuzzing};

/// Data of the variables that may contain secrets.
const SECRET: &str = "c4n4ry";

/// Reads lines of a name, an equals sign and a value as variables. Each warning is reported once, and shows
/// no secret.
pub fn environment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let variables: Vec<(&str, &str)> = text
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("OTEL_"))
        .collect();
    let read = || fuzzing::read_environment(&variables.iter().copied().collect::<Environment>());
    let warnings = read();
    assert_eq!(read(), warnings, "reading again");
    for (position, warning) in warnings.iter().enumerate() {
        assert!(!warnings[..position].contains(warning), "{warning} twice");
        let is_secret = warning.variable.ends_with("_HEADERS")
            || warning.variable.contains("_KEY")
            || warning.variable.ends_with("_ENDPOINT");
        assert!(
            !is_secret || !warning.problem.contains(SECRET),
            "{warning} shows a secret"
        );
    }
}
