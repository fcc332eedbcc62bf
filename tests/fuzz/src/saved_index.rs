//! The saved files of vector indexes.

use std::sync::LazyLock;

use percolate_core::fuzzing;

use crate::input::Input;

const DIMENSIONS: usize = 4;
const VECTORS: u8 = 5;

/// The payload of an index with a few vectors.
static PAYLOAD: LazyLock<Vec<u8>> =
    LazyLock::new(|| fuzzing::index_payload(DIMENSIONS, VECTORS).expect("it can be created"));

/// The bytes of the payload before usearch's graph: a kind, the number of entries, and the entries.
const BEFORE_GRAPH: usize = 9 + VECTORS as usize * 24;

/// Reads bytes as a file, an intact file with changes, and a file with a changed payload. Of these, a
/// file whose checksum is wrong is not used, and any other is an error or an index that can be used.
///
/// Changes with a correct checksum are only in front of the graph, because usearch does not check it.
pub fn saved_index(data: &[u8]) {
    let read = |file: &[u8]| fuzzing::read_index_file(DIMENSIONS, file);
    assert!(matches!(read(data), Ok(None)), "no input has a checksum");
    let mut input = Input::new(data);
    if input.one_in(2) {
        let intact = fuzzing::index_file(&PAYLOAD);
        let mut file = intact.clone();
        let length = file.len();
        change(&mut file, length, &mut input);
        assert_eq!(matches!(read(&file), Ok(Some(_))), file == intact);
    } else {
        let mut payload = PAYLOAD.clone();
        change(&mut payload, BEFORE_GRAPH, &mut input);
        if let Ok(found) = read(&fuzzing::index_file(&payload)) {
            assert!(
                found.is_some_and(|found| found <= usize::from(VECTORS)),
                "{found:?}"
            );
        }
    }
}

/// Changes some of the first `end` bytes, and may cut the rest.
fn change(bytes: &mut Vec<u8>, end: usize, input: &mut Input<'_>) {
    while !input.is_empty() {
        let position = usize::from(u16::from_be_bytes(input.array())) % end;
        if position >= bytes.len() {
            return;
        }
        match input.byte() % 8 {
            0 => bytes.truncate(position),
            1 | 2 => {
                let to = end.min(position + 8).min(bytes.len());
                bytes[position..to].fill(input.byte());
            }
            3 => bytes[position] = input.byte(),
            bit => bytes[position] ^= 1 << bit,
        }
    }
}
