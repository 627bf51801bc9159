//! Ingresses with the annotations of ingress-nginx that ask an authentication service (`auth-url`),
//! and what Traefik needs in their place.
//!
//! Nothing that was protected is printed without protection: what cannot be expressed is refused,
//! and only named in a comment.

mod annotations;
mod auth_service;
mod documents;
mod errors;
mod ingress;
mod middlewares;
mod objects;
mod plan;
mod settings;
mod text;

pub use documents::{Documents, Input};
pub use errors::{ImportError, Place};
pub use settings::{Form, Settings};

use plan::Standing;

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// What to apply, with comments, as YAML.
    pub text: String,
    /// What could not be expressed, one line for each Ingress.
    pub refused: Vec<String>,
    /// How many Ingresses are part of the text.
    pub expressed: usize,
}

/// Prints what takes the place of these Ingresses.
///
/// # Errors
///
/// When an object cannot be written as YAML.
pub fn import(
    documents: &Documents,
    settings: &Settings,
) -> Result<Imported, serde_saphyr::SerializeError> {
    let mut page = text::Page::default();
    text::introduction(&mut page, documents, settings);
    let mut objects = objects::Objects::default();
    let mut refused = Vec::new();
    let mut plans = Vec::new();
    let mut skipped = Vec::new();
    for ingress in &documents.ingresses {
        match plan::standing(ingress, documents.controller.as_ref(), settings) {
            Standing::Protected(plan) => plans.push(plan),
            Standing::Refused(reason) => refused.push(format!("{}: {reason}", ingress.title())),
            Standing::Open(reason) => skipped.push(format!("{}: {reason}", ingress.title())),
        }
    }
    for plan in &plans {
        page.gap();
        page.comment(&plan.ingress.title());
        for note in &plan.notes {
            page.item(note);
        }
        for object in objects.of_application(plan, settings) {
            page.object(&object)?;
        }
    }
    for object in objects.of_the_outpost(&plans, settings) {
        page.object(&object)?;
    }
    text::refused(&mut page, &refused);
    text::skipped(&mut page, &skipped, documents);
    text::outpost(&mut page, &plans);
    Ok(Imported {
        text: page.finish(),
        refused,
        expressed: plans.len(),
    })
}

#[cfg(test)]
mod tests;
