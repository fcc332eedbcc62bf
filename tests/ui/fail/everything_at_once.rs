//! All mistakes are reported at once.

use percolate_otel::db_op;

#[db_op(gte, cf, nmae = "x", kind = client, kind = internal, slow = "5", fields(App = 1, app.key = ?cf), rows = stream)]
const fn get(cf: &str) -> Option<u8> {
    None
}

fn main() {
    get("a");
}
