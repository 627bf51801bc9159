//! Bytes in hexadecimal.

/// Returns bytes as lower-case hexadecimal digits.
pub fn hex<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> String {
    let digits = bytes.into_iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn each_byte_has_two_digits() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
        assert_eq!(hex(&[]), "");
    }
}
