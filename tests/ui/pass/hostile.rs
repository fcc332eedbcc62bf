//! No prelude, and other items have the names that an expansion could use.

#![no_implicit_prelude]
#![deny(warnings)]
#![allow(dead_code, non_camel_case_types, reason = "the names are the test")]

use ::percolate_otel::{background_job, db_op, record};

mod core {}
mod std {}
mod tracing {}
mod percolate_otel {}

struct Ok;
struct Err;
struct Some;
struct None;
struct String;
struct Outcome;
struct Details;
struct str;
struct i64;
struct u64;
struct bool;
trait Result {}
trait Option {}
trait AsRef {}
trait Iterator {}

/// Methods with common names, implemented for every type.
trait Everything {
    fn as_ref(&self) {}
    fn field(&self) {}
    fn finish(&self) {}
    fn get(&self) {}
    fn info(&self) {}
    fn len(&self) {}
    fn rows(&self) {}
    fn split(&self) {}
}
impl<T: ?::core::marker::Sized> Everything for T {}

macro_rules! vec {
    () => {};
}
vec!();

type Text = ::core::primitive::str;
type Number = ::core::primitive::u64;

struct Store;

impl Store {
    #[db_op(get, cf, namespace = "demo", rows = |out| Text::len(out), fields(app.count = 1, app.cf = cf), system = "rocksdb")]
    fn get<'a>(&self, cf: &'a Text) -> ::core::result::Result<&'a Text, ::std::string::String> {
        record!(app.found = true);
        ::core::result::Result::Ok(cf)
    }

    #[db_op(multi_get, cf, batch_size = <[Number]>::len(keys), namespace = ::core::option::Option::Some("demo"), system = "rocksdb")]
    async fn multi_get(&self, cf: &Text, keys: &[Number]) -> ::std::vec::Vec<Number> {
        <[Number]>::to_vec(keys)
    }

    #[db_op(scan, cf, rows = stream, system = <Text as ::core::convert::AsRef<Text>>::as_ref(cf))]
    fn scan(&self, cf: &Text) -> impl ::core::iter::Iterator<Item = Number> {
        ::core::iter::once(1)
    }
}

#[background_job("report.render", target = id)]
fn render(id: ::std::string::String) -> ::core::option::Option<Number> {
    ::core::option::Option::None
}

fn main() {
    let _ = Store.get("a");
    let _ = Store.multi_get("a", &[]);
    let _ = Store.scan("a");
    let _ = render(::std::string::String::new());
}
