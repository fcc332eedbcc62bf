//! Head sampling: samplers by name, and the sampler of the tracer provider. The runtime evaluates
//! the [`Sampler`] for annotated calls, the provider for all other spans.

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

use crate::runtime::Sampler;

/// Parses the values of `OTEL_TRACES_SAMPLER`, in any letter case, and `OTEL_TRACES_SAMPLER_ARG`.
/// The second value is a warning about an invalid value, which is ignored as the specification
/// requires.
pub(super) fn from_names(name: &str, arg: Option<&str>) -> (Option<Sampler>, Option<String>) {
    let mut problem = None;
    let sampler = match name.to_ascii_lowercase().as_str() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio(arg, &mut problem),
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "parentbased_traceidratio" => parent_based(ratio(arg, &mut problem)),
        _ => {
            let problem = "expected one of always_on, always_off, traceidratio, \
                           parentbased_always_on, parentbased_always_off, \
                           parentbased_traceidratio; using parentbased_always_on, which samples \
                           every new trace";
            return (None, Some(problem.to_owned()));
        }
    };
    (Some(sampler), problem)
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}

fn ratio(arg: Option<&str>, problem: &mut Option<String>) -> Sampler {
    let Some(arg) = arg else {
        return Sampler::TraceIdRatio(1.0);
    };
    match arg.trim().parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Sampler::TraceIdRatio(ratio),
        _ => {
            *problem = Some(format!(
                "OTEL_TRACES_SAMPLER_ARG `{arg}` is not a number from 0 to 1; using 1, which \
                 samples every new trace"
            ));
            Sampler::TraceIdRatio(1.0)
        }
    }
}

/// Returns the name of a sampler for the status.
pub(super) fn describe(sampler: &Sampler) -> String {
    match sampler {
        Sampler::AlwaysOn => "always_on".to_owned(),
        Sampler::AlwaysOff => "always_off".to_owned(),
        Sampler::TraceIdRatio(ratio) => format!("traceidratio({ratio})"),
        Sampler::ParentBased(root) => format!("parentbased_{}", describe(root)),
        Sampler::Custom(custom) => format!("custom({custom:?})"),
    }
}

/// A sampler of the SDK that drops the spans below an unsampled root of an annotated call. Such a
/// root has no ids, so that the SDK alone would take these spans for roots.
#[derive(Debug, Clone)]
pub(crate) struct RespectsGate(pub(crate) Box<dyn ShouldSample>);

impl ShouldSample for RespectsGate {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        use opentelemetry::trace::TraceContextExt as _;
        let is_root = parent_context.is_none_or(|cx| !cx.has_active_span());
        if is_root && crate::runtime::unsampled_root().is_some() {
            return opentelemetry_sdk::trace::Sampler::AlwaysOff.should_sample(
                parent_context,
                trace_id,
                name,
                span_kind,
                attributes,
                links,
            );
        }
        self.0
            .should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_of_the_specification_are_parsed_and_others_reported() {
        let read = |name, arg| {
            let (sampler, problem) = from_names(name, arg);
            (sampler.map(|sampler| describe(&sampler)), problem.is_some())
        };
        assert_eq!(read("always_off", None), (Some("always_off".into()), false));
        let ratio = Some("parentbased_traceidratio(0.25)".to_owned());
        assert_eq!(
            read("parentbased_traceidratio", Some("0.25")),
            (ratio, false)
        );
        assert_eq!(
            read("traceidratio", Some("a lot")),
            (Some("traceidratio(1)".into()), true)
        );
        assert_eq!(
            read("traceidratio", Some("7")),
            (Some("traceidratio(1)".into()), true)
        );
        assert_eq!(read("jaeger_remote", None), (None, true));
    }
}
