//! Compares variants of an operation in this process, with nothing installed: one piece of each per
//! round. The first variant is the baseline.

use crate::Failed;
use crate::child::{Cost, Pair};
use crate::report::{Report, Row};

/// A variant.
pub(crate) struct Contestant<'a> {
    name: String,
    piece: Box<dyn FnMut() -> Result<Cost, Failed> + 'a>,
}

impl<'a> Contestant<'a> {
    /// `piece` runs the variant several times and returns the cost of one run.
    pub(crate) fn new(
        name: impl Into<String>,
        piece: impl FnMut() -> Result<Cost, Failed> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            piece: Box::new(piece),
        }
    }
}

/// Measures `rounds` pieces of each, and prints the table.
pub(crate) fn measure(
    title: &str,
    rounds: usize,
    mut contestants: Vec<Contestant<'_>>,
    report: &mut Report,
) -> Result<(), Failed> {
    let mut pairs = vec![Vec::new(); contestants.len()];
    for round in 0..=rounds {
        let mut bare = None;
        for (contestant, pairs) in contestants.iter_mut().zip(&mut pairs) {
            let cost = (contestant.piece)()?;
            let bare = *bare.get_or_insert(cost);
            // The first round warms up.
            if round > 0 {
                pairs.push(Pair {
                    bare,
                    setting: cost,
                });
            }
        }
    }
    let rows = contestants
        .into_iter()
        .zip(pairs)
        .map(|(contestant, pairs)| (contestant.name, Row::new(&pairs)));
    report.add(title, rows.collect())
}
