//! Sends attacks, and reports those that succeed.

use anyhow::{Context as _, Result};
use gatepost_e2e::Site;
use gatepost_e2e::clients::raw_http1::{Head, RawConnection};
use gatepost_e2e::doubles::upstream::Seen;

/// What an attack may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Nothing reaches the app, and the answer is a refusal.
    Nothing,
    /// Nothing reaches the app, whatever the proxy itself may say.
    Unheard,
    /// It reaches the app once, as Alice's own request.
    AsAlice,
    /// Either.
    NothingOrAlice,
    /// It reaches the app once, without an identity.
    Anonymous,
    /// Nothing reaches the app, or once and without an identity a request for [`PUBLIC`].
    NothingOrPublic,
}

/// An attacker's request.
pub(crate) struct Attack {
    pub(crate) name: String,
    /// The request, whole.
    pub(crate) bytes: Vec<u8>,
    pub(crate) allowed: Allowed,
}

/// A path that is public in every attacked configuration.
pub(crate) const PUBLIC: &str = "/public/x";

/// Headers that a client must never set, and Alice's values.
const IDENTITY: [(&str, &str); 5] = [
    ("x-auth-username", "alice"),
    ("x-auth-groups", "staff|admins"),
    ("x-forwarded-email", "alice@example.com"),
    ("x-forwarded-preferred-username", "alice"),
    ("x-forwarded-user", "248289761001"),
];

/// The header that names the attack to the app, so that a request that arrives late is counted for
/// its own attack.
pub(crate) const MARK: &str = "x-attack";

/// Sends attacks one after another, and returns a description of each outcome that is not allowed.
pub(crate) fn harms(site: &Site, attacks: &[Attack]) -> Result<Vec<String>> {
    let before = site.wiki().len();
    let mut heads = Vec::new();
    for attack in attacks {
        heads.push(answer(site, &attack.bytes).with_context(|| attack.name.clone())?);
    }
    let requests = site.wiki();
    let requests = requests.get(before..).unwrap_or_default();
    let mut harms: Vec<String> = requests
        .iter()
        .filter(|seen| seen.header(MARK).is_none())
        .map(|seen| format!("the app was asked for {} by an unknown client", seen.uri))
        .collect();
    for (number, (attack, head)) in attacks.iter().zip(heads).enumerate() {
        let number = number.to_string();
        let reached: Vec<&Seen> = requests
            .iter()
            .filter(|seen| seen.header(MARK) == Some(&number))
            .map(AsRef::as_ref)
            .collect();
        harms.extend(harm(attack, head, &reached));
    }
    Ok(harms)
}

fn harm(attack: &Attack, head: Option<Head>, reached: &[&Seen]) -> Option<String> {
    // A connection that is closed without an answer is a refusal too.
    let refused = head.as_ref().is_none_or(|head| {
        let away = head.header("location").is_some_and(|l| l.contains("evil"));
        (300..600).contains(&head.status) && !away
    });
    // In another form than this one (RFC 9112 §3.2.1), the app may read another path and another
    // host than the proxy and the outpost did.
    let in_origin_form = reached.iter().all(|seen| seen.uri.starts_with('/'));
    let as_allowed = match (attack.allowed, reached) {
        _ if !in_origin_form => false,
        (Allowed::Nothing | Allowed::NothingOrAlice | Allowed::NothingOrPublic, []) => refused,
        (Allowed::Unheard, []) => true,
        (Allowed::AsAlice | Allowed::NothingOrAlice, [seen]) => identity(seen) == alice(),
        (Allowed::Anonymous, [seen]) => identity(seen).is_empty(),
        (Allowed::NothingOrPublic, [seen]) => identity(seen).is_empty() && seen.uri == PUBLIC,
        _ => false,
    };
    let came_of_it = || {
        let status = head.map(|head| head.status);
        let seen: Vec<_> = reached
            .iter()
            .map(|seen| (seen.uri.as_str(), identity(seen)))
            .collect();
        format!(
            "{}: answered {status:?}, the app was asked for {seen:?}; allowed is {:?}",
            attack.name, attack.allowed
        )
    };
    (!as_allowed).then(came_of_it)
}

/// Sends bytes and reads the head of the answer; `None` if the connection is closed without one.
fn answer(site: &Site, bytes: &[u8]) -> Result<Option<Head>> {
    let mut connection = RawConnection::connect(site.ports().web)?;
    // A proxy may refuse, and close, before it has read everything.
    let _ = connection.send(bytes);
    Ok(connection.head().ok())
}

/// Returns the identity that the app sees, under any name that it may read as one of ours.
fn identity(seen: &Seen) -> Vec<(String, String)> {
    let folded = |name: &str| {
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
            .to_ascii_lowercase()
    };
    let ours = |name: &str| IDENTITY.iter().any(|(own, _)| *own == folded(name));
    let mut found: Vec<(String, String)> = seen
        .headers
        .iter()
        .filter(|(name, _)| ours(name))
        .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())))
        // Caddy and Envoy cannot leave a header out; an empty one names no user either.
        .filter(|(_, value)| !value.is_empty())
        .collect();
    found.sort_unstable();
    found
}

fn alice() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = IDENTITY
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.sort_unstable();
    all
}
