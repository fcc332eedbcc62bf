use percolate_otel::db_op;

#[track_caller]
#[db_op(get, cf, system = "kv")]
fn get(cf: &str) -> Option<u8> {
    let first = cf.bytes().next()?;
    Some(first)
}

#[track_caller]
#[db_op(get, cf, system = "kv")]
fn later(cf: &str) -> impl Future<Output = usize> {
    std::future::ready(cf.len())
}

fn main() {}
