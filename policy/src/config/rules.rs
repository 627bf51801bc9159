//! Reads what an application lets through.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::{Fields, Value, entries_of, read_json};
use crate::authorization::AuthorizationSchemes;
use crate::decide::Policy;
use crate::header_name::HeaderName;
use crate::network::Network;
use crate::public::PublicPaths;
use crate::require::{Condition, Kind, Require, domain_of, is_claim_of_rules, is_domain};
use crate::rules::{Effect, Rule, Rules};

/// The longest name of a rule, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Reads what an application lets through: `rules`, `public`, `require`, `allowPreflight`,
/// `machines` and `apiKeyHeader`.
pub fn policy(fields: &mut Fields<'_>) -> Policy {
    let rules = rules(fields);
    let public = fields.list("public").unwrap_or_default();
    let public = paths(fields, "public", &public);
    let require = fields.section("require").map(require).unwrap_or_default();
    let allow_preflight = fields.flag("allowPreflight").unwrap_or(false);
    let schemes = fields.list("machines").unwrap_or_default();
    let machine_clients = AuthorizationSchemes::parse(schemes.iter().map(String::as_str));
    let mut machine_clients = machine_clients.unwrap_or_else(|error| {
        fields.problem("machines", error);
        AuthorizationSchemes::default()
    });
    match fields.parsed("apiKeyHeader", HeaderName::new) {
        Some(name) if !machine_clients.api_key => fields.problem(
            "apiKeyHeader",
            format_args!("`{name}` carries no key without `machines: [apiKey]`"),
        ),
        Some(name) if has_a_meaning(&name) => fields.problem(
            "apiKeyHeader",
            format_args!("`{name}` has another meaning to proxies or to the outpost"),
        ),
        Some(name) => machine_clients.accept_api_key_header(name),
        None => {}
    }
    Policy {
        rules,
        public,
        require,
        allow_preflight,
        machine_clients,
    }
}

/// Returns whether a header means something else already: a proxy sets it, so that it never carries what
/// a client wrote, or browsers and programs send it, and the outpost reads or logs it.
pub fn has_a_meaning(name: &HeaderName) -> bool {
    // A constant, which takes no instructions to make.
    const STARTS: [&str; 15] = [
        "Accept-",
        "Access-Control-",
        "Dpop",
        "Forwarded",
        "Proxy-",
        "Range",
        "Referer",
        "Sec-",
        "Secure-Session-",
        "Trace",
        "User-Agent",
        "X-Forwarded-",
        "X-Original-",
        "X-Real-",
        "X-Request",
    ];
    STARTS.iter().any(|start| name.as_str().starts_with(start))
}

fn paths(fields: &Fields<'_>, key: &'static str, patterns: &[String]) -> PublicPaths {
    PublicPaths::parse(patterns.iter().map(String::as_str)).unwrap_or_else(|error| {
        fields.problem(key, error);
        PublicPaths::default()
    })
}

/// Reads `rules`: a list of sections, or its JSON as one text.
fn rules(fields: &mut Fields<'_>) -> Rules {
    let parsed;
    let value = match fields.value("rules") {
        None => return Rules::default(),
        Some(Value::String(text)) => {
            match read_json(text.as_bytes()) {
                Ok(value) => parsed = value,
                Err(error) => {
                    fields.problem("rules", error);
                    return Rules::default();
                }
            }
            &parsed
        }
        Some(value) => value,
    };
    let mut rules = Rules::default();
    match value {
        // An empty list is what is left where the rules in it were lost.
        Value::Array(entries) if !entries.is_empty() => {
            for (at, entry) in entries.iter().enumerate() {
                let path = format!("{}[{at}]", fields.path_of("rules"));
                let section = Fields::of(entry, &path, fields.problems());
                if let Some(rule) = section.and_then(rule) {
                    rules.push(rule);
                }
            }
        }
        _ => fields.problem("rules", "expected rules in a list, or its JSON"),
    }
    rules
}

/// Reads a rule: `name`, `paths`, `methods`, `networks`, and one of `public`, `deny`, `signedIn` and
/// `require`.
fn rule(mut fields: Fields<'_>) -> Option<Rule> {
    let name = fields.text("name");
    let plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    let good = |name: &str| (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(plain);
    if name.as_deref().is_some_and(|name| !good(name)) {
        fields.problem("name", "expected 1 to 64 bytes without quotes");
    }
    // The plugin cannot tell the order of rules that labels with an index for each brought: Traefik
    // sorts these as text, so that `rules[10]` comes before `rules[1]`.
    for key in &["paths", "methods", "networks"] {
        if matches!(fields.value(key), Some(Value::String(_))) {
            fields.problem(key, "expected a list: write `rules` in a label as one JSON");
        }
    }
    let patterns = filled_list(&mut fields, "paths");
    let paths = patterns.map(|patterns| paths(&fields, "paths", &patterns));
    let methods = filled_list(&mut fields, "methods").unwrap_or_default();
    let capital = |b: u8| b.is_ascii_uppercase() || b == b'-';
    if !methods.iter().all(|method| method.bytes().all(capital)) {
        fields.problem("methods", "expected methods in capitals, like `GET`");
    }
    let networks = filled_list(&mut fields, "networks").unwrap_or_default();
    let networks = parse_networks(&fields, "networks", &networks);
    let effect = effect(&mut fields);
    // A key whose entries are missing may have got lost on the way here, as Traefik drops it.
    if matches!(effect, Some(Effect::Public))
        && paths.is_none()
        && methods.is_empty()
        && networks.is_empty()
    {
        fields.problem(
            "public",
            "needs `paths`, `methods` or `networks`: `paths: [\"/*\"]` opens everything",
        );
    }
    fields.finish();
    Some(Rule {
        name,
        paths,
        methods,
        networks,
        effect: effect?,
    })
}

fn parse_networks(fields: &Fields<'_>, key: &str, texts: &[String]) -> Vec<Network> {
    let mut networks = Vec::new();
    for text in texts {
        match Network::parse(text) {
            Ok(network) => networks.push(network),
            Err(error) => fields.problem(key, format_args!("`{text}`: {error}")),
        }
    }
    networks
}

/// The inner networks. In each may be what translates addresses, which looks like a client.
pub const INNER_NETWORKS: &str = "10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,\
                                  172.16.0.0/12,192.168.0.0/16,::1,fc00::/7,fe80::/10";

/// The most rules that a middleware has as a list, for Traefik's labels may bring them with an index for
/// each. Traefik sorts labels as text, so `rules[10]` comes before `rules[1]`: ten are in order only where
/// they are counted from 0, and nobody sees in the plugin what they were counted from. A list from a
/// file looks the same there, since Traefik hands its flags on as texts, too. More rules are written as
/// one text.
pub const MOST_RULES_IN_A_LIST: usize = 9;

/// Reads `trustedProxies`: the networks of what stands between the clients and the proxy. Unset, they
/// are those of the text `unset`.
pub fn proxies(fields: &mut Fields<'_>, unset: &str) -> Vec<Network> {
    let given = fields.list("trustedProxies");
    let texts = given.unwrap_or_else(|| entries_of(unset));
    parse_networks(fields, "trustedProxies", &texts)
}

/// Reads the one effect of a rule.
fn effect(fields: &mut Fields<'_>) -> Option<Effect> {
    let [public, deny, signed_in] = ["public", "deny", "signedIn"].map(|key| fields.flag(key));
    let require = fields.section("require").map(require);
    match (public, deny, signed_in, require) {
        (Some(true), None, None, None) => Some(Effect::Public),
        (None, Some(true), None, None) => Some(Effect::Deny),
        (None, None, Some(true), None) => Some(Effect::Require(Require::default())),
        (None, None, None, Some(require)) => Some(Effect::Require(require)),
        _ => {
            fields.problem(
                "require",
                "expected one of `public: true`, `deny: true`, `signedIn: true` and `require`",
            );
            None
        }
    }
}

/// Reads a list that is not empty, if it is there.
fn filled_list(fields: &mut Fields<'_>, key: &'static str) -> Option<Vec<String>> {
    let entries = fields.list(key)?;
    if entries.is_empty() {
        fields.problem(key, "an empty list: leave the key out, or write an entry");
        return None;
    }
    Some(entries)
}

/// Reads what a user must be: the conditions either directly or under `any`, of which one must hold,
/// under `all`, of which every one must, and under `not`, of which none may.
///
/// How and when the user authenticated must always hold where it is written directly.
fn require(mut fields: Fields<'_>) -> Require {
    let (mut all, mut any) = (Vec::new(), Vec::new());
    for condition in conditions(&mut fields) {
        if condition.is_of_authentication() {
            all.push(condition);
        } else {
            any.push(condition);
        }
    }
    // Whether one claim suffices or all must hold cannot be guessed.
    if any.len() > 1 && any.iter().any(Condition::is_of_claim) {
        fields.problem("claims", "write it under `any` or `all`");
    }
    let under_any = section(&mut fields, "any");
    if !any.is_empty() && !under_any.is_empty() {
        fields.problem(
            "any",
            "cannot be combined with the same lists next to it: write them in one place",
        );
    }
    any.extend(under_any);
    all.extend(section(&mut fields, "all"));
    let not = section(&mut fields, "not");
    if fields.flag("deviceBound") == Some(true) {
        all.push(Condition::new(Kind::DeviceBound, "true".into()));
    }
    let require = Require::new(any, all, not);
    let (problems, path) = (fields.problems(), fields.path_of("groups"));
    let before = problems.len();
    fields.finish();
    // A rule without an entry would admit every user, which is not why an operator writes one. Where a
    // key is misspelt, the advice would be to remove the rule.
    if require.is_empty() && problems.len() == before {
        let message = "an empty rule: leave out `require` to admit all who sign in";
        problems.push(path, &message);
    }
    require
}

/// Reads the conditions of a section, if it is there.
fn section(fields: &mut Fields<'_>, key: &'static str) -> Vec<Condition> {
    let Some(mut section) = fields.section(key) else {
        return Vec::new();
    };
    let conditions = conditions(&mut section);
    if conditions.is_empty() {
        fields.problem(key, "has no entry");
    }
    section.finish();
    conditions
}

/// Reads `groups`, `users`, `emails`, `emailDomains`, `acr`, `amr`, `maxAge` and `claims`.
fn conditions(fields: &mut Fields<'_>) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (key, kind) in &[
        ("groups", Kind::Group),
        ("users", Kind::User),
        ("emails", Kind::Email),
        ("emailDomains", Kind::EmailDomain),
        ("acr", Kind::Claim),
        ("amr", Kind::Claim),
    ] {
        let entries = filled_list(fields, key).unwrap_or_default();
        if *kind == Kind::Claim && !entries.is_empty() {
            conditions.push(Condition::claim((*key).into(), entries));
            continue;
        }
        for entry in entries {
            let name = entry
                .strip_prefix('@')
                .filter(|_| *kind == Kind::EmailDomain);
            let name = name.unwrap_or(&entry);
            // What no session's address can be would ask for nobody, and under `not` refuse nobody.
            let other = match kind {
                Kind::Email if domain_of(name).is_none() => {
                    Some("a plain address: write domains under `emailDomains`")
                }
                Kind::EmailDomain if name == "*" => {
                    Some("a plain domain: without `require`, every signed-in user passes")
                }
                Kind::EmailDomain if name.contains('*') || !is_domain(name) => {
                    Some("a plain domain: write addresses under `emails`")
                }
                _ => None,
            };
            if let Some(other) = other {
                fields.problem(key, format_args!("`{entry}` is not {other}"));
            }
            conditions.push(Condition::new(*kind, name.into()));
        }
    }
    if let Some(seconds) = fields.seconds("maxAge") {
        conditions.push(Condition::new(Kind::MaxAge, seconds.to_string()));
    }
    for (name, values) in fields.lists("claims") {
        // `|` stands between the entries of a list, in the session.
        if !is_claim_of_rules(&name) || values.iter().any(|value| value.contains('|')) {
            fields.problem(
                "claims",
                format_args!("`{name}` has a key of its own, or a `|`"),
            );
        }
        conditions.push(Condition::claim(name, values));
    }
    conditions
}
