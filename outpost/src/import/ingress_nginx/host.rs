//! What becomes of a host: all of its paths are behind Gatepost, which decides by the path.

use std::collections::BTreeSet;

use gatepost_base::Quoted;

use super::addresses;
use super::annotations;
use super::auth_service::{self, AuthService};
use super::competitors::{competes, exposed};
use super::documents::Documents;
use super::headers;
use super::host_plan::{HostPlan, Sorted, Verdict, differs};
use super::ingress::{HttpPath, Ingress, PathType};
use super::location::{Location, Reach, is_readable, rewrite};
use super::order;
use super::protection::{self, by_passwords, guard, service};
use super::rules;
use super::settings::{Form, Settings};

/// Returns whether a text is the name of one host.
pub(super) fn is_name(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    !host.is_empty() && host.chars().all(plain)
}

/// Returns what becomes of a host.
pub(super) fn verdict<'i>(
    host: &'i str,
    sorted: &Sorted<'i>,
    documents: &'i Documents,
    settings: &Settings,
) -> Verdict<'i> {
    let of_host = |it: &&&Ingress| it.hosts().any(|own| own == host);
    let ingresses: Vec<&Ingress> = sorted.own.iter().filter(of_host).copied().collect();
    let canaries: Vec<&Ingress> = sorted.canaries.iter().filter(of_host).copied().collect();
    let mut reasons = Vec::new();
    for ingress in ingresses.iter().chain(&canaries) {
        if let Some(reason) = annotations::protective(ingress) {
            reasons.push(format!("{}: {reason}", ingress.title()));
        }
    }
    let mut gates: Vec<&str> = Vec::new();
    let mut is_guarded = !reasons.is_empty();
    for ingress in &ingresses {
        is_guarded |= guard(ingress, documents).is_some();
        let url = service(ingress, documents).unwrap_or_else(|reason| {
            reasons.push(format!("{}: {reason}", ingress.title()));
            None
        });
        gates.extend(url.filter(|url| !gates.contains(url)));
        if let Some(kind) = ingress.set("auth-type")
            && let Some(reason) = by_passwords(kind, url.is_some(), settings)
        {
            reasons.push(format!("{}: {reason}", ingress.title()));
        }
        match addresses::of_ingress(ingress, &documents.controller) {
            Ok(addresses) => {
                let reason = url.and_then(|_| protection::by_any(ingress, &addresses));
                reasons.extend(reason.map(|it| format!("{}: {it}", ingress.title())));
            }
            Err(reason) => reasons.push(format!("{}: {reason}", ingress.title())),
        }
    }
    if !is_guarded {
        return Verdict::Open;
    }
    if gates.is_empty() && reasons.is_empty() {
        return Verdict::Refused(vec![
            "some addresses may ask (`allowlist-source-range`, `whitelist-source-range`), and no service \
             is asked: this import prints nothing for such a host. Keep it, with Traefik's provider for \
             these annotations, or write a Middleware `ipAllowList`"
                .to_owned(),
        ]);
    }
    if let Some(reason) = unfit_name(host) {
        reasons.push(reason);
    }
    let mut builder = Builder {
        host,
        sorted,
        documents,
        settings,
        reasons,
        gates,
    };
    builder.check_ingresses(&ingresses, &canaries);
    let (locations, mut notes) = builder.locations(&ingresses);
    if !builder.reasons.is_empty() {
        return Verdict::Refused(builder.reasons);
    }
    notes.extend(builder.check_together(&locations, &canaries));
    let rules = rules::of(&locations).unwrap_or_else(|reason| {
        builder.reasons.push(reason);
        Vec::new()
    });
    if !builder.reasons.is_empty() {
        return Verdict::Refused(builder.reasons);
    }
    notes.extend(builder.notes(&ingresses, &canaries, &locations));
    let unknown_headers = headers::unknown(&ingresses, &documents.controller);
    if !unknown_headers.is_empty() {
        notes.push(format!(
            "auth-response-headers: Gatepost does not set {}; what a client sends under these names is \
             removed, on every path of the host",
            unknown_headers.join(", ")
        ));
    }
    Verdict::Print(Box::new(HostPlan {
        host,
        https: ingresses.iter().any(|it| it.tls_of(host).is_some()),
        locations,
        rules,
        unknown_headers,
        notes,
        joined: None,
    }))
}

fn unfit_name(host: &str) -> Option<String> {
    if host.is_empty() {
        return Some("an application of Gatepost has a host name".to_owned());
    }
    if let Some(domain) = host.strip_prefix("*.") {
        return Some(format!(
            "many hosts: they are one application with `mode: domain` and `cookieDomain: {domain}`, whose \
             routes are written by hand"
        ));
    }
    (!is_name(host)).then(|| "it is not a host name".to_owned())
}

struct Builder<'b, 'i> {
    host: &'i str,
    sorted: &'b Sorted<'i>,
    documents: &'i Documents,
    settings: &'b Settings,
    reasons: Vec<String>,
    /// The services that decide.
    gates: Vec<&'i str>,
}

impl<'i> Builder<'_, 'i> {
    fn check_ingresses(&mut self, ingresses: &[&Ingress], canaries: &[&Ingress]) {
        let form = self.settings.form;
        for ingress in ingresses {
            if let Some(reason) = annotations::inexpressible(ingress, form) {
                self.reasons.push(format!("{}: {reason}", ingress.title()));
            }
        }
        for canary in canaries {
            let value = canary.annotation("canary").unwrap_or_default();
            let reason = if form != Form::Annotations {
                "`canary` is a share of another Ingress's requests: `--to traefik-annotations` keeps it, or \
                 remove it, and give the other route's Services weights"
            } else if !value.eq_ignore_ascii_case("true") {
                "Traefik takes `canary` for set only where it is `true`, and would serve this Ingress as any \
                 other: write `true`"
            } else {
                continue;
            };
            self.reasons.push(format!("{}: {reason}", canary.title()));
        }
        if form == Form::Crds {
            return;
        }
        let competitors = self.sorted.foreign.iter().chain(&self.sorted.own);
        for other in competitors.chain(&self.sorted.canaries) {
            if let Some(reason) = competes(other, self.host, self.sorted) {
                self.reasons.push(format!(
                    "{}: {reason}, and Traefik, if it serves it, chooses by the length of rules: remove it, \
                     or import with `--to crds`, whose routes come first",
                    other.title()
                ));
            }
        }
    }

    /// Returns the host's locations, and a line for each that is left out.
    fn locations(&mut self, ingresses: &[&'i Ingress]) -> (Vec<Location<'i>>, Vec<String>) {
        let mut locations: Vec<Location<'i>> = Vec::new();
        let mut notes = Vec::new();
        let host = self.host;
        let has_regexes = ingresses.iter().any(|it| it.has_regexes(host));
        let open_beginnings = self.documents.controller.open_beginnings();
        for ingress in ingresses {
            let addresses = addresses::of_ingress(ingress, &self.documents.controller);
            let addresses = addresses.unwrap_or_default();
            let url = service(ingress, self.documents).unwrap_or_default();
            let rules = ingress.spec.rules.iter();
            for rule in rules.filter(|rule| rule.host() == host) {
                let Some(http) = &rule.http else {
                    if ingress.says_yes("use-regex") || ingress.set("rewrite-target").is_some() {
                        self.reasons.push(format!(
                            "{}: a rule without paths, with `use-regex` or `rewrite-target`, which may make \
                             all paths of the host regular expressions: remove the rule",
                            ingress.title()
                        ));
                    }
                    let line = "a rule without paths is left out: it led to the default backend";
                    notes.push(format!("{}: {line}", ingress.title()));
                    continue;
                };
                for path in &http.paths {
                    if let Some(service) = self.old_sign_in(ingress, path, url) {
                        notes.push(format!(
                            "{}: `{}` is {service}'s own and left out: delete the Ingress",
                            ingress.title(),
                            path.text()
                        ));
                        continue;
                    }
                    self.check_path(ingress, path, has_regexes);
                    let is_open = open_beginnings
                        .iter()
                        .any(|beginning| path.text().starts_with(beginning));
                    let gate = url.filter(|_| !is_open);
                    let gate = gate.and_then(|url| self.gates.iter().position(|own| *own == url));
                    locations.push(Location {
                        ingress,
                        path,
                        reach: Reach::of(path, has_regexes),
                        gate,
                        addresses: addresses.clone(),
                    });
                }
            }
        }
        locations.sort_by(|one, other| other.reach.rank().cmp(&one.reach.rank()));
        self.close_redirects(&mut locations);
        if locations.is_empty() && self.reasons.is_empty() {
            self.reasons.push("no rule with a path".to_owned());
        }
        for pair in locations.windows(2) {
            if let [one, other] = pair
                && one.reach.rank() == other.reach.rank()
            {
                self.reasons.push(format!(
                    "{} and {} both have the path `{}`: nginx serves that of the older one, and Traefik \
                     either: remove one",
                    one.ingress.title(),
                    other.ingress.title(),
                    one.path.text()
                ));
            }
        }
        (locations, notes)
    }

    /// A path that only redirects reaches no application, so it is not open to one.
    fn close_redirects(&self, locations: &mut [Location<'i>]) {
        let gate = locations.iter().rev().find_map(|it| it.gate);
        for location in locations.iter_mut().filter(|it| it.gate.is_none()) {
            let redirects = ["permanent-redirect", "temporal-redirect"];
            if redirects
                .iter()
                .any(|key| location.ingress.set(key).is_some())
            {
                location.gate = gate;
            }
        }
    }

    /// Returns the service whose own page a path is, which Gatepost's take the place of.
    fn old_sign_in(
        &self,
        ingress: &Ingress,
        path: &HttpPath,
        url: Option<&str>,
    ) -> Option<AuthService> {
        let is_own = |path: &HttpPath| {
            let services = self.gates.iter().map(|url| AuthService::of(url));
            services.into_iter().find(|service| {
                service.own_path().is_some_and(|own| {
                    let rest = path.text().strip_prefix(own);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            })
        };
        let own = is_own(path).filter(|_| url.is_none())?;
        // An Ingress is printed with all of its paths.
        let paths = ingress
            .spec
            .rules
            .iter()
            .filter_map(|rule| rule.http.as_ref());
        let mut paths = paths.flat_map(|http| &http.paths);
        let is_whole = paths.all(|path| is_own(path).is_some());
        (self.settings.form != Form::Annotations || is_whole).then_some(own)
    }

    fn check_path(&mut self, ingress: &Ingress, path: &HttpPath, has_regexes: bool) {
        if let Some(reason) = self.unfit_path(ingress, path, has_regexes) {
            self.reasons.push(format!("{}: {reason}", ingress.title()));
        }
    }

    fn unfit_path(&self, ingress: &Ingress, path: &HttpPath, has_regexes: bool) -> Option<String> {
        let form = self.settings.form;
        let text = path.text();
        if text
            .chars()
            .any(|c| c.is_control() || matches!(c, '`' | '%' | '#'))
        {
            return Some(format!(
                "the path {} cannot be written in a rule",
                Quoted(text)
            ));
        }
        if !text.starts_with('/') {
            return Some(format!("the path `{text}` does not begin with `/`"));
        }
        if has_regexes && !is_readable(text) {
            return Some(format!(
                "Traefik cannot read the regular expression `{text}`, or reads it otherwise than nginx"
            ));
        }
        if !has_regexes && text.contains('?') {
            return Some(format!("the path `{text}` has a `?`, which no path has"));
        }
        if form == Form::Annotations && path.path_type != PathType::ImplementationSpecific {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
            if !text.chars().all(plain) {
                return Some(format!(
                    "Traefik leaves out an Ingress with the path `{text}`, unless it is \
                     `ImplementationSpecific`"
                ));
            }
            if has_regexes && path.path_type == PathType::Exact {
                return Some(format!(
                    "to nginx, the path `{text}` is the beginning of a regular expression here, although \
                     it is `Exact`; to Traefik it is one path: import with `--to crds`"
                ));
            }
        }
        if text != "/" && ingress.set("rewrite-target") == Some(text) {
            return Some(format!(
                "`rewrite-target` is the path `{text}` itself, and it depends on other Ingresses whether the \
                 controller makes regular expressions of the host's paths: remove the annotation"
            ));
        }
        if let (false, Some(target)) = (form == Form::Annotations, ingress.set("rewrite-target"))
            && rewrite(text, target).is_none()
        {
            return Some(format!(
                "`rewrite-target` {} is more than a path and numbers of groups",
                Quoted(target)
            ));
        }
        let Some(service) = &path.backend.service else {
            return Some(format!("the backend of `{text}` is not a Service"));
        };
        if form == Form::Gateway && service.port.number.is_none() {
            return Some(format!(
                "an HTTPRoute needs the number of the port of Service `{}`: write it in the Ingress in \
                 place of the name",
                service.name
            ));
        }
        if service.port.number.is_none() && service.port.name.is_none() {
            return Some(format!("the Service `{}` has no port", service.name));
        }
        None
    }

    /// Checks what the locations are beside each other, and returns a line for what is not as before.
    fn check_together(&mut self, locations: &[Location<'i>], canaries: &[&Ingress]) -> Vec<String> {
        let form = self.settings.form;
        let has_addresses = locations.iter().any(|it| !it.addresses.is_empty());
        let mut notes = Vec::new();
        if differs(locations, |it| &it.addresses) {
            if form == Form::Crds {
                notes.push(
                    "the paths differ in the addresses that may ask: a path with an encoded character that \
                     has a meaning in URLs (`%2F`) gets 404 on this host, since nginx chose by what it means"
                        .to_owned(),
                );
            } else {
                self.reasons.push(
                    "its paths differ in the addresses that may ask, and nginx and Traefik choose the path \
                     differently: import with `--to crds`"
                        .to_owned(),
                );
            }
        }
        if has_addresses
            && form == Form::Annotations
            && self.documents.controller.is_behind_a_balancer()
        {
            self.reasons.push(
                "some addresses may ask, and nginx took the client's from a balancer (`use-forwarded-headers`, \
                 `use-proxy-protocol`), where Traefik would compare the balancer's own: import with `--to crds`"
                    .to_owned(),
            );
        }
        if has_addresses {
            notes.push(
                "the list of addresses needs clients' own: `externalTrafficPolicy: Local` at Traefik's \
                 Service, or `forwardedHeaders.trustedIPs` or `proxyProtocol.trustedIPs` with the balancer"
                    .to_owned(),
            );
        }
        let password =
            |it: &Location<'i>| (it.ingress.set("auth-type"), it.ingress.set("auth-secret"));
        if form == Form::Annotations && differs(locations, password) {
            self.reasons.push(
                "its paths differ in the passwords that they need (`auth-type`), and nginx and Traefik \
                 choose the path differently: remove the annotation where the sign-in is enough"
                    .to_owned(),
            );
        }
        for other in &self.sorted.foreign {
            let reason = exposed(other, self.host, locations, &self.gates, self.documents);
            if let Some(reason) = reason {
                self.reasons.push(format!(
                    "{}: {reason}: the controller may have served it, and this import would open it. Give it \
                     the class `{}`, or remove it, and import again",
                    other.title(),
                    self.settings.class
                ));
            }
        }
        if let Some(reason) = order::inverted(locations, self.settings) {
            self.reasons.push(reason);
        }
        if form == Form::Annotations {
            self.reasons
                .extend(order::by_other_than_paths(locations, canaries));
            let other = locations.iter().filter(|it| {
                it.path.path_type == PathType::ImplementationSpecific
                    && matches!(&it.reach, Reach::Beginning(text) if !text.ends_with('/'))
            });
            for location in other {
                let path = location.path.text();
                notes.push(format!(
                    "nginx served `{path}abc` by the path `{path}` too, Traefik serves whole elements; it \
                     is protected as before"
                ));
            }
        }
        notes
    }

    /// Says what the entry point or the Gateway needs for TLS.
    fn tls_note(&self, ingresses: &[&Ingress]) -> Option<String> {
        let mut blocks = ingresses
            .iter()
            .filter_map(|it| Some((it, it.tls_of(self.host)?)));
        let Some((ingress, tls)) = blocks.next() else {
            return (self.settings.form == Form::Crds).then(|| {
                "served at the entry point `web` alone: no Ingress has `tls` for it".to_owned()
            });
        };
        match self.settings.form {
            Form::Annotations => None,
            // Each that says so has its own line: nginx served http too.
            Form::Crds
                if ingress.says_no("ssl-redirect")
                    && blocks.all(|(it, _)| it.says_no("ssl-redirect")) =>
            {
                None
            }
            Form::Crds => Some(
                "ingress-nginx redirected http to https: so does `http.redirections` of Traefik's entry point \
                 `web`"
                    .to_owned(),
            ),
            Form::Gateway => Some(format!(
                "the Gateway needs a listener for https with the certificate of {}, and `--gateway \
                 NAMESPACE/NAME/SECTION` the name of this listener: without it, the routes are at every \
                 listener, that for http too, where ingress-nginx redirects unless told not to",
                match &tls.secret_name {
                    Some(secret) => format!(
                        "the Secret {}/{secret}",
                        ingress.namespace.as_deref().unwrap_or("default")
                    ),
                    None => "this host".to_owned(),
                }
            )),
        }
    }

    fn notes(
        &self,
        ingresses: &[&Ingress],
        canaries: &[&Ingress],
        locations: &[Location<'i>],
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let mut services = Vec::new();
        for (at, url) in self.gates.iter().enumerate() {
            let service = AuthService::of(url);
            let group = rules::group(Some(at), locations);
            notes.push(format!(
                "auth-url: was {service}, at {} ({group})",
                auth_service::shown(url)
            ));
            let asked = auth_service::rules_in_the_query(url);
            if !asked.is_empty() {
                notes.push(format!(
                    "write in place of {group} what the address said: {}",
                    asked.join(", ")
                ));
            }
            if !services.contains(&service) {
                services.push(service);
                notes.extend(service.changes().iter().map(|&change| change.to_owned()));
            }
        }
        if ingresses
            .iter()
            .any(|it| it.annotation("auth-url").is_none())
            && self.documents.controller.global_auth_url().is_some()
        {
            notes.push(format!(
                "`global-auth-url` of the ConfigMap {} protected it, but what is named open",
                self.documents.controller.name
            ));
        }
        for location in locations.iter().filter(|it| it.gate.is_none()) {
            notes.push(format!(
                "open as before, without a session: `{}` of {}",
                location.path.text(),
                location.ingress.title()
            ));
        }
        for ingress in ingresses {
            notes.extend(annotations::notes(ingress, self.settings.form));
            if ingress.spec.default_backend.is_some() && self.settings.form != Form::Annotations {
                notes.push(
                    "`defaultBackend` is left out: other paths of the host get 404".to_owned(),
                );
            }
        }
        for canary in canaries {
            notes.push(format!(
                "{}: a canary, which stays as it is",
                canary.title()
            ));
        }
        if self.settings.form == Form::Crds {
            let foreign = self
                .sorted
                .foreign
                .iter()
                .filter(|it| it.hosts().any(|own| own == self.host));
            for other in foreign {
                notes.push(format!(
                    "{} has this host too: where Traefik serves it, these routes come first",
                    other.title()
                ));
            }
        }
        notes.extend(self.tls_note(ingresses));
        let mut seen = BTreeSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        notes
    }
}
