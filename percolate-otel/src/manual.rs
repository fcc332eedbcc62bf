//! The manual: the pages of the repository's `docs/`. Their examples are tests there.

// The pages refer to each other by labels. Of two definitions of a label the first one counts, so these
// replace the ones at the end of each page, which are links between files.
macro_rules! page {
    ($name:ident: $page:literal, $($label:literal => $target:literal),*) => {
        $(#[doc = concat!("[", $label, "]: ", $target, "\n")])*
        #[doc = "\n"]
        #[doc = include_str!(concat!("../docs/", $page))]
        pub mod $name {}
    };
}

page!(macros: "macros.md",
    "annotate-your-engine" => "crate::manual::annotate_your_engine",
    "annotate-your-engine#scans-that-return-a-type-of-your-own" =>
        "crate::manual::annotate_your_engine#scans-that-return-a-type-of-your-own",
    "layer" => "crate::manual::checks");

page!(annotate_your_engine: "annotate-your-engine.md",
    "layer" => "crate::manual::checks",
    "macros" => "crate::manual::macros",
    "macros#system" => "crate::manual::macros#system",
    "macros#the-job-type-and-type" => "crate::manual::macros#the-job-type-and-type");

page!(existing_telemetry: "existing-telemetry.md",
    "pipeline" => "crate::manual::pipeline",
    "propagation#attributes-for-everything-inside" =>
        "crate::manual::propagation#attributes-for-everything-inside");

page!(propagation: "propagation.md",);

page!(pipeline: "pipeline.md",
    "conventions" => "crate::manual::conventions",
    "propagation#attributes-for-everything-inside" =>
        "crate::manual::propagation#attributes-for-everything-inside",
    "propagation#other-header-formats" => "crate::manual::propagation#other-header-formats");

page!(checks: "layer.md",
    "conventions" => "crate::manual::conventions");

page!(conventions: "conventions.md",
    "layer" => "crate::manual::checks");
