//! What is known of a key.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path. `[]` follows a list of sections, `{}` a section whose keys are free.
    pub path: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// What holds without it, or nothing where that needs words.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

/// One line of the table.
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

/// What a key accepts. A text with commas stands for a list, and any text for what it spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A URL.
    Url,
    /// The path of a file.
    File,
    /// An address and a port.
    Address,
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
}
