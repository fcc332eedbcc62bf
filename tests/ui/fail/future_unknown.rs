use percolate_otel::db_op;

#[db_op(get, "a", future = now)]
fn get() -> impl Future<Output = u8> {
    async { 1 }
}

#[db_op(get, "a", future = returned)]
fn count() -> Vec<u8> {
    Vec::new()
}

fn main() {}
