//! A capture sees its spans even if another thread, without a subscriber, reached the call site
//! first. A binary of its own, because it needs exactly one capture in the process.

use percolate_otel::testing::Capture;

fn lookup() {
    tracing::info_span!("lookup").in_scope(|| ());
}

#[test]
fn a_call_site_that_another_thread_reached_first_is_captured() {
    let capture = Capture::new();
    std::thread::spawn(lookup)
        .join()
        .expect("the thread does not panic");
    capture.run(lookup);
    capture.spans().assert_tree("lookup [internal]");
}
