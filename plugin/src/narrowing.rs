//! What a router writes beside the outpost's folder: it narrows what the folder says of its
//! application, and never widens it.

use gatepost_policy::config::{Fields, policy};
use gatepost_policy::{Demand, Policy};

/// The keys that only the outpost's configuration may have.
const OF_THE_OUTPOST: &[&str] = &[
    "rules",
    "allowPreflight",
    "machines",
    "apiKeyHeader",
    "headers",
    "forwardCookie",
    "upstreamTokens",
    "issuer",
    "mode",
    "outpostPrefix",
    "outpostUrl",
    "cookieName",
    "plainHttp",
];

/// The keys in whose place the folder is.
const OF_THE_FOLDER: &[&str] = &["keysFile", "keysEnv", "keys", "revokedFile"];

/// What a router has narrowed.
#[derive(Debug, Default)]
pub struct Narrowing {
    /// What its own rule demands, which must hold too.
    pub demand: Option<Demand>,
    /// The same as a text, which goes to the outpost beside what the folder's rules ask.
    pub rule_text: Option<String>,
    /// Which keys narrow, for the log; empty for none.
    pub log: &'static str,
    /// Whether the outpost has public paths that its folder does not say.
    pub leaves_paths_out: bool,
}

/// Narrows what the folder says by what a router wrote, and reports what would widen it.
///
/// A router has a rule, which must hold too, and public paths, each of which must be public in the
/// folder. Of every other key that decides on requests, it says nothing. With `outpost_decides`
/// requests that the plugin does not let through go on to the outpost, where `public` is to be written
/// then.
pub(crate) fn narrow(
    mut router: Fields<'_>,
    policy_of_folder: &mut Policy,
    outpost_decides: bool,
) -> Narrowing {
    let mut narrowing = Narrowing::default();
    let own_rule = router.value("require").is_some();
    let own_public = router.value("public").is_some();
    narrowing.log = match (own_rule, own_public) {
        (true, true) => "`require` and `public` narrow what the outpost says",
        (true, false) => "`require` narrows what the outpost says",
        (false, true) => "`public` narrows what the outpost says",
        (false, false) => "",
    };
    let own = policy(&mut router);
    if own_rule {
        narrowing.rule_text = own.require.to_text();
        narrowing.demand = Some(own.require.into());
    }
    if own_public {
        if outpost_decides {
            router.problem("public", "with `fallback: route`, write it at the outpost");
        }
        if !policy_of_folder.public.covers(&own.public) {
            router.problem("public", "not all of it is public at the outpost");
        }
        if policy_of_folder.rules.open_something() {
            router.problem(
                "public",
                "does not close what a rule opens: write it at the outpost",
            );
        }
        // None of its patterns opens what the folder's do not.
        policy_of_folder.public = own.public;
    }
    for key in OF_THE_OUTPOST {
        router.refuse(key, "write it at the outpost");
    }
    for key in OF_THE_FOLDER {
        router.refuse(key, "is in the folder of `stateDir`: leave it out");
    }
    router.finish();
    narrowing
}
