//! What becomes of each annotation.

use super::ingress::{Ingress, PREFIX};
use super::middlewares;
use super::settings::Form;
use super::snippet::only_lets_through;

/// Annotations of the external authentication, all of which Gatepost's own settings replace.
pub(super) const EXTERNAL: &[(&str, &str)] = &[
    ("auth-url", ""),
    (
        "auth-signin",
        "not needed: the outpost itself redirects page loads to sign in, and answers scripts with 401",
    ),
    (
        "auth-signin-redirect-param",
        "not needed: users come back to the page that they asked for",
    ),
    ("auth-response-headers", ""),
    (
        "auth-snippet",
        "not taken over: what it let through without a session becomes `public`",
    ),
    ("auth-cache-key", "no equal: every request is decided on"),
    (
        "auth-cache-duration",
        "no equal: every request is decided on",
    ),
    ("auth-method", "not needed: the outpost is asked with GET"),
    (
        "auth-proxy-set-headers",
        "no equal: Traefik itself says which request it asks about",
    ),
    (
        "auth-always-set-cookie",
        "no equal: see what the page says of renewed cookies",
    ),
    (
        "auth-request-redirect",
        "no equal: users come back to the page that they asked for",
    ),
    (
        "auth-keepalive",
        "no equal: Traefik keeps connections to the outpost",
    ),
    ("auth-keepalive-share-vars", "no equal"),
    ("auth-keepalive-requests", "no equal"),
    ("auth-keepalive-timeout", "no equal"),
    (
        "enable-global-auth",
        "not needed: this Ingress is protected by its own settings now",
    ),
];

/// Annotations that Traefik's provider `kubernetesIngressNGINX` reads (3.7.13).
const READ_BY_TRAEFIK: &[&str] = &[
    "affinity",
    "affinity-canary-behavior",
    "allowlist-source-range",
    "app-root",
    "auth-realm",
    "auth-secret",
    "auth-secret-type",
    "auth-tls-pass-certificate-to-upstream",
    "auth-tls-secret",
    "auth-tls-verify-client",
    "auth-type",
    "backend-protocol",
    "canary",
    "canary-by-cookie",
    "canary-by-header",
    "canary-by-header-pattern",
    "canary-by-header-value",
    "canary-weight",
    "canary-weight-total",
    "client-body-buffer-size",
    "cors-allow-credentials",
    "cors-allow-headers",
    "cors-allow-methods",
    "cors-allow-origin",
    "cors-expose-headers",
    "cors-max-age",
    "custom-headers",
    "custom-http-errors",
    "default-backend",
    "enable-access-log",
    "enable-cors",
    "force-ssl-redirect",
    "from-to-www-redirect",
    "limit-burst-multiplier",
    "limit-connections",
    "limit-rpm",
    "limit-rps",
    "permanent-redirect",
    "permanent-redirect-code",
    "proxy-body-size",
    "proxy-buffer-size",
    "proxy-buffering",
    "proxy-buffers-number",
    "proxy-connect-timeout",
    "proxy-http-version",
    "proxy-max-temp-file-size",
    "proxy-next-upstream",
    "proxy-next-upstream-timeout",
    "proxy-next-upstream-tries",
    "proxy-read-timeout",
    "proxy-request-buffering",
    "proxy-send-timeout",
    "proxy-ssl-name",
    "proxy-ssl-secret",
    "proxy-ssl-server-name",
    "proxy-ssl-verify",
    "rewrite-target",
    "server-alias",
    "service-upstream",
    "session-cookie-domain",
    "session-cookie-expires",
    "session-cookie-max-age",
    "session-cookie-name",
    "session-cookie-path",
    "session-cookie-samesite",
    "session-cookie-secure",
    "ssl-passthrough",
    "ssl-redirect",
    "temporal-redirect",
    "temporal-redirect-code",
    "upstream-hash-by",
    "upstream-vhost",
    "use-regex",
    "whitelist-source-range",
    "x-forwarded-prefix",
];

/// Annotations that routes of Traefik's own express.
const EXPRESSED: &[&str] = &[
    "allowlist-source-range",
    "backend-protocol",
    "permanent-redirect",
    "rewrite-target",
    "temporal-redirect",
    "upstream-vhost",
    "use-regex",
    "whitelist-source-range",
];

/// Flags, which Traefik takes for set only where they are `true`.
const FLAGS: &[&str] = &[
    "auth-tls-pass-certificate-to-upstream",
    "canary",
    "cors-allow-credentials",
    "enable-access-log",
    "enable-cors",
    "force-ssl-redirect",
    "from-to-www-redirect",
    "service-upstream",
    "session-cookie-secure",
    "ssl-redirect",
    "use-regex",
];

/// Annotations that keep requests away, by whose names another prefix shows.
const BY_ANY_PREFIX: &[&str] = &[
    "allowlist-source-range",
    "auth-secret",
    "auth-signin",
    "auth-snippet",
    "auth-tls-secret",
    "auth-type",
    "auth-url",
    "configuration-snippet",
    "denylist-source-range",
    "enable-global-auth",
    "enable-modsecurity",
    "server-snippet",
    "whitelist-source-range",
];

/// Returns the value of an annotation as Traefik has to have it.
pub(super) fn value_for_traefik<'v>(ingress: &Ingress, key: &str, value: &'v str) -> &'v str {
    match key {
        _ if !FLAGS.contains(&key) => value,
        _ if ingress.says_yes(key) => "true",
        _ if ingress.says_no(key) => "false",
        _ => value,
    }
}

/// Returns why an Ingress is protected by something that is not taken over in any form, so that its
/// hosts are not taken over either.
pub(super) fn protective(ingress: &Ingress) -> Option<String> {
    let set = |key: &str| ingress.set(key).is_some();
    let other_prefix = ingress.annotations.keys().find(|key| {
        let name = key.rsplit_once('/').map(|(_, name)| name);
        !key.starts_with(PREFIX)
            && name.is_some_and(|name| {
                BY_ANY_PREFIX.contains(&name) && ingress.annotation(name).is_none()
            })
    });
    if let Some(key) = other_prefix {
        let name = key.rsplit_once('/').map_or("", |(_, name)| name);
        return Some(format!(
            "`{key}` is of a controller with another prefix (`--annotations-prefix`): write {PREFIX}{name}, \
             or remove it where no controller reads it"
        ));
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
    let Some(scheme) = scheme(protocol) else {
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
        for key in ["rewrite-target", "upstream-vhost"] {
            if ingress.set(key).is_some() {
                return Some(format!(
                    "with `{key}`, Traefik asks the outpost about the changed request, so that it decides \
                     on another path or host than the client's: import with `--to crds`"
                ));
            }
        }
        let secret = ingress.set("auth-secret").and_then(|it| it.split_once('/'));
        let own = ingress.namespace.as_deref().unwrap_or("default");
        return secret.filter(|(namespace, _)| *namespace != own).map(|_| {
            "its `auth-secret` is in another namespace, and Traefik leaves such an Ingress out"
                .to_owned()
        });
    }
    if let Some(reason) = middlewares::inexpressible(ingress) {
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

/// Returns a line for each annotation that is not taken over as it is.
pub(super) fn notes(ingress: &Ingress, form: Form) -> Vec<String> {
    let mut notes = Vec::new();
    for (key, note) in EXTERNAL {
        if ingress.annotation(key).is_some() && !note.is_empty() {
            notes.push(format!("{key}: {note}"));
        }
    }
    if ingress.set("satisfy").is_some_and(|own| own != "all") {
        notes.push("satisfy: not needed: every user has to sign in".to_owned());
    }
    for key in ingress.nginx_keys() {
        if key == "satisfy" || EXTERNAL.iter().any(|(own, _)| *own == key) {
            continue;
        }
        let note = match (form, key) {
            (Form::Annotations, "server-alias") => {
                "the other names are no applications: nobody signs in there. Give them rules of their own"
            }
            (_, "server-alias") => {
                "NOT taken over: the other names have no route, and get 404. Give them rules of their own"
            }
            (Form::Annotations, "custom-headers") => {
                "Traefik serves it only with `globalAllowedResponseHeaders`"
            }
            (Form::Annotations, key) if READ_BY_TRAEFIK.contains(&key) => continue,
            (Form::Annotations, _) => "Traefik's provider does not read it",
            (_, key) if EXPRESSED.contains(&key) => continue,
            (_, "ssl-redirect") if ingress.says_no(key) => {
                "nginx served http too; what is printed here for a host with TLS is https alone"
            }
            (_, "ssl-redirect" | "force-ssl-redirect") => {
                "redirect at Traefik's entry point (`http.redirections`)"
            }
            (_, key) if key.starts_with("limit-") => {
                "NOT taken over: add a Middleware `rateLimit` or `inFlightReq`"
            }
            (_, key) if key.starts_with("cors-") || key == "enable-cors" => {
                "NOT taken over: add a Middleware `headers` with `accessControl…`"
            }
            _ => "no equal here",
        };
        notes.push(format!("{key}: {note}"));
    }
    if form != Form::Annotations {
        let others = ingress.annotations.keys().filter(|key| {
            !key.starts_with(PREFIX)
                && !key.starts_with("kubectl.kubernetes.io/")
                && *key != "kubernetes.io/ingress.class"
        });
        let others: Vec<&str> = others.map(String::as_str).collect();
        let issued = ingress.annotations.keys().any(|key| {
            matches!(
                &**key,
                "cert-manager.io/issuer" | "cert-manager.io/cluster-issuer"
            )
        });
        let secrets = ingress
            .spec
            .tls
            .iter()
            .filter_map(|tls| tls.secret_name.as_ref());
        for secret in secrets.filter(|_| issued) {
            let namespace = ingress.namespace.as_deref().unwrap_or("default");
            notes.push(format!(
                "cert-manager: the certificate goes with the Ingress. Before you delete it: kubectl patch \
                 certificate -n {namespace} {secret} --type=json -p \
                 '[{{\"op\":\"remove\",\"path\":\"/metadata/ownerReferences\"}}]'"
            ));
        }
        if !others.is_empty() {
            notes.push(format!(
                "what reads these annotations of the Ingress does not find them at the route: {}",
                others.join(", ")
            ));
        }
    }
    notes
}

/// Returns the scheme by which a Service is reached.
pub(super) fn scheme(protocol: &str) -> Option<&'static str> {
    match &*protocol.trim().to_ascii_uppercase() {
        "" | "HTTP" => Some("http"),
        "HTTPS" | "GRPCS" => Some("https"),
        "GRPC" => Some("h2c"),
        _ => None,
    }
}
