//! One query in four variants: by the index, in SQL with and without the index, and by reading
//! everything.

use std::collections::BTreeMap;
use std::hint::black_box;

use percolate_core::Database;
use serde_json::{Value, json};

use crate::child::timed;
use crate::declarations::{self, TABLE};
use crate::report::Report;
use crate::side_by_side::{self, Contestant};
use crate::{Failed, Plan};

const ENTITIES: usize = 20_000;
/// Queries per piece, with the index and with a full scan.
const PIECES: (usize, usize) = (20, 2);
/// The approximate number of rows of the result.
const ROWS: usize = 100;

/// Measures the declarations of one package among all.
pub(crate) fn measure(plan: &Plan, report: &mut Report) -> Result<(), Failed> {
    report.progress("sql")?;
    let entities = declarations::read(ENTITIES)?;
    let (package, rows) = package(&entities)?;
    let dir = tempfile::tempdir()?;
    let db = Database::open(dir.path())?;
    db.register_schema(TABLE, &declarations::schema())?;
    entities
        .chunks(1000)
        .try_for_each(|entities| db.insert_batch(TABLE, entities).map(drop))?;
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    let right = |found: usize| {
        if found == rows {
            Ok(())
        } else {
            Err(format!("{found} rows of {rows}").into())
        }
    };

    let find = || right(black_box(db.find(TABLE, "package", package..=package)?).len());
    let by_hand = || {
        let mut found = Vec::new();
        for entity in db.scan(TABLE)? {
            let entity = entity?;
            if entity.data["package"] == package {
                found.push(entity);
            }
        }
        right(black_box(found).len())
    };
    let select = |condition: &str| {
        let sql = format!("SELECT place, line, text FROM {TABLE} WHERE {condition} = $1");
        right(black_box(tokio.block_on(db.query_with(&sql, &[json!(package)]))?).num_rows())
    };
    let each = |calls: usize, ask: &dyn Fn() -> Result<(), Failed>| {
        timed(calls, || (0..calls).try_for_each(|_| ask()))
    };
    let contestants = vec![
        Contestant::new("sql_find", || each(PIECES.0, &find)),
        Contestant::new("sql_by_index", || each(PIECES.0, &|| select("package"))),
        // The same condition in a form that cannot use the index.
        Contestant::new("sql_by_scan", || {
            each(PIECES.1, &|| select("package || ''"))
        }),
        Contestant::new("sql_nothing_but_reading", || each(PIECES.1, &by_hand)),
    ];
    let title = format!("{rows} of {} entities", entities.len());
    side_by_side::measure(&title, plan.rounds * plan.restarts, contestants, report)
}

/// Returns the package with about [`ROWS`] entities, and their number.
fn package(entities: &[Value]) -> Result<(&str, usize), Failed> {
    let mut packages = BTreeMap::new();
    for entity in entities {
        *packages
            .entry(entity["package"].as_str().unwrap_or_default())
            .or_insert(0) += 1;
    }
    let nearest = packages
        .into_iter()
        .min_by_key(|(_, count): &(_, usize)| count.abs_diff(ROWS));
    nearest.ok_or_else(|| "no entities were found".into())
}
