//! Finds the known name that a misspelled one probably stands for. The rule is the one of
//! `percolate-macros`: the distance is at most a third of the longer word.

/// Returns the candidate with the smallest distance to `word`; the first one on ties, and `None` if
/// none is near.
#[cfg(any(feature = "registry", test))]
pub(crate) fn nearest<C: AsRef<str>>(
    word: &str,
    candidates: impl IntoIterator<Item = C>,
) -> Option<C> {
    smallest(candidates, |candidate| distance(word, candidate))
}

/// As [`nearest`], for names that consist of words: the rule applies to each word separately, so
/// that a long common prefix does not make two names similar. Names that differ only in case, `.`
/// and `_` are the same name.
pub(crate) fn nearest_name<C: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = C>,
) -> Option<C> {
    smallest(candidates, |candidate| {
        if letters(name).eq(letters(candidate)) {
            return Some(0);
        }
        if words(name).count() != words(candidate).count() {
            return None;
        }
        words(name)
            .zip(words(candidate))
            .map(|(word, candidate)| distance(word, candidate))
            .sum()
    })
}

fn smallest<C: AsRef<str>>(
    candidates: impl IntoIterator<Item = C>,
    distance: impl Fn(&str) -> Option<usize>,
) -> Option<C> {
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(candidate.as_ref())?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are not near each other. The time to compare two words is the product of their
/// lengths, and words come from files and variables.
const LONGEST: usize = 256;

/// Returns the number of edits between two words, or `None` if they are not near each other.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let lengths = [word.chars().count(), candidate.chars().count()];
    let longest = lengths[0].max(lengths[1]);
    let limit = longest / 3;
    if longest > LONGEST || lengths[0].abs_diff(lengths[1]) > limit {
        return None;
    }
    let distance = strsim::osa_distance(word, candidate);
    (distance <= limit).then_some(distance)
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['.', '_'])
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_near_within_a_third_of_its_length() {
        for (word, candidate, is_near) in [
            ("colection", "collection", true),
            ("gett", "get", true),
            ("serch", "search", true),
            ("foo", "bar", false),
        ] {
            assert_eq!(nearest(word, [candidate]).is_some(), is_near, "{word}");
        }
    }

    #[test]
    fn words_of_any_length_are_compared_in_a_short_time() {
        let (one, other) = ("a".repeat(1 << 20), "b".repeat(1 << 20));
        assert_eq!(nearest(&one, [other.as_str(), &one]), None);
        assert_eq!(nearest(&one, ["a"]), None);
    }

    #[test]
    fn the_smallest_distance_wins_and_the_first_on_ties() {
        assert_eq!(nearest("serch", ["perch", "search"]), Some("perch"));
        assert_eq!(
            nearest("collectoin", ["collect", "collection"]),
            Some("collection")
        );
        assert_eq!(nearest("word", [""; 0]), None);
    }

    #[test]
    fn names_are_compared_word_by_word() {
        for name in [
            "db.sytem.name",
            "db_system_name",
            "db.systemName",
            "db.system.names",
        ] {
            assert_eq!(
                nearest_name(name, ["db.namespace", "db.system.name"]),
                Some("db.system.name"),
                "{name}"
            );
        }
        for name in ["server.host", "server.port.name", "app.port", "", "."] {
            assert_eq!(
                nearest_name(name, ["server.port", "error.type"]),
                None,
                "{name}"
            );
        }
    }
}
