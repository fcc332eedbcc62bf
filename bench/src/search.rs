//! `Database::search` compared with `usearch` alone, on the same vectors, which the offline
//! provider computes from real texts. A query is every other word of one of the texts.

use std::hint::black_box;
use std::time::Instant;

use percolate_core::embeddings::OfflineEmbeddings;
use percolate_core::{Database, EmbeddingReport};
use serde_json::Value;
use tokio::runtime::Runtime;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};
use uuid::Uuid;

use crate::child::{Cost, timed};
use crate::declarations::{self, TABLE};
use crate::report::Report;
use crate::side_by_side::{self, Contestant};
use crate::{Failed, Plan};

const SIZES: [usize; 2] = [10_000, 100_000];
/// Queries per piece.
const PIECE: usize = 50;
const K: usize = 10;

/// Measures searches among each number of texts.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    let entities = declarations::read(SIZES[SIZES.len() - 1])?;
    let mut sizes = SIZES.map(|size| size.min(entities.len())).to_vec();
    sizes.dedup();
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    sizes
        .iter()
        .try_for_each(|size| among(&entities[..*size], plan, &tokio, report))
}

fn among(
    entities: &[Value],
    plan: &Plan,
    tokio: &Runtime,
    report: &mut Report,
) -> Result<(), Failed> {
    let size = entities.len();
    report.progress(&format!("search among {size}"))?;
    let dir = tempfile::tempdir()?;
    let db = Database::open(dir.path())?;
    db.register_schema(TABLE, &declarations::schema())?;
    let mut ids = Vec::with_capacity(size);
    for entities in entities.chunks(1000) {
        ids.extend(db.insert_batch(TABLE, entities)?);
    }
    let EmbeddingReport {
        embedded, waiting, ..
    } = tokio.block_on(db.generate_embeddings(TABLE))?;
    if (embedded, waiting) != (size, 0) {
        return Err(format!("{embedded} of {size} texts were embedded").into());
    }
    let embeddings = OfflineEmbeddings::new();
    let mut vectors: Vec<_> = ids
        .into_iter()
        .zip(entities)
        .map(|(id, entity)| (id, embeddings.vector(text(entity))))
        .collect();
    // In the order of the store, because the memory layout affects the cost of a search.
    vectors.sort_by_key(|(id, _)| *id);
    let building = Instant::now();
    let alone = graph(&vectors)?;
    let alone_took = building.elapsed();
    let building = Instant::now();
    db.load_index(TABLE)?;
    let ours_took = building.elapsed();

    let questions: Vec<String> = entities
        .iter()
        .step_by((size / PIECE).max(1))
        .map(question)
        .take(PIECE)
        .collect();
    let asked: Vec<_> = questions
        .iter()
        .map(|question| embeddings.vector(question))
        .collect();
    let hits: Vec<Vec<Uuid>> = asked
        .iter()
        .map(|vector| {
            Ok(db
                .search_vector(TABLE, vector, K, None)?
                .iter()
                .map(|hit| hit.entity.id)
                .collect())
        })
        .collect::<Result<_, Failed>>()?;
    let ask = |one: &dyn Fn(usize) -> Result<(), Failed>| -> Result<Cost, Failed> {
        timed(PIECE, || (0..questions.len()).try_for_each(one))
    };
    let name = |what: &str| format!("search_{size}_{what}");
    let contestants = vec![
        Contestant::new(name("usearch"), || {
            ask(&|at| Ok(drop(black_box(alone.search(&asked[at], K)?))))
        }),
        Contestant::new(name("vector"), || {
            ask(&|at| {
                Ok(drop(black_box(
                    db.search_vector(TABLE, &asked[at], K, None)?,
                )))
            })
        }),
        Contestant::new(name("text"), || {
            ask(&|at| {
                Ok(drop(black_box(tokio.block_on(db.search(
                    TABLE,
                    &questions[at],
                    K,
                    None,
                ))?)))
            })
        }),
        Contestant::new(name("embedding"), || {
            ask(&|at| {
                Ok(drop(black_box(
                    embeddings.vector(black_box(&questions[at])),
                )))
            })
        }),
        Contestant::new(name("reading"), || {
            ask(&|at| Ok(drop(black_box(db.get_batch(TABLE, &hits[at])?))))
        }),
    ];
    side_by_side::measure(
        &format!("search, {K} of {size}"),
        plan.rounds * plan.restarts,
        contestants,
        report,
    )?;
    report.print(
        &format!("building the graph of {size} vectors"),
        &[
            format!(
                "usearch alone, one thread            {:>8.1} s",
                alone_took.as_secs_f64()
            ),
            format!(
                "Database::load_index, from the store {:>8.1} s",
                ours_took.as_secs_f64()
            ),
        ],
    )
}

/// Creates the index with the options of percolate's own index.
fn graph(vectors: &[(Uuid, Vec<f32>)]) -> Result<Index, Failed> {
    let graph = Index::new(&IndexOptions {
        dimensions: vectors.first().map_or(0, |(_, vector)| vector.len()),
        metric: MetricKind::Cos,
        quantization: ScalarKind::F32,
        connectivity: 16,
        expansion_add: 128,
        expansion_search: 128,
        multi: false,
    })?;
    graph.reserve(vectors.len())?;
    for (label, (_, vector)) in (0..).zip(vectors) {
        graph.add(label, vector)?;
    }
    Ok(graph)
}

fn text(entity: &Value) -> &str {
    entity["text"].as_str().unwrap_or_default()
}

/// Returns every other word of a text.
fn question(entity: &Value) -> String {
    text(entity)
        .split_whitespace()
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ")
}
