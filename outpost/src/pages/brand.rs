//! The operator's changes to the pages: name, logo, colour, templates.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The operator's changes to the pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// The name above every page.
    pub name: Option<String>,
    /// A picture next to the name.
    pub logo: Option<Logo>,
    /// The colour of buttons.
    pub colour: Option<Colour>,
    /// Files that replace the templates of the same name.
    pub templates: BTreeMap<String, String>,
}

impl Brand {
    /// Returns how many bytes a page may have more than without the operator's changes.
    pub fn more_bytes(&self) -> usize {
        let logo = self.logo.as_ref().map_or(0, |logo| logo.url().len());
        let templates: usize = self.templates.values().map(String::len).sum();
        // Twice: in the title and on the page. A character takes six as an entity.
        let name = self.name.as_ref().map_or(0, |name| 12 * name.len());
        logo + templates + name
    }
}

/// The largest logo, in bytes: it is part of every page.
pub(crate) const MAX_LOGO_BYTES: usize = 64 * 1024;

/// A picture, as part of the page: a page loads nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo(String);

impl Logo {
    /// Returns a picture in SVG, PNG, JPEG or WebP, by its first bytes; `None` for any other, or
    /// beyond [`MAX_LOGO_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let kind = match bytes {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => "image/webp",
            _ => {
                let text = std::str::from_utf8(bytes).ok()?;
                // As an image, a browser runs no script of it and loads nothing for it.
                text.contains("<svg").then_some("image/svg+xml")?
            }
        };
        let fits = bytes.len() <= MAX_LOGO_BYTES;
        fits.then(|| Self(format!("data:{kind};base64,{}", STANDARD.encode(bytes))))
    }

    /// Returns the picture as a URL.
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logo({} bytes)", self.0.len())
    }
}

/// A colour for the background of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// The colour of buttons unless another is configured.
pub(crate) const DEFAULT_COLOUR: Colour = Colour([0x05, 0x50, 0xae]);

impl Colour {
    /// Parses `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// Returns black or white, whichever is easier to read on this colour. One of the two always
    /// has the contrast of 4.5 that WCAG 2.2 asks for (§1.4.3): where they are equal, it is 4.58.
    pub fn text(self) -> &'static str {
        let luminance = self.luminance();
        let white = 1.05 / (luminance + 0.05);
        let black = (luminance + 0.05) / 0.05;
        if white >= black { "#fff" } else { "#000" }
    }

    /// Returns the relative luminance, as WCAG 2.2 defines it.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_text_that_can_be_read_on_it() {
        for (text, expected) in [
            ("#000000", Some("#fff")),
            ("#FFFFFF", Some("#000")),
            ("#0550ae", Some("#fff")),
            ("#ffcc00", Some("#000")),
            ("#767676", Some("#000")),
            ("red", None),
            ("#fff", None),
            ("#0550ag", None),
            ("#0550ae;}", None),
        ] {
            let colour = Colour::parse(text);
            assert_eq!(colour.map(Colour::text), expected, "{text}");
        }
    }

    #[test]
    fn a_logo_is_a_picture_of_reasonable_size() {
        let png = [&b"\x89PNG\r\n\x1a\n"[..], &[0; 8]].concat();
        let large = [&png[..], &[0; MAX_LOGO_BYTES]].concat();
        for (case, bytes, expected) in [
            ("png", &png[..], Some("data:image/png;base64,")),
            (
                "svg",
                b"<svg xmlns='x'/>",
                Some("data:image/svg+xml;base64,"),
            ),
            ("html", b"<script>", None),
            ("too large", &large, None),
            ("empty", b"", None),
        ] {
            let logo = Logo::new(bytes);
            let start = logo
                .as_ref()
                .map(|logo| logo.url().starts_with(expected.unwrap_or("x")));
            assert_eq!(start, expected.map(|_| true), "{case}");
        }
    }
}
