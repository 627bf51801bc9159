//! Ingresses with the annotations of ingress-nginx that ask an authentication service (`auth-url`),
//! and what Traefik needs in their place.
//!
//! Nothing that was protected is printed without protection: what cannot be expressed is refused,
//! and only named in a comment.

mod addresses;
mod annotations;
mod auth_service;
mod competitors;
mod controller;
mod documents;
mod errors;
mod gate;
mod headers;
mod host;
mod host_plan;
mod ingress;
mod json;
mod location;
mod middlewares;
mod objects;
mod order;
mod plan;
mod protection;
mod rules;
mod settings;
mod snippet;
mod text;
mod upstream;

pub use documents::{ConfigMap, Documents, Input};
pub use errors::{ImportError, Place};
pub use settings::{Form, Gateway, Settings};

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// What to apply, with comments, as YAML.
    pub text: String,
    /// What could not be expressed, one line for each reason.
    pub refused: Vec<String>,
    /// How many hosts are part of the text.
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
    let mut outcome = plan::of(documents, settings);
    let (plans, refused) = (&mut outcome.plans, &mut outcome.refused);
    let objects = objects::of_hosts(plans, refused, documents, settings);
    for plan in &outcome.plans {
        page.gap();
        page.comment(plan.host);
        for ingress in plan.printed() {
            page.comment(&ingress.title());
        }
        for note in &plan.notes {
            page.item(note);
        }
    }
    for object in &objects {
        page.object(object)?;
    }
    for object in objects::of_the_outpost(&outcome.plans, settings) {
        page.object(&object)?;
    }
    text::refused(&mut page, &outcome.refused);
    text::skipped(&mut page, &outcome.skipped, documents);
    text::outpost(&mut page, &outcome.plans);
    Ok(Imported {
        text: page.finish(),
        expressed: outcome.plans.len(),
        refused: outcome.refused,
    })
}

#[cfg(test)]
mod tests;
