//! The sections of the reference.

/// The sections, in the order of the reference, with their purpose.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("listen", "Where the outpost listens."),
    (
        "tls",
        "The certificate of `listen.https`. Without this section the listener makes one at start \
         that no authority signs. Both files are read again when they change.",
    ),
    ("log", "How the outpost logs, to standard error."),
    (
        "tracing",
        "Where the outpost delivers traces, by OTLP over HTTP (`http/protobuf`). Without this section \
         it does not. `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` count \
         as `endpoint`, and `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT`, \
         `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_BSP_*` have their meaning.",
    ),
    (
        "",
        "At the top level: the secrets, and the proxies whose forwarded headers are trusted.",
    ),
    (
        "rateLimit",
        "How often one client may request `start`, `callback`, `sign_out`, the registration of \
         clients and `session?renew` (the renewal beside a page), and `backchannel_logout` until it \
         has sent a valid token. Beyond that it gets 429 and \
         `Retry-After`. A client is an IPv4 address or an IPv6 /64: the rightmost of \
         `X-Forwarded-For` that is not one of `trustedProxies`, else the peer. A trusted proxy that \
         names no client is not limited, and one that is not trusted is a single client. Questions \
         to `auth/*` are never limited.",
    ),
    ("store", "Where sessions are kept."),
    (
        "session",
        "How long sessions last. A number of seconds, or with `s`, `m`, `h`, `d`.",
    ),
    (
        "traefik",
        "What Traefik's HTTP provider is served at `http://METRICS/traefik`, for the applications \
         that name an upstream.",
    ),
    (
        "pages",
        "The look of the pages. They are in the browser's language if there is a file for \
         it in `outpost/src/pages/languages/`.",
    ),
    ("providers[]", "The OpenID providers, at least one."),
    ("applications[]", "The applications, at least one."),
    (
        "applications[].assertion",
        "A signed statement about the user that the application verifies itself \
         ([page](assertion.md)). Needs `assertionKeysFile`. Without this section, the application gets none.",
    ),
    (
        "applications[].require",
        "Who may pass: users that any of these lists names. Left out: every user who can sign in. The \
         lists may be written here, or under `any` (one entry must match) and `all` (every entry must match).\n\n\
         Where an application has several providers, the lists apply to users of any of \
         them: a name, an address or a group that one provider gives a user counts as if any other had \
         given it. So combine only providers that you would trust with every \
         name in the rule, or name groups that the others cannot give. `headers.set: \
         {X-Auth-Issuer: iss}` shows the application which provider signed the user in.",
    ),
    (
        "applications[].rules[]",
        "Rules in order, of which the first that is for a request decides; where none is, `public` and \
         `require` do ([rules](rules.md)). Each has one of `public`, `deny`, `signedIn` and `require`.",
    ),
    (
        "applications[].rules[].require",
        "What the user must be, with the same keys as the application's own `require`.",
    ),
    (
        "applications[].headers",
        "The headers that the application receives.",
    ),
    (
        "applications[].upstreamTokens",
        "The provider's tokens of the user, for an application that calls the provider's services in \
         the user's name ([page](upstream-tokens.md)). The outpost has to be asked about each \
         request: by forward auth, or by the plugin with `fallback: route`.",
    ),
    (
        "applications[].machineTokens",
        "How the provider is asked about the credentials that `machines` allows, and what they must \
         be ([machine clients](machine-clients.md)).",
    ),
    (
        "applications[].machineTokens.issuers[]",
        "Issuers of tokens at which no user signs in, in addition to the application's providers: \
         a Kubernetes cluster, a CI server.",
    ),
];
