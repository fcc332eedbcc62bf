//! [`Heat`]: how many calls took how long, over time: the growth of the histograms from one collection
//! to the next. Each collection adds a column; when there are too many, neighbours are merged, so that
//! a long run has wider columns. Invariant: the cells of an operation sum up to the count of its
//! histogram.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::super::operation_table::{Names, names};
use super::limits::{HEAT_COLUMNS, HEAT_MAPS};
use crate::conventions::{attribute, metric};
use crate::runtime::{HistogramPoint, PointBuckets};

/// The width of the first columns.
const FIRST_WIDTH: Duration = Duration::from_millis(50);

/// The exponents of the bounds that exponential buckets are shown with: 1 ns to 4.5 hours.
const LEAST_POWER: i32 = -30;
const MOST_POWER: i32 = 14;

/// The heat maps of all operations and jobs, which have the same columns.
#[derive(Debug)]
pub(super) struct Heat {
    pub(super) columns: Vec<Column>,
    /// The width of a column. It doubles when neighbours are merged.
    width: Duration,
    pub(super) maps: Vec<HeatMap>,
    index: HashMap<(bool, Names), usize>,
    last_collection: SystemTime,
}

/// One interval of time.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    /// By the index of the map.
    cells: HashMap<usize, Cells>,
}

/// The calls of one operation in one column.
#[derive(Debug, Clone, Default)]
pub(super) struct Cells {
    /// The number of calls in each bucket.
    pub(super) counts: Vec<u64>,
    pub(super) failed: u64,
}

/// The operation or job of a heat map.
#[derive(Debug)]
pub(super) struct HeatMap {
    pub(super) is_job: bool,
    /// `None` for the map of the operations and jobs without one of their own.
    pub(super) names: Option<Names>,
    /// The upper bounds of the buckets, in seconds.
    pub(super) bounds: Vec<f64>,
    /// The cells of all columns.
    last: Cells,
}

impl Heat {
    pub(super) fn new(start: SystemTime) -> Self {
        Self {
            columns: Vec::new(),
            width: FIRST_WIDTH,
            maps: Vec::new(),
            index: HashMap::new(),
            last_collection: start,
        }
    }

    /// How long to wait until the next collection.
    pub(super) fn width(&self) -> Duration {
        self.width
    }

    /// Adds a column with what has happened since the last collection. The points are those of the
    /// histograms of durations since the start.
    pub(super) fn add<'a>(
        &mut self,
        histograms: impl IntoIterator<Item = (&'a str, &'a [HistogramPoint])>,
        now: SystemTime,
    ) {
        let mut sums: HashMap<usize, Cells> = HashMap::new();
        for (metric, points) in histograms {
            if metric == metric::DB_CLIENT_OPERATION_DURATION || metric == metric::JOB_DURATION {
                for point in points {
                    self.add_point(metric, point, &mut sums);
                }
            }
        }
        let mut cells = HashMap::new();
        for (at, sum) in sums {
            let Some(map) = self.maps.get_mut(at) else {
                continue;
            };
            let grown = sum.minus(&map.last);
            map.last = sum;
            if grown.counts.iter().any(|count| *count > 0) {
                cells.insert(at, grown);
            }
        }
        self.add_column(cells, now);
    }

    fn add_point(
        &mut self,
        metric: &str,
        point: &HistogramPoint,
        sums: &mut HashMap<usize, Cells>,
    ) {
        let Some(names) = names(metric, point) else {
            return;
        };
        let (bounds, counts) = rows(&point.buckets);
        let at = self.map(metric == metric::JOB_DURATION, names, bounds);
        let sum = sums.entry(at).or_default();
        let is_failed = point
            .attributes
            .iter()
            .any(|attribute| attribute.key.as_str() == attribute::ERROR_TYPE);
        let failed = if is_failed { point.count } else { 0 };
        sum.add(&Cells { counts, failed });
    }

    fn map(&mut self, is_job: bool, names: Names, bounds: Vec<f64>) -> usize {
        let key = (is_job, names);
        if let Some(known) = self.index.get(&key) {
            return *known;
        }
        let of_others = |map: &HeatMap| map.names.is_none() && map.bounds == bounds;
        let is_full = self.maps.len() >= HEAT_MAPS;
        let at = self.maps.iter().position(of_others).filter(|_| is_full);
        let at = at.unwrap_or_else(|| {
            self.maps.push(HeatMap {
                is_job,
                names: (!is_full).then(|| key.1.clone()),
                bounds,
                last: Cells::default(),
            });
            self.maps.len() - 1
        });
        // An operation of the shared map keeps it. The number of series is bounded.
        self.index.insert(key, at);
        at
    }

    fn add_column(&mut self, cells: HashMap<usize, Cells>, now: SystemTime) {
        let start = self.last_collection;
        self.last_collection = now.max(start);
        let column = Column {
            start,
            end: self.last_collection,
            cells,
        };
        let is_full = |last: &Column| {
            let width = last.end.duration_since(last.start).unwrap_or_default();
            // A collection may come a little early.
            width >= self.width.mul_f32(0.9)
        };
        match self.columns.last_mut() {
            Some(last) if !is_full(last) => last.merge(column),
            _ => self.columns.push(column),
        }
        if self.columns.len() > HEAT_COLUMNS {
            self.width *= 2;
            let columns = std::mem::take(&mut self.columns);
            let mut columns = columns.into_iter();
            while let Some(mut column) = columns.next() {
                if let Some(next) = columns.next() {
                    column.merge(next);
                }
                self.columns.push(column);
            }
        }
    }
}

impl Column {
    /// The cells of one map; `None` if there was no call.
    pub(super) fn cells(&self, map: usize) -> Option<&Cells> {
        self.cells.get(&map)
    }

    fn merge(&mut self, later: Self) {
        self.end = later.end;
        for (at, cells) in later.cells {
            self.cells.entry(at).or_default().add(&cells);
        }
    }
}

impl Cells {
    fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, added) in self.counts.iter_mut().zip(&other.counts) {
            *count += added;
        }
        self.failed += other.failed;
    }

    fn minus(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(before);
        Self {
            counts: counts
                .map(|(count, before)| count.saturating_sub(before))
                .collect(),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }
}

/// Returns the upper bounds of rows, and the counts of rows. Exponential buckets are summed up to
/// powers of two, which all their scales have as bounds, so that a count never moves to another row.
fn rows(buckets: &PointBuckets) -> (Vec<f64>, Vec<u64>) {
    match buckets {
        PointBuckets::Explicit { bounds, counts } => (bounds.to_vec(), counts.clone()),
        PointBuckets::Exponential {
            scale,
            zeros,
            offset,
            counts,
        } => {
            let bounds: Vec<f64> = (LEAST_POWER..=MOST_POWER)
                .map(|power| 2_f64.powi(power))
                .collect();
            let mut rows = vec![0; bounds.len() + 1];
            rows[0] += zeros;
            for (index, count) in (*offset..).zip(counts) {
                let power = if *scale >= 0 {
                    index >> i32::from(*scale).min(31)
                } else {
                    index.saturating_mul(1 << -i32::from(*scale).max(-30))
                };
                // The bucket of this power ends at the next one.
                let row = power.saturating_add(1).clamp(LEAST_POWER, MOST_POWER + 1) - LEAST_POWER;
                if let Some(row) = usize::try_from(row).ok().and_then(|row| rows.get_mut(row)) {
                    *row += count;
                }
            }
            (bounds, rows)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::KeyValue;

    use super::*;

    const OPERATIONS: &str = metric::DB_CLIENT_OPERATION_DURATION;

    fn point(operation: String, counts: Vec<u64>, error: Option<&'static str>) -> HistogramPoint {
        let mut attributes = vec![
            KeyValue::new("db.collection.name", "articles"),
            KeyValue::new("db.operation.name", operation),
        ];
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        HistogramPoint {
            attributes,
            count: counts.iter().sum(),
            sum: 1.0,
            minimum: 0.0,
            maximum: 1.0,
            buckets: PointBuckets::Explicit {
                bounds: vec![0.1, 1.0].into(),
                counts,
            },
            exemplars: Vec::new(),
        }
    }

    fn sum(heat: &Heat, map: usize) -> (u64, u64) {
        let cells = heat.columns.iter().filter_map(|column| column.cells(map));
        cells.fold((0, 0), |(calls, failed), cells| {
            let count: u64 = cells.counts.iter().sum();
            (calls + count, failed + cells.failed)
        })
    }

    #[test]
    fn cells_sum_up_to_the_counts_of_the_histogram_however_many_columns_are_merged() {
        let start = UNIX_EPOCH;
        let mut heat = Heat::new(start);
        let mut now = start;
        for round in 1..=1000_u64 {
            now += FIRST_WIDTH;
            let points = [
                point("get".to_owned(), vec![round * 3, round, 0], None),
                point("get".to_owned(), vec![0, round / 2, 0], Some("Busy")),
            ];
            heat.add([(OPERATIONS, &points[..])], now);
            assert!(heat.columns.len() <= HEAT_COLUMNS);
            assert_eq!(sum(&heat, 0), (round * 4 + round / 2, round / 2));
        }
        let ends: Vec<_> = heat.columns.iter().map(|column| column.end).collect();
        let starts: Vec<_> = heat.columns.iter().map(|column| column.start).collect();
        assert_eq!(starts[1..], ends[..ends.len() - 1], "no gap, no overlap");
        assert_eq!((starts[0], ends.last()), (start, Some(&now)));
        assert!(heat.width() > FIRST_WIDTH);
    }

    #[test]
    fn collections_in_quick_succession_share_a_column() {
        let mut heat = Heat::new(UNIX_EPOCH);
        for round in 1..=10 {
            let points = [point("get".to_owned(), vec![round, 0, 0], None)];
            let now = UNIX_EPOCH + FIRST_WIDTH.mul_f32(0.1) * u32::try_from(round).expect("small");
            heat.add([(OPERATIONS, &points[..])], now);
        }
        assert_eq!(heat.columns.len(), 2);
        assert_eq!(sum(&heat, 0), (10, 0));
    }

    #[test]
    fn further_operations_share_a_heat_map() {
        let mut heat = Heat::new(UNIX_EPOCH);
        let points: Vec<_> = (0..HEAT_MAPS + 20)
            .map(|index| point(format!("op{index}"), vec![1, 0, 0], None))
            .collect();
        heat.add([(OPERATIONS, &points[..])], UNIX_EPOCH + FIRST_WIDTH);
        heat.add([(OPERATIONS, &points[..])], UNIX_EPOCH + FIRST_WIDTH * 2);
        assert_eq!(heat.maps.len(), HEAT_MAPS + 1);
        assert!(heat.maps[HEAT_MAPS].names.is_none());
        assert_eq!(sum(&heat, HEAT_MAPS), (20, 0));
    }

    #[test]
    fn exponential_buckets_stay_in_their_row_when_the_scale_changes() {
        // 0.75 s and 1.5 s: (0.5, 1] and (1, 2].
        let fine = PointBuckets::Exponential {
            scale: 2,
            zeros: 1,
            offset: -2,
            counts: vec![1, 0, 0, 0, 1],
        };
        let coarse = PointBuckets::Exponential {
            scale: 0,
            zeros: 1,
            offset: -1,
            counts: vec![1, 1],
        };
        let (bounds, counts) = rows(&fine);
        assert_eq!((bounds.clone(), counts.clone()), rows(&coarse));
        let at = |bound: f64| {
            let row = bounds.iter().position(|it| (it - bound).abs() < 1e-12);
            counts[row.expect("it is a bound")]
        };
        assert_eq!((at(1.0), at(2.0), counts[0]), (1, 1, 1));
        assert_eq!(counts.iter().sum::<u64>(), 3);
    }
}
