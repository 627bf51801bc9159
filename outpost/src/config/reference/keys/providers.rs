//! The keys of providers.

use crate::config::reference::key::{Key, Kind, key};

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
        "providers[].tenants",
        Kind::List,
        "",
        "The tenants whose users may sign in, where the issuer is that of several: with `issuer: \
         https://login.microsoftonline.com/common/v2.0`, the ids of Entra ID's tenants.",
    ),
    key(
        "providers[].discoveryUrl",
        Kind::Url,
        "",
        "Where the discovery document is, if the outpost reaches the provider at another address \
         than browsers. Token, userinfo and key endpoints at that address may be without TLS.",
    ),
    key(
        "providers[].internalUrl",
        Kind::Url,
        "",
        "Scheme, host and port at which the outpost reaches the provider, like \
         `http://keycloak:8080`, if not at those of `issuer`. Its requests still name the issuer's host, \
         and browsers are still sent to the issuer.",
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
        "providers[].clientKeyFile",
        Kind::File,
        "",
        "A private key in PEM (RSA, EC or Ed25519), by which the client authenticates instead of a \
         secret (`private_key_jwt`). A file that changes is read again.",
    ),
    key(
        "providers[].clientKeyId",
        Kind::Text,
        "",
        "The key's id (`kid`), where the provider knows several keys of the client.",
    ),
    key(
        "providers[].clientAuthentication",
        Kind::Choice(&["basic", "post", "secretJwt", "privateKeyJwt"]),
        "",
        "How the client authenticates at the token endpoint. Unset: by its key if it has one, else \
         as the provider says it supports.",
    ),
    key(
        "providers[].scopes",
        Kind::List,
        "openid, profile, email",
        "The scopes to ask for.",
    ),
    key(
        "providers[].authorizationParameters{}",
        Kind::Texts,
        "",
        "Further parameters of the authorization request: `prompt`, `acr_values`, `hd`, \
         `domain_hint`, `kc_idp_hint`, `access_type`, `resource`. The browser carries them, so a user \
         can change them, except with `pushedAuthorization: true`: do not rely on them for a rule. \
         For `max_age`, the outpost checks the result (`auth_time`).",
    ),
    key(
        "providers[].parametersFromLink",
        Kind::List,
        "",
        "The parameters of the authorization request that a link to `start` may set, like `login_hint`.",
    ),
    key(
        "providers[].pushedAuthorization",
        Kind::Flag,
        "",
        "Whether the outpost pushes the authorization request to the provider (RFC 9126) and sends \
         the browser there with a reference to it. Unset: if the provider requires that.",
    ),
    key(
        "providers[].responseMode",
        Kind::Choice(&["query", "formPost"]),
        "query",
        "`formPost`: the provider has the browser post its answer to a sign-in, so that the answer is \
         not in a URL.",
    ),
    key(
        "providers[].nonce",
        Kind::Choice(&["required", "ifPresent"]),
        "required",
        "`ifPresent`: for a provider whose ID tokens have no `nonce`.",
    ),
    key(
        "providers[].trustedAudiences",
        Kind::List,
        "",
        "Audiences that ID tokens may name in `aud` besides the client, where they have no `azp`: Zitadel's \
         project, or what an audience mapper of Keycloak adds.",
    ),
    key(
        "providers[].usernameClaim",
        Kind::Text,
        "preferred_username",
        "The claim that is the user's name: `email` for Google, `cognito:username`, `upn`.",
    ),
    key(
        "providers[].emailClaim",
        Kind::Text,
        "email",
        "The claim that is the address: a text, or a list whose first entry it is. `email_verified` is \
         about the claim `email`: where a provider sends it, an address of another claim counts as \
         unverified, unless `email` has the same address or `CLAIM_verified` is true.",
    ),
    key(
        "providers[].nameClaim",
        Kind::Text,
        "name",
        "The claim that is the full name.",
    ),
    key(
        "providers[].groupsClaim",
        Kind::List,
        "groups",
        "The claims in the ID token or in userinfo that are groups, like `realm_access.roles`: lists, \
         texts, or objects whose keys they are. `\\.` is a dot of a name: \
         `resource_access.my\\.client.roles`.",
    ),
    key(
        "providers[].groupsSeparator",
        Kind::Text,
        "",
        "What separates groups where a claim is one text, like `,`.",
    ),
    key(
        "providers[].graphUrl",
        Kind::Url,
        "",
        "For Entra ID: `https://graph.microsoft.com`, or the Graph of a national cloud. The outpost asks \
         there for the groups of a user who has too many for an ID token, with the user's access token, \
         which needs the scope `User.Read`.",
    ),
    key(
        "providers[].unverifiedEmail",
        Kind::Choice(&["drop", "accept"]),
        "drop",
        "`accept`: applications receive addresses that the provider says are unverified.",
    ),
    key(
        "providers[].refreshAfter",
        Kind::Span,
        "",
        "Like `session.refreshAfter`, for the sessions of this provider. Unset: that.",
    ),
    key(
        "providers[].signOut",
        Kind::Choice(&["provider", "local"]),
        "provider",
        "`provider`: signing out ends the session there too.",
    ),
    key(
        "providers[].signOutUrl",
        Kind::Text,
        "",
        "Where browsers sign out at a provider whose discovery document does not say: for Cognito \
         `https://DOMAIN/logout?client_id={clientId}&logout_uri={returnTo}`.",
    ),
    key(
        "providers[].caFile",
        Kind::File,
        "",
        "Certificates to trust besides the system's, in PEM.",
    ),
];
