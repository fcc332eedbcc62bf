//! The vector index on `usearch`: a navigable small world graph. Approximate, and fast however many vectors there are.
//!
//! usearch names vectors by 64-bit labels; the index keeps which label stands for which entity. A replaced vector
//! takes a new label, so that the graph never holds two for one entity.
//!
//! As bytes: kind 2; the number of vectors (u64, big-endian); for each its label (u64, big-endian) and id (16 bytes);
//! then the graph as usearch writes it.

use std::collections::HashMap;

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};
use uuid::Uuid;

use super::vectors::{Neighbour, VectorError, VectorIndex, check_dimensions, has_direction};

const KIND: u8 = 2;
const HEAD: usize = 9;
const ENTRY: usize = 24;
/// Room for new vectors is made in steps that double from here.
const FIRST_CAPACITY: usize = 256;

pub(crate) struct Hnsw {
    graph: Index,
    labels: HashMap<Uuid, u64>,
    ids: HashMap<u64, Uuid>,
    next: u64,
}

impl Hnsw {
    pub(crate) fn new(dimensions: usize) -> Result<Self, VectorError> {
        let graph = Index::new(&options(dimensions)).map_err(failed)?;
        Ok(Self { graph, labels: HashMap::new(), ids: HashMap::new(), next: 0 })
    }

    pub(crate) fn from_bytes(dimensions: usize, bytes: &[u8]) -> Result<Self, VectorError> {
        let malformed = VectorError::Malformed;
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(malformed("too short"))?;
        let &[kind, count @ ..] = head;
        if kind != KIND {
            return Err(malformed("of another kind"));
        }
        let count = usize::try_from(u64::from_be_bytes(count)).ok().and_then(|count| count.checked_mul(ENTRY));
        let (entries, graph) = count.and_then(|length| rest.split_at_checked(length)).ok_or(malformed("too short"))?;
        let mut index = Self::new(dimensions)?;
        index.graph.load_from_buffer(graph).map_err(failed)?;
        for entry in entries.chunks_exact(ENTRY) {
            let (label, id) = entry.split_at(8);
            let label = u64::from_be_bytes(label.try_into().map_err(|_| malformed("without a label"))?);
            index.name(Uuid::from_slice(id).map_err(|_| malformed("without an id"))?, label);
        }
        if index.graph.dimensions() != dimensions || index.graph.size() != index.ids.len() {
            return Err(malformed("its parts disagree"));
        }
        Ok(index)
    }

    fn name(&mut self, id: Uuid, label: u64) {
        self.labels.insert(id, label);
        self.ids.insert(label, id);
        self.next = self.next.max(label + 1);
    }

    fn make_room(&self) -> Result<(), VectorError> {
        if self.graph.size() < self.graph.capacity() {
            return Ok(());
        }
        let capacity = (self.graph.capacity() * 2).max(FIRST_CAPACITY);
        self.graph.reserve(capacity).map_err(failed)
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
        self.name(id, label);
        Ok(())
    }

    fn remove(&mut self, id: Uuid) -> Result<(), VectorError> {
        if let Some(label) = self.labels.remove(&id) {
            self.ids.remove(&label);
            self.graph.remove(label).map_err(failed)?;
        }
        Ok(())
    }

    fn search(&self, query: &[f32], k: usize, keep: &dyn Fn(Uuid) -> bool) -> Result<Vec<Neighbour>, VectorError> {
        check_dimensions(self.graph.dimensions(), query)?;
        let k = k.min(self.ids.len());
        if k == 0 || !has_direction(query) {
            return Ok(Vec::new());
        }
        let keep = |label: u64| self.ids.get(&label).is_some_and(|id| keep(*id));
        let found = self.graph.filtered_search(query, k, keep).map_err(failed)?;
        let neighbour = |(label, distance): (&u64, &f32)| {
            Some(Neighbour { id: *self.ids.get(label)?, distance: distance.max(0.0) })
        };
        Ok(found.keys.iter().zip(&found.distances).filter_map(neighbour).collect())
    }

    fn len(&self) -> usize {
        self.ids.len()
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
        self.graph.save_to_buffer(&mut bytes[head..]).map_err(failed)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Hnsw {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Hnsw").field("len", &self.len()).finish_non_exhaustive()
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
    use super::super::vectors::{Exact, contract};
    use super::*;

    #[test]
    fn the_graph_does_what_an_index_must() {
        contract::all(
            |dimensions| Box::new(Hnsw::new(dimensions).unwrap()),
            |dimensions, bytes| Box::new(Hnsw::from_bytes(dimensions, bytes).unwrap()),
        );
    }

    #[test]
    fn bytes_that_are_no_index_are_refused() {
        for bytes in [&[][..], &[1; 40], &[2, 0, 0, 0, 0, 0, 0, 0, 9], &[2, 255, 255, 255, 255, 255, 255, 255, 255, 1]]
        {
            assert!(Hnsw::from_bytes(2, bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn ten_nearest_of_two_thousand_are_found_as_comparing_all_finds_them() {
        let mut seed = 7_u64;
        let mut number = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f32::from((seed >> 48) as i16) / 32_768.0
        };
        let mut vector = || (0..32).map(|_| number()).collect::<Vec<_>>();
        let (mut graph, mut exact) = (Hnsw::new(32).unwrap(), Exact::new(32));
        for id in 0..2000 {
            let vector = vector();
            graph.set(Uuid::from_u128(id), &vector).unwrap();
            exact.set(Uuid::from_u128(id), &vector).unwrap();
        }
        let mut right = 0;
        for _ in 0..50 {
            let query = vector();
            let ids = |found: Vec<Neighbour>| found.into_iter().map(|neighbour| neighbour.id).collect::<Vec<_>>();
            let truth = ids(exact.search(&query, 10, &|_| true).unwrap());
            right += ids(graph.search(&query, 10, &|_| true).unwrap()).iter().filter(|id| truth.contains(id)).count();
        }
        assert!(right >= 475, "recall is {right} of 500");
    }

    /// Lines of prose from the READMEs of the packages that cargo has unpacked on this machine, each once.
    fn texts(most: usize) -> Vec<String> {
        let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
        let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
        let folders = |path: std::path::PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut packages: Vec<_> =
            folders(home.join("registry/src")).flat_map(|source| folders(source.path())).collect();
        packages.sort_by_key(std::fs::DirEntry::file_name);
        let mut texts = std::collections::BTreeSet::new();
        for package in packages {
            let readme = std::fs::read_to_string(package.path().join("README.md")).unwrap_or_default();
            texts.extend(readme.lines().filter(|line| line.split_whitespace().count() > 7).map(str::to_owned));
            if texts.len() >= most {
                break;
            }
        }
        texts.into_iter().take(most).collect()
    }

    #[test]
    fn ten_nearest_real_texts_are_found_as_comparing_all_finds_them() {
        const QUERIES: usize = 100;
        let texts = texts(10_000);
        let embeddings = crate::embeddings::OfflineEmbeddings::new();
        let (mut graph, mut exact) = (Hnsw::new(384).unwrap(), Exact::new(384));
        for (id, text) in (0..).zip(&texts) {
            let vector = embeddings.vector(text);
            graph.set(Uuid::from_u128(id), &vector).unwrap();
            exact.set(Uuid::from_u128(id), &vector).unwrap();
        }
        let (mut right, mut wanted) = (0, 0);
        for text in texts.iter().step_by((texts.len() / QUERIES).max(1)) {
            // Part of a text, as somebody would ask for it.
            let words: Vec<_> = text.split_whitespace().skip(1).step_by(2).collect();
            let query = embeddings.vector(&words.join(" "));
            let truth = exact.search(&query, 10, &|_| true).unwrap();
            let found = graph.search(&query, 10, &|_| true).unwrap();
            // Texts at the same distance are as good as each other.
            let Some(limit) = truth.last().map(|last| last.distance + 1e-5) else { continue };
            wanted += truth.len();
            right += found.iter().filter(|neighbour| neighbour.distance <= limit).count();
        }
        assert!(right * 100 >= wanted * 95, "recall is {right} of {wanted} among {} texts", texts.len());
    }
}
