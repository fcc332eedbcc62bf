//! Every form of an annotation, in code that denies warnings.

#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(unsafe_code, reason = "one of the forms")]

use percolate_otel::{background_job, db_op, db_ops, record};
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

/// Documented.
#[must_use]
#[inline]
#[db_op(get, cf, system = "rocksdb")]
pub fn get(cf: &str) -> Option<u8> {
    #![allow(clippy::needless_return, reason = "an attribute inside")]
    return cf.bytes().next();
}

#[db_op(put, collection = "users", namespace = none, server_address = Some("/data"), kind = client, metrics = on, system = "rocksdb")]
fn put(_: u8) {}

#[db_op("range_delete_files", cf, system = "redb", level = tracing::Level::DEBUG, parent = child, slow = "20 us")]
fn range_delete(cf: Cow<'_, str>) -> u64 {
    drop(cf);
    0
}

#[db_op(batch_write, collection? = cf, affected_rows = |n| *n, batch_size = keys, system = "rocksdb")]
fn write(cf: Option<String>, keys: usize) -> Result<usize, std::io::Error> {
    Ok(cf.map_or(keys, |cf| cf.len()))
}

#[db_op(query, query_text = sql, leaf, system = "rocksdb")]
fn query(sql: &str) -> ! {
    panic!("{sql}")
}

#[db_op(search, collection = none, fields(limit, app.terms = terms.len()), system = "rocksdb")]
async fn search(terms: Vec<String>, limit: u8) {
    record!(app.found = limit, "app.first" = terms.first());
    std::future::ready(terms).await;
}

#[db_op(scan, cf, system = "rocksdb")]
fn generic<K: AsRef<str>, V, const N: usize>(cf: K, values: &[V; N]) -> Result<impl Iterator<Item = &V>, K>
where
    V: Clone,
{
    if N == 0 {
        return Err(cf);
    }
    Ok(values.iter())
}

struct Store {
    name: String,
}

#[db_ops(namespace = self.name, system = "redb")]
impl Store {
    #[db_op(get, cf)]
    fn get(&self, cf: &str) -> bool {
        cf == self.name
    }

    #[db_op(get, cf, system = &*self.name)]
    fn of_any_system(&self, cf: &str) -> bool {
        cf == self.name
    }

    #[db_op(put, cf, system = system)]
    async fn of_a_system(&self, cf: &str, system: String) -> usize {
        std::future::ready(cf.len() + system.len()).await
    }

    #[db_op(put, cf)]
    fn put(mut self, cf: String) -> Self {
        self.name = cf;
        self
    }

    #[db_op(delete, cf)]
    fn delete(self: &mut Store, cf: &str) -> &mut Self {
        self.name = cf.into();
        self
    }

    #[db_op(get, cf)]
    fn later<'a>(&'a self, cf: &'a str) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move { cf == self.name })
    }

    #[db_op(get, cf)]
    fn much_later(&self, cf: &str) -> impl Future<Output = usize> + use<> {
        let sum = cf.len() + self.name.len();
        async move { sum }
    }
}

trait Job {
    #[background_job(index.build, target = self.target(), batch_size = |n| *n, parent = link, name = "build")]
    fn run(&mut self) -> usize {
        1
    }

    fn target(&self) -> String;
}

impl Job for () {
    fn target(&self) -> String {
        String::from("hnsw")
    }
}

#[background_job(index.save)]
unsafe extern "C" fn save() {}

fn main() {
    let _ = get("a");
    put(1);
    range_delete("a".into());
    let _ = write(None, 1);
    let _: fn(&str) -> ! = query;
    drop(search(vec![], 1));
    let _ = generic::<_, u8, 0>("a", &[]).map(drop);
    let mut store = Store { name: String::new() }.put("a".into());
    store.delete("b").get("b");
    drop(store.later("b"));
    drop(store.much_later("b"));
    ().run();
    // SAFETY: it does nothing.
    unsafe { save() };
}
