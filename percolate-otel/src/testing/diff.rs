//! Text comparison for assertions: removes the indentation of inline expectations, and shows a
//! mismatch as a diff by lines. There are no colours, because the text is part of a panic message.

use std::fmt::Write as _;

/// Removes blank first and last lines and the common indentation, so that an expectation can be
/// indented like its test.
pub(crate) fn dedent(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let first = lines
        .iter()
        .position(|line| !line.is_empty())
        .unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(first, |at| at + 1);
    let lines = &lines[first..last];
    let indent = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min();
    let mut out = String::with_capacity(text.len());
    for line in lines {
        out.push_str(line.get(indent.unwrap_or(0)..).unwrap_or(""));
        out.push('\n');
    }
    out
}

/// Merges the lines of both texts: `-` is only expected, `+` is only actual.
pub(crate) fn diff(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), actual.lines().collect());
    // common[i][j]: length of the longest common subsequence of expected[i..] and actual[j..].
    let mut common = vec![vec![0_usize; actual.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..actual.len()).rev() {
            common[i][j] = if expected[i] == actual[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < expected.len() || j < actual.len() {
        let (mark, line) = if i < expected.len() && j < actual.len() && expected[i] == actual[j] {
            (i, j) = (i + 1, j + 1);
            (' ', expected[i - 1])
        } else if j >= actual.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1])
        {
            i += 1;
            ('-', expected[i - 1])
        } else {
            j += 1;
            ('+', actual[j - 1])
        };
        let _ = writeln!(out, "{mark} {line}");
    }
    out
}

/// Panics with a diff unless the two texts are the same after [`dedent`].
#[track_caller]
pub(crate) fn assert_same_text(what: &str, expected: &str, actual: &str) {
    let (expected, actual) = (dedent(expected), dedent(actual));
    assert!(
        expected == actual,
        "{what} differs (- expected, + captured):\n{}\ncaptured as a whole:\n{actual}",
        diff(&expected, &actual)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_indentation_and_blank_edges_are_not_part_of_a_text() {
        assert_eq!(dedent("\n    a\n      b\n\n    c\n   "), "a\n  b\n\nc\n");
        assert_eq!(dedent(""), "");
    }

    #[test]
    fn a_diff_keeps_common_lines_and_marks_the_others() {
        assert_eq!(
            diff("a\nb\nc\n", "a\nx\nc\nd\n"),
            "  a\n- b\n+ x\n  c\n+ d\n"
        );
    }
}
