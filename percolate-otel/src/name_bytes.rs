//! Equality and a hash of names, by their first and last bytes.
//!
//! Most names are so short that a call of a function which compares memory costs more than the
//! comparison.

/// Whether two names are equal.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a few instructions on the way of every call"
)]
pub(crate) fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            one.len() == other.len()
                && match one.len() {
                    8..=16 => have_same_ends::<8>(one, other),
                    4..8 => have_same_ends::<4>(one, other),
                    _ => one == other,
                }
        }
        (None, None) => true,
        _ => false,
    }
}

/// Whether the first `N` bytes are equal, and the last ones.
#[inline]
fn have_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
}

/// A hash of the length of a name and of its first and last bytes. It distinguishes most names, and
/// costs the same for all of them.
#[inline]
pub(crate) fn hash(name: Option<&str>) -> u64 {
    let Some(name) = name else {
        return 0;
    };
    let bytes = name.as_bytes();
    let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => short_ends(bytes),
    };
    // A byte that is in both ends must not cancel itself, so the shift is not one of whole bytes.
    (first ^ last.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The ends of a name of less than eight bytes.
#[inline]
fn short_ends(bytes: &[u8]) -> (u64, u64) {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (
            u32::from_le_bytes(*first).into(),
            u32::from_le_bytes(*last).into(),
        ),
        _ => match *bytes {
            [one, two, three] => (one.into(), u64::from(two) << 8 | u64::from(three)),
            [one, two] => (one.into(), two.into()),
            [one] => (one.into(), 0),
            _ => (0, 0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_distinguished() {
        let name = "abcdefghijklmnopqrst";
        for length in 0..=name.len() {
            let name = &name[..length];
            assert!(is_same(Some(name), Some(name)));
            assert!(!is_same(Some(name), None) && !is_same(None, Some(name)));
            assert!(!is_same(Some(name), Some(&format!("{name}a"))));
            for place in 0..length {
                let mut other = name.to_owned();
                other.replace_range(place..=place, "\0");
                assert!(!is_same(Some(name), Some(&other)), "{length} {place}");
                let is_end = place < 8 || place + 8 >= length;
                assert_eq!(
                    hash(Some(name)) != hash(Some(&other)),
                    is_end,
                    "{length} {place}"
                );
            }
        }
        assert!(is_same(None, None));
    }
}
