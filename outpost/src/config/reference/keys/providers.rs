//! The keys of providers.

use crate::config::reference::{Key, Kind, key};

/// The keys of a provider.
pub(super) const PROVIDERS: &[Key] = &[
    key(
        "providers[].name",
        Kind::Text,
        "",
        "What applications call it. Required.",
    ),
    key(
        "providers[].title",
        Kind::Text,
        "",
        "What people read of it where they choose among several. Unset: its name.",
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
        "providers[].trustedAudiences",
        Kind::List,
        "",
        "What ID tokens may name in `aud` beside the client, where they have no `azp`: Zitadel's \
         project, or what an audience mapper of Keycloak adds.",
    ),
    key(
        "providers[].groupsClaim",
        Kind::Text,
        "groups",
        "Where the groups stand in the ID token or in userinfo, like `realm_access.roles`.",
    ),
    key(
        "providers[].unverifiedEmail",
        Kind::Choice(&["drop", "accept"]),
        "drop",
        "`accept`: applications receive addresses that the provider says are unverified.",
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
];
