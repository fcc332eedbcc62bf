//! The tables against the crate of the official names, and against each other. `page` and
//! `dashboards` generate files from them.

mod dashboards;
mod page;

use opentelemetry_semantic_conventions::{
    attribute as official_attribute, metric as official_metric,
};

use super::*;

#[test]
fn official_names_are_those_of_the_conventions_crate() {
    let known = [
        official_attribute::DB_SYSTEM_NAME,
        official_attribute::DB_COLLECTION_NAME,
        official_attribute::DB_NAMESPACE,
        official_attribute::DB_OPERATION_NAME,
        official_attribute::DB_OPERATION_BATCH_SIZE,
        official_attribute::DB_QUERY_TEXT,
        official_attribute::DB_QUERY_SUMMARY,
        official_attribute::DB_STORED_PROCEDURE_NAME,
        official_attribute::DB_RESPONSE_STATUS_CODE,
        official_attribute::DB_RESPONSE_RETURNED_ROWS,
        official_attribute::DB_CLIENT_CONNECTION_POOL_NAME,
        official_attribute::DB_CLIENT_CONNECTION_STATE,
        official_attribute::ERROR_TYPE,
        official_attribute::SERVER_ADDRESS,
        official_attribute::SERVER_PORT,
        official_attribute::NETWORK_PEER_ADDRESS,
        official_attribute::NETWORK_PEER_PORT,
        official_attribute::CODE_FUNCTION_NAME,
        official_attribute::CODE_FILE_PATH,
        official_attribute::CODE_LINE_NUMBER,
        official_attribute::CODE_COLUMN_NUMBER,
        official_attribute::CODE_STACKTRACE,
        official_attribute::EXCEPTION_TYPE,
        official_attribute::EXCEPTION_MESSAGE,
        official_attribute::THREAD_ID,
        official_attribute::THREAD_NAME,
        official_attribute::OTEL_COMPONENT_NAME,
        official_attribute::OTEL_COMPONENT_TYPE,
    ];
    let ours: Vec<&str> = ATTRIBUTES
        .iter()
        .filter(|attribute| attribute.source == Source::OpenTelemetry)
        .map(|attribute| attribute.key)
        .collect();
    assert_eq!(ours, known);
    assert_eq!(TEMPLATES[0].key, official_attribute::DB_QUERY_PARAMETER);
    let known = [
        official_metric::DB_CLIENT_OPERATION_DURATION,
        official_metric::DB_CLIENT_RESPONSE_RETURNED_ROWS,
        official_metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
        official_metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
        official_metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED,
        official_metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
    ];
    let ours: Vec<&str> = METRICS
        .iter()
        .filter(|metric| metric.source == Source::OpenTelemetry)
        .map(|metric| metric.name)
        .collect();
    assert_eq!(ours, known);
}

#[test]
fn every_name_a_span_or_metric_uses_is_in_the_table() {
    let uses = [DB_SPAN.attributes, JOB_SPAN.attributes]
        .into_iter()
        .chain(METRICS.iter().map(|m| m.attributes));
    for used in uses.flatten() {
        let known = find_attribute(used.key).is_some()
            || TEMPLATES.iter().any(|template| template.key == used.key);
        assert!(known, "{}", used.key);
    }
}

#[test]
fn a_deprecated_name_leads_to_a_name_of_today() {
    for name in DEPRECATED {
        assert!(
            find_attribute(name.key).is_none(),
            "{} is deprecated and defined",
            name.key
        );
        let today = name.instead.is_empty()
            || find_attribute(name.instead).is_some()
            || [
                attribute::DB_QUERY_PARAMETER,
                attribute::OTEL_STATUS_DESCRIPTION,
            ]
            .contains(&name.instead);
        assert!(today, "{} leads to {}", name.key, name.instead);
    }
}
