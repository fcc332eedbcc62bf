//! Searches among the entities that match a condition.

use uuid::Uuid;

use super::*;
use crate::Hit;
use crate::database::among::Among;
use crate::embeddings::{EmbeddingFuture, EmbeddingProvider};
use crate::otel::ErrorType as _;

/// A provider whose texts are the numbers of their vectors.
#[derive(Debug)]
struct Numbers(usize);

impl EmbeddingProvider for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn dimensions(&self) -> usize {
        self.0
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        let vector = |text: &String| {
            text.split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        };
        Box::pin(std::future::ready(Ok(texts.iter().map(vector).collect())))
    }
}

fn text_of(vector: &[f32]) -> String {
    let numbers: Vec<_> = vector.iter().map(ToString::to_string).collect();
    numbers.join(" ")
}

/// Creates a table `points` whose vectors have two numbers, with the embedded fields `near` and
/// `far`.
fn points(entities: &[Value]) -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::new().provider(Arc::new(Numbers(2)));
    let db = Database::open_with(dir.path(), options).unwrap();
    let text = json!({ "type": ["string", "null"] });
    let schema = json!({
        "properties": { "n": { "type": "integer" }, "name": { "type": "string" }, "near": text, "far": text },
        "indexed_fields": ["name"],
        "embedding_fields": ["near", "far"],
    });
    db.register_schema("points", &schema).unwrap();
    for page in entities.chunks(1000) {
        db.insert_batch("points", page).unwrap();
    }
    wait(db.generate_embeddings("points")).unwrap();
    (dir, db)
}

/// Points on a quarter of a circle, in the order of their distance from (1, 0).
fn arc(points: u32) -> Vec<Value> {
    let point = |n| {
        let angle = f64::from(n) / f64::from(points) * 1.5;
        let near = format!("{} {}", angle.cos(), angle.sin());
        json!({ "n": n, "near": near })
    };
    (0..points).map(point).collect()
}

fn search(db: &Database, k: usize, condition: &str, parameters: &[Value]) -> Vec<Hit> {
    wait(db.search_where("points", "1 0", k, condition, parameters)).unwrap()
}

fn numbers(hits: &[Hit]) -> Vec<u64> {
    let number = |hit: &Hit| hit.entity.data["n"].as_u64().unwrap();
    hits.iter().map(number).collect()
}

#[test]
fn the_nearest_of_the_matching_entities_are_found() {
    let (_dir, db) = points(&arc(100));
    assert_eq!(numbers(&search(&db, 3, "n >= 40", &[])), [40, 41, 42]);
    let parameters = [json!(7), json!("nobody")];
    let condition = "n % $1 = 0 AND (name IS NULL OR name = $2)";
    assert_eq!(numbers(&search(&db, 3, condition, &parameters)), [0, 7, 14]);
    let found = wait(db.search_vector_where("points", &[0.0, 2.0], 2, "n < 40", &[])).unwrap();
    assert_eq!(numbers(&found), [39, 38]);
    assert!(found[0].distance < found[1].distance);
    let nearest = wait(db.search("points", "1 0", 3, None)).unwrap();
    for (left, right) in nearest.iter().zip(search(&db, 3, "true", &[])) {
        assert_eq!(left.entity, right.entity);
        assert!((left.distance - right.distance).abs() < 1e-6);
    }
    // A condition over other tables.
    let others = "n IN (SELECT max(n) FROM points)";
    assert_eq!(numbers(&search(&db, 3, others, &[])), [99]);
}

#[test]
fn the_number_of_results_is_exact_for_every_selectivity() {
    const ALL: u32 = 5000;
    let (_dir, db) = points(&arc(ALL));
    // Entities without a text or with a vector without direction have no distance.
    for near in [Value::Null, json!("0 0")] {
        db.insert("points", &json!({ "n": ALL, "near": near }))
            .unwrap();
    }
    wait(db.generate_embeddings("points")).unwrap();
    for (condition, matches) in [
        ("n < 0", 0),
        ("n = 4321", 1),
        ("n >= 4990", 10),
        ("n % 2 = 1", 2500),
        ("true", 5000),
    ] {
        for k in [0, 1, 10, 2000, 10_000] {
            let found = search(&db, k, condition, &[]);
            assert_eq!(found.len(), k.min(matches), "{condition}, {k}");
            let mut found = numbers(&found);
            assert!(k > 10 || found.is_sorted(), "nearest first");
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), k.min(matches), "each once");
        }
    }
    assert_eq!(numbers(&search(&db, 3, "n % 2 = 1", &[])), [1, 3, 5]);
}

#[cfg(feature = "testing")]
#[test]
fn few_matching_entities_are_searched_without_the_index() {
    let (dir, db) = points(&arc(10));
    drop(db);
    let options = DatabaseOptions::new().provider(Arc::new(Numbers(2)));
    let db = Database::open_with(dir.path(), options).unwrap();
    let reads = |body: &dyn Fn()| {
        let capture = Capture::new();
        capture.run(body);
        capture.spans().tree().contains("scan embeddings")
    };
    let with_condition = || assert_eq!(numbers(&search(&db, 1, "n > 3", &[])), [4]);
    assert!(!reads(&with_condition));
    let without = || drop(wait(db.search("points", "1 0", 1, None)).unwrap());
    assert!(
        reads(&without),
        "it is loaded by the first search that uses it"
    );
}

#[test]
fn an_entity_is_found_once_by_the_nearer_of_its_vectors() {
    let entity = |n: u64, near: &str, far: &str| json!({ "n": n, "near": near, "far": far });
    let (_dir, db) = points(&[
        entity(0, "0 1", "-1 0"),
        entity(1, "-1 0.1", "1 0"),
        entity(2, "1 0.5", "1 0.4"),
    ]);
    for few in [0, 100] {
        let found = nearest_of_many(&db, &[1.0, 0.0], 3, few);
        let found: Vec<_> = found
            .iter()
            .map(|hit| (hit.entity.data["n"].as_u64(), hit.distance))
            .collect();
        assert_eq!(found.len(), 3);
        assert_eq!(
            (found[0].0, found[1].0, found[2].0),
            (Some(1), Some(2), Some(0))
        );
        assert!(found[0].1 < 1e-6 && (found[2].1 - 1.0).abs() < 1e-6);
    }
}

/// Searches among all entities of `points`. More than `few` are found by the graph first.
fn nearest_of_many(db: &Database, query: &[f32], k: usize, few: usize) -> Vec<Hit> {
    let ids: Vec<Uuid> = db
        .scan("points")
        .unwrap()
        .map(|entity| entity.unwrap().id)
        .collect();
    let (snapshot, tables) = db.core.snapshot();
    let among = Among {
        snapshot: &snapshot,
        schema: &tables["points"],
        query,
        k,
        flow: &|| std::ops::ControlFlow::Continue(()),
    };
    db.core.nearest_of_many(&among, &ids, few).unwrap()
}

#[test]
fn the_results_are_of_one_snapshot() {
    let (_dir, db) = points(&arc(3000));
    let ids: Vec<Uuid> = db
        .scan("points")
        .unwrap()
        .map(|entity| entity.unwrap().id)
        .collect();
    let (snapshot, tables) = db.core.snapshot();
    let nearest = wait(db.search("points", "1 0", 2, None)).unwrap();
    // One text changes and one entity is removed after the snapshot.
    let changed = json!({ "near": "-1 0", "n": 9999 });
    db.update("points", nearest[0].entity.id, &changed).unwrap();
    db.purge("points", nearest[1].entity.id).unwrap();
    wait(db.generate_embeddings("points")).unwrap();
    let search = |k, few| {
        let among = Among {
            snapshot: &snapshot,
            schema: &tables["points"],
            query: &[1.0, 0.0],
            k,
            flow: &|| std::ops::ControlFlow::Continue(()),
        };
        db.core.nearest_of_many(&among, &ids, few).unwrap()
    };
    assert_eq!(numbers(&search(3, 5000)), [0, 1, 2]);
    // The index has the later state. What it proposes is as in the snapshot.
    let proposed = search(3, 0);
    assert_eq!(proposed.len(), 3);
    assert_eq!(numbers(&proposed), [2, 3, 4]);
    assert_eq!(search(3000, 0).len(), 3000);
    assert_eq!(numbers(&self::search(&db, 1, "true", &[])), [2]);
}

#[test]
fn a_wrong_condition_is_refused_as_for_a_write() {
    let (_dir, db) = points(&arc(3));
    let fails = |condition: &str, parameters: &[Value]| {
        let found = wait(db.search_where("points", "1 0", 3, condition, parameters));
        let written = wait(db.delete_where("points", condition, parameters));
        let (found, written) = (found.unwrap_err(), written.unwrap_err());
        assert_eq!(found.to_string(), written.to_string());
        found.error_type().into_owned()
    };
    assert_eq!(fails("", &[]), "QuerySyntax");
    assert_eq!(fails("n =\n = 1", &[]), "QuerySyntax");
    assert_eq!(fails("n = = 1", &[]), "QuerySyntax");
    assert_eq!(fails("true) OR (true", &[]), "QuerySyntax");
    assert_eq!(fails("nothing = 1", &[]), "QueryUnknownColumn");
    assert_eq!(fails("n = $1", &[]), "QueryParameter");
    assert_eq!(fails("n = 1", &[json!(1)]), "QueryParameter");
    assert_eq!(fails("n = $1", &[json!([1])]), "QueryParameter");
    assert_eq!(fails("n / 0 = 1", &[]), "QueryFailed");
    let searched = |table, text| wait(db.search_where(table, text, 3, "true", &[])).unwrap_err();
    assert_eq!(searched("nowhere", "1 0").error_type(), "UnknownTable");
    db.register_schema("plain", &json!({})).unwrap();
    assert_eq!(searched("plain", "1 0").error_type(), "NotEmbedded");
    let wrong = |vector: &[f32]| {
        let found = wait(async {
            db.search_vector_where("points", vector, 3, "true", &[])
                .await
        });
        found.unwrap_err().error_type().into_owned()
    };
    assert_eq!(wrong(&[1.0]), "VectorQueryDimensions");
    assert_eq!(wrong(&[0.0, 0.0]), "VectorQueryWithoutDirection");
    let no_runtime = db.search_where("points", "1 0", 3, "true", &[]);
    let no_runtime = futures_util::FutureExt::now_or_never(no_runtime).unwrap();
    assert_eq!(no_runtime.unwrap_err().error_type(), "QueryNoRuntime");
}

#[test]
fn a_dropped_search_ends() {
    let (_dir, db) = points(&arc(3000));
    wait(async {
        let search = db.search_where("points", "1 0", 3000, "n >= 0", &[]);
        let limit = std::time::Duration::from_millis(1);
        _ = tokio::time::timeout(limit, search).await;
    });
    db.core.engine().threads().wait_for_dropped_queries();
    assert_eq!(search(&db, 1, "n > 5", &[]).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_results_are_those_of_comparing_every_vector(
        vectors in proptest::collection::vec((proptest::collection::vec(-4_i8..4, 2), 0_i64..8), 1..40),
        query in proptest::collection::vec(-4_i8..4, 2),
        bound in 0_i64..9,
        k in 0_usize..40,
    ) {
        prop_assume!(query.iter().any(|number| *number != 0));
        let floats = |vector: &[i8]| vector.iter().map(|number| f32::from(*number)).collect::<Vec<_>>();
        let entities: Vec<_> = vectors
            .iter()
            .map(|(vector, n)| json!({ "n": n, "near": text_of(&floats(vector)) }))
            .collect();
        let (_dir, db) = points(&entities);
        let query = floats(&query);
        let found = wait(db.search_vector_where("points", &query, k, "n < $1", &[json!(bound)])).unwrap();
        let cosine = |vector: &[i8]| {
            let pairs = || vector.iter().zip(&query).map(|(left, right)| (f64::from(*left), f64::from(*right)));
            let product: f64 = pairs().map(|(left, right)| left * right).sum();
            let lengths: f64 = pairs().map(|(left, _)| left * left).sum::<f64>() * pairs().map(|(_, right)| right * right).sum::<f64>();
            1.0 - product / lengths.sqrt()
        };
        let mut expected: Vec<f64> = vectors
            .iter()
            .filter(|(vector, n)| *n < bound && vector.iter().any(|number| *number != 0))
            .map(|(vector, _)| cosine(vector))
            .collect();
        expected.sort_by(f64::total_cmp);
        expected.truncate(k);
        prop_assert_eq!(found.len(), expected.len());
        for (hit, expected) in found.iter().zip(expected) {
            prop_assert!(hit.entity.data["n"].as_i64().unwrap() < bound);
            prop_assert!((f64::from(hit.distance) - expected).abs() < 1e-5);
        }
    }
}

#[cfg(feature = "testing")]
#[test]
fn the_spans_of_a_search_with_a_condition_have_no_data() {
    let (_dir, db) = points(&arc(10));
    let capture = Capture::new();
    capture.run(|| {
        let parameters = [json!("secret")];
        let condition = "n > 4 AND coalesce(name, 'hidden') <> $1";
        search(&db, 3, condition, &parameters);
    });
    capture.spans().assert_tree_with(
        &[
            "db.response.returned_rows",
            "db.query.text",
            "db.collection.name",
        ],
        r#"
        search points [client]
          | db.collection.name = "points"
          | db.response.returned_rows = 3
          SELECT points [client]
            | db.query.text = "SELECT _id FROM points WHERE (n > ? AND coalesce(name, ?) <> $1)"
            | db.response.returned_rows = 5
            scan entities [client]
              | db.collection.name = "entities"
              | db.response.returned_rows = 10
          multi_get embeddings [client]
            | db.collection.name = "embeddings"
            | db.response.returned_rows = 0
          multi_get embeddings [client]
            | db.collection.name = "embeddings"
            | db.response.returned_rows = 5
          multi_get entities [client]
            | db.collection.name = "entities"
            | db.response.returned_rows = 3
        "#,
    );
    capture.report().assert_clean();
}
