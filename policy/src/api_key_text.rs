//! API keys in `Authorization`, which no application may get.

use alloc::vec::Vec;

use crate::authorization::API_KEY_PREFIX;

/// Returns whether a value of `Authorization` holds a text that begins as API keys do: by itself, or
/// as the user name or the password of `Basic`.
///
/// It finds more than a check accepts: an application could use what a client sent in the wrong form
/// too.
pub fn holds_api_key(value: &[u8]) -> bool {
    let mut is_basic = false;
    words(value).any(|word| {
        let holds = is_key(word) || (is_basic && words(&decoded(word)).any(is_key));
        is_basic = word.eq_ignore_ascii_case(b"basic");
        holds
    })
}

/// Returns the parts between what separates schemes, parameters, and the name and password of `Basic`.
/// The characters of tokens separate nothing, except the padding.
fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = value.split(|byte| b" \t,;:=\"'".contains(byte));
    parts.filter(|part| !part.is_empty())
}

fn is_key(word: &[u8]) -> bool {
    word.starts_with(API_KEY_PREFIX.as_bytes())
}

/// Decodes base64 in either alphabet up to the first byte that is of neither. Nothing else here reads
/// what a strict decoder refuses; this has to, since an application's decoder may be as lenient.
fn decoded(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut bits = 0u32;
    let mut count = 0;
    for digit in word {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_wherever_an_application_would_read_it() {
        for (value, holds) in [
            ("Bearer gp_x", true),
            ("bearer \t gp_", true),
            ("gp_x", true),
            ("Token token=\"gp_x\"", true),
            ("Bearer a, Bearer gp_x", true),
            // u:gp_x, gp_x:, gp_x without a colon, and the first once more without padding.
            ("Basic dTpncF94", true),
            ("basic  Z3BfeDo=", true),
            ("Basic Z3BfeA==", true),
            ("Basic Z3BfeA", true),
            ("Bearer a, Basic dTpncF94", true),
            // ü:gp_?>, in either alphabet.
            ("Basic w7w6Z3BfPz4=", true),
            ("Basic Z3BfPz4_", true),
            ("Bearer dTpncF94", false),
            // u:agp_x
            ("Basic dTphZ3BfeA==", false),
            ("Bearer a.gp_x", false),
            ("Bearer a-gp_x", false),
            ("Basic gp", false),
            ("Basic", false),
            ("", false),
        ] {
            assert_eq!(holds_api_key(value.as_bytes()), holds, "{value}");
        }
    }
}
