//! The table of keys.

use super::key::{Key, Kind, key};

mod applications;
mod machine_tokens;
mod providers;
mod rules;

/// Returns every key, in the order of the reference.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    OUTPOST
        .iter()
        .chain(providers::PROVIDERS)
        .chain(applications::APPLICATIONS)
        .chain(machine_tokens::MACHINE_TOKENS)
        .chain(rules::RULES)
}

/// The keys of the outpost itself.
const OUTPOST: &[Key] = &[
    key(
        "listen.http",
        Kind::Addresses,
        "127.0.0.1:9000",
        "Sign-in and forward auth.",
    ),
    key(
        "listen.https",
        Kind::Addresses,
        "",
        "The same over TLS (HTTP/2 and HTTP/1.1). Unset: no such listener.",
    ),
    key(
        "listen.metrics",
        Kind::Addresses,
        "127.0.0.1:9300",
        "Health, metrics and Traefik's configuration: never the public's.",
    ),
    key(
        "tls.certificate",
        Kind::File,
        "",
        "The chain in PEM, the server's certificate first.",
    ),
    key(
        "tls.key",
        Kind::File,
        "",
        "The certificate's key in PEM, not encrypted.",
    ),
    key(
        "log.format",
        Kind::Choice(&["text", "json"]),
        "text",
        "The form of a line.",
    ),
    key(
        "log.level",
        Kind::Choice(&["error", "warn", "info", "debug"]),
        "info",
        "The least severity that is written. The audit log is written at any.",
    ),
    key(
        "tracing.endpoint",
        Kind::Url,
        "",
        "The collector, like `http://collector:4318`; `/v1/traces` is added where it is missing. Required.",
    ),
    key(
        "tracing.headers{}",
        Kind::Texts,
        "",
        "Headers that are sent along: name and value, like a key to the collector.",
    ),
    key(
        "tracing.headersFile",
        Kind::File,
        "",
        "Instead of `headers`: a file with `name=value`, one a line.",
    ),
    key(
        "tracing.caFile",
        Kind::File,
        "",
        "Certificates that are trusted besides the system's, in PEM.",
    ),
    key(
        "tracing.sampleRatio",
        Kind::Ratio,
        "1",
        "Which part of the traces that begin here is delivered. Those that a trusted proxy began are as it decided.",
    ),
    key(
        "tracing.serviceName",
        Kind::Text,
        "gatepost",
        "The outpost's name there.",
    ),
    key(
        "keys",
        Kind::List,
        "",
        "The secrets that sign and encrypt, `kid:base64` of at least 32 bytes each; the first signs, all verify. `gatepost keygen` makes one.",
    ),
    key(
        "keysFile",
        Kind::File,
        "",
        "Instead of `keys`: a file with one a line, read again when it changes.",
    ),
    key(
        "assertionKeysFile",
        Kind::File,
        "",
        "The private keys that sign [assertions](assertion.md), in PEM; the first of an algorithm signs, and applications can verify with all. Read again when it changes: a key that is put in front signs after `keyIntroduction`, and after a minute at the earliest. `gatepost keygen --assertion ES256` makes one. No proxy may be able to read it.",
    ),
    key(
        "keyIntroduction",
        Kind::Span,
        "15s",
        "How long a key that is put in front only verifies, so that it signs when every plugin and outpost has it. As long as the files of different machines may differ: `2m` in Kubernetes.",
    ),
    key(
        "trustedProxies",
        Kind::List,
        "",
        "Networks and addresses whose `X-Forwarded-*` and `X-Original-*` are believed. Unset: none, and forward auth refuses everything.",
    ),
    key(
        "clientCertificateHeader",
        Kind::Text,
        "",
        "The header in which `trustedProxies` hand on the client's certificate, for access tokens that are bound to one (`cnf.x5t#S256`): `X-Forwarded-Tls-Client-Cert` of Traefik, `X-Forwarded-Client-Cert` of Envoy, `Client-Cert`. The proxy must set or remove it for every request. Unset: such tokens are refused.",
    ),
    key(
        "askedBy",
        Kind::List,
        "",
        "The proxies that ask at `auth/*`: `traefik` (HAProxy too), `caddy`, `envoy`, `nginx` (ingress-nginx too). The outpost answers 404 at the addresses of the others. Unset: all of them, `envoy` only where Envoy leaves out the browser's `Accept-Encoding`, as the shown configuration does. A plugin with `fallback: redirect` asks nothing: `[]`.",
    ),
    key(
        "revokedFile",
        Kind::File,
        "",
        "Where plugins read which sessions were ended before their windows. The outpost writes it, within a second of a change. Unset: an ended session may run on to the end of its window.",
    ),
    key(
        "stateDir",
        Kind::File,
        "",
        "The folder into which the outpost writes, for its plugins, the keys that verify sessions, ended sessions, and each application's settings ([page](plugin.md#two-keys)). With it mounted into Traefik, a middleware has two keys, `application` and `stateDir`, and changes are in force within seconds. A program that can read the folder can make a session for any user. Unset: each middleware repeats the settings.",
    ),
    key(
        "rateLimit.perSecond",
        Kind::Number,
        "20",
        "How many requests a second for long. 0: no limit.",
    ),
    key(
        "rateLimit.burst",
        Kind::Number,
        "400",
        "How many in a burst. All users behind one address are one client.",
    ),
    key(
        "store.kind",
        Kind::Choice(&["memory", "embedded", "redis"]),
        "embedded",
        "`embedded`: one file, which outlives restarts; `redis`: for several replicas; `memory`: a restart signs all users out. Sessions are stored encrypted.",
    ),
    key(
        "store.path",
        Kind::File,
        "/var/lib/gatepost/sessions.db",
        "The file of the embedded store. It is made where it is missing, and one outpost has it to itself.",
    ),
    key(
        "store.url",
        Kind::Text,
        "",
        "Where Redis is (7 or later, or Valkey): `redis://user:password@host:6379/0`, `redis-sentinel://user:password@host1,host2/0?service=NAME`, `redis-cluster://user:password@host1,host2`; `rediss` for `redis` with TLS.",
    ),
    key(
        "store.urlFile",
        Kind::File,
        "",
        "Instead of `store.url`: a file with it.",
    ),
    key(
        "store.caFile",
        Kind::File,
        "",
        "Certificates to trust instead of the system's, in PEM, for a Redis with TLS.",
    ),
    key(
        "store.clientCertificateFile",
        Kind::File,
        "",
        "The certificate to show to a Redis that asks for one, in PEM.",
    ),
    key(
        "store.clientKeyFile",
        Kind::File,
        "",
        "The key of `store.clientCertificateFile`, in PEM.",
    ),
    key(
        "store.prefix",
        Kind::Text,
        "gatepost:",
        "The prefix of the names of all keys in Redis.",
    ),
    key(
        "store.cacheMegabytes",
        Kind::Number,
        "64",
        "How many megabytes (2^20 bytes) of its file the embedded store keeps in memory.",
    ),
    key(
        "store.maxSessions",
        Kind::Number,
        "100000",
        "The most sessions that are kept; beyond it those unused for longest go.",
    ),
    key(
        "session.window",
        Kind::Span,
        "15m",
        "How long a cookie is accepted without asking the outpost.",
    ),
    key(
        "session.renewAfter",
        Kind::Span,
        "",
        "The age from which a page load renews the cookie. Unset: a third of the window. Behind the plugin, the browser renews the cookie beside the page until the last quarter of the window, in which page loads are redirected. With three quarters of the window or more, every renewal is a redirect ([page](sessions.md#renewed-beside-the-page)).",
    ),
    key(
        "session.refreshAfter",
        Kind::Span,
        "",
        "A renewal asks the provider when the outpost's last question to it is older than this. Unset: `session.renewAfter`, so that every renewal asks; where that is unset too, two thirds of the window.",
    ),
    key(
        "session.grace",
        Kind::Span,
        "",
        "How long a session is renewed without the provider's answer while the provider is unavailable. Unset: to its end.",
    ),
    key(
        "session.idle",
        Kind::Span,
        "8h",
        "After how long without use a session ends.",
    ),
    key(
        "session.lifetime",
        Kind::Span,
        "24h",
        "When a session ends whatever happens.",
    ),
    key(
        "session.deviceBound",
        Kind::Choice(&["off", "prefer", "require"]),
        "off",
        "`prefer`: a browser that supports it binds its session to the device, and then proves at each \
         renewal that it is on that device. `require`: a session that its browser has not bound ends \
         with its first window ([page](device-bound.md)).",
    ),
    key(
        "session.sameSite",
        Kind::Choice(&["lax", "none"]),
        "lax",
        "`none`: browsers send the cookies also where a page of another site shows the application in a \
         frame, over https alone. **What it costs is on the [page about security](security.md#frames-of-other-sites).**",
    ),
    key(
        "session.partitioned",
        Kind::Flag,
        "false",
        "With `sameSite: none`: each site whose pages show the application has cookies of its own \
         (`Partitioned`), which browsers also take where they block cookies of third parties. Users \
         sign in within the frame, so the provider must allow that it is shown in frames.",
    ),
    key(
        "traefik.outpostUrl",
        Kind::Url,
        "",
        "The outpost, as Traefik reaches it.",
    ),
    key(
        "traefik.plugin",
        Kind::Text,
        "",
        "The plugin's name in Traefik's static configuration. Unset: Traefik asks the outpost about every request.",
    ),
    key(
        "traefik.pluginKeysFile",
        Kind::File,
        "",
        "Where the plugin finds the keys: a file, as Traefik mounts it for plugins.",
    ),
    key(
        "traefik.pluginKeysEnv",
        Kind::Text,
        "",
        "Instead of the file: a variable that Traefik passes to plugins.",
    ),
    key(
        "traefik.pluginStateDir",
        Kind::File,
        "",
        "Instead of both: the folder of `stateDir`, as Traefik mounts it for plugins. Each middleware then has two keys, and changes only with its application's name.",
    ),
    key(
        "traefik.pluginRevokedFile",
        Kind::File,
        "",
        "The file of `revokedFile`, as Traefik mounts it for plugins.",
    ),
    key(
        "traefik.entryPoints",
        Kind::List,
        "",
        "The routers' entry points. Unset: Traefik's default ones.",
    ),
    key(
        "traefik.tls",
        Kind::Flag,
        "false",
        "Whether the routers take TLS.",
    ),
    key(
        "traefik.certResolver",
        Kind::Text,
        "",
        "Traefik's certificate resolver, which gets the routers' certificates. Implies `tls`.",
    ),
    key(
        "pages.name",
        Kind::Text,
        "",
        "The name of your organisation or site, which every page shows at its top.",
    ),
    key(
        "pages.logoFile",
        Kind::File,
        "",
        "A picture next to the name: SVG, PNG, JPEG or WebP of at most 64 KiB. Behind Traefik's `forwardAuth`, raise `maxResponseBodySize` by four thirds of its size.",
    ),
    key(
        "pages.colour",
        Kind::Text,
        "#0550ae",
        "The colour of buttons; the text on them is black or white, whichever can be read.",
    ),
    key(
        "pages.templates",
        Kind::File,
        "",
        "A folder with files in the place of those in `outpost/src/pages/templates/`.",
    ),
];
