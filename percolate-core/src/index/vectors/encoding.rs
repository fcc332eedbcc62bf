//! Vectors as stored bytes: each number is an f32, little-endian. A vector that was supplied with its
//! entity, and not created by the provider, ends with one byte more, a 1.

const SUPPLIED: u8 = 1;

/// Encodes a vector.
pub(crate) fn vector_to_bytes(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Encodes a vector that was supplied with its entity.
pub(crate) fn supplied_to_bytes(vector: &[f32]) -> Vec<u8> {
    let mut bytes = vector_to_bytes(vector);
    bytes.push(SUPPLIED);
    bytes
}

/// Returns whether stored bytes are those of a vector that was supplied with its entity.
pub(crate) fn is_supplied(bytes: &[u8]) -> bool {
    bytes.len() % size_of::<f32>() == 1 && bytes.last() == Some(&SUPPLIED)
}

/// Decodes a vector. Ignores an incomplete number at the end.
pub(crate) fn vector_from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supplied_vector_is_read_as_any_other() {
        let vector = [1.0, -2.5];
        for (bytes, supplied) in [
            (vector_to_bytes(&vector), false),
            (supplied_to_bytes(&vector), true),
        ] {
            assert_eq!(vector_from_bytes(&bytes), vector);
            assert_eq!(is_supplied(&bytes), supplied);
        }
        assert!(!is_supplied(&[]));
    }
}
