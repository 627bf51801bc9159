//! Applications between which a request could not choose.

use gatepost_policy::config::Fields;

use crate::application::ApplicationSettings;
use crate::compat::is_shared_prefix;
use crate::export::names::{self, SharedName};
use crate::origin::Mode;

/// Reports them all, each at the later application, where `all_read` says that the places of these are
/// those in the file.
pub(super) fn report(applications: &[ApplicationSettings], all_read: bool, fields: &Fields<'_>) {
    for (at, application) in applications.iter().enumerate() {
        let key = place("applications", at, all_read);
        let problem = |text: String| fields.problem(&key, text);
        let earlier = || applications.iter().take(at);
        if earlier().any(|other| other.audience == application.audience) {
            problem(format!("two are called `{}`", application.audience));
        }
        if earlier().any(|other| other.external.origin() == application.external.origin()) {
            let origin = application.external.origin();
            problem(format!("two have the externalUrl `{origin}`"));
        } else if let Some(other) = earlier().find(|other| !are_distinguishable(application, other))
        {
            problem(format!(
                "`{}` and `{}` have one host name, `{}`: a port does not distinguish applications, \
                 since clients write it and proxies do not compare it. Give each a host name of its \
                 own, or each an `outpostPrefix` and a `cookieName` of its own, and have the proxy \
                 ask, and route, under that prefix",
                other.audience,
                application.audience,
                application.external.host(),
            ));
        }
        if let Mode::Domain(domain) = &application.mode
            && earlier().any(|other| other.mode == application.mode)
        {
            let domain = domain.as_str();
            problem(format!("two have the cookieDomain `{domain}`"));
        }
        if let Some(other) = earlier().find(|other| are_nested(application, other)) {
            problem(format!(
                "the `outpostPrefix` of `{}` and that of `{}` begin with each other, `{}` and `{}`: \
                 a proxy's route for clients to the shorter one would lead to the questions under \
                 the longer one, which only proxies ask",
                other.audience, application.audience, other.prefix, application.prefix,
            ));
        }
        let machines = application.machine_clients.as_ref();
        if let Some(resource) = machines.and_then(|own| own.resource.as_ref())
            && let Some(owner) = nearer(applications, application, resource.host())
        {
            problem(format!(
                "`{}` has its `machineTokens.resource` at `{}`, which is `{}`'s: name it there",
                application.audience,
                resource.host(),
                owner.audience
            ));
        }
        for route in &application.routes {
            if let Some(owner) = nearer(applications, application, &route.host) {
                problem(format!(
                    "`{}` has an upstream at `{}`, which is `{}`'s: name it there",
                    application.audience, route.host, owner.audience
                ));
            }
        }
    }
}

/// Returns where an entry of a list is: its place where the whole list was read, or else the list.
pub(super) fn place(list: &str, at: usize, all_read: bool) -> String {
    match all_read {
        true => format!("{list}[{at}]"),
        false => list.to_owned(),
    }
}

/// Reports the applications whose objects in a proxy's configuration would have one name.
pub(super) fn report_objects(applications: &[ApplicationSettings], fields: &Fields<'_>) {
    for SharedName {
        name,
        first,
        second,
    } in names::shared(applications)
    {
        let text = format!(
            "`{second}` and `{first}` would both have an object `{name}` in the configuration of \
             the proxy, where one replaces the other: give `{second}` another name"
        );
        fields.problem("applications", text);
    }
}

/// Returns whether a request can choose between two applications: by the host's name, or by a
/// prefix in the proxy's configuration.
fn are_distinguishable(one: &ApplicationSettings, other: &ApplicationSettings) -> bool {
    let own_prefixes = one.prefix != other.prefix
        && !is_shared_prefix(one.prefix.as_str())
        && !is_shared_prefix(other.prefix.as_str());
    one.external.host() != other.external.host()
        || (own_prefixes && one.cookie_name != other.cookie_name)
}

/// Returns whether the paths of one application's outpost lie under those of another's. The outpost
/// takes each prefix at every host, and a proxy's route leaves out the questions of its own only.
fn are_nested(one: &ApplicationSettings, other: &ApplicationSettings) -> bool {
    let lies_under = |inner: &ApplicationSettings, outer: &ApplicationSettings| {
        let rest = inner.prefix.as_str().strip_prefix(outer.prefix.as_str());
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    lies_under(one, other) || lies_under(other, one)
}

/// Returns the application that answers at a host where `application` has an upstream or its resource,
/// if it is another.
fn nearer<'a>(
    applications: &'a [ApplicationSettings],
    application: &ApplicationSettings,
    host: &str,
) -> Option<&'a ApplicationSettings> {
    let owns = |other: &&ApplicationSettings| {
        let within = match (&other.mode, &application.mode) {
            (Mode::Domain(inner), Mode::Domain(outer)) => {
                inner.contains(host) && inner.as_str().len() > outer.as_str().len()
            }
            (Mode::Single, _) | (_, Mode::Single) => false,
        };
        within || other.external.host() == host
    };
    let is_own = application.external.host() == host;
    let others = applications
        .iter()
        .filter(|other| other.audience != application.audience);
    others.filter(|_| !is_own).find(owns)
}

#[cfg(test)]
mod tests {
    use crate::fixture::problems;

    /// Row A1: two on one host name are an error, unless the proxy's configuration distinguishes
    /// them.
    #[test]
    fn a_port_does_not_distinguish_applications() {
        let two = |first: &str, second: &str| {
            problems(&format!(
                "  - {{name: one, externalUrl: 'https://x.example.com'{first}}}\n  \
                   - {{name: two, externalUrl: 'https://X.example.com:8443'{second}}}\n"
            ))
        };
        let prefix = |word: &str| format!(", outpostPrefix: /{word}");
        let both = |word: &str| format!(", outpostPrefix: /{word}, cookieName: {word}");
        let none = String::new;
        for (first, second, well) in [
            (none(), none(), false),
            (prefix("a"), prefix("b"), false),
            (both("a"), none(), false),
            (both("a"), both("a"), false),
            (both("akprox"), both("b"), false),
            (both("a"), both("outpost.goauthentik.io"), false),
            (both("a"), both("b"), true),
        ] {
            let lines = two(&first, &second);
            assert_eq!(lines.is_empty(), well, "{first} {second}: {lines:?}");
            if let [line] = &lines[..] {
                let said = "`one` and `two` have one host name, `x.example.com`";
                assert!(
                    line.contains(said) && line.contains("`outpostPrefix`"),
                    "{line}"
                );
            }
        }
    }

    /// A route for clients to `/sso/` would have `/sso/wiki/auth/traefik` on it.
    #[test]
    fn no_prefix_lies_under_another() {
        let two = |first: &str, second: &str| {
            problems(&format!(
                "  - {{name: one, externalUrl: 'https://a.example.com', outpostPrefix: {first}}}\n  \
                   - {{name: two, externalUrl: 'https://b.example.com', outpostPrefix: {second}}}\n"
            ))
        };
        for (first, second, well) in [
            ("/sso", "/sso/wiki", false),
            ("/sso/wiki", "/sso", false),
            ("/akprox", "/akprox/wiki", false),
            ("/sso", "/sso2", true),
            ("/sso/wiki", "/sso/files", true),
            ("/sso", "/sso", true),
        ] {
            let lines = two(first, second);
            assert_eq!(lines.is_empty(), well, "{first} {second}: {lines:?}");
            if let [line] = &lines[..] {
                assert!(line.contains("begin with each other"), "{line}");
            }
        }
    }

    #[test]
    fn an_upstream_is_named_by_the_application_that_answers_there() {
        let lines = problems(
            "  - {name: board, externalUrl: 'https://board.a.example.com'}
  - {name: outer, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: example.com,
     upstreams: {board.a.example.com: 'http://b', x.a.example.com: 'http://x', wiki.example.com: 'http://w'}}
  - {name: inner, mode: domain, externalUrl: 'https://auth.a.example.com',
     cookieDomain: a.example.com, upstreams: {y.a.example.com: 'http://y'}}
",
        );
        assert_eq!(
            lines,
            [
                "applications[1]: `outer` has an upstream at `board.a.example.com`, which is \
                 `board`'s: name it there",
                "applications[1]: `outer` has an upstream at `x.a.example.com`, which is `inner`'s: \
                 name it there",
            ]
        );
    }

    #[test]
    fn a_resource_is_named_by_the_application_that_answers_there() {
        let lines = |host: &str| {
            problems(&format!(
                "  - {{name: board, externalUrl: 'https://board.example.com'}}
  - {{name: outer, mode: domain, externalUrl: 'https://auth.example.com', cookieDomain: example.com,
     machines: [bearer], machineTokens: {{resource: 'https://{host}.example.com/mcp'}}}}
"
            ))
        };
        assert_eq!(
            lines("board"),
            [
                "applications[1]: `outer` has its `machineTokens.resource` at `board.example.com`, \
                 which is `board`'s: name it there"
            ]
        );
        assert!(lines("mcp").is_empty());
    }
}
