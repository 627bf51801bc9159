//! Every annotation that ingress-nginx 1.15 reads, and what each form makes of it. The page's table is
//! written from this one.

use super::super::settings::Form;

/// What a form makes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fate {
    /// It stays, and Traefik's provider reads it.
    Kept,
    /// What is printed says the same otherwise.
    Expressed,
    /// What is printed does not say it: what to do.
    Line(&'static str),
    /// A host with it is refused.
    Refused,
    /// Nothing is lost without it: only nginx has a use for it, or another annotation says what becomes
    /// of both.
    Nothing,
}

use Fate::{Expressed, Kept, Line, Nothing, Refused};

/// An annotation.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Annotation {
    /// Its name, without the prefix.
    pub(in super::super) name: &'static str,
    annotations: Fate,
    crds: Fate,
    gateway: Fate,
    /// Whether it is a flag, which Traefik takes for set only where it is `true`.
    pub(in super::super) is_flag: bool,
    /// Whether it keeps requests away, so that no Ingress may have it under another prefix.
    pub(in super::super) keeps_away: bool,
    /// Whether it is of the external authentication, which Gatepost's own settings replace.
    pub(in super::super) is_external: bool,
}

impl Annotation {
    /// Returns what a form makes of it.
    pub(in super::super) fn fate(&self, form: Form) -> Fate {
        match form {
            Form::Annotations => self.annotations,
            Form::Crds => self.crds,
            Form::Gateway => self.gateway,
        }
    }

    /// For HTTPRoutes, something else than for Traefik's own.
    const fn gateway(self, gateway: Fate) -> Self {
        Self { gateway, ..self }
    }

    const fn flag(self) -> Self {
        Self {
            is_flag: true,
            ..self
        }
    }

    const fn keeps_away(self) -> Self {
        Self {
            keeps_away: true,
            ..self
        }
    }
}

/// Returns an annotation's row.
pub(in super::super) fn of(name: &str) -> Option<&'static Annotation> {
    TABLE.iter().find(|row| row.name == name)
}

/// A row: what becomes of the annotation with `traefik-annotations`, and with routes.
const fn row(name: &'static str, annotations: Fate, routes: Fate) -> Annotation {
    Annotation {
        name,
        annotations,
        crds: routes,
        gateway: routes,
        is_flag: false,
        keeps_away: false,
        is_external: false,
    }
}

/// A row of the external authentication.
const fn external(name: &'static str, fate: Fate) -> Annotation {
    Annotation {
        is_external: true,
        ..row(name, fate, fate)
    }
}

const DECIDED: Fate = Line("not needed: every request is decided on");
const BACK: Fate = Line("not needed: users come back to the page that they asked for");
const STICKY: Fate = Line(
    "NOT taken over: clients stay at no pod; `--to crds`, and write `sticky: {cookie: {}}` at the route's Service",
);
const STRATEGY: Fate = Line(
    "NOT taken over: `--to crds`, and write `strategy` at the route's Service (`hrw` keeps a client's address at \
     its pod, `leasttime` and `p2c` look at the load)",
);
const CORS: Fate = Line("NOT taken over: add a Middleware `headers` with `accessControl…`");
const RATE: Fate = Line("NOT taken over: add a Middleware `rateLimit` in front of Gatepost's");
const SLOWER: Fate = Line(
    "Traefik slows no answer down: limit connections (`inFlightReq`), or have the application do it",
);
const EXCEPTIONS: Fate = Line(
    "NOT taken over: `rateLimit` has no exceptions; give these addresses a route of their own (`ClientIP`), \
     behind Gatepost's Middleware too",
);
const ERRORS: Fate = Line(
    "NOT taken over: clients get the application's own errors; add a Middleware `errors` behind Gatepost's",
);
const FORWARDING: Fate = Line(
    "NOT taken over: `forwardingTimeouts` of a ServersTransport, which the route's Service names (`--to crds`)",
);
const RETRY: Fate = Line("NOT taken over: add a Middleware `retry` behind Gatepost's");
const MIRROR: Fate =
    Line("NOT taken over: `--to crds`, and lead the route to a TraefikService with `mirroring`");
const REWRITES: Fate = Line(
    "Traefik changes no cookie and no `Location` of an application: set the application's own address there",
);
const TRACING: Fate =
    Line("see Traefik's `tracing`, and `observability` of a route or an entry point");
const CIPHERS: Fate = Line("NOT taken over: `cipherSuites` of a TLSOption");
const STREAM: Fate = Line("NOT taken over: what it serves besides HTTP needs an IngressRouteTCP");
const REDIRECT_CODE: Fate =
    Line("Traefik redirects with 301 or 302, and other methods than GET with 308 or 307");
const ENTRY_POINT: Fate = Line("redirect at Traefik's entry point (`http.redirections`)");

const SATISFY: Fate = Line("not needed: every user has to sign in");
const PROXY_CIPHERS: Fate =
    Line("NOT taken over: `cipherSuites`, `minVersion` and `maxVersion` of a ServersTransport");

pub(in super::super) const TABLE: &[Annotation] = &[
    // Who is let in.
    external("auth-url", Expressed).keeps_away(),
    external("auth-response-headers", Expressed),
    external(
        "auth-signin",
        Line("not needed: the outpost itself redirects page loads to sign in, and answers scripts with 401"),
    )
    .keeps_away(),
    external("auth-signin-redirect-param", BACK),
    external("auth-request-redirect", BACK),
    external(
        "auth-snippet",
        Line("not taken over: what it let through without a session becomes `public`"),
    )
    .keeps_away(),
    external("auth-cache-key", DECIDED),
    external("auth-cache-duration", DECIDED),
    external("auth-method", Line("not needed: the outpost is asked with GET")),
    external(
        "auth-proxy-set-headers",
        Line("NOT taken over: Traefik itself says which request it asks about, and no service decides by these headers"),
    ),
    external(
        "auth-always-set-cookie",
        Line("not needed: see what the page says of renewed cookies"),
    ),
    external("auth-keepalive", Nothing),
    external("auth-keepalive-share-vars", Nothing),
    external("auth-keepalive-requests", Nothing),
    external("auth-keepalive-timeout", Nothing),
    external(
        "enable-global-auth",
        Line("not needed: this Ingress is protected by its own settings now"),
    )
    .keeps_away(),
    row("satisfy", SATISFY, SATISFY),
    row("auth-type", Kept, Refused).keeps_away(),
    row("auth-secret", Kept, Nothing).keeps_away(),
    row("auth-secret-type", Kept, Nothing),
    row("auth-realm", Kept, Nothing),
    row("auth-tls-secret", Refused, Refused).keeps_away(),
    row("auth-tls-match-cn", Refused, Refused).keeps_away(),
    row("auth-tls-verify-client", Nothing, Nothing),
    row("auth-tls-verify-depth", Nothing, Nothing),
    row("auth-tls-error-page", Nothing, Nothing),
    row("auth-tls-pass-certificate-to-upstream", Nothing, Nothing).flag(),
    row("allowlist-source-range", Kept, Expressed).keeps_away(),
    row("whitelist-source-range", Kept, Expressed).keeps_away(),
    row("denylist-source-range", Refused, Refused).keeps_away(),
    row("enable-modsecurity", Refused, Refused).keeps_away(),
    row("enable-owasp-core-rules", Refused, Refused).keeps_away(),
    row("modsecurity-snippet", Refused, Refused).keeps_away(),
    row("modsecurity-transaction-id", Nothing, Nothing),
    row("configuration-snippet", Refused, Refused).keeps_away(),
    row("server-snippet", Refused, Refused).keeps_away(),
    row("ssl-passthrough", Refused, Refused).flag(),
    // Which requests go where.
    row("use-regex", Kept, Expressed).flag(),
    row("rewrite-target", Refused, Expressed),
    row("x-forwarded-prefix", Kept, Expressed),
    row("app-root", Kept, Expressed),
    row(
        "server-alias",
        Line("the other names are not applications, and users cannot sign in there. Give them rules of their own"),
        Expressed,
    ),
    row(
        "from-to-www-redirect",
        Kept,
        Line(
            "NOT taken over: the name with or without `www.` has no route, and gets 404; give it one, with a \
             Middleware `redirectRegex` to this host",
        ),
    )
    .flag(),
    row("permanent-redirect", Kept, Expressed),
    row("permanent-redirect-code", Kept, REDIRECT_CODE),
    row("temporal-redirect", Kept, Expressed),
    row("temporal-redirect-code", Kept, REDIRECT_CODE),
    row("ssl-redirect", Kept, ENTRY_POINT).flag(),
    row("force-ssl-redirect", Kept, ENTRY_POINT).flag(),
    row("preserve-trailing-slash", Nothing, Nothing),
    row("relative-redirects", Nothing, Nothing),
    row("use-port-in-redirects", Nothing, Nothing),
    row("canary", Kept, Refused).flag(),
    row("canary-by-header", Kept, Nothing),
    row("canary-by-header-value", Kept, Nothing),
    row("canary-by-header-pattern", Kept, Nothing),
    row("canary-by-cookie", Kept, Nothing),
    row("canary-weight", Kept, Nothing),
    row("canary-weight-total", Kept, Nothing),
    row("custom-http-errors", Refused, ERRORS),
    row("disable-proxy-intercept-errors", Nothing, Nothing),
    row(
        "default-backend",
        Kept,
        Line("NOT taken over: without a pod of its Service, a route answers 503"),
    ),
    row("mirror-target", MIRROR, MIRROR),
    row("mirror-host", Nothing, Nothing),
    row("mirror-request-body", Nothing, Nothing),
    // How the application is reached.
    row("upstream-vhost", Refused, Expressed),
    row("backend-protocol", Kept, Expressed).gateway(Refused),
    row("proxy-ssl-secret", Kept, Expressed).gateway(Nothing),
    row("proxy-ssl-verify", Kept, Expressed).gateway(Nothing),
    row("proxy-ssl-name", Kept, Expressed).gateway(Nothing),
    row("proxy-ssl-server-name", Kept, Expressed).gateway(Nothing),
    row("proxy-ssl-verify-depth", Nothing, Nothing),
    row("proxy-ssl-ciphers", PROXY_CIPHERS, PROXY_CIPHERS).gateway(Nothing),
    row("proxy-ssl-protocols", PROXY_CIPHERS, PROXY_CIPHERS).gateway(Nothing),
    row(
        "service-upstream",
        Kept,
        Line("NOT taken over: write `nativeLB: true` at the route's Service"),
    )
    .flag()
    .gateway(Line(
        "NOT taken over: annotate the Service with `traefik.io/service.nativelb: \"true\"`",
    )),
    row("affinity", Kept, STICKY),
    row(
        "affinity-mode",
        Line("Traefik keeps a client at its pod (`persistent`), and does not rebalance clients"),
        Nothing,
    ),
    row("affinity-canary-behavior", Kept, Nothing),
    row("session-cookie-name", Kept, Nothing),
    row("session-cookie-path", Kept, Nothing),
    row("session-cookie-domain", Kept, Nothing),
    row("session-cookie-expires", Kept, Nothing),
    row("session-cookie-max-age", Kept, Nothing),
    row("session-cookie-samesite", Kept, Nothing),
    row("session-cookie-secure", Kept, Nothing).flag(),
    row("session-cookie-change-on-failure", Nothing, Nothing),
    row(
        "session-cookie-conditional-samesite-none",
        Nothing,
        Nothing,
    ),
    row("load-balance", STRATEGY, STRATEGY),
    row("upstream-hash-by", Kept, STRATEGY),
    row("upstream-hash-by-subset", STRATEGY, STRATEGY),
    row("upstream-hash-by-subset-size", Nothing, Nothing),
    row("proxy-http-version", Kept, Nothing),
    row("connection-proxy-header", Nothing, Nothing),
    row("fastcgi-index", Nothing, Nothing),
    row("fastcgi-params-configmap", Nothing, Nothing),
    // How long, how much, how often.
    row("proxy-connect-timeout", Kept, FORWARDING),
    row("proxy-read-timeout", Kept, FORWARDING),
    row("proxy-send-timeout", Kept, FORWARDING),
    row("proxy-next-upstream", Kept, RETRY),
    row("proxy-next-upstream-timeout", Kept, RETRY),
    row("proxy-next-upstream-tries", Kept, RETRY),
    row(
        "proxy-body-size",
        Kept,
        Line(
            "NOT taken over: Traefik limits no body. A Middleware `buffering` with `maxRequestBodyBytes` does, \
             and keeps each request whole before it hands it on; or let the application refuse",
        ),
    ),
    row("client-body-buffer-size", Kept, Nothing),
    row("proxy-request-buffering", Kept, Nothing),
    row("proxy-buffering", Kept, Nothing),
    row("proxy-buffer-size", Kept, Nothing),
    row("proxy-buffers-number", Kept, Nothing),
    row("proxy-busy-buffers-size", Nothing, Nothing),
    row("proxy-max-temp-file-size", Kept, Nothing),
    row("limit-rps", Kept, RATE),
    row("limit-rpm", Kept, RATE),
    row("limit-burst-multiplier", Kept, RATE),
    row(
        "limit-connections",
        Kept,
        Line("NOT taken over: add a Middleware `inFlightReq` in front of Gatepost's"),
    ),
    row("limit-rate", SLOWER, SLOWER),
    row("limit-rate-after", SLOWER, SLOWER),
    row("limit-allowlist", EXCEPTIONS, EXCEPTIONS),
    row("limit-whitelist", EXCEPTIONS, EXCEPTIONS),
    // What clients get.
    row("enable-cors", Kept, CORS).flag(),
    row("cors-allow-origin", Kept, CORS),
    row("cors-allow-methods", Kept, CORS),
    row("cors-allow-headers", Kept, CORS),
    row("cors-allow-credentials", Kept, CORS).flag(),
    row("cors-expose-headers", Kept, CORS),
    row("cors-max-age", Kept, CORS),
    row(
        "custom-headers",
        Line("Traefik serves it only with `globalAllowedResponseHeaders`"),
        Line("NOT taken over: add a Middleware `headers` with `customResponseHeaders`"),
    ),
    row("proxy-cookie-domain", REWRITES, REWRITES),
    row("proxy-cookie-path", REWRITES, REWRITES),
    row("proxy-redirect-from", REWRITES, REWRITES),
    row("proxy-redirect-to", REWRITES, REWRITES),
    row("http2-push-preload", Nothing, Nothing),
    row("ssl-ciphers", CIPHERS, CIPHERS),
    row("ssl-prefer-server-ciphers", Nothing, Nothing),
    // What is written down.
    row(
        "enable-access-log",
        Kept,
        Line("NOT taken over: write `observability: {accessLogs: false}` at the route"),
    )
    .flag()
    .gateway(Line("NOT taken over: Traefik's entry point says which routes are logged")),
    row("enable-rewrite-log", Nothing, Nothing),
    row("enable-opentelemetry", TRACING, TRACING),
    row("opentelemetry-trust-incoming-span", TRACING, TRACING),
    row("opentelemetry-operation-name", TRACING, TRACING),
    row("stream-snippet", STREAM, STREAM),
];
