//! What becomes of each annotation.

use super::ingress::Ingress;
use super::settings::Form;

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
        "no equal, and not taken over: what it let through without a session becomes `public`",
    ),
    ("auth-cache-key", "no equal: every request is decided on"),
    (
        "auth-cache-duration",
        "no equal: every request is decided on",
    ),
    ("auth-method", "no equal: Traefik asks with GET"),
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
    "use-regex",
    "whitelist-source-range",
];

/// Returns why an Ingress's other protection cannot be expressed.
pub(super) fn inexpressible(ingress: &Ingress, form: Form) -> Option<String> {
    let set = |key: &str| {
        ingress
            .annotation(key)
            .is_some_and(|value| !value.trim().is_empty())
    };
    for key in ["configuration-snippet", "server-snippet"] {
        if set(key) {
            return Some(format!(
                "`{key}` can change who is let through, and this import does not read nginx's language: \
                 move what it does elsewhere, remove it, and import again"
            ));
        }
    }
    for key in ["denylist-source-range", "auth-tls-match-cn"] {
        if set(key) {
            return Some(format!(
                "Traefik has no equal for the protection of `{key}`"
            ));
        }
    }
    if ingress.says_yes("enable-modsecurity") || set("modsecurity-snippet") {
        return Some("Traefik has no equal for the protection of `enable-modsecurity`".to_owned());
    }
    if ingress.says_yes("ssl-passthrough") {
        return Some("with `ssl-passthrough`, no proxy can ask for a session".to_owned());
    }
    if form == Form::Annotations {
        return None;
    }
    for key in ["auth-type", "auth-tls-secret"] {
        if set(key) {
            return Some(format!(
                "its protection by `{key}` beside `auth-url` has no equal here: `--to \
                 traefik-annotations` keeps it, or remove the annotation where the sign-in is enough"
            ));
        }
    }
    if ingress.says_yes("canary") {
        return Some(
            "`canary` is a share of another Ingress's requests: `--to traefik-annotations` keeps it, or \
             give the other route's Services weights"
                .to_owned(),
        );
    }
    let protocol = ingress.annotation("backend-protocol");
    if let Some(protocol) = protocol.filter(|own| scheme(own).is_none()) {
        return Some(format!("`backend-protocol: {protocol}` has no equal here"));
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
    if ingress
        .annotation("satisfy")
        .is_some_and(|own| own.trim() == "any")
    {
        notes.push(
            "satisfy: no equal: every user has to sign in, also where the address or the password was \
             enough"
                .to_owned(),
        );
    }
    for key in ingress.nginx_keys() {
        if key == "satisfy" || EXTERNAL.iter().any(|(own, _)| *own == key) {
            continue;
        }
        let note = match (form, key) {
            (Form::Annotations, key) if READ_BY_TRAEFIK.contains(&key) => continue,
            (Form::Annotations, _) => "Traefik's provider does not read it",
            (_, key) if EXPRESSED.contains(&key) => continue,
            (_, "rewrite-target") => {
                "NOT taken over, so the application gets the path as it is: add a Middleware \
                 `replacePathRegex` after Gatepost's"
            }
            (_, "ssl-redirect" | "force-ssl-redirect") => {
                "redirect at Traefik's entry point (`http.redirections`)"
            }
            (_, "server-alias") => "NOT taken over: add the hosts to the route",
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
            !key.starts_with(super::ingress::PREFIX)
                && !key.starts_with("kubectl.kubernetes.io/")
                && *key != "kubernetes.io/ingress.class"
        });
        let others: Vec<&str> = others.map(String::as_str).collect();
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
        "" | "HTTP" | "AUTO_HTTP" => Some("http"),
        "HTTPS" | "GRPCS" => Some("https"),
        "GRPC" => Some("h2c"),
        _ => None,
    }
}
