//! What the expansions of the macros name, and nothing else. Outside semver: `percolate-macros` is
//! pinned to the exact version of this crate, and the two change together.

pub use core;
pub use std;

// Under short names: every expansion spells them with the whole path of this module.
pub use core::convert::AsRef;
pub use core::option::Option::{self, None, Some};
pub use core::primitive::{i64, str};
pub use core::result::Result::{Err, Ok};

pub use crate::active::record;
pub use crate::by_hand::{assert_job_type, assert_operation, late};
pub use crate::details::{Details, FieldValue, Names};
pub use crate::in_call::{InCall, run};
pub use crate::metrics::scope;
pub use crate::operation::{Call, CallScope, SyncCall, enter, start};
pub use crate::outcome::{ErrorInfo, Outcome, autoref};
pub use crate::returned;
pub use crate::site::{Kind, Parent, Site, SiteDef, metadata};
pub use crate::stream::Counted;
pub use tracing_core::{Level, Metadata};

/// The attributes a site can declare, as bits.
pub mod attr {
    pub use crate::attributes::*;
}

/// Declares the static site of one annotated function: `static $name: Site`, its `tracing`
/// metadata, and its fields.
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

/// `collection? = expr`: a name that may be missing.
pub fn optional_name<T: AsRef<str>>(name: &Option<T>) -> Option<&str> {
    name.as_ref().map(AsRef::as_ref)
}

/// `namespace = expr`: a text, or an `Option` of one. The method is found on this type for an
/// `Option`, and through `Deref` for anything else.
#[derive(Debug)]
pub struct MaybeName<'a, T: ?Sized>(SureName<'a, T>);

/// See [`MaybeName`].
#[derive(Debug)]
pub struct SureName<'a, T: ?Sized>(&'a T);

impl<'a, T: ?Sized> MaybeName<'a, T> {
    /// Of this expression.
    pub fn new(name: &'a T) -> Self {
        Self(SureName(name))
    }
}

impl<'a, T: AsRef<str>> MaybeName<'a, Option<T>> {
    /// Returns the name, if there is one.
    pub fn __percolate_get(&self) -> Option<&'a str> {
        optional_name(self.0.0)
    }
}

impl<'a, T: ?Sized> SureName<'a, T> {
    /// Returns the name.
    pub fn __percolate_get(&self) -> Option<&'a str>
    where
        T: AsRef<str>,
    {
        Some(self.0.as_ref())
    }
}

impl<'a, T: ?Sized> core::ops::Deref for MaybeName<'a, T> {
    type Target = SureName<'a, T>;

    fn deref(&self) -> &SureName<'a, T> {
        &self.0
    }
}

/// `batch_size = expr`, at entry.
pub fn batch_size(details: &mut Details, size: &impl autoref::Count) {
    if let Some(size) = size.count() {
        details.batch_size(size);
    }
}

/// Calls the body of an annotated function. As an argument the closure is one that is called once,
/// which may give away what it has taken.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the body is the function's own")]
pub fn call<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// A value that an attribute can have, read by reference.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a valid attribute value",
    label = "expected an integer, a float, a bool, a string, or an `Option` of one",
    note = "convert a value of another type, for example with `.to_string()`, or record one of its fields"
)]
pub trait AsField {
    /// The value.
    fn as_field(&self) -> FieldValue;
}

macro_rules! as_field_of_copies {
    ($($value:ty),*) => {$(
        impl AsField for $value {
            fn as_field(&self) -> FieldValue {
                FieldValue::from(*self)
            }
        }
    )*};
}
as_field_of_copies!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool
);

impl AsField for str {
    fn as_field(&self) -> FieldValue {
        FieldValue::from(self)
    }
}

impl AsField for String {
    fn as_field(&self) -> FieldValue {
        FieldValue::from(self.as_str())
    }
}

impl AsField for std::borrow::Cow<'_, str> {
    fn as_field(&self) -> FieldValue {
        FieldValue::from(&**self)
    }
}

impl<T: AsField> AsField for Option<T> {
    fn as_field(&self) -> FieldValue {
        self.as_ref().map_or(FieldValue::None, AsField::as_field)
    }
}

macro_rules! as_field_of_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: AsField + ?Sized> AsField for $pointer {
            fn as_field(&self) -> FieldValue {
                (**self).as_field()
            }
        }
    )*};
}
as_field_of_pointers!(&T, &mut T, Box<T>, std::rc::Rc<T>, std::sync::Arc<T>);

/// Adds an attribute to the annotated call that is running: `record!(key = value)`, directly in the
/// body of a function under `#[db_op]` or `#[background_job]`. The annotation declares the
/// attribute by itself.
///
/// The value is evaluated only when the call is recorded. Recording a key again replaces its value.
///
/// ```
/// use percolate_otel::{db_op, record};
///
/// #[db_op(get, cf, system = "redb")]
/// fn get(cf: &str) -> Option<Vec<u8>> {
///     record!(app.cached = cf == "hot");
///     None
/// }
/// # assert!(get("hot").is_none());
/// ```
#[macro_export]
macro_rules! record {
    (@site $site:ident $([$index:literal $value:expr])*) => {{
        $($crate::__private::record(
            &$site,
            $index,
            &mut || $crate::__private::AsField::as_field($value),
        );)*
    }};
    (@nothing $([$value:expr])*) => {{
        $(let _ = &($value);)*
    }};
    ($key:ident $(. $rest:ident)* = $($value:tt)*) => {
        $crate::__private::core::compile_error!(
            "`record!` adds an attribute to an annotated call; use it in the body of a function with `#[db_op]` \
             or `#[background_job]`"
        )
    };
    ($($other:tt)*) => {
        $crate::__private::core::compile_error!(
            "`record!` needs one or more `key = value` with a dotted name as the key: \
             `record!(app.tenant = tenant)`"
        )
    };
}
