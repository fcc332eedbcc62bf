//! Decides which cases apply to a finished span, with bit masks only. `cases.rs` has the cases.

use std::sync::atomic::Ordering;

use super::cases::Case;
use super::finding_slot::Subject;
use super::flags::Flags;
use super::registry::Class;
use super::span_state::SpanState;
use crate::conventions::attribute;

/// Reports all cases that apply to a finished span. `strict` includes those that are tolerated
/// otherwise.
pub(crate) fn check(state: &SpanState, strict: bool, report: &mut dyn FnMut(Case, Subject)) {
    let SpanState {
        site, seen, flags, ..
    } = state;
    let m = &site.masks;
    let given = seen.given();
    if !site.is_ours && site.class != Class::Other && given & m.owned == 0 {
        // All its database and job fields are empty.
        return;
    }
    site.checked.fetch_add(1, Ordering::Relaxed);

    attributes(state, given, report);
    outcome(state, given, report);
    match site.class {
        Class::Db => database(state, given, strict, report),
        Class::Job => kind(state, false, report),
        Class::Other => kind(state, site.kind != "internal", report),
    }
    if flags.has(Flags(
        Flags::NAME_LONG.0 | Flags::NAME_MISMATCH.0 | Flags::NAME_CHANGING.0 | Flags::NAME_LATE.0,
    )) {
        name(state, report);
    }

    let new = given & m.unstable & !site.noted.load(Ordering::Relaxed);
    if new != 0 {
        let before = site.noted.fetch_or(new, Ordering::Relaxed);
        each(new & !before, Case::NotStable, report);
    }
}

/// Reports a case for every field of a mask.
fn each(mut mask: u64, case: Case, report: &mut dyn FnMut(Case, Subject)) {
    while mask != 0 {
        #[expect(clippy::cast_possible_truncation, reason = "less than 64")]
        report(case, Subject::Field(mask.trailing_zeros() as u8));
        mask &= mask - 1;
    }
}

fn attributes(state: &SpanState, given: u64, report: &mut dyn FnMut(Case, Subject)) {
    let SpanState { site, seen, .. } = state;
    let m = &site.masks;
    let text = seen.strings | seen.unsigned;
    let mistyped = given
        & ((m.int & !seen.ints)
            | (m.string & !text & !seen.errors)
            | (m.double & !seen.doubles)
            | (m.boolean & !seen.booleans));
    each(mistyped, Case::TypeMismatch, report);
    each(seen.errors, Case::ErrorField, report);
    each(m.required & !given, Case::RequiredMissing, report);
    for index in 0..site.missing.len() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "registries require a handful of attributes"
        )]
        report(Case::RequiredMissing, Subject::Missing(index as u8));
    }
    each(seen.late & !seen.start & m.at_start, Case::Late, report);
    each(seen.undefined, Case::UndefinedMember, report);
    if given & m.wrong != 0 {
        each(given & m.unknown, Case::Unknown, report);
        each(given & m.misspelt, Case::Misspelt, report);
        each(given & m.deprecated, Case::Deprecated, report);
        each(given & m.malformed, Case::Malformed, report);
        each(given & m.no_namespace, Case::NoNamespace, report);
        each(given & m.illegal_namespace, Case::IllegalNamespace, report);
        each(given & m.opt_in, Case::OptIn, report);
    }
}

/// The span status, `error.type` and `job.status` must agree.
fn outcome(state: &SpanState, given: u64, report: &mut dyn FnMut(Case, Subject)) {
    let SpanState { site, flags, .. } = state;
    let m = &site.masks;
    let has_type = given & m.error_type != 0;
    let is_error = flags.has(Flags::STATUS_ERROR);
    let by_event = flags.has(Flags::ERROR_EVENT) && !is_error;
    if by_event && !has_type {
        report(Case::ErrorEvent, Subject::Span);
    }
    if (is_error || flags.has(Flags::JOB_FAILED)) && !has_type {
        report(
            Case::ErrorTypeMissing,
            Subject::Known(attribute::ERROR_TYPE),
        );
    }
    if has_type && !is_error && !by_event {
        report(
            Case::ErrorTypeWithoutError,
            Subject::Known(attribute::ERROR_TYPE),
        );
    }
    if flags.has(Flags::STATUS_OK) {
        report(Case::StatusOk, Subject::Span);
    }
    if flags.has(Flags::STATUS_ODD) {
        report(Case::StatusOdd, Subject::Span);
    }
    if is_error && flags.has(Flags::JOB_SUCCESS) {
        report(
            Case::StatusErrorOnSuccess,
            Subject::Known(attribute::JOB_STATUS),
        );
    }
    if has_type && flags.has(Flags::ERROR_MESSAGE) {
        each(m.error_type, Case::ErrorTypeCardinality, report);
    }
}

fn database(state: &SpanState, given: u64, strict: bool, report: &mut dyn FnMut(Case, Subject)) {
    let SpanState { site, flags, .. } = state;
    let m = &site.masks;
    kind(state, true, report);
    if given & (m.operation | m.summary | m.query_text) == 0 {
        report(
            Case::OperationMissing,
            Subject::Known(attribute::DB_OPERATION_NAME),
        );
    }
    if flags.has(Flags::NEEDS_COLLECTION) && given & m.collection == 0 {
        let case = if m.collection == 0 {
            Case::CollectionUnknown
        } else {
            Case::CollectionMissing
        };
        report(case, Subject::Known(attribute::DB_COLLECTION_NAME));
    }
    if flags.has(Flags::ROCKSDB_CODE) && flags.has(Flags::ROCKSDB) && given & m.status_code == 0 {
        report(
            Case::StatusCodeMissing,
            Subject::Known(attribute::DB_RESPONSE_STATUS_CODE),
        );
    }
    if given & m.query_text != 0 && given & m.summary == 0 {
        report(
            Case::SummaryMissing,
            Subject::Known(attribute::DB_QUERY_SUMMARY),
        );
    }
    if given & m.batch_size != 0 {
        let case = match () {
            () if flags.has(Flags::BATCH_NEGATIVE) => Some(Case::BatchNegative),
            () if flags.has(Flags::SINGLE) => Some(Case::BatchOfSingle),
            () if flags.has(Flags::BATCH_ONE) => Some(Case::BatchOfOne),
            () => None,
        };
        if let Some(case) = case {
            each(m.batch_size, case, report);
        }
    } else if flags.has(Flags::BATCH) && m.batch_size == 0 {
        // A declared size that is not recorded is that of a batch of one operation.
        report(
            Case::BatchSizeMissing,
            Subject::Known(attribute::DB_OPERATION_BATCH_SIZE),
        );
    }
    if flags.has(Flags::SYSTEM_ODD) {
        each(m.system, Case::SystemName, report);
    }
    if flags.has(Flags::LITERAL) {
        each(m.query_text, Case::Literal, report);
    }
    if flags.has(Flags::PATH) {
        if !flags.has(Flags::EMBEDDED) {
            each(m.address, Case::Path, report);
        } else if strict {
            each(m.address, Case::EmbeddedPath, report);
        }
    }
}

/// `is_required`: a span without a kind is INTERNAL, which is not the kind of its type.
fn kind(state: &SpanState, is_required: bool, report: &mut dyn FnMut(Case, Subject)) {
    let SpanState {
        site, flags, seen, ..
    } = state;
    if flags.has(Flags::KIND_LATE) {
        report(Case::LateKind, Subject::Known(attribute::OTEL_KIND));
    } else if flags.has(Flags::KIND_ODD) {
        report(Case::KindOdd, Subject::Known(attribute::OTEL_KIND));
    } else if is_required && seen.given() & site.masks.otel_kind == 0 {
        report(Case::KindMissing, Subject::Known(attribute::OTEL_KIND));
    } else if flags.has(Flags::KIND_OTHER)
        && !(site.class == Class::Db && flags.has(Flags::KIND_INTERNAL))
    {
        report(Case::KindWrong, Subject::Known(attribute::OTEL_KIND));
    }
}

fn name(state: &SpanState, report: &mut dyn FnMut(Case, Subject)) {
    let SpanState {
        site, flags, seen, ..
    } = state;
    if flags.has(Flags::NAME_LATE) {
        report(Case::LateName, Subject::Known(attribute::OTEL_NAME));
        return;
    }
    if flags.has(Flags::NAME_LONG) {
        report(Case::NameLong, Subject::Span);
        return;
    }
    // A name with late parts cannot be checked. The late parts are reported.
    if flags.has(Flags::NAME_MISMATCH) && seen.late & !seen.start & site.masks.name_parts == 0 {
        report(Case::NameMismatch, Subject::Span);
    }
    if flags.has(Flags::NAME_CHANGING) {
        report(Case::NameCardinality, Subject::Span);
    }
}
