//! Every key of the configuration, with what it accepts and means.
//!
//! From this table follow the names of the environment variables, the JSON Schema for editors
//! (`docs/gatepost.schema.json`) and the reference for people (`docs/configuration.md`). Tests hold
//! it against what the code reads and against both files.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::environment::variable_of;

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path. `[]` follows a list of sections, `{}` a section whose keys are free.
    pub path: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// What holds without it, or nothing where that needs words.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

/// What a key accepts. A text with commas stands for a list, and any text for what it spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A URL.
    Url,
    /// The path of a file.
    File,
    /// An address and a port.
    Address,
    /// A span of time: seconds, or a number with `s`, `m`, `h` or `d`.
    Span,
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A section of texts under names of the operator's choice.
    Texts,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        meaning,
    }
}

/// The sections, in the order of the reference, with what they are for.
const SECTIONS: &[(&str, &str)] = &[
    ("listen", "Where the outpost listens."),
    (
        "tls",
        "The certificate of `listen.https`. Without this section the listener makes one at start \
         for which nobody vouches. Both files are read again when they change.",
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
        "At the top level: the secrets, and whose word is taken.",
    ),
    (
        "rateLimit",
        "How often one client may come to `start`, `callback` and `sign_out`, and to \
         `backchannel_logout` until a token of it has held. Beyond that it gets 429 and \
         `Retry-After`. A client is an IPv4 address or an IPv6 /64: the rightmost of \
         `X-Forwarded-For` that is none of `trustedProxies`, else the peer. A trusted proxy that \
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
        "What the pages look like: they are in the browser's language, as far as there is a file for \
         it in `outpost/src/pages/languages/`.",
    ),
    ("providers[]", "The OpenID providers, at least one."),
    ("applications[]", "The applications, at least one."),
    (
        "applications[].require",
        "Who may pass: whoever any of these lists names. Left out: everyone who can sign in. The \
         lists may stand here, or under `any` (one entry must fit) and `all` (every entry must).",
    ),
    ("applications[].headers", "What the application is told."),
    (
        "applications[].machineTokens",
        "How the provider is asked about the credentials that `machines` allows, and what they must \
         be ([programs](machines.md)).",
    ),
];

/// Every key there is.
pub const KEYS: &[Key] = &[
    key(
        "listen.http",
        Kind::Address,
        "127.0.0.1:9000",
        "Sign-in and forward auth.",
    ),
    key(
        "listen.https",
        Kind::Address,
        "",
        "The same over TLS (HTTP/2 and HTTP/1.1). Unset: no such listener.",
    ),
    key(
        "listen.metrics",
        Kind::Address,
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
        "What is sent along: name and value, like a key to the collector.",
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
        "What the outpost is called there.",
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
        "trustedProxies",
        Kind::List,
        "",
        "Networks and addresses whose `X-Forwarded-*` and `X-Original-*` are believed. Unset: nobody, and forward auth refuses everything.",
    ),
    key(
        "revokedFile",
        Kind::File,
        "",
        "Where plugins read which sessions were ended before their windows. The outpost writes it, within a second of a change. Unset: an ended session may run on to the end of its window.",
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
        "How many at once. Everyone behind one address is one client.",
    ),
    key(
        "store.kind",
        Kind::Choice(&["memory", "embedded", "redis"]),
        "embedded",
        "`embedded`: one file, which outlives restarts; `redis`: for several replicas; `memory`: a restart signs everyone out. What is kept is encrypted.",
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
        "What the names of all keys in Redis begin with.",
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
        "For how long a cookie is believed without asking the outpost.",
    ),
    key(
        "session.renewAfter",
        Kind::Span,
        "",
        "After which part of the window a page load renews the cookie. Unset: two thirds of it.",
    ),
    key(
        "session.refreshAfter",
        Kind::Span,
        "",
        "How long ago the provider must have been asked for a renewal to ask it again. Unset: `session.renewAfter`, so that every renewal does.",
    ),
    key(
        "session.grace",
        Kind::Span,
        "",
        "For how long a session is renewed unasked while the provider is away. Unset: to its end.",
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
        "Who gets the certificates; implies `tls`.",
    ),
    key(
        "pages.name",
        Kind::Text,
        "",
        "Whose sign-in it is, shown above every page.",
    ),
    key(
        "pages.logoFile",
        Kind::File,
        "",
        "A picture beside the name: SVG, PNG, JPEG or WebP of at most 64 KiB.",
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
    key(
        "providers[].name",
        Kind::Text,
        "",
        "What applications call it. Required.",
    ),
    key(
        "providers[].issuer",
        Kind::Url,
        "",
        "Exactly as in its discovery document. Required.",
    ),
    key(
        "providers[].clientId",
        Kind::Text,
        "",
        "The id that the provider gave Gatepost. Required.",
    ),
    key(
        "providers[].clientSecret",
        Kind::Text,
        "",
        "The client's secret. Unset: a public client.",
    ),
    key(
        "providers[].clientSecretFile",
        Kind::File,
        "",
        "Instead of `clientSecret`: a file with it.",
    ),
    key(
        "providers[].clientAuthentication",
        Kind::Choice(&["basic", "post"]),
        "",
        "How the secret is shown at the token endpoint. Unset: as the provider says it supports.",
    ),
    key(
        "providers[].scopes",
        Kind::List,
        "openid, profile, email",
        "The scopes to ask for.",
    ),
    key(
        "providers[].groupsClaim",
        Kind::Text,
        "groups",
        "Where the groups stand in the ID token or in userinfo, like `realm_access.roles`.",
    ),
    key(
        "providers[].signOut",
        Kind::Choice(&["provider", "local"]),
        "provider",
        "`provider`: signing out ends the session there too.",
    ),
    key(
        "providers[].caFile",
        Kind::File,
        "",
        "Certificates to trust besides the system's, in PEM.",
    ),
    key(
        "applications[].name",
        Kind::Text,
        "",
        "Its name, which its sessions are for. Required.",
    ),
    key(
        "applications[].mode",
        Kind::Choice(&["single", "domain"]),
        "single",
        "One host, or every host under `cookieDomain` with one sign-in.",
    ),
    key(
        "applications[].externalUrl",
        Kind::Url,
        "",
        "Where browsers reach it, without a path; in `domain` mode, where they reach the outpost. Required.",
    ),
    key(
        "applications[].cookieDomain",
        Kind::Text,
        "",
        "In `domain` mode: the domain whose hosts share the session.",
    ),
    key(
        "applications[].cookieName",
        Kind::Text,
        "",
        "Unset: `__Host-gatepost`, in `domain` mode `__Secure-gatepost`, over http `gatepost`.",
    ),
    key(
        "applications[].cookieGroups",
        Kind::List,
        "",
        "For people with more groups than a cookie holds: those that it keeps beside the groups of `require`. List every group that a plugin's own `require` names; a rule that names another then refuses. Unset: what hangs on a group that was left out is decided by the outpost, with `fallback: route`.",
    ),
    key(
        "applications[].forwardCookie",
        Kind::Flag,
        "false",
        "Whether the application sees the session cookie.",
    ),
    key(
        "applications[].outpostPrefix",
        Kind::Text,
        "/akprox",
        "The path under which the outpost answers. `/outpost.goauthentik.io` is understood too.",
    ),
    key(
        "applications[].provider",
        Kind::Text,
        "",
        "The name of its provider. Unset: the only one.",
    ),
    key(
        "applications[].public",
        Kind::List,
        "",
        "Paths that need no session. `*` at the end stands for everything below.",
    ),
    key(
        "applications[].allowPreflight",
        Kind::Flag,
        "false",
        "Whether CORS preflights pass without a session.",
    ),
    key(
        "applications[].machines",
        Kind::List,
        "",
        "Which credentials in `Authorization` stand in for a session: `bearer` (access tokens of the provider), `basic` (a name and a password that the provider takes). Unset: none.",
    ),
    key("applications[].require.groups", Kind::List, "", "Groups."),
    key(
        "applications[].require.users",
        Kind::List,
        "",
        "Names that people sign in with.",
    ),
    key(
        "applications[].require.emails",
        Kind::List,
        "",
        "Verified addresses.",
    ),
    key(
        "applications[].require.emailDomains",
        Kind::List,
        "",
        "Domains of verified addresses.",
    ),
    key(
        "applications[].require.any.groups",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.any.users",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.any.emails",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.any.emailDomains",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.all.groups",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.all.users",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.all.emails",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].require.all.emailDomains",
        Kind::List,
        "",
        "As above.",
    ),
    key(
        "applications[].headers.preset",
        Kind::Choice(&["gatepost", "authentik", "none"]),
        "gatepost",
        "A set of headers.",
    ),
    key(
        "applications[].headers.set{}",
        Kind::Texts,
        "",
        "Further headers: name and claim.",
    ),
    key(
        "applications[].machineTokens.audience",
        Kind::List,
        "",
        "What an access token must be for (`aud`), one of these. Unset: the provider's `clientId`.",
    ),
    key(
        "applications[].machineTokens.clients",
        Kind::List,
        "",
        "The clients that may bring one (`client_id` or `azp`). Unset: any.",
    ),
    key(
        "applications[].machineTokens.grant",
        Kind::Choice(&["clientCredentials", "password"]),
        "clientCredentials",
        "What `basic` is exchanged by. `clientCredentials`: id and secret of a client; `password`: name and password of a person.",
    ),
    key(
        "applications[].machineTokens.scopes",
        Kind::List,
        "",
        "The scopes to ask for then.",
    ),
    key(
        "applications[].machineTokens.parameters{}",
        Kind::Texts,
        "",
        "What else to say then, like `resource` (RFC 8707) or `audience`.",
    ),
    key(
        "applications[].machineTokens.introspect",
        Kind::Flag,
        "false",
        "Whether the provider is asked about each token (RFC 7662), as those that are no JWT need.",
    ),
    key(
        "applications[].machineTokens.nameClaim",
        Kind::Text,
        "",
        "The claim that is the name where a token has no `preferred_username`, like `client_id`. One whose values nobody can choose to be somebody else's name.",
    ),
    key(
        "applications[].machineTokens.cache",
        Kind::Span,
        "5m",
        "For how long at most a check is believed; never beyond the token's own end.",
    ),
    key(
        "applications[].machineTokens.forward",
        Kind::Flag,
        "false",
        "Whether the application sees the credentials that it was let in by.",
    ),
    key(
        "applications[].upstream",
        Kind::Url,
        "",
        "Where the proxy finds it, for what `traefik` and `gatepost export` say.",
    ),
    key(
        "applications[].upstreams{}",
        Kind::Texts,
        "",
        "In `domain` mode: host and where the proxy finds it.",
    ),
];

/// The configuration as a JSON Schema (draft 2020-12), for editors.
pub fn schema() -> Value {
    let mut schema = object("");
    let draft = "https://json-schema.org/draft/2020-12/schema";
    put(&mut schema, "$schema", json!(draft));
    put(&mut schema, "title", json!("Gatepost's outpost"));
    schema
}

/// The schema of the section whose keys begin with `prefix`.
fn object(prefix: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in KEYS {
        let Some(rest) = key.path.strip_prefix(prefix) else {
            continue;
        };
        match rest.split_once('.') {
            Some((level, _)) => {
                let name = level.trim_end_matches("[]");
                if !properties.contains_key(name) {
                    let inner = object(&format!("{prefix}{level}."));
                    let section = if name == level {
                        inner
                    } else {
                        json!({"type": "array", "minItems": 1, "items": inner})
                    };
                    properties.insert(name.to_owned(), section);
                }
            }
            None => {
                let name = rest.trim_end_matches("{}");
                properties.insert(name.to_owned(), property(key));
                if key.meaning.ends_with("Required.") {
                    required.push(name);
                }
            }
        }
    }
    let mut object =
        json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        put(&mut object, "required", json!(required));
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Text | Kind::Url | Kind::File | Kind::Address => json!({"type": "string"}),
        Kind::Span => json!({
            "type": ["string", "integer"], "pattern": "^[0-9]+[smhd]?$", "minimum": 0,
        }),
        Kind::Number => json!({"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0}),
        Kind::Ratio => json!({"type": ["number", "string"], "minimum": 0, "maximum": 1}),
        Kind::Flag => json!({"enum": [true, false, "true", "false"]}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::List => json!({"type": ["array", "string"], "items": {"type": "string"}}),
        Kind::Texts => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    };
    put(&mut property, "description", json!(key.meaning));
    if !key.default.is_empty() {
        let default = match key.kind {
            Kind::Flag => json!(key.default == "true"),
            Kind::Number => json!(key.default.parse::<u64>().unwrap_or_default()),
            Kind::Ratio => json!(key.default.parse::<f64>().unwrap_or_default()),
            Kind::List => json!(key.default.split(", ").collect::<Vec<_>>()),
            _ => json!(key.default),
        };
        put(&mut property, "default", default);
    }
    property
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(key.to_owned(), value);
    }
}

/// The reference for people, in Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration of the outpost\n\n\
         `gatepost serve --config gatepost.yaml` reads one YAML file.\n\
         Every key is an environment variable too, which counts where both are set; a secret may \
         come from a file.\n\
         Keys are compared without case, an unknown one is an error, and `gatepost check` says \
         everything that is wrong at once, with file and line.\n\
         The file, and the files it names, are read again when they change or on `SIGHUP`; a wrong \
         configuration is logged and the one before stays.\n\n\
         [`testdata/outpost/gatepost.yaml`](../testdata/outpost/gatepost.yaml) is a commented \
         example of every section.\n\
         Editors complete and check keys by [`gatepost.schema.json`](gatepost.schema.json): begin \
         the file with `# yaml-language-server: $schema=gatepost.schema.json`.\n\n\
         This page and the schema follow from the table in `outpost/src/config/reference.rs`, which \
         a test holds against what the program reads; after a change of it, \
         `GATEPOST_BLESS=1 cargo test -p gatepost reference` writes both anew.\n",
    );
    for (section, meaning) in SECTIONS {
        let title = if section.is_empty() {
            "Keys and trust".to_owned()
        } else {
            format!("`{section}`")
        };
        let _ = write!(text, "\n## {title}\n\n{meaning}\n\n");
        text.push_str("| key | accepts | default | meaning |\n| --- | --- | --- | --- |\n");
        for key in KEYS.iter().filter(|key| section_of(key.path) == *section) {
            let name = key.path.strip_prefix(section).unwrap_or(key.path);
            let name = name.trim_start_matches('.').trim_end_matches("{}");
            let default = match key.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(
                text,
                "| `{name}` | {} | {default} | {} |",
                accepts(key.kind),
                key.meaning
            );
        }
    }
    text.push_str(
        "\n## Environment\n\n\
         A variable is `GATEPOST_` and the key's path in capitals, words and levels apart by `_`, \
         entries counted from 0; lists have commas, and free sections `name=text` with commas.\n\
         `GATEPOST_CONFIG` names the file.\n\n\
         | key | variable |\n| --- | --- |\n",
    );
    for key in KEYS {
        let _ = writeln!(text, "| `{}` | `{}` |", key.path, variable_of(key.path));
    }
    text
}

/// The section of the reference that a key stands in: the longest that it begins with.
fn section_of(path: &str) -> &'static str {
    SECTIONS
        .iter()
        .map(|(section, _)| *section)
        .filter(|section| {
            !section.is_empty()
                && path
                    .strip_prefix(section)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
        .max_by_key(|section| section.len())
        .unwrap_or("")
}

fn accepts(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Url => "URL".to_owned(),
        Kind::File => "path of a file".to_owned(),
        Kind::Address => "address and port".to_owned(),
        Kind::Span => "span of time".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Ratio => "number from 0 to 1".to_owned(),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::List => "list of texts".to_owned(),
        Kind::Texts => "section of texts".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    /// Compares a file of the docs with what it follows from.
    fn holds(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(name);
        if std::env::var_os("GATEPOST_BLESS").is_some() {
            fs::write(&path, text).expect("written");
        }
        let kept = fs::read_to_string(&path).expect("the file");
        assert!(
            kept == text,
            "docs/{name} is not of this code: run `GATEPOST_BLESS=1 cargo test -p gatepost reference`"
        );
    }

    #[test]
    fn the_published_reference_and_schema_are_of_this_code() {
        holds("configuration.md", &markdown());
        let schema = serde_json::to_string_pretty(&schema()).expect("JSON");
        holds("gatepost.schema.json", &format!("{schema}\n"));
    }

    #[test]
    fn the_words_of_a_choice_are_those_that_the_code_takes() {
        for key in KEYS {
            let Kind::Choice(words) = key.kind else {
                continue;
            };
            let variable = (variable_of(key.path), "no-such-word".to_owned());
            let error = Config::parse("", [variable])
                .expect_err("a wrong word")
                .to_string();
            let expected = format!("`no-such-word` is none of {}", words.join(", "));
            assert!(
                error.lines().any(|line| line.ends_with(&expected)),
                "{}: {error}",
                key.path
            );
        }
    }

    #[test]
    fn every_section_of_the_example_is_one_of_the_schema() {
        let example = include_str!("../../../testdata/outpost/gatepost.yaml");
        let example: Value = serde_saphyr::from_str(example).expect("YAML");
        let mut unknown = Vec::new();
        compare(&example, &schema(), "", &mut unknown);
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    /// Notes what the schema does not know. What else it says is for editors.
    fn compare(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
        match value {
            Value::Object(keys) if schema.get("properties").is_some() => {
                for (name, value) in keys {
                    match schema["properties"].get(name) {
                        Some(schema) => compare(value, schema, &format!("{path}.{name}"), unknown),
                        None => unknown.push(format!("{path}.{name}")),
                    }
                }
            }
            Value::Array(entries) => {
                for entry in entries {
                    compare(entry, &schema["items"], path, unknown);
                }
            }
            _ => {}
        }
    }
}
