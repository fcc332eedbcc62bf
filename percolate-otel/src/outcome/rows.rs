//! [`Rows`]: the number of rows in a returned value, for the collections of the standard library and
//! for types of users.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// A value with a number of rows, recorded as `db.response.returned_rows`.
///
/// A `#[db_op]` function without the key `rows` records the rows of the value that it returns.
///
/// | Value | Rows |
/// |---|---|
/// | `Option<T>` | 0 or 1, for every `T` |
/// | `Vec<T>`, `[T]`, `[T; N]`, `VecDeque`, `LinkedList`, `BinaryHeap`, maps and sets | their length |
/// | bytes: `Vec<u8>`, `[u8]`, `[u8; N]` | 1: a value, not a collection of rows |
/// | `Result<T, E>` | those of `T`; unknown for `Err` |
/// | a tuple of two to four | those of its first element |
/// | `&T`, `&mut T`, `Box<T>`, `Rc<T>`, `Arc<T>`, `Pin<P>`, `Cow<T>` | those of `T` |
///
/// Implement it for your own page or result-set type. For types that do not implement it, nothing
/// is recorded.
///
/// # Examples
/// ```
/// use percolate_otel::Rows;
///
/// struct Page { rows: Vec<String>, next: Option<u64> }
///
/// impl Rows for Page {
///     fn rows(&self) -> Option<usize> {
///         Some(self.rows.len())
///     }
/// }
/// assert_eq!(Page { rows: vec!["a".into()], next: None }.rows(), Some(1));
/// ```
pub trait Rows {
    /// Returns the number of rows, `None` if it is unknown.
    fn rows(&self) -> Option<usize>;
}

impl<T> Rows for Option<T> {
    fn rows(&self) -> Option<usize> {
        Some(usize::from(self.is_some()))
    }
}

impl<T: Rows, E> Rows for Result<T, E> {
    fn rows(&self) -> Option<usize> {
        self.as_ref().ok().and_then(Rows::rows)
    }
}

impl<T> Rows for [T] {
    fn rows(&self) -> Option<usize> {
        Some(if is_byte::<T>() { 1 } else { self.len() })
    }
}

impl<T, const N: usize> Rows for [T; N] {
    fn rows(&self) -> Option<usize> {
        self.as_slice().rows()
    }
}

impl<T> Rows for Vec<T> {
    fn rows(&self) -> Option<usize> {
        self.as_slice().rows()
    }
}

macro_rules! rows_by_len {
    ($([$($generics:tt)*] $collection:ty),* $(,)?) => {$(
        impl<$($generics)*> Rows for $collection {
            fn rows(&self) -> Option<usize> {
                Some(self.len())
            }
        }
    )*};
}
rows_by_len! {
    [T] VecDeque<T>, [T] LinkedList<T>, [T] BinaryHeap<T>,
    [K, V, S] HashMap<K, V, S>, [T, S] HashSet<T, S>, [K, V] BTreeMap<K, V>, [T] BTreeSet<T>,
}

macro_rules! rows_of_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: Rows + ?Sized> Rows for $pointer {
            fn rows(&self) -> Option<usize> {
                (**self).rows()
            }
        }
    )*};
}
rows_of_pointers!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: Rows + ToOwned + ?Sized> Rows for Cow<'_, T> {
    fn rows(&self) -> Option<usize> {
        (**self).rows()
    }
}

impl<P: std::ops::Deref<Target: Rows>> Rows for Pin<P> {
    fn rows(&self) -> Option<usize> {
        (**self).rows()
    }
}

macro_rules! rows_of_tuples {
    ($(($($rest:ident),+))*) => {$(
        impl<First: Rows, $($rest),+> Rows for (First, $($rest),+) {
            fn rows(&self) -> Option<usize> {
                self.0.rows()
            }
        }
    )*};
}
rows_of_tuples!((B)(B, C)(B, C, D));

/// Returns `true` for `u8`. `Vec<u8>` is one value, not a collection of rows.
///
/// `TypeId` needs `'static`, so the name is compared. It is a constant: the comparison is folded
/// away.
fn is_byte<T>() -> bool {
    size_of::<T>() == 1 && type_name::<T>() == "u8"
}
