//! The table of spans, with the requirement levels that spans and metrics share.

use super::attribute;
use super::definition::RequirementLevel::{
    self, ConditionallyRequired, OptIn, Recommended, Required,
};
use super::definition::{SpanDef, late, start};

pub(super) const ONE_COLLECTION: RequirementLevel =
    ConditionallyRequired("if the call works on one collection");
pub(super) const HAS_NAMESPACE: RequirementLevel =
    ConditionallyRequired("if the database has a logical name");
pub(super) const ONE_OPERATION: RequirementLevel =
    ConditionallyRequired("if one name describes the call");
pub(super) const FAILED: RequirementLevel =
    ConditionallyRequired("if and only if the operation failed");
pub(super) const FAILED_WITH_CODE: RequirementLevel =
    ConditionallyRequired("if the operation failed and there is a code");
pub(super) const OTHER_PORT: RequirementLevel =
    ConditionallyRequired("if the port is not the default and the address is set");
pub(super) const HAS_TARGET: RequirementLevel =
    ConditionallyRequired("when the job has a low-cardinality target");
pub(super) const IS_RETRIED: RequirementLevel =
    ConditionallyRequired("if an earlier attempt failed");
pub(super) const JOB_FAILED: RequirementLevel =
    ConditionallyRequired("if and only if the job failed");

/// A database operation, from the caller's point of view.
pub const DB_SPAN: SpanDef = SpanDef {
    span_type: "db.client",
    kind: "client",
    name: "`{db.query.summary}`, else `{db.operation.name} {db.collection.name}`, else `{db.operation.name}`",
    brief: "A database operation, from the caller's point of view.",
    attributes: &[
        start(attribute::DB_SYSTEM_NAME, Required),
        start(attribute::DB_COLLECTION_NAME, ONE_COLLECTION),
        start(attribute::DB_NAMESPACE, HAS_NAMESPACE),
        start(attribute::DB_OPERATION_NAME, ONE_OPERATION),
        late(attribute::DB_RESPONSE_STATUS_CODE, FAILED_WITH_CODE),
        late(attribute::ERROR_TYPE, FAILED),
        start(attribute::SERVER_PORT, OTHER_PORT),
        late(attribute::DB_OPERATION_BATCH_SIZE, Recommended),
        start(attribute::DB_QUERY_SUMMARY, Recommended),
        start(attribute::DB_QUERY_TEXT, Recommended),
        late(attribute::DB_STORED_PROCEDURE_NAME, Recommended),
        late("network.peer.address", Recommended),
        late("network.peer.port", Recommended),
        start(attribute::SERVER_ADDRESS, Recommended),
        late(attribute::DB_QUERY_PARAMETER, OptIn),
        late(attribute::DB_RESPONSE_RETURNED_ROWS, OptIn),
        late(attribute::DB_RESPONSE_AFFECTED_ROWS, OptIn),
    ],
};

/// A run of a background job.
pub const JOB_SPAN: SpanDef = SpanDef {
    span_type: "job.run",
    kind: "internal",
    name: "`{job.type} {job.target}`, else `{job.type}`",
    brief: "A run of a background job.",
    attributes: &[
        start(attribute::JOB_TYPE, Required),
        start(attribute::JOB_TARGET, HAS_TARGET),
        late(attribute::JOB_STATUS, Required),
        late(attribute::JOB_BATCH_SIZE, Recommended),
        start(attribute::JOB_ATTEMPT, IS_RETRIED),
        late(attribute::JOB_DURATION_MS, Recommended),
        late(attribute::ERROR_TYPE, JOB_FAILED),
    ],
};
