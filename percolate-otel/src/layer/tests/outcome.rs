//! Span status, error types and error events.

use super::{close, findings};

#[test]
fn a_failure_needs_an_error_type_and_a_status_code_if_there_is_one() {
    let found = findings(|| {
        let span = get!();
        span.record("otel.status_code", "ERROR");
        close(span);
    });
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present error.type"]
    );
    let found = findings(|| {
        let span = get!();
        span.record("otel.status_code", "error");
        span.record("error.type", "Corruption");
        close(span);
    });
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present db.response.status_code"]
    );
    let found = findings(|| {
        let span = job!();
        span.record("job.status", "failed");
        close(span);
    });
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present error.type"]
    );
    // The text of a failure sets the status as well.
    let found = findings(|| close(get!(otel.status_description = "disk full")));
    assert_eq!(
        found,
        ["conditionally_required_attribute_not_present error.type"]
    );
}

#[test]
fn an_error_type_is_not_a_message() {
    let failed = |kind: &'static str| {
        findings(move || {
            let span = get!();
            span.record("otel.status_code", "ERROR");
            span.record("error.type", kind);
            close(span);
        })
    };
    assert_eq!(
        failed("no space left on device"),
        ["high_cardinality error.type"]
    );
    assert_eq!(failed("store::Error"), [""; 0]);
}

#[test]
fn the_status_agrees_with_the_outcome() {
    let status = |status: &'static str| {
        findings(move || {
            let span = get!();
            span.record("otel.status_code", status);
            close(span);
        })
    };
    assert_eq!(status("OK"), ["unexpected_status"]);
    assert_eq!(status("failed"), ["unexpected_status"]);
    assert_eq!(status("unset"), [""; 0]);
    let found = findings(|| {
        let span = job!();
        span.record("job.status", "success");
        span.record("error.type", "x");
        span.record("otel.status_code", "ERROR");
        close(span);
    });
    assert_eq!(found, ["unexpected_status job.status"]);
    let found = findings(|| {
        let span = get!();
        span.record("error.type", "NotFound");
        span.record("db.response.status_code", "NotFound");
        close(span);
    });
    assert_eq!(found, ["error_type_without_error error.type"]);
}

#[test]
fn an_error_event_inside_a_span_is_found() {
    assert_eq!(
        findings(|| get!().in_scope(|| tracing::error!("handled"))),
        ["error_event_in_span"]
    );
    assert_eq!(
        findings(|| get!().in_scope(|| tracing::warn!("handled"))),
        [""; 0]
    );
    let found = findings(|| {
        let span = get!();
        span.in_scope(|| tracing::error!("not handled"));
        span.record("error.type", "x");
        span.record("otel.status_code", "ERROR");
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn an_error_value_is_not_an_attribute() {
    let error = std::io::Error::other("disk full");
    let found = findings(|| {
        close(get!(
            app.cause = &error as &(dyn std::error::Error + 'static)
        ));
    });
    assert_eq!(found, ["error_as_attribute app.cause"]);
}
