//! Variables that are nearly authentik's: one that is misspelt sets nothing.

/// A family of authentik's variables of which all names are known.
struct Family {
    prefix: &'static str,
    /// What the outpost reads.
    read: &'static [&'static str],
    /// What other programs of authentik's read, now or in an earlier release. A file with variables is often
    /// for all of them.
    of_others: &'static [&'static str],
}

const FAMILIES: [Family; 2] = [
    Family {
        prefix: "AUTHENTIK_LISTEN__",
        read: &["HTTP", "HTTPS", "METRICS", "TRUSTED_PROXY_CIDRS"],
        of_others: &[
            "DEBUG",
            "DEBUG_PY",
            "DEBUG_TOKIO",
            "LDAP",
            "LDAPS",
            "RADIUS",
        ],
    },
    Family {
        prefix: "AUTHENTIK_REDIS__",
        read: &[
            "HOST",
            "PORT",
            "DB",
            "USERNAME",
            "PASSWORD",
            "TLS",
            "TLS_REQS",
            "TLS_CA_CERT",
        ],
        of_others: &[
            "BROKER_TRANSPORT_OPTIONS",
            "BROKER_URL",
            "CACHE_DB",
            "CACHE_TIMEOUT",
            "CACHE_TIMEOUT_FLOWS",
            "CACHE_TIMEOUT_POLICIES",
            "CACHE_TIMEOUT_REPUTATION",
            "MESSAGE_QUEUE_DB",
            "OUTPOST_SESSION_DB",
            "WS_DB",
        ],
    },
];

/// Returns a line for each variable of these families that no program of authentik's has, without its value. An
/// empty one counts as absent.
pub(super) fn unknown(variables: &[(String, String)]) -> Vec<String> {
    let set = variables.iter().filter(|(_, text)| !text.trim().is_empty());
    let mut lines: Vec<String> = set.filter_map(|(name, _)| line(name)).collect();
    lines.sort_unstable();
    lines
}

/// Reports whether a variable of this name is not warned of.
pub(super) fn is_known(name: &str) -> bool {
    line(name).is_none()
}

fn line(name: &str) -> Option<String> {
    let mut families = FAMILIES.iter();
    let (family, rest) = families.find_map(|it| Some((it, name.strip_prefix(it.prefix)?)))?;
    if family.read.contains(&rest) || family.of_others.contains(&rest) {
        return None;
    }
    let read: Vec<String> = family.read.iter().map(|it| format!("__{it}")).collect();
    let read = read.join(", ");
    let stem = family.prefix.trim_end_matches('_');
    Some(format!(
        "{name}: no such variable, so it sets nothing; the outpost reads {stem} with {read}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BASIC, read};

    #[test]
    fn a_misspelt_variable_is_named_without_its_value_and_those_of_authentik_are_not() {
        let mut pairs = BASIC.to_vec();
        pairs.extend([
            ("AUTHENTIK_LISTEN__HTPP", "s3cret"),
            ("AUTHENTIK_REDIS__HOSTS", "s3cret"),
            // What is set, though to nothing, and what is authentik's.
            ("AUTHENTIK_LISTEN__METRIC", ""),
            ("AUTHENTIK_LISTEN__HTTP", ":9001"),
            ("AUTHENTIK_LISTEN__LDAP", "s3cret"),
            ("AUTHENTIK_REDIS__CACHE_TIMEOUT", "s3cret"),
            ("AUTHENTIK_POSTGRESQL__HOST", "s3cret"),
            ("AUTHENTIK_EROR_REPORTING__ENABLED", "s3cret"),
            // Kubernetes sets it in each pod next to a service `authentik-redis`.
            ("AUTHENTIK_REDIS_SERVICE_HOST", "10.0.0.1"),
        ]);
        let settings = read(&pairs).expect("right").expect("authentik's");
        assert_eq!(
            settings.unknown(),
            [
                "AUTHENTIK_LISTEN__HTPP: no such variable, so it sets nothing; the outpost reads \
                 AUTHENTIK_LISTEN with __HTTP, __HTTPS, __METRICS, __TRUSTED_PROXY_CIDRS",
                "AUTHENTIK_REDIS__HOSTS: no such variable, so it sets nothing; the outpost reads \
                 AUTHENTIK_REDIS with __HOST, __PORT, __DB, __USERNAME, __PASSWORD, __TLS, __TLS_REQS, \
                 __TLS_CA_CERT",
            ]
        );
    }
}
