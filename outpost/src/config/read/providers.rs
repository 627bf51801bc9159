//! Which providers an application names.

use gatepost_policy::config::Fields;

use gatepost_oidc::ProviderSettings;

/// The providers of the configuration.
#[derive(Clone, Copy)]
pub(super) struct KnownProviders<'a> {
    /// Those without a mistake.
    pub(super) all: &'a [ProviderSettings],
    /// Whether there are no others: of one with a mistake, the name may not be known.
    pub(super) all_read: bool,
}

impl KnownProviders<'_> {
    pub(super) fn find(&self, name: &str) -> Option<&ProviderSettings> {
        self.all.iter().find(|provider| provider.name == name)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.all.iter().map(|known| known.name.as_str()).collect();
        names.join(", ")
    }
}

/// Reads `provider` or `providers` of an application; `None` if the list is invalid.
pub(super) fn named(fields: &mut Fields<'_>, known: KnownProviders<'_>) -> Option<Vec<String>> {
    let one = fields.text("provider");
    let several = fields.list("providers");
    let (key, names) = match (one, several) {
        (Some(_), Some(_)) => {
            fields.problem(
                "providers",
                "cannot be combined with `provider`: set only one",
            );
            return None;
        }
        (Some(name), None) => ("provider", vec![name]),
        (None, Some(names)) => ("providers", names),
        (None, None) => {
            return match known.all {
                [only] => Some(vec![only.name.clone()]),
                [] => None,
                _ => {
                    let names = known.names();
                    fields.problem(
                        "provider",
                        format!("missing: one of {names}, or several of them in `providers`"),
                    );
                    None
                }
            };
        }
    };
    check(fields, key, &names, known).then_some(names)
}

/// Returns whether an application can have these providers.
fn check(fields: &Fields<'_>, key: &str, names: &[String], known: KnownProviders<'_>) -> bool {
    let mut good = true;
    let mut problem = |message: String| {
        fields.problem(key, message);
        good = false;
    };
    if names.is_empty() {
        problem("is empty: name at least one of the providers".to_owned());
    }
    for (at, name) in names.iter().enumerate() {
        let earlier = || names.iter().take(at);
        if earlier().any(|other| other == name) {
            problem(format!("names `{name}` twice"));
            continue;
        }
        let Some(provider) = known.find(name) else {
            if known.all_read {
                let known = known.names();
                problem(format!("`{name}` is not one of the providers: {known}"));
            }
            continue;
        };
        let same = |other: &&String| {
            let other = known.find(other);
            other.is_some_and(|other| other.issuer == provider.issuer)
        };
        if let Some(other) = earlier().find(same) {
            problem(format!(
                "`{other}` and `{name}` have the same issuer, by which a session knows its provider"
            ));
        }
    }
    if names.len() > 1 {
        for name in names.iter().filter(|name| !is_path_segment(name)) {
            problem(format!(
                "`{name}` becomes part of a redirect URI where there are several: call the \
                 provider by letters, digits, `-`, `_` and `.` alone, and give it a `title`"
            ));
        }
        // Proxies keep clients from `…/auth`, where they ask themselves.
        if names.iter().any(|name| name.eq_ignore_ascii_case("auth")) {
            problem(
                "`auth` becomes the end of a redirect URI where there are several, and only proxies ask at \
                 `…/auth`: give the provider another name, and this one as its `title`"
                    .to_owned(),
            );
        }
    }
    good
}

/// Returns whether a name needs no escapes in a path (RFC 3986 §2.3), and is not a dot segment.
fn is_path_segment(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    name.bytes().all(plain) && !name.starts_with('.')
}
