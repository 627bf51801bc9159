//! The keys of machine clients' credentials.

use crate::config::reference::key::{Key, Kind, key};

/// The keys of `machineTokens` of an application.
pub(super) const MACHINE_TOKENS: &[Key] = &[
    key(
        "applications[].machineTokens.provider",
        Kind::Text,
        "",
        "Of several `providers`, the one that checks passwords and tokens that do not say whose they are. Unset: the first.",
    ),
    key(
        "applications[].machineTokens.audience",
        Kind::List,
        "",
        "The accepted audiences: `aud` of an access token must name one of them. Unset: `machineTokens.resource`, or without that the provider's `clientId`.",
    ),
    key(
        "applications[].machineTokens.resource",
        Kind::Url,
        "",
        "The application's name at its authorization servers (RFC 8707), like `https://mcp.example.com/mcp`: a \
         URL at a host of the application. The outpost names it to clients, and where to get tokens for it (RFC 9728), \
         in each 401 and at `/.well-known/oauth-protected-resource` ([page](machine-clients.md#tell-clients-where-to-get-a-token)). Unset: it does not.",
    ),
    key(
        "applications[].machineTokens.publicClient",
        Kind::Text,
        "",
        "For a provider that registers no clients: the id of a public client there, which every client gets that \
         registers at the outpost ([page](machine-clients.md#a-provider-that-registers-no-clients)). Unset: none.",
    ),
    key(
        "applications[].machineTokens.redirectUris",
        Kind::List,
        "",
        "The redirect URIs that the public client is handed out for, besides those on the user's own machine \
         (`http://127.0.0.1`, `http://localhost`). Compared as they are.",
    ),
    key(
        "applications[].machineTokens.clients",
        Kind::List,
        "",
        "The clients whose access tokens are accepted (`client_id` or `azp`). Unset: all.",
    ),
    key(
        "applications[].machineTokens.grant",
        Kind::Choice(&["clientCredentials", "password"]),
        "clientCredentials",
        "The grant by which the outpost exchanges the credentials of `basic` for a token. `clientCredentials`: they are id and secret of a client; `password`: name and password of a user.",
    ),
    key(
        "applications[].machineTokens.scopes",
        Kind::List,
        "",
        "The scopes that the outpost asks for in that exchange. With `machineTokens.resource`, the outpost also names them to clients.",
    ),
    key(
        "applications[].machineTokens.parameters{}",
        Kind::Texts,
        "",
        "Further parameters of that exchange, like `resource` (RFC 8707) or `audience`. `resource` is `machineTokens.resource` unless it is set here.",
    ),
    key(
        "applications[].machineTokens.introspect",
        Kind::Flag,
        "false",
        "Whether the outpost asks the provider about each token (RFC 7662). Tokens that are not JWTs need it.",
    ),
    key(
        "applications[].machineTokens.nameClaim",
        Kind::Text,
        "",
        "The claim that is the name where a token has no `preferred_username`, like `client_id`. No user may be able to choose its value, or they could take another user's name.",
    ),
    key(
        "applications[].machineTokens.cache",
        Kind::Span,
        "5m",
        "How long the result of a check is used at most; never beyond the token's own end.",
    ),
    key(
        "applications[].machineTokens.forward",
        Kind::Flag,
        "false",
        "Whether the application sees the credentials that it was let in by.",
    ),
    key(
        "applications[].machineTokens.issuers[].issuer",
        Kind::Text,
        "",
        "The issuer, exactly as its tokens have it in `iss`. Required.",
    ),
    key(
        "applications[].machineTokens.issuers[].audience",
        Kind::List,
        "",
        "The accepted audiences: `aud` of a token must name one of them. Required.",
    ),
    key(
        "applications[].machineTokens.issuers[].jwksUrl",
        Kind::Url,
        "",
        "The URL of its keys. Unset: the one that its discovery document names, below `issuer`.",
    ),
    key(
        "applications[].machineTokens.issuers[].jwksFile",
        Kind::File,
        "",
        "Instead of `jwksUrl`: a file with its keys (RFC 7517).",
    ),
    key(
        "applications[].machineTokens.issuers[].caFile",
        Kind::File,
        "",
        "Certificates to trust besides the system's, in PEM.",
    ),
    key(
        "applications[].machineTokens.issuers[].tokenFile",
        Kind::File,
        "",
        "A file with a token that the issuer wants to see before it shows its keys, as the API server of \
         Kubernetes does. Only the host of `jwksUrl`, or else of `issuer`, receives it.",
    ),
    key(
        "applications[].machineTokens.issuers[].usernameClaim",
        Kind::Text,
        "sub",
        "The claim that is the name.",
    ),
    key(
        "applications[].machineTokens.issuers[].emailClaim",
        Kind::Text,
        "email",
        "The claim that is the address.",
    ),
    key(
        "applications[].machineTokens.issuers[].groupsClaim",
        Kind::List,
        "groups",
        "The claims that are groups: `kubernetes\\.io.namespace` is the namespace of a service account.",
    ),
];
