//! What protects an Ingress.

use super::addresses;
use super::documents::Documents;
use super::ingress::Ingress;
use super::settings::{Form, Settings};

/// Returns what protects an Ingress, other than what is never taken over.
pub(super) fn guard(ingress: &Ingress, documents: &Documents) -> Option<String> {
    let by_service = match service(ingress, documents) {
        Ok(url) => url.map(|_| "`auth-url`".to_owned()),
        Err(reason) => Some(reason),
    };
    by_service
        .or_else(|| ingress.set("auth-type").map(|_| "`auth-type`".to_owned()))
        .or_else(
            || match addresses::of_ingress(ingress, &documents.controller) {
                Ok(list) => (!list.is_empty()).then(|| "its addresses".to_owned()),
                Err(reason) => Some(reason),
            },
        )
}

/// Returns the address of the service that decides, if one does.
pub(super) fn service<'i>(
    ingress: &'i Ingress,
    documents: &'i Documents,
) -> Result<Option<&'i str>, String> {
    match ingress.annotation("auth-url").map(str::trim) {
        Some("") => Err("`auth-url` is empty".to_owned()),
        Some(url) => Ok(Some(url)),
        None => {
            let global = documents.controller.global_auth_url();
            Ok(global.filter(|_| !ingress.says_no("enable-global-auth")))
        }
    }
}

/// Returns why what is protected in several ways, one of which is enough, cannot be expressed.
pub(super) fn by_any(ingress: &Ingress, addresses: &[String]) -> Option<String> {
    let satisfy = ingress.set("satisfy").filter(|it| *it != "all")?;
    let other = if !addresses.is_empty() {
        "who comes from one of its addresses"
    } else if ingress.set("auth-type").is_some() {
        "who knows a password"
    } else {
        return None;
    };
    Some(format!(
        "with `satisfy: {satisfy}`, nginx lets in {other} WITHOUT asking the service, and all others \
         whom the service admits: to require both, remove `satisfy`; where the service is enough, remove \
         the other too; then import again"
    ))
}

/// Returns why the passwords of an Ingress cannot be expressed.
pub(super) fn by_passwords(kind: &str, has_service: bool, settings: &Settings) -> Option<String> {
    if !has_service {
        return Some(format!(
            "it is protected by passwords (`auth-type: {kind}`), for which Gatepost has no equal: Traefik's \
             provider keeps them as they are; or remove the annotations, set `auth-url` to the outpost, \
             and import again"
        ));
    }
    (settings.form != Form::Annotations).then(|| {
        format!(
            "its passwords (`auth-type: {kind}`) beside `auth-url` have no equal here: `--to \
             traefik-annotations` keeps them, or remove the annotation where the sign-in is enough"
        )
    })
}
