//! The valid choices in an error message, and the nearest one for a misspelled word.
//! The rule is the one of percolate-otel: the distance is at most a third of the longer word.

/// `` `a`, `b`, `c` ``
pub(crate) fn list(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    quoted.join(", ")
}

/// `` expected one of `a`, `b` (did you mean `b`?) ``
pub(crate) fn expected_one_of(given: &str, choices: &[&str]) -> String {
    let (list, hint) = (list(choices), did_you_mean(given, choices));
    match choices {
        [_] => format!("expected {list}{hint}"),
        _ => format!("expected one of {list}{hint}"),
    }
}

/// `` (did you mean `b`?) `` after a space, or nothing.
pub(crate) fn did_you_mean(given: &str, choices: &[&str]) -> String {
    nearest(given, choices)
        .map_or_else(String::new, |choice| format!(" (did you mean `{choice}`?)"))
}

/// Returns the choice with the smallest distance to `given`, ignoring the case of `given`; the
/// first one on ties, and `None` if none is near.
pub(crate) fn nearest<'a>(given: &str, choices: &[&'a str]) -> Option<&'a str> {
    let given = given.to_lowercase();
    let near = |choice: &'a str| {
        let limit = given.chars().count().max(choice.chars().count()) / 3;
        let distance = strsim::osa_distance(&given, choice);
        (distance <= limit).then_some((distance, choice))
    };
    choices
        .iter()
        .filter_map(|choice| near(choice))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, choice)| choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_near_within_a_third_of_its_length() {
        for (given, choice, is_near) in [
            ("colection", "collection", true),
            ("gett", "get", true),
            ("serch", "search", true),
            ("index.biuld", "index.build", true),
            ("Nmae", "name", true),
            ("foo", "bar", false),
        ] {
            assert_eq!(nearest(given, &[choice]).is_some(), is_near, "{given}");
        }
    }

    #[test]
    fn the_smallest_distance_wins_and_the_first_on_ties() {
        assert_eq!(nearest("serch", &["perch", "search"]), Some("perch"));
        assert_eq!(
            nearest("collectoin", &["collect", "collection"]),
            Some("collection")
        );
        assert_eq!(nearest("word", &[]), None);
    }
}
