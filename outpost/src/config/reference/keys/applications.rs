//! The keys of applications.

use crate::config::reference::key::{Key, Kind, key};

/// The keys of applications, and the keys after them.
pub(super) const APPLICATIONS: &[Key] = &[
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
        "applications[].ports",
        Kind::List,
        "",
        "In `domain` mode: further ports on which browsers reach hosts of the domain. A sign-in leads back to these and to the port of `externalUrl`, and to no other.",
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
        "For users with more groups than a cookie can hold: the groups that the cookie keeps besides those of `require`. List every group that a plugin's own `require` names; a rule that names another then refuses. Unset: the outpost decides where a rule depends on a group that was left out, with `fallback: route`.",
    ),
    key(
        "applications[].forwardCookie",
        Kind::Flag,
        "false",
        "Whether the application sees its session cookie.",
    ),
    key(
        "applications[].assertion.algorithm",
        Kind::Choice(&["ES256", "EdDSA"]),
        "ES256",
        "How it is signed: ECDSA with P-256, or Ed25519.",
    ),
    key(
        "applications[].assertion.header",
        Kind::Text,
        "X-Gatepost-Assertion",
        "The header. `cloudflare`, `google` and `pomerium` mean `Cf-Access-Jwt-Assertion`, `X-Goog-IAP-JWT-Assertion` and `X-Pomerium-Jwt-Assertion`.",
    ),
    key(
        "applications[].assertion.claims",
        Kind::List,
        "",
        "What it says of the user besides the subject: `email`, `name`, `preferred_username`, `groups`. Unset: all of them.",
    ),
    key(
        "applications[].signOut",
        Kind::Choice(&["session", "everywhere"]),
        "session",
        "`everywhere`: signing out here ends all sessions of the user, at every application and in \
         every browser. What happens at the provider is up to `providers[].signOut`.",
    ),
    key(
        "applications[].deviceBound",
        Kind::Choice(&["off", "prefer", "require"]),
        "",
        "`session.deviceBound` for this application. Unset: as for all.",
    ),
    key(
        "applications[].sameSite",
        Kind::Choice(&["lax", "none"]),
        "",
        "`session.sameSite` for this application. Unset: as for all.",
    ),
    key(
        "applications[].partitioned",
        Kind::Flag,
        "",
        "`session.partitioned` for this application. Unset: as for all.",
    ),
    key(
        "applications[].outpostPrefix",
        Kind::Text,
        "/akprox",
        "The path under which the outpost answers at this application's host. `/akprox` and \
         `/outpost.goauthentik.io` are understood too. Two applications on one host name, at \
         different ports, need one each, and a `cookieName` each.",
    ),
    key(
        "applications[].provider",
        Kind::Text,
        "",
        "The name of its provider. Unset: the only one.",
    ),
    key(
        "applications[].providers",
        Kind::List,
        "",
        "Instead of `provider`: the names of several, among which people choose. Each has a redirect URI of its own, `…/akprox/callback/NAME`. **`require` applies to the users of all of them.**",
    ),
    key(
        "applications[].public",
        Kind::List,
        "",
        "Paths that need no session. `*` at the end matches everything below.",
    ),
    key(
        "applications[].allowPreflight",
        Kind::Flag,
        "false",
        "Whether CORS preflights pass without a session: to every path but those of a `deny` rule, and with a body.",
    ),
    key(
        "applications[].machines",
        Kind::List,
        "",
        "Which credentials are accepted in place of a session: `bearer` (access tokens of the provider), `dpop` ([access tokens that are bound to a key](machine-clients.md#access-tokens-that-are-bound-to-a-key)), `basic` (a name and a password that the provider accepts), `apiKey` ([keys that `gatepost key create` makes](api-keys.md)). Unset: none.",
    ),
    key(
        "applications[].apiKeyHeader",
        Kind::Text,
        "",
        "A header that carries API keys besides `Authorization: Bearer`, like `X-Api-Key`. The application does not get it. Unset: none.",
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
        "applications[].require.deviceBound",
        Kind::Flag,
        "false",
        "`true` admits only sessions that are bound to a device: with the lists, or alone \
         ([page](device-bound.md#bound-sessions-only-for-a-part)).",
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
        "Further headers: name and claim. A list has a vertical bar between its entries; an entry or a text with one is left out.",
    ),
    key(
        "applications[].headers.keep",
        Kind::List,
        "",
        "Headers of other systems that are left as they come.",
    ),
    key(
        "applications[].upstreamTokens.accessToken",
        Kind::Text,
        "",
        "The header in which the application gets the user's access token of the provider: \
         `Authorization` (`Bearer TOKEN`), or another name with the token alone ([page](upstream-tokens.md)). \
         By forward auth and `fallback: route` only, and in `mode: single`. Unset: none.",
    ),
    key(
        "applications[].upstreamTokens.idToken",
        Kind::Text,
        "",
        "The header in which the application gets the user's ID token. Unset: none.",
    ),
    key(
        "applications[].upstream",
        Kind::Url,
        "",
        "Where the proxy finds it, for what `traefik` and `gatepost export` say: scheme, host and port.",
    ),
    key(
        "applications[].upstreams{}",
        Kind::Texts,
        "",
        "In `domain` mode: host and where the proxy finds it.",
    ),
];
