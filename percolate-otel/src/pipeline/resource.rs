//! The resource: service, host, operating system, process and SDK as detected, overridden by the
//! environment and then by the builder. Invariant: no detected attribute can contain a secret, so
//! that command line arguments are left out.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

pub(super) const SERVICE_NAME: &str = "service.name";

/// Builds the resource: detected attributes (if enabled), those of the environment, those of the
/// builder; later ones win.
pub(super) fn build(
    detect: bool,
    from_environment: impl Iterator<Item = KeyValue>,
    from_builder: impl Iterator<Item = KeyValue>,
) -> Resource {
    let default_name = [KeyValue::new(
        SERVICE_NAME,
        format!("unknown_service:{}", executable_name()),
    )];
    let detected = if detect { detected() } else { Vec::new() };
    Resource::builder_empty()
        .with_attributes(default_name)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(detected)
        .with_attributes(from_environment)
        .with_attributes(from_builder)
        .build()
}

fn detected() -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("service.instance.id", instance_id()),
        KeyValue::new("host.arch", architecture()),
        KeyValue::new("os.type", operating_system()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
        KeyValue::new("process.executable.name", executable_name()),
        KeyValue::new("process.runtime.name", "rust"),
        KeyValue::new("telemetry.distro.name", "percolate"),
        KeyValue::new("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
    ];
    let path = std::env::current_exe()
        .ok()
        .map(|path| path.to_string_lossy().into_owned());
    attributes.extend(path.map(|path| KeyValue::new("process.executable.path", path)));
    attributes.extend(host_name().map(|name| KeyValue::new("host.name", name)));
    attributes
}

/// Returns a random UUID. It distinguishes two processes of one service on one host.
fn instance_id() -> Value {
    let mut bytes = RandomIdGenerator::default().new_trace_id().to_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
    .into()
}

fn executable_name() -> String {
    let path = std::env::current_exe().ok();
    let name = path
        .as_deref()
        .and_then(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "rust".to_owned())
}

fn host_name() -> Option<String> {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Returns the conventions' name of the architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    fn value(resource: &Resource, key: &'static str) -> Option<String> {
        resource
            .get(&Key::from_static_str(key))
            .map(|value| value.to_string())
    }

    #[test]
    fn the_builder_wins_over_the_environment_over_detection() {
        let environment = [
            KeyValue::new(SERVICE_NAME, "from-env"),
            KeyValue::new("host.name", "from-env"),
        ];
        let builder = [KeyValue::new(SERVICE_NAME, "from-builder")];
        let resource = build(true, environment.into_iter(), builder.into_iter());
        assert_eq!(
            value(&resource, SERVICE_NAME).as_deref(),
            Some("from-builder")
        );
        assert_eq!(value(&resource, "host.name").as_deref(), Some("from-env"));
    }

    #[test]
    fn a_service_without_a_name_is_called_after_its_executable() {
        let resource = build(false, std::iter::empty(), std::iter::empty());
        let name = value(&resource, SERVICE_NAME).expect("always there");
        assert!(name.starts_with("unknown_service:"), "{name}");
        assert_eq!(
            value(&resource, "telemetry.sdk.language").as_deref(),
            Some("rust")
        );
        assert_eq!(value(&resource, "process.pid"), None);
    }

    #[test]
    fn process_and_host_are_detected_with_their_types() {
        let resource = build(true, std::iter::empty(), std::iter::empty());
        let pid = resource.get(&Key::from_static_str("process.pid"));
        assert_eq!(pid, Some(Value::I64(i64::from(std::process::id()))));
        assert_eq!(
            value(&resource, "service.instance.id").map(|id| id.len()),
            Some(36)
        );
        assert!(value(&resource, "host.arch").is_some());
    }
}
