//! What becomes of each annotation.

mod notes;
mod table;

use gatepost_base::Quoted;

use super::ingress::{Ingress, PREFIX};
use super::middlewares;
use super::settings::Form;
use super::snippet::only_lets_through;
use super::upstream;

pub(super) use notes::notes;
pub(super) use table::of;
#[cfg(test)]
pub(super) use table::{Annotation, Fate, TABLE};

/// Returns the value of an annotation as Traefik has to have it.
pub(super) fn value_for_traefik<'v>(ingress: &Ingress, key: &str, value: &'v str) -> &'v str {
    let is_flag = of(key).is_some_and(|row| row.is_flag);
    match key {
        _ if !is_flag => value,
        _ if ingress.says_yes(key) => "true",
        _ if ingress.says_no(key) => "false",
        _ => value,
    }
}

/// Returns why an Ingress may be protected by what only a controller with another prefix reads.
fn of_another_prefix(ingress: &Ingress) -> Option<String> {
    let own_name = |key: &str| Some(key.rsplit_once('/')?.1.to_owned());
    let others = ingress.annotations.keys();
    let mut others = others.filter(|key| !key.starts_with(PREFIX));
    others.find_map(|key| {
        let name = own_name(key)?;
        let keeps_away = of(&name).is_some_and(|row| row.keeps_away);
        (keeps_away && ingress.annotation(&name).is_none()).then(|| {
            format!(
                "`{key}` is of a controller with another prefix (`--annotations-prefix`): write \
                 {PREFIX}{name}, or remove it where no controller reads it"
            )
        })
    })
}

/// Returns why an Ingress is protected by something that is not taken over in any form, so that its
/// hosts are not taken over either.
pub(super) fn protective(ingress: &Ingress) -> Option<String> {
    let set = |key: &str| ingress.set(key).is_some();
    if let Some(reason) = of_another_prefix(ingress) {
        return Some(reason);
    }
    for key in ["configuration-snippet", "server-snippet"] {
        if set(key) {
            return Some(format!(
                "`{key}` can change who is let through, and this import does not read nginx's language: \
                 move what it does elsewhere, remove it, and import again"
            ));
        }
    }
    if let Some(snippet) = ingress.set("auth-snippet")
        && !only_lets_through(snippet)
    {
        return Some(
            "`auth-snippet` may refuse requests, and this import does not read nginx's language: write \
             rules with `deny` for what it refuses, remove it, and import again"
                .to_owned(),
        );
    }
    for key in ["denylist-source-range", "auth-tls-match-cn"] {
        if set(key) {
            return Some(format!(
                "Traefik has no equal for the protection of `{key}`"
            ));
        }
    }
    if set("auth-tls-secret") {
        return Some(
            "`auth-tls-secret` asks clients of the whole host for a certificate, and nothing that this \
             import prints does: write a TLSOption by hand, for every route of the host and the outpost's \
             too, or remove it where the sign-in is enough"
                .to_owned(),
        );
    }
    // What is neither yes nor no is taken for what an operator may have meant.
    let may_be_on = |key: &str| set(key) && !ingress.says_no(key);
    if may_be_on("enable-modsecurity")
        || may_be_on("enable-owasp-core-rules")
        || set("modsecurity-snippet")
    {
        return Some("Traefik has no equal for the protection of `enable-modsecurity`".to_owned());
    }
    if may_be_on("ssl-passthrough") {
        return Some("with `ssl-passthrough`, no proxy can ask for a session".to_owned());
    }
    None
}

/// Returns why an Ingress of a protected host cannot be expressed.
pub(super) fn inexpressible(ingress: &Ingress, form: Form) -> Option<String> {
    for key in ["canary", "enable-global-auth", "use-regex"] {
        let is_unclear = !ingress.says_yes(key) && !ingress.says_no(key);
        if ingress.annotation(key).is_some() && is_unclear {
            return Some(format!(
                "`{key}` is neither `true` nor `false`, and nginx takes it for missing: write one of them, \
                 without blanks or a line's end"
            ));
        }
    }
    let protocol = ingress.annotation("backend-protocol").unwrap_or_default();
    let Some(scheme) = upstream::scheme(protocol) else {
        return Some(format!(
            "`backend-protocol: {protocol}` has no equal in Traefik"
        ));
    };
    if form == Form::Annotations {
        let class = ingress.annotations.get("kubernetes.io/ingress.class");
        if class.is_some_and(|own| Some(&**own) != ingress.class()) {
            return Some(
                "it names two classes, and Traefik reads the annotation, nginx the field: remove the annotation"
                    .to_owned(),
            );
        }
        if let Some(reason) = hides_the_outposts_answers(ingress) {
            return Some(reason);
        }
        for key in ["rewrite-target", "upstream-vhost"] {
            if ingress.set(key).is_some() {
                return Some(format!(
                    "with `{key}`, Traefik asks the outpost about the changed request, so that it decides \
                     on another path or host than the client's: import with `--to crds`"
                ));
            }
        }
        let secret = ingress.set("auth-secret").and_then(|it| it.split_once('/'));
        let own = ingress.own_namespace();
        return secret.filter(|(namespace, _)| *namespace != own).map(|_| {
            "its `auth-secret` is in another namespace, and Traefik leaves such an Ingress out"
                .to_owned()
        });
    }
    let unfit = middlewares::unfit_for_a_middleware(ingress);
    if let Some(reason) = unfit.or_else(|| upstream::unfit(ingress, form)) {
        return Some(reason);
    }
    if form == Form::Gateway && scheme != "http" {
        return Some(format!(
            "an HTTPRoute has no `backend-protocol: {protocol}`: import with `--to crds`, or remove it and \
             set `appProtocol` in the Service"
        ));
    }
    None
}

/// Returns why Traefik would answer with another Service's page, and its status, where the outpost does not
/// let a request pass, or is not there. That Service is asked without a session, with the headers that the
/// client sent; any status of the outpost's own may be in the list, 404 and 5xx too.
fn hides_the_outposts_answers(ingress: &Ingress) -> Option<String> {
    ingress.set("custom-http-errors").map(|list| {
        format!(
            "with `custom-http-errors` {}, Traefik asks `default-backend` where the outpost answers so: that \
             Service asks for no session, and gets the headers that the client sent: remove it, or import \
             with `--to crds`",
            Quoted(list)
        )
    })
}
