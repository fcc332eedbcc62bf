use percolate_otel::{background_job, db_op, db_ops};

struct Store;

impl Store {
    #[db_op(get, cf)]
    fn get(&self, cf: &str) {}
}

#[db_ops(namespace = "demo")]
impl Store {
    #[db_op(put, cf)]
    fn put(&self, cf: &str) {}
}

#[db_ops(system = "redb")]
impl Store {
    #[db_op(scan, cf)]
    fn scan(&self, cf: &str) {}
}

#[background_job(index.build)]
fn build() {}

fn main() {}
