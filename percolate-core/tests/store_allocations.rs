//! What the database allocates, with nothing installed: a read its value and no more, an insert no
//! copy of its data, the offline embeddings nothing for the pieces of a word. The allocator of this
//! binary counts by thread.

mod counting;

use percolate_core::Database;
use percolate_core::embeddings::OfflineEmbeddings;
use percolate_core::otel::testing::Capture;
use percolate_core::storage::{Storage, StorageOptions};
use serde_json::{Value, json};

/// Allocations of one more `body`, once everything that is made but once was made.
fn allocations<T>(mut body: impl FnMut() -> T) -> u64 {
    for _ in 0..10 {
        drop(body());
    }
    counting::counted(body).0
}

#[test]
fn a_read_allocates_its_value_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let storage =
        Storage::open(dir.path(), StorageOptions::new().column_family("articles")).unwrap();
    storage
        .put("articles", "percolate", "a way through")
        .unwrap();
    assert_eq!(
        allocations(|| storage.get("articles", "percolate").unwrap()),
        1
    );
    assert_eq!(
        allocations(|| storage.get("articles", "absent").unwrap()),
        0
    );
}

#[test]
fn a_write_allocates_nothing_here() {
    let dir = tempfile::tempdir().unwrap();
    let storage =
        Storage::open(dir.path(), StorageOptions::new().column_family("articles")).unwrap();
    assert_eq!(
        allocations(|| storage
            .put("articles", "percolate", "a way through")
            .unwrap()),
        0
    );
}

#[test]
fn reads_and_writes_allocate_nothing_for_the_record_of_rocksdbs_jobs() {
    let capture = Capture::builder().compact_records().build();
    let value = vec![7; 64 << 10];
    let counted = |storage: &Storage| {
        let mut key = 0_u32;
        // 256 calls, after each of which a thread looks for providers.
        allocations(|| {
            for _ in 0..128 {
                key += 1;
                storage.put("articles", key.to_be_bytes(), &value).unwrap();
                storage.get("articles", b"absent").unwrap();
            }
        })
    };
    let options = || {
        StorageOptions::new()
            .column_family("articles")
            .memory_table_limit(2 << 20)
    };
    let dir = tempfile::tempdir().unwrap();
    let idle = Storage::open(dir.path(), options()).unwrap();
    let expected = counted(&idle);
    // The capture in which a store is opened records its jobs. The calls are outside of it.
    let dir = tempfile::tempdir().unwrap();
    let storage = capture
        .run(|| Storage::open(dir.path(), options()))
        .unwrap();
    assert_eq!(counted(&storage), expected);
    drop(storage);
    assert!(!capture.spans().all("rocksdb.flush articles").is_empty());
}

#[test]
fn an_insert_makes_no_copy_of_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let schema = json!({ "properties": { "slug": { "type": "string" } }, "key_field": "slug", "indexed_fields": ["slug"] });
    db.register_schema("articles", &schema).unwrap();
    let inserting = |tags: usize| {
        let entity = |slug: usize| json!({ "slug": slug.to_string(), "tags": vec!["a tag"; tags] });
        let entities: Vec<Value> = (0..11).map(|number| entity(tags * 100 + number)).collect();
        let mut entities = entities.iter();
        allocations(|| db.insert("articles", entities.next().unwrap()).unwrap())
    };
    let (few, many) = (inserting(1), inserting(1000));
    assert!(few < 60, "{few} for a small one");
    assert!(
        many < few + 20,
        "{few} for a small one, {many} for one with a thousand parts"
    );
}

#[test]
fn counting_allocates_for_each_entity_what_reading_it_takes_and_not_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    db.register_schema("articles", &json!({})).unwrap();
    for _ in 0..10 {
        db.insert("articles", &json!({ "tags": vec!["a tag"; 100] }))
            .unwrap();
    }
    let counting = allocations(|| assert_eq!(db.count("articles").unwrap(), 10));
    assert!(
        counting < 50,
        "{counting} for ten entities of a hundred parts each"
    );
}

#[test]
fn embedding_a_word_allocates_the_same_however_long_it_is() {
    let embeddings = OfflineEmbeddings::new();
    let (short, long) = ("way ".repeat(20), "thoroughgoingness ".repeat(20));
    let counted = allocations(|| embeddings.vector(&long));
    assert!(
        counted <= allocations(|| embeddings.vector(&short)) + 2,
        "{counted}"
    );
}
