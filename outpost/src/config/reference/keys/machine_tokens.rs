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
        "What its tokens have in `iss`, exactly. Required.",
    ),
    key(
        "applications[].machineTokens.issuers[].audience",
        Kind::List,
        "",
        "What a token must be for (`aud`), one of these. Required.",
    ),
    key(
        "applications[].machineTokens.issuers[].jwksUrl",
        Kind::Url,
        "",
        "Where its keys are. Unset: where its discovery document says, below `issuer`.",
    ),
    key(
        "applications[].machineTokens.issuers[].jwksFile",
        Kind::File,
        "",
        "Instead: a file with its keys (RFC 7517).",
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
