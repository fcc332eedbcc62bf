//! Runs every target with the inputs of its corpus, and with changes of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails where it should"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use percolate_fuzz_targets::{TARGETS, Target};

/// The number of changed inputs of each target, and the time for them.
const CHANGED: u64 = 2_000;
const TIME: Duration = Duration::from_secs(3);

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Deterministic numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Returns an input with a few changes: bytes, parts that are removed, repeated or taken from others.
fn change(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len() + 1);
        let end = bytes.len().min(place + random.below(16));
        match random.below(5) {
            0 => bytes.insert(place, u8::try_from(random.below(256)).unwrap()),
            1 if place < bytes.len() => bytes[place] = u8::try_from(random.below(256)).unwrap(),
            2 => drop(bytes.drain(place..end)),
            3 => {
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
            _ => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                bytes.splice(place..end, other[from..].iter().copied());
            }
        }
    }
    bytes
}

fn check(name: &str, target: Target, input: &[u8]) {
    let kept = std::panic::catch_unwind(|| target(input)).is_ok();
    assert!(kept, "{name}, for the input {}", input.escape_ascii());
}

fn replay(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let inputs = corpus(name);
    assert!(!inputs.is_empty(), "the corpus of {name} is empty");
    for input in &inputs {
        check(name, *target, input);
    }
    let mut random = Random(18);
    let started = Instant::now();
    let mut runs = 0;
    while runs < CHANGED && started.elapsed() < TIME {
        check(name, *target, &change(&inputs, &mut random));
        runs += 1;
    }
    assert!(runs > 0);
}

/// A test of each target.
macro_rules! tests {
    ($($target:ident),*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($target)),*];
    };
}

tests!(
    environment,
    headers,
    keys,
    records,
    registry,
    saved_index,
    sql,
    statements
);

#[test]
fn every_target_is_tested_and_every_corpus_belongs_to_a_target() {
    assert_eq!(TARGETS.map(|(name, _)| name), TESTED);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        assert!(TESTED.iter().any(|target| name == *target), "{name:?}");
    }
}
