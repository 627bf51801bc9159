//! Texts from outside in messages for operators.

use std::fmt::{self, Write as _};

/// A text that a client or a provider sent, as a message shows it: between backticks, with escapes
/// in the place of control characters, so that nothing in it looks like a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted<T>(pub T);

impl<T: AsRef<str>> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('`')?;
        for character in self.0.as_ref().chars() {
            match character {
                // Those that change the direction of what follows are no control characters.
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '`' => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                character if character.is_control() => write!(f, "{}", character.escape_default())?,
                character => f.write_char(character)?,
            }
        }
        f.write_char('`')
    }
}

/// Several such texts, with commas between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotedList<'t, T>(pub &'t [T]);

impl<T: AsRef<str>> fmt::Display for QuotedList<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, text) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", Quoted(text))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_between_its_quotes() {
        for (text, expected) in [
            ("invalid_scope", "`invalid_scope`"),
            ("", "``"),
            ("R\u{e9}gine's \"x\\y\"", "`R\u{e9}gine's \"x\\y\"`"),
            ("a\r\nERROR b", "`a\\r\\nERROR b`"),
            ("\u{1b}[31m\0", "`\\u{1b}[31m\\u{0}`"),
            ("a`b\u{202e}c", "`a\\u{60}b\\u{202e}c`"),
        ] {
            assert_eq!(Quoted(text).to_string(), expected);
        }
        assert_eq!(QuotedList(&["a", "b"]).to_string(), "`a`, `b`");
        assert_eq!(QuotedList::<&str>(&[]).to_string(), "none");
    }
}
