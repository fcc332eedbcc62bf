//! Handles a request from another service: reads its `traceparent` header, creates spans below it,
//! sends a header to the next service, and continues the trace on a thread.

use std::collections::HashMap;
use std::error::Error;
use std::thread;

use percolate_core::otel::testing::Capture;
use percolate_core::otel::{TraceContext, attach_trace_context, carry, inject};
use percolate_core::storage::{Storage, StorageOptions};

/// Handles a request. A web framework would call this with the request's headers.
fn handle(
    storage: &Storage,
    headers: &HashMap<String, String>,
) -> Result<HashMap<String, String>, Box<dyn Error>> {
    let _request = attach_trace_context(Some(TraceContext::from_headers(headers)));

    storage.put("articles", "percolate", "a way through")?;

    // `carry` passes the trace context to the other thread.
    let index = storage.clone();
    let indexing = thread::spawn(carry(move || index.put("words", "way", "percolate")));
    indexing
        .join()
        .map_err(|_| "the indexing thread panicked")??;

    // The next service receives the context of the current span.
    let mut outgoing = HashMap::new();
    inject(&mut outgoing);
    Ok(outgoing)
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let options = StorageOptions::new()
        .column_family("articles")
        .column_family("words");
    let storage = Storage::open(folder.path(), options)?;

    let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = HashMap::from([("Traceparent".to_owned(), incoming.to_owned())]);

    let capture = Capture::new();
    let outgoing = capture.run(|| handle(&storage, &headers))?;

    print!("{}", capture.spans().tree());
    capture.spans().assert_tree(
        "
        put articles [client] (remote parent)
        put words [client] (remote parent)
        ",
    );
    assert!(outgoing["traceparent"].starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    println!("out: traceparent: {}", outgoing["traceparent"]);
    Ok(())
}
