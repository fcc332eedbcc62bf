//! A lower-case word that is not a parameter is a name whose quotes are missing. An expression is
//! evaluated at entry, and has the variables of the function.

use percolate_otel::{db_op, db_ops};

#[db_op(get, cf, system = redb)]
fn get(cf: &str) -> Option<u8> {
    None
}

#[db_op(put, cf, system = none)]
fn put(cf: &str) {}

#[db_op(delete, cf, system = || "redb")]
fn delete(cf: &str) {}

struct Store;

#[db_ops(system = self.system())]
impl Store {
    fn system(&self) -> &str {
        "redb"
    }

    #[db_op(flush)]
    fn flush() {}
}

fn main() {
    get("a");
}
