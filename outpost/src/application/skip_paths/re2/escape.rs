//! Characters that are written with a backslash.

use super::refused::Refused;

const ESCAPE: Refused =
    Refused::Syntax("a backslash before a letter or digit that Go does not know");

/// Reads a backslash and the character that it stands for.
pub(super) fn escaped_char(text: &str) -> Result<(char, &str), Refused> {
    let escaped = text.strip_prefix('\\').unwrap_or(text);
    let mut chars = escaped.chars();
    let c = chars
        .next()
        .ok_or(Refused::Syntax("a backslash at the end"))?;
    let rest = chars.as_str();
    let octal = |c: char| c.is_digit(8);
    let literal = match c {
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return numbered_char(rest),
        // One digit would be a reference to a group, which RE2 does not have.
        '1'..='7' if !rest.starts_with(octal) => return Err(ESCAPE),
        '0'..='7' => {
            let digits = escaped.chars().take(3).take_while(|c| octal(*c)).count();
            let (digits, rest) = escaped.split_at_checked(digits).ok_or(ESCAPE)?;
            let number = u32::from_str_radix(digits, 8).map_err(|_| ESCAPE)?;
            return Ok((char::from_u32(number).ok_or(ESCAPE)?, rest));
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        _ => return Err(ESCAPE),
    };
    Ok((literal, rest))
}

/// Reads the hexadecimal number of a character behind `\x`.
fn numbered_char(text: &str) -> Result<(char, &str), Refused> {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(text) => text.split_once('}').ok_or(ESCAPE)?,
        None => text.split_at_checked(2).ok_or(ESCAPE)?,
    };
    let hexadecimal = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16);
    let c = number.ok().filter(|_| hexadecimal).and_then(char::from_u32);
    Ok((c.ok_or(ESCAPE)?, rest))
}
