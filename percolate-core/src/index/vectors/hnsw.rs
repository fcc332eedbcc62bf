//! The vector index on `usearch`: a navigable small world graph. Searches are approximate, and fast
//! for any number of vectors.
//!
//! usearch identifies vectors by 64-bit labels; the index maps labels to entities. A replaced
//! vector gets a new label, so the graph never has two vectors of one entity. If a search of the
//! graph cannot reach enough vectors, because a node may lose its last incoming edge, all vectors
//! are compared instead.
//!
//! Format: kind 2; the number of vectors (u64, big-endian); for each its label (u64, big-endian)
//! and id (16 bytes); then the graph in usearch's format.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Condvar, Mutex, PoisonError};

use usearch::ffi::Matches;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};
use uuid::Uuid;

use super::error::VectorError;
use super::vector_index::{Neighbour, VectorIndex, check_dimensions, has_direction};

const KIND: u8 = 2;
const HEAD: usize = 9;
const ENTRY: usize = 24;
/// The initial capacity for new vectors. It is doubled when necessary.
const FIRST_CAPACITY: usize = 256;

pub(crate) struct Hnsw {
    graph: Index,
    labels: BTreeMap<Uuid, u64>,
    ids: HashMap<u64, Uuid>,
    next: u64,
    contexts: Contexts,
}

impl Hnsw {
    pub(crate) fn new(dimensions: usize) -> Result<Self, VectorError> {
        let graph = Index::new(&options(dimensions)).map_err(failed)?;
        let contexts = Contexts::new();
        Ok(Self {
            graph,
            labels: BTreeMap::new(),
            ids: HashMap::new(),
            next: 0,
            contexts,
        })
    }

    pub(crate) fn from_bytes(dimensions: usize, bytes: &[u8]) -> Result<Self, VectorError> {
        let malformed = VectorError::Malformed;
        let (head, rest) = bytes
            .split_first_chunk::<HEAD>()
            .ok_or(malformed("too short"))?;
        let &[kind, count @ ..] = head;
        if kind != KIND {
            return Err(malformed("of another kind"));
        }
        let count = usize::try_from(u64::from_be_bytes(count))
            .ok()
            .and_then(|count| count.checked_mul(ENTRY));
        let (entries, graph) = count
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(malformed("too short"))?;
        let mut index = Self::new(dimensions)?;
        index.graph.load_from_buffer(graph).map_err(failed)?;
        for entry in entries.chunks_exact(ENTRY) {
            let (label, id) = entry.split_at(8);
            let label =
                u64::from_be_bytes(label.try_into().map_err(|_| malformed("without a label"))?);
            let id = Uuid::from_slice(id).map_err(|_| malformed("without an id"))?;
            if !index.graph.contains(label) {
                return Err(malformed("its parts disagree"));
            }
            index.name(id, label)?;
        }
        let sizes = [index.graph.size(), index.labels.len()];
        if index.graph.dimensions() != dimensions || sizes != [index.ids.len(); 2] {
            return Err(malformed("its parts disagree"));
        }
        // A restored graph has usearch's default number of contexts.
        index.reserve(index.graph.capacity())?;
        Ok(index)
    }

    fn name(&mut self, id: Uuid, label: u64) -> Result<(), VectorError> {
        let next = label
            .checked_add(1)
            .ok_or(VectorError::Malformed("its labels are used up"))?;
        self.labels.insert(id, label);
        self.ids.insert(label, id);
        self.next = self.next.max(next);
        Ok(())
    }

    fn neighbours(&self, found: &Matches) -> Vec<Neighbour> {
        let neighbour = |(label, distance): (&u64, &f32)| {
            Some(Neighbour {
                id: *self.ids.get(label)?,
                distance: distance.max(0.0),
            })
        };
        let found = found.keys.iter().zip(&found.distances);
        found.filter_map(neighbour).collect()
    }

    fn make_room(&self) -> Result<(), VectorError> {
        if self.graph.size() < self.graph.capacity() {
            return Ok(());
        }
        self.reserve((self.graph.capacity() * 2).max(FIRST_CAPACITY))
    }

    fn reserve(&self, capacity: usize) -> Result<(), VectorError> {
        self.graph
            .reserve_capacity_and_threads(capacity, self.contexts.count)
            .map_err(failed)
    }
}

/// The contexts of concurrent searches. usearch has a fixed number of them, and a search without a
/// free context fails, so searches wait here.
struct Contexts {
    count: usize,
    free: Mutex<usize>,
    freed: Condvar,
}

impl Contexts {
    /// The number of processors, because searches only compute.
    fn new() -> Self {
        let count = std::thread::available_parallelism()
            .map_or(4, std::num::NonZeroUsize::get)
            .clamp(4, 64);
        Self {
            count,
            free: Mutex::new(count),
            freed: Condvar::new(),
        }
    }

    fn take(&self) -> impl Drop + '_ {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Context(self)
    }
}

struct Context<'a>(&'a Contexts);

impl Drop for Context<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl VectorIndex for Hnsw {
    fn set(&mut self, id: Uuid, vector: &[f32]) -> Result<(), VectorError> {
        check_dimensions(self.graph.dimensions(), vector)?;
        self.remove(id)?;
        if !has_direction(vector) {
            return Ok(());
        }
        self.make_room()?;
        let label = self.next;
        self.graph.add(label, vector).map_err(failed)?;
        self.name(id, label)
    }

    fn remove(&mut self, id: Uuid) -> Result<(), VectorError> {
        if let Some(label) = self.labels.remove(&id) {
            self.ids.remove(&label);
            self.graph.remove(label).map_err(failed)?;
        }
        Ok(())
    }

    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Neighbour>, VectorError> {
        check_dimensions(self.graph.dimensions(), query)?;
        let k = k.min(self.ids.len());
        if k == 0 || !has_direction(query) {
            return Ok(Vec::new());
        }
        let _context = self.contexts.take();
        let mut found = self.graph.search(query, k).map_err(failed)?;
        if found.keys.len() < k {
            found = self.graph.exact_search(query, k).map_err(failed)?;
        }
        Ok(self.neighbours(&found))
    }

    fn search_among(
        &self,
        query: &[f32],
        k: usize,
        filter: &dyn Fn(Uuid) -> bool,
    ) -> Result<Vec<Neighbour>, VectorError> {
        check_dimensions(self.graph.dimensions(), query)?;
        let k = k.min(self.ids.len());
        if k == 0 || !has_direction(query) {
            return Ok(Vec::new());
        }
        let _context = self.contexts.take();
        let passes = |label: u64| self.ids.get(&label).is_some_and(|id| filter(*id));
        let found = self.graph.filtered_search(query, k, passes);
        Ok(self.neighbours(&found.map_err(failed)?))
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn ids_after(&self, after: Option<Uuid>, limit: usize) -> Vec<Uuid> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.labels
            .range((from, Bound::Unbounded))
            .map(|(id, _)| *id)
            .take(limit)
            .collect()
    }

    fn holds(&self, id: Uuid, vector: &[f32]) -> bool {
        let mut held = vec![0.0; self.graph.dimensions()];
        match self.labels.get(&id) {
            Some(label) => matches!(self.graph.get(*label, &mut held), Ok(1)) && held == vector,
            None => !has_direction(vector),
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, VectorError> {
        let mut bytes = vec![KIND];
        bytes.extend((self.ids.len() as u64).to_be_bytes());
        for (label, id) in &self.ids {
            bytes.extend(label.to_be_bytes());
            bytes.extend(id.as_bytes());
        }
        let head = bytes.len();
        bytes.resize(head + self.graph.serialized_length(), 0);
        self.graph
            .save_to_buffer(&mut bytes[head..])
            .map_err(failed)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Hnsw {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Hnsw")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn options(dimensions: usize) -> IndexOptions {
    IndexOptions {
        dimensions,
        metric: MetricKind::Cos,
        quantization: ScalarKind::F32,
        connectivity: 16,
        expansion_add: 128,
        expansion_search: 128,
        multi: false,
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> VectorError {
    VectorError::Index(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::super::exact::Exact;
    use super::super::tests::check_contract;
    use super::*;

    #[test]
    fn the_graph_satisfies_the_contract_of_indexes() {
        check_contract(
            |dimensions| Box::new(Hnsw::new(dimensions).unwrap()),
            |dimensions, bytes| Box::new(Hnsw::from_bytes(dimensions, bytes).unwrap()),
        );
    }

    #[test]
    fn bytes_that_are_not_an_index_are_rejected() {
        for bytes in [
            &[][..],
            &[1; 40],
            &[2, 0, 0, 0, 0, 0, 0, 0, 9],
            &[2, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            assert!(Hnsw::from_bytes(2, bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn labels_and_ids_that_disagree_with_the_graph_are_rejected() {
        let mut index = Hnsw::new(2).unwrap();
        for id in 1..3 {
            index.set(Uuid::from_u128(id), &[1.0, 2.0]).unwrap();
        }
        let bytes = index.to_bytes().unwrap();
        Hnsw::from_bytes(2, &bytes).unwrap();
        let changed = |place: usize, length: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[place..place + length].fill(byte);
            Hnsw::from_bytes(2, &changed)
        };
        let (label, id) = (HEAD, HEAD + 8);
        for (place, length, byte) in [(label, 8, 255), (label, 8, 7)] {
            assert!(changed(place, length, byte).is_err(), "label {byte}");
        }
        // The other entry has this id.
        let both = [1, 2].map(|byte| changed(id + 15, 1, byte).is_err());
        assert!(both.contains(&true), "the same id twice");
    }

    /// Deterministic numbers between -1 and 1.
    fn random(mut seed: u64) -> impl FnMut() -> Vec<f32> {
        let mut number = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f32::from((seed >> 48) as i16) / 32_768.0
        };
        move || (0..16).map(|_| number()).collect()
    }

    /// The same vectors in a graph and in the exact index.
    struct Both {
        graph: Hnsw,
        exact: Exact,
    }

    impl Both {
        fn new(vectors: u128, mut vector: impl FnMut() -> Vec<f32>) -> Self {
            let dimensions = vector().len();
            let mut both = Self {
                graph: Hnsw::new(dimensions).unwrap(),
                exact: Exact::new(dimensions),
            };
            (0..vectors).for_each(|id| both.set(id, &vector()));
            both
        }

        fn set(&mut self, id: u128, vector: &[f32]) {
            self.graph.set(Uuid::from_u128(id), vector).unwrap();
            self.exact.set(Uuid::from_u128(id), vector).unwrap();
        }

        fn remove(&mut self, id: u128) {
            self.graph.remove(Uuid::from_u128(id)).unwrap();
            self.exact.remove(Uuid::from_u128(id)).unwrap();
        }

        /// The percentage of the `k` nearest vectors that the graph finds.
        fn recall(&self, queries: usize, k: usize, mut query: impl FnMut() -> Vec<f32>) -> usize {
            let (mut right, mut wanted) = (0, 0);
            for _ in 0..queries {
                let query = query();
                let truth = self.exact.search(&query, k).unwrap();
                let found = self.graph.search(&query, k).unwrap();
                assert_eq!(found.len(), k.min(self.exact.len()));
                // Vectors with the same distance are equally good.
                let limit = truth.last().map_or(0.0, |last| last.distance) + 1e-5;
                wanted += truth.len();
                right += found
                    .iter()
                    .filter(|neighbour| neighbour.distance <= limit)
                    .count();
            }
            right * 100 / wanted
        }
    }

    #[test]
    fn a_search_returns_k_results() {
        let both = Both::new(3_000, random(3));
        assert!(both.recall(10, 500, random(4)) >= 95);
        assert_eq!(both.graph.search(&random(6)(), 5_000).unwrap().len(), 3_000);
    }

    #[test]
    fn what_remains_is_found_after_most_was_removed() {
        let mut both = Both::new(3_000, random(7));
        (0..3_000)
            .filter(|id| id % 10 != 0)
            .for_each(|id| both.remove(id));
        assert!(both.recall(20, 10, random(8)) >= 95);
        assert!(both.recall(1, 300, random(9)) == 100);
        let restored = Hnsw::from_bytes(16, &both.graph.to_bytes().unwrap()).unwrap();
        let both = Both {
            graph: restored,
            ..both
        };
        assert!(both.recall(20, 10, random(8)) >= 95);
    }

    #[test]
    fn replacing_every_vector_again_and_again_leaves_them_findable() {
        let mut both = Both::new(1_000, random(10));
        let mut vector = random(11);
        for _ in 0..5 {
            (0..1_000).for_each(|id| both.set(id, &vector()));
        }
        let recall = both.recall(50, 10, random(12));
        assert!(recall >= 95, "recall is {recall} in a hundred");
        assert_eq!(both.recall(1, 1_000, random(13)), 100);
        assert!(
            both.graph.graph.capacity() <= 4_096,
            "removed places are used again"
        );
    }

    /// Distinct sentences of prose, from the documents and doc comments of the packages in cargo's
    /// registry on this machine. The dependencies of this crate are enough.
    fn texts(most: usize) -> Vec<String> {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home
            .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
            .unwrap_or_default();
        let mut packages: Vec<_> = folder(&home.join("registry/src"))
            .iter()
            .flat_map(|source| folder(source))
            .collect();
        packages.sort();
        let mut texts = BTreeSet::new();
        for package in packages {
            for file in folder(&package)
                .into_iter()
                .chain(folder(&package.join("src")))
            {
                let prose = std::fs::read_to_string(&file).unwrap_or_default();
                let is_code = file.extension().is_some_and(|extension| extension == "rs");
                let lines = prose
                    .lines()
                    .filter_map(|line| if is_code { doc(line) } else { Some(line) });
                // From many files, so that no author dominates.
                texts.extend(
                    lines
                        .filter(|line| is_prose(line))
                        .take(most / 200)
                        .map(str::to_owned),
                );
            }
            if texts.len() >= most {
                break;
            }
        }
        texts.into_iter().take(most).collect()
    }

    fn folder(path: &Path) -> Vec<PathBuf> {
        let wanted = |path: &PathBuf| {
            path.extension()
                .is_none_or(|extension| extension == "md" || extension == "rs")
                || path.is_dir()
        };
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(wanted).collect();
        paths.sort();
        paths
    }

    fn doc(line: &str) -> Option<&str> {
        let line = line.trim_start();
        line.strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
    }

    fn is_prose(line: &str) -> bool {
        line.split_whitespace()
            .filter(|word| {
                word.chars()
                    .all(|letter| letter.is_alphabetic() || letter == ',')
            })
            .count()
            > 6
    }

    #[test]
    fn ten_nearest_of_ten_thousand_real_texts_are_found_as_comparing_all_finds_them() {
        const TEXTS: usize = 10_000;
        let texts = texts(TEXTS);
        assert_eq!(
            texts.len(),
            TEXTS,
            "cargo's registry has too few packages unpacked to measure with"
        );
        let embeddings = crate::embeddings::OfflineEmbeddings::new();
        let mut vectors = texts.iter().map(|text| embeddings.vector(text));
        // The first vector only defines the dimensions.
        let mut first = Some(embeddings.vector(&texts[0]));
        let both = Both::new(TEXTS as u128, || {
            first.take().or_else(|| vectors.next()).unwrap()
        });
        // Every other word of a text, as in a search query.
        let mut queries = texts.iter().step_by(TEXTS / 100).map(|text| {
            let words: Vec<_> = text.split_whitespace().skip(1).step_by(2).collect();
            embeddings.vector(&words.join(" "))
        });
        let recall = both.recall(100, 10, || queries.next().unwrap());
        assert!(recall >= 95, "recall is {recall} in a hundred");
    }
}
