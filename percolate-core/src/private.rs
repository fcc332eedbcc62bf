//! What the expansions of the macros name, and nothing else. Outside semver: `percolate-macros` is pinned to the
//! exact version of this crate, and the two change together.

pub use core;
pub use std;

pub use crate::otel::metrics::Names;
pub use crate::otel::operation::{Call, CallScope, Details, FieldValue, InCall, SyncCall, enter, record, run, start};
pub use crate::otel::outcome::{ErrorInfo, Outcome};
pub use crate::otel::site::{Kind, Parent, Site, SiteDef, attr, metadata};
pub use tracing_core::{Level, Metadata};

/// Declares the static site of one annotated function: `static $name: Site`, its `tracing` metadata, and its fields.
#[doc(hidden)]
#[macro_export]
macro_rules! __percolate_site {
    ($name:ident, $kind:ident, $level:ident, $attributes:expr, [$($field:literal),* $(,)?], { $($key:ident : $value:expr),* $(,)? }) => {
        static $name: $crate::__private::Site = {
            const ATTRIBUTES: u32 = $crate::__private::attr::$kind | $attributes;
            const CUSTOM: &[&$crate::__private::core::primitive::str] = &[$($field),*];
            static FIELDS: [&$crate::__private::core::primitive::str; $crate::__private::attr::count(ATTRIBUTES, CUSTOM)] =
                $crate::__private::attr::names(ATTRIBUTES, CUSTOM);
            static DEF: $crate::__private::SiteDef = $crate::__private::SiteDef {
                attributes: ATTRIBUTES,
                custom: CUSTOM,
                $($key: $value,)*
                ..$crate::__private::SiteDef::$kind()
            };
            static METADATA: $crate::__private::Metadata<'static> = $crate::__private::metadata(
                &DEF,
                $crate::__private::Level::$level,
                $crate::__private::core::file!(),
                $crate::__private::core::line!(),
                $crate::__private::core::module_path!(),
                &FIELDS,
                &$name,
            );
            $crate::__private::Site::new(&DEF, &METADATA)
        };
    };
}
#[doc(hidden)]
pub use crate::__percolate_site as site;
