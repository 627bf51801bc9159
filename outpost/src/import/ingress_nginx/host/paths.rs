//! The paths of a host: what nginx serves at each, and why one cannot be expressed.

use gatepost_base::Quoted;

use super::super::addresses;
use super::super::auth_service::AuthService;
use super::super::gate::Gate;
use super::super::ingress::{HttpPath, Ingress, PathType, Rule};
use super::super::location::{Location, Reach, is_readable, rewrite};
use super::super::settings::Form;
use super::Builder;

impl<'i> Builder<'_, 'i> {
    /// Returns the host's locations, in the order in which nginx chooses.
    pub(super) fn locations(&mut self, ingresses: &[&'i Ingress]) -> Vec<Location<'i>> {
        let host = self.host;
        let has_regexes = ingresses.iter().any(|it| it.has_regexes(host));
        let mut locations = Vec::new();
        for ingress in ingresses {
            for rule in ingress.spec.rules.iter().filter(|it| it.host() == host) {
                self.add_locations(&mut locations, ingress, rule, has_regexes);
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
        locations
    }

    fn add_locations(
        &mut self,
        locations: &mut Vec<Location<'i>>,
        ingress: &'i Ingress,
        rule: &'i Rule,
        has_regexes: bool,
    ) {
        let Some(http) = &rule.http else {
            self.leave_out_without_paths(ingress);
            return;
        };
        let documents = self.documents;
        let addresses = addresses::of_ingress(ingress, &documents.controller).unwrap_or_default();
        let gate = Gate::of(ingress, documents).unwrap_or_default();
        for path in &http.paths {
            if let Some(service) = self.old_sign_in(ingress, path, gate.is_some()) {
                self.notes.push(format!(
                    "{}: `{}` is {service}'s own and left out: delete the Ingress",
                    ingress.title(),
                    path.text()
                ));
                continue;
            }
            if let Some(reason) = self.unfit_path(ingress, path, has_regexes) {
                self.refuse(ingress, &reason);
            }
            let mut open_beginnings = documents.controller.open_beginnings().into_iter();
            let is_open = open_beginnings.any(|beginning| path.text().starts_with(beginning));
            let gate = gate.filter(|_| !is_open);
            let gate = gate.and_then(|gate| self.gates.iter().position(|own| *own == gate));
            locations.push(Location {
                ingress,
                path,
                reach: Reach::of(path, has_regexes),
                gate,
                addresses: addresses.clone(),
            });
        }
    }

    fn leave_out_without_paths(&mut self, ingress: &Ingress) {
        if ingress.says_yes("use-regex") || ingress.set("rewrite-target").is_some() {
            self.refuse(
                ingress,
                "a rule without paths, with `use-regex` or `rewrite-target`, which may make all paths of the \
                 host regular expressions: remove the rule",
            );
        }
        self.notes.push(format!(
            "{}: a rule without paths is left out: it led to the default backend",
            ingress.title()
        ));
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
        is_asked: bool,
    ) -> Option<AuthService> {
        let is_own = |path: &HttpPath| {
            let services = self.gates.iter().map(|gate| AuthService::of(gate.url));
            services.into_iter().find(|service| {
                service.own_path().is_some_and(|own| {
                    let rest = path.text().strip_prefix(own);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            })
        };
        let own = is_own(path).filter(|_| !is_asked)?;
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

    /// Returns why a path cannot be expressed.
    fn unfit_path(&self, ingress: &Ingress, path: &HttpPath, has_regexes: bool) -> Option<String> {
        let form = self.settings.form;
        unfit_text(path.text(), has_regexes)
            .or_else(|| match form {
                Form::Annotations => unfit_for_the_provider(path, has_regexes),
                Form::Gateway => unfit_for_an_http_route(path, has_regexes),
                Form::Crds => None,
            })
            .or_else(|| unfit_target(ingress, path.text(), form))
            .or_else(|| unfit_backend(path, form))
    }
}

fn unfit_text(text: &str, has_regexes: bool) -> Option<String> {
    let is_unwritable = |c: char| c.is_control() || matches!(c, '`' | '%' | '#');
    if text.chars().any(is_unwritable) {
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
    (!has_regexes && text.contains('?'))
        .then(|| format!("the path `{text}` has a `?`, which no path has"))
}

fn unfit_for_the_provider(path: &HttpPath, has_regexes: bool) -> Option<String> {
    let text = path.text();
    if path.path_type == PathType::ImplementationSpecific {
        return None;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if !text.chars().all(plain) {
        return Some(format!(
            "Traefik leaves out an Ingress with the path `{text}`, unless it is `ImplementationSpecific`"
        ));
    }
    (has_regexes && path.path_type == PathType::Exact).then(|| {
        format!(
            "to nginx, the path `{text}` is the beginning of a regular expression here, although it is \
             `Exact`; to Traefik it is one path: import with `--to crds`"
        )
    })
}

/// Returns why the API refuses an HTTPRoute with a path, by the rules of its type `HTTPPathMatch`.
fn unfit_for_an_http_route(path: &HttpPath, has_regexes: bool) -> Option<String> {
    let (kind, text, _) = Reach::of(path, has_regexes).path_match();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-/._~!$&'()*+,;=:@".contains(c);
    let has_dots = ["//", "/./", "/../"].iter().any(|part| text.contains(part))
        || text.ends_with("/.")
        || text.ends_with("/..");
    (kind != "RegularExpression" && (has_dots || !text.chars().all(is_plain))).then(|| {
        format!(
            "the Gateway API refuses an HTTPRoute with the path {}: import with `--to crds`",
            Quoted(&text)
        )
    })
}

fn unfit_target(ingress: &Ingress, text: &str, form: Form) -> Option<String> {
    let target = ingress.set("rewrite-target")?;
    if text != "/" && target == text {
        return Some(format!(
            "`rewrite-target` is the path `{text}` itself, and it depends on other Ingresses whether the \
             controller makes regular expressions of the host's paths: remove the annotation"
        ));
    }
    (form != Form::Annotations && rewrite(text, target).is_none()).then(|| {
        format!(
            "`rewrite-target` {} is more than a path and numbers of groups",
            Quoted(target)
        )
    })
}

fn unfit_backend(path: &HttpPath, form: Form) -> Option<String> {
    let Some(service) = &path.backend.service else {
        return Some(format!("the backend of `{}` is not a Service", path.text()));
    };
    if form == Form::Gateway && service.port.number.is_none() {
        return Some(format!(
            "an HTTPRoute needs the number of the port of Service `{}`: write it in the Ingress in place of \
             the name",
            service.name
        ));
    }
    (service.port.number.is_none() && service.port.name.is_none())
        .then(|| format!("the Service `{}` has no port", service.name))
}
