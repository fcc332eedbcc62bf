//! Databases of every released format, stored under `compat/`, can be opened and still have their
//! data. A change that breaks this test needs a new format version and a migration, not a new
//! fixture.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

use std::path::{Path, PathBuf};

use percolate_core::Database;
use percolate_core::storage::ScanRange;
use serde_json::json;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("compat")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Writes `compat/format-1` if it does not exist.
#[test]
#[ignore = "run by hand when a format is new: it writes the fixture of the present one"]
fn write_the_fixture_of_this_format() {
    let path = fixture("format-1");
    assert!(!path.exists(), "a released fixture is never written again");
    let db = Database::open(&path).unwrap();
    let schema =
        json!({ "key_field": "slug", "indexed_fields": ["year"], "embedding_fields": ["body"] });
    db.register_schema("articles", &schema).unwrap();
    for (slug, year) in [
        ("one", json!(1957)),
        ("two", json!(-0.5)),
        ("three\u{0}", json!(u64::MAX)),
    ] {
        db.insert(
            "articles",
            &json!({ "slug": slug, "year": year, "body": format!("the body of {slug}") }),
        )
        .unwrap();
    }
    wait(db.generate_embeddings("articles")).unwrap();
    db.save_index("articles").unwrap();
    let gone = db
        .insert("articles", &json!({ "slug": "gone", "year": 1 }))
        .unwrap();
    db.delete("articles", gone).unwrap();
    db.store_resource("logo", b"bytes").unwrap();
    db.for_tenant("other:tenant")
        .register_schema("notes", &json!({}))
        .unwrap();
    db.storage().flush().unwrap();
    db.close().unwrap();
}

#[test]
fn a_database_of_format_1_opens_twice_with_all_its_data() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture("format-1"), dir.path());
    for _ in 0..2 {
        let db = Database::open(dir.path()).unwrap();
        assert_eq!(db.tables(), ["articles"]);
        assert_eq!(db.for_tenant("other:tenant").tables(), ["notes"]);
        let one = db.lookup("articles", "one").unwrap().unwrap();
        assert_eq!(one.id.to_string(), "acc45912-5058-56eb-a1e1-72d5f8692175");
        assert_eq!(
            one.data,
            json!({ "slug": "one", "year": 1957, "body": "the body of one" })
        );
        assert_eq!(db.lookup("articles", "gone").unwrap(), None);
        let years = db
            .find("articles", "year", -1..)
            .unwrap()
            .into_iter()
            .map(|entity| entity.data["year"].clone());
        assert_eq!(
            years.collect::<Vec<_>>(),
            [json!(-0.5), json!(1957), json!(u64::MAX)]
        );
        let hits = wait(db.search("articles", "body of one", 1, None)).unwrap();
        assert_eq!(hits[0].entity.id, one.id);
        assert_eq!(
            db.load_resource("logo").unwrap().as_deref(),
            Some(&b"bytes"[..])
        );
        assert!(db.indexes().verify().unwrap().is_clean());
        assert_eq!(
            db.storage()
                .scan("meta", ScanRange::all().from("format").through("format"))
                .unwrap()
                .count(),
            1
        );
    }
}
