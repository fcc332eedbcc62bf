//! The stored bytes of entities.

use percolate_core::fuzzing;

/// Decodes bytes as an entity. It is an error, or a deleted entity, or data that is decoded to the
/// same after it is encoded.
pub fn records(data: &[u8]) {
    let Ok(Some(encoded)) = fuzzing::encode_again(data) else {
        return;
    };
    assert_eq!(
        fuzzing::encode_again(&encoded),
        Ok(Some(encoded.clone())),
        "{}",
        String::from_utf8_lossy(&encoded)
    );
}
