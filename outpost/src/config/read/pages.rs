//! The keys of the pages.

use std::fs;
use std::path::Path;

use gatepost_policy::config::Fields;

use super::files::Files;
use crate::pages::{Brand, Colour, Logo, MAX_LOGO_BYTES, Pages};

pub(super) fn pages(mut fields: Fields<'_>, files: &Files) -> Brand {
    let logo = fields.text("logoFile").and_then(|path| {
        files.watch(path.as_ref());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                fields.problem("logoFile", format!("cannot read {path}: {error}"));
                return None;
            }
        };
        let logo = Logo::new(&bytes);
        if logo.is_none() {
            let most = MAX_LOGO_BYTES / 1024;
            fields.problem(
                "logoFile",
                format!("expected SVG, PNG, JPEG or WebP of at most {most} KiB"),
            );
        }
        logo
    });
    let mut brand = Brand {
        name: fields.text("name"),
        logo,
        colour: fields.parsed("colour", |text| {
            Colour::parse(text).ok_or("expected a colour like `#0550ae`")
        }),
        ..Brand::default()
    };
    if let Some(folder) = fields.text("templates") {
        own_templates(&mut brand, &fields, Path::new(&folder), files);
    }
    if let Err(error) = Pages::new(&brand) {
        fields.problem("templates", format!("a template is wrong: {error}"));
        brand.templates.clear();
    }
    fields.finish();
    brand
}

/// Reads those files of a folder that replace the built-in ones.
fn own_templates(brand: &mut Brand, fields: &Fields<'_>, folder: &Path, files: &Files) {
    for name in Pages::file_names() {
        let path = folder.join(name);
        files.watch(&path);
        match fs::read_to_string(&path) {
            Ok(text) => {
                brand.templates.insert(name.to_owned(), text);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                fields.problem(
                    "templates",
                    format!("cannot read {}: {error}", path.display()),
                );
            }
        }
    }
    if brand.templates.is_empty() {
        let names: Vec<&str> = Pages::file_names().collect();
        fields.problem(
            "templates",
            format!("{} has none of {}", folder.display(), names.join(", ")),
        );
    }
}
