//! Character classes: in brackets, and by name.

use std::fmt::Write as _;

use super::escape::escaped_char;
use super::refused::Refused;

const NO_BRACKET: Refused = Refused::Syntax("a `[` without its `]`");
const NO_NAME: Refused = Refused::Syntax(r"a `\p` without a name");

/// Characters from the first to the last, both included.
type Range = (char, char);

const DIGITS: &[Range] = &[('0', '9')];
/// Without the vertical tab, which `[[:space:]]` has.
const SPACES: &[Range] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: &[Range] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// The classes that `[[:name:]]` names.
const POSIX: &[(&str, &[Range])] = &[
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", DIGITS),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", WORD),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// The general categories of Unicode that mean the same in both. `C` and `Cn` changed with Go 1.25.
const CATEGORIES: &[&str] = &[
    "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl",
    "Zp", "Zs",
];

/// A class and the rest of the expression behind it.
type Class<'e> = (String, &'e str);

/// Translates a class in brackets, with which `text` begins.
pub(super) fn bracketed(text: &str) -> Result<Class<'_>, Refused> {
    let mut rest = text.strip_prefix('[').unwrap_or(text);
    let mut out = "[".to_owned();
    if let Some(negated) = rest.strip_prefix('^') {
        rest = negated;
        out.push('^');
    }
    let mut first = true;
    // A bracket that comes first is a member.
    while first || !rest.starts_with(']') {
        first = false;
        if let Some((class, after)) = posix(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        if let Some((class, after)) = named(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        let (low, after) = member(rest)?;
        let range = after
            .strip_prefix('-')
            .filter(|after| !after.is_empty() && !after.starts_with(']'));
        let (high, after) = match range {
            Some(after) => member(after)?,
            None => (low, after),
        };
        if high < low {
            return Err(Refused::Syntax(
                "a range in brackets that ends before it begins",
            ));
        }
        write_range(&mut out, (low, high));
        rest = after;
    }
    out.push(']');
    Ok((out, rest.strip_prefix(']').ok_or(NO_BRACKET)?))
}

/// Reads one character of a class.
fn member(text: &str) -> Result<(char, &str), Refused> {
    if text.starts_with('\\') {
        return escaped_char(text);
    }
    let mut chars = text.chars();
    let c = chars.next().ok_or(NO_BRACKET)?;
    Ok((c, chars.as_str()))
}

/// Translates `[:name:]` inside of brackets, if `text` begins with one.
fn posix(text: &str) -> Result<Option<Class<'_>>, Refused> {
    let Some((name, rest)) = text
        .strip_prefix("[:")
        .and_then(|text| text.split_once(":]"))
    else {
        return Ok(None);
    };
    let (negated, own) = match name.strip_prefix('^') {
        Some(own) => (true, own),
        None => (false, name),
    };
    let known = POSIX.iter().find(|(name, _)| *name == own);
    let (_, ranges) = known.ok_or(Refused::Syntax("a class `[:name:]` of no known name"))?;
    Ok(Some((of_ranges(ranges, negated), rest)))
}

/// Translates `\d`, `\s`, `\w`, `\p{…}` or their opposites, if `text` begins with one.
pub(super) fn named(text: &str) -> Result<Option<Class<'_>>, Refused> {
    let Some(escaped) = text.strip_prefix('\\') else {
        return Ok(None);
    };
    let mut chars = escaped.chars();
    let (ranges, negated) = match chars.next() {
        Some('d') => (DIGITS, false),
        Some('D') => (DIGITS, true),
        Some('s') => (SPACES, false),
        Some('S') => (SPACES, true),
        Some('w') => (WORD, false),
        Some('W') => (WORD, true),
        Some('p') => return category(chars.as_str(), false).map(Some),
        Some('P') => return category(chars.as_str(), true).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((of_ranges(ranges, negated), chars.as_str())))
}

/// Translates the name of a Unicode category behind `\p` or `\P`.
fn category(text: &str, negated: bool) -> Result<Class<'_>, Refused> {
    let (name, rest) = match text.strip_prefix('{') {
        Some(text) => text.split_once('}').ok_or(NO_NAME)?,
        None => {
            let end = text.chars().next().ok_or(NO_NAME)?.len_utf8();
            text.split_at_checked(end).ok_or(NO_NAME)?
        }
    };
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (!negated, name),
        None => (negated, name),
    };
    if !CATEGORIES.contains(&name) {
        return Err(Refused::Unsupported(
            r"`\p{…}` of anything but a general category, like `\p{L}`,",
        ));
    }
    let letter = if negated { 'P' } else { 'p' };
    Ok((format!(r"\{letter}{{{name}}}"), rest))
}

fn of_ranges(ranges: &[Range], negated: bool) -> String {
    let mut out = if negated { "[^" } else { "[" }.to_owned();
    for range in ranges {
        write_range(&mut out, *range);
    }
    out.push(']');
    out
}

fn write_range(out: &mut String, (low, high): Range) {
    write_char(out, low);
    if low != high {
        out.push('-');
        write_char(out, high);
    }
}

/// Writes a character so that it means itself, in brackets and outside.
pub(super) fn write_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || matches!(c, '/' | '_') {
        out.push(c);
    } else {
        // Writing into a string does not fail.
        let _ = write!(out, r"\x{{{:x}}}", u32::from(c));
    }
}
