//! The entry of a key in the reference.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path. `[]` follows a list of sections, `{}` a section whose keys are free.
    pub path: &'static str,
    /// The values that it accepts.
    pub kind: Kind,
    /// The default, or an empty text where it needs an explanation.
    pub default: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
}

/// Creates one line of the table.
pub(super) const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        path,
        kind,
        default,
        meaning,
    }
}

/// The values that a key accepts. A text with commas is accepted as a list, and a text that spells
/// a value as that value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A URL.
    Url,
    /// The path of a file.
    File,
    /// Addresses with a port each.
    Addresses,
    /// A span of time: seconds, or a number with `s`, `m`, `h` or `d`.
    Span,
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A section of texts under names of the operator's choice.
    Texts,
    /// A section of lists of texts under such names.
    Lists,
}
