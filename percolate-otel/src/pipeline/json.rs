//! [`Json`]: writes JSON text that is also safe inside a `script` element of an HTML page.
//! Invariant: no text of the program can end the element or become markup, since `<`, `>` and `&`
//! are escaped in every string, and so are the line separators of JavaScript.

use std::fmt::{Display, Write as _};

/// JSON text that is being written. Commas are added between values.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: String,
    needs_comma: bool,
}

impl Json {
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Writes an object, whose members are written by `members`.
    pub(super) fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested(('{', '}'), members);
    }

    /// Writes an array, whose elements are written by `elements`.
    pub(super) fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.nested(('[', ']'), elements);
    }

    /// Writes an array with one element for each item.
    pub(super) fn each<I: IntoIterator>(
        &mut self,
        items: I,
        mut element: impl FnMut(&mut Self, I::Item),
    ) {
        self.array(|json| {
            for item in items {
                element(json, item);
            }
        });
    }

    /// Writes the name of a member. Its value follows.
    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.text.push(':');
        self.needs_comma = false;
        self
    }

    pub(super) fn string(&mut self, text: &str) {
        self.separate();
        self.text.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.escape(letter),
                control if control.is_control() => self.escape(control),
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    fn escape(&mut self, letter: char) {
        _ = write!(self.text, "\\u{:04x}", u32::from(letter));
    }

    /// Writes a value whose text contains no quotes, such as an id, as a string.
    pub(super) fn display(&mut self, value: impl Display) {
        self.string(&value.to_string());
    }

    pub(super) fn integer(&mut self, number: impl Into<i128>) {
        self.separate();
        _ = write!(self.text, "{}", number.into());
    }

    /// Writes a number, or `null` if it is not finite.
    pub(super) fn float(&mut self, number: f64) {
        self.separate();
        if number.is_finite() {
            _ = write!(self.text, "{number}");
        } else {
            self.text.push_str("null");
        }
    }

    /// Writes a number of thousandths, with all digits.
    pub(super) fn thousandths(&mut self, number: u64) {
        self.separate();
        _ = write!(self.text, "{}.{:03}", number / 1000, number % 1000);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.separate();
        self.text.push_str(if value { "true" } else { "false" });
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.needs_comma, true) {
            self.text.push(',');
        }
    }

    fn nested(&mut self, (open, close): (char, char), inside: impl FnOnce(&mut Self)) {
        self.separate();
        self.text.push(open);
        self.needs_comma = false;
        inside(self);
        self.text.push(close);
        self.needs_comma = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_become_markup_or_end_a_script() {
        let mut json = Json::default();
        let text = "</script><!--&\u{2028}\u{2029}\"\\\n\u{7f}é";
        json.object(|json| json.key(text).string(text));
        let written = json.into_text();
        for forbidden in ['<', '>', '&', '\u{2028}', '\u{2029}', '\n', '\u{7f}'] {
            assert!(!written.contains(forbidden), "{written}");
        }
        let read: serde_json::Value = serde_json::from_str(&written).expect("it is JSON");
        assert_eq!(read[text], text);
    }

    #[test]
    fn values_are_separated_and_numbers_that_are_not_finite_are_null() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("a").each([1_u64, u64::MAX], Json::integer);
            json.key("b").array(|json| {
                json.float(0.25);
                json.float(f64::NAN);
                json.boolean(true);
                json.object(|_| ());
            });
        });
        let expected = r#"{"a":[1,18446744073709551615],"b":[0.25,null,true,{}]}"#;
        assert_eq!(json.into_text(), expected);
    }
}
