//! How much each part grows after the beginning of a run, and whether that is within its bound.

use std::fmt;

use super::parts::Parts;

/// What a part may grow by in a minute, as the slope of the least-squares line through all samples
/// after the first third of the run. MiB, or a number.
const BOUNDS: [(&str, f64); 4] = [
    ("resident MiB", 2.0),
    ("allocated MiB", 1.0),
    ("descriptors", 1.0),
    ("threads", 0.25),
];

/// The growth of each part per minute.
pub(super) struct Growth(Vec<(&'static str, f64)>);

impl Growth {
    pub(super) fn of(samples: &[Parts]) -> Self {
        let rest = &samples[samples.len() / 3..];
        let names = Parts::default().values();
        let slope = |part: usize| 60.0 * slope(rest, |parts| parts.values()[part].1);
        Self(
            (0..names.len())
                .map(|part| (names[part].0, slope(part)))
                .collect(),
        )
    }

    /// Returns the parts that grow by more than their bound.
    pub(super) fn excesses(&self) -> Vec<String> {
        let above = |(name, growth): &(&'static str, f64)| {
            let (_, bound) = BOUNDS.iter().find(|(bounded, _)| bounded == name)?;
            (growth > bound).then(|| format!("{name}: {growth:+.2} a minute, more than {bound}"))
        };
        self.0.iter().filter_map(above).collect()
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "growth a minute")?;
        for (name, growth) in &self.0 {
            write!(formatter, ", {name} {growth:+.2}")?;
        }
        Ok(())
    }
}

/// Returns the slope of the least-squares line, per second.
fn slope(samples: &[Parts], of: impl Fn(&Parts) -> f64) -> f64 {
    let x = mean(samples, |parts| parts.seconds);
    let y = mean(samples, &of);
    let (mut above, mut below) = (0.0, 0.0);
    for parts in samples {
        above += (parts.seconds - x) * (of(parts) - y);
        below += (parts.seconds - x).powi(2);
    }
    if below > 0.0 { above / below } else { 0.0 }
}

fn mean(samples: &[Parts], of: impl Fn(&Parts) -> f64) -> f64 {
    let (sum, count) = samples.iter().fold((0.0, 0.0), |(sum, count), parts| {
        (sum + of(parts), count + 1.0)
    });
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Samples of ten minutes in which the resident memory grows by `rate` MiB a minute.
fn growing(rate: f64) -> Vec<Parts> {
    let at = |second: u32| {
        let seconds = f64::from(second);
        // A memory table fills and is flushed every 20 seconds.
        let resident = 100.0 + f64::from(second % 20) + rate * seconds / 60.0;
        Parts {
            seconds,
            resident,
            threads: 10.0,
            ..Parts::default()
        }
    };
    (0..600).map(at).collect()
}

#[test]
fn a_leak_is_found_under_the_waves_of_the_memory_tables() {
    assert_eq!(Growth::of(&growing(0.0)).excesses(), Vec::<String>::new());
    let excesses = Growth::of(&growing(3.0)).excesses();
    assert_eq!(excesses.len(), 1);
    assert!(excesses[0].starts_with("resident MiB: +3."), "{excesses:?}");
}
