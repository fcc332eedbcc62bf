//! Embeddings without a model: words and parts of words, hashed into a vector. The same text has
//! the same vector on every machine and in every version, because stored vectors depend on it.
//!
//! The vectors do not express meaning. They match texts that share words with the query, or most of
//! the spelling of words.

use super::provider::{EmbeddingFuture, EmbeddingProvider};

const WORD: f32 = 1.0;
const PIECE: f32 = 0.35;
const PIECE_LENGTH: usize = 3;

/// The default provider: deterministic and offline.
#[derive(Debug, Clone)]
pub struct OfflineEmbeddings {
    dimensions: usize,
}

impl OfflineEmbeddings {
    /// Creates a provider of vectors with 384 numbers.
    pub const fn new() -> Self {
        Self::with_dimensions(384)
    }

    /// Creates a provider of vectors with another length, at least 1. The shorter the vectors, the
    /// more words share a position.
    pub const fn with_dimensions(dimensions: usize) -> Self {
        Self {
            dimensions: if dimensions == 0 { 1 } else { dimensions },
        }
    }

    /// Returns the vector of one text. It is zero if the text has no letter or digit.
    ///
    /// ```
    /// use percolate_core::embeddings::OfflineEmbeddings;
    ///
    /// let embeddings = OfflineEmbeddings::new();
    /// let cosine = |a: &str, b: &str| -> f32 {
    ///     embeddings.vector(a).iter().zip(embeddings.vector(b)).map(|(a, b)| a * b).sum()
    /// };
    /// assert!(cosine("storing keys", "a store of keys and values") > cosine("storing keys", "an HTTP client"));
    /// ```
    pub fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dimensions];
        let mut marked = Vec::new();
        for word in text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| !word.is_empty())
        {
            let word = word.to_lowercase();
            self.add(&mut vector, b'w', word.as_bytes(), WORD);
            marked.clear();
            marked.extend(std::iter::once('^').chain(word.chars()).chain(['$']));
            for piece in marked.windows(PIECE_LENGTH) {
                let (mut bytes, mut length) = ([0; PIECE_LENGTH * 4], 0);
                for letter in piece {
                    length += letter.encode_utf8(&mut bytes[length..]).len();
                }
                self.add(&mut vector, b'p', &bytes[..length], PIECE);
            }
        }
        dampen(&mut vector);
        normalise(&mut vector);
        vector
    }

    /// Half of the features are subtracted, so that features with the same position cancel on
    /// average.
    fn add(&self, vector: &mut [f32], kind: u8, feature: &[u8], weight: f32) {
        let hash = hash(kind, feature);
        let place = usize::try_from((hash >> 1) % self.dimensions as u64).unwrap_or_default();
        vector[place] += if hash & 1 == 0 { weight } else { -weight };
    }
}

impl Default for OfflineEmbeddings {
    fn default() -> Self {
        Self::new()
    }
}

impl EmbeddingProvider for OfflineEmbeddings {
    fn name(&self) -> &'static str {
        "offline-1"
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn embed<'a>(&'a self, texts: &'a [String]) -> EmbeddingFuture<'a> {
        let vectors = texts.iter().map(|text| self.vector(text)).collect();
        Box::pin(std::future::ready(Ok(vectors)))
    }
}

/// Repeated words count with the square root of their number.
fn dampen(vector: &mut [f32]) {
    for number in vector {
        *number = number.signum() * number.abs().sqrt();
    }
}

fn normalise(vector: &mut [f32]) {
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    if length > 0.0 {
        for number in vector {
            *number /= length;
        }
    }
}

/// FNV-1a with a final mixing step, which improves the low bits.
fn hash(kind: u8, feature: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = feature
        .iter()
        .fold(step(0xcbf2_9ce4_8422_2325, &kind), step);
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_do_not_change_between_versions() {
        // Stored vectors depend on this hash; another one would invalidate them.
        assert_eq!(hash(b'w', b"percolate"), 0xe7d1_f1d3_0280_8179);
    }

    #[test]
    fn a_text_without_words_has_no_direction() {
        assert!(
            OfflineEmbeddings::new()
                .vector(" -- !")
                .iter()
                .all(|number| *number == 0.0)
        );
    }
}
