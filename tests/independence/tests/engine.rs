//! What the annotated engine reports.

use percolate_independence_test::{Library, LibraryError};
use telemetry::assert_span;
use telemetry::otel::testing::{ABSENT, Capture};

#[test]
fn another_engine_reports_under_its_own_name() {
    let capture = Capture::new();
    capture.run(|| {
        let mut library = Library::default();
        assert_eq!(
            library.get("poems", "if"),
            Err(LibraryError::NoShelf("poems".into()))
        );
        library.put("novels", "emma", b"...");
        assert_eq!(
            library.put_all(
                "novels",
                vec![("ulysses".into(), vec![]), ("emma".into(), vec![])]
            ),
            1
        );
        assert_eq!(library.titles("novels", "e").expect("a shelf").count(), 1);
        assert_eq!(library.sweep(), 0);
        assert_eq!(library.has("novels"), Some(1));
    });
    let spans = capture.spans();
    spans.assert_tree(
        "
        get poems [client, error]
        put novels [client]
        batch_write novels [client]
        scan novels [client]
        shelf.sweep all [internal]
        ",
    );
    assert_span!(
        spans,
        "get poems",
        "db.system.name" = "library",
        "db.namespace" = "city",
        "error.type" = "NoShelf"
    );
    assert_span!(
        spans,
        "put novels",
        "db.response.affected_rows" = 1,
        "error.type" = ABSENT
    );
    assert_span!(
        spans,
        "batch_write novels",
        "db.operation.batch.size" = 2,
        "db.response.affected_rows" = 1,
        "library.total" = 2
    );
    assert_span!(spans, "scan novels", "db.response.returned_rows" = 1);
    assert_span!(
        spans,
        "shelf.sweep all",
        "job.batch_size" = 0,
        "job.status" = "success"
    );
    let points = capture.metrics().count(
        "db.client.operation.duration",
        &[("db.system.name", "library")],
    );
    assert_eq!(points, 4);
}
