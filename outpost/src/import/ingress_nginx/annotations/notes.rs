//! What the text says of an Ingress's annotations.

use super::super::ingress::{Ingress, PREFIX};
use super::super::settings::Form;
use super::table::{Fate, of};

/// Returns a line for each annotation that is not taken over as it is, and one for all that nobody
/// misses.
pub(in super::super) fn notes(ingress: &Ingress, form: Form) -> Vec<String> {
    let mut notes = Vec::new();
    let mut needless = Vec::new();
    for key in ingress.nginx_keys() {
        let Some(row) = of(key) else {
            notes.push(format!(
                "{key}: NOT taken over: ingress-nginx 1.15 has no such annotation. Find out what reads it"
            ));
            continue;
        };
        match row.fate(form) {
            Fate::Expressed if key == "proxy-ssl-verify" => {
                let has_secret = ingress.set("proxy-ssl-secret").is_some();
                notes.extend((!has_secret).then(|| {
                    format!("{key}: nginx verified nothing without `proxy-ssl-secret`, and nor does Traefik")
                }));
            }
            Fate::Kept | Fate::Expressed | Fate::Refused => {}
            Fate::Nothing => needless.push(key),
            Fate::Line(line) => notes.extend(said(ingress, key, form, line)),
        }
    }
    if !needless.is_empty() {
        notes.push(format!("nothing to do for {}", needless.join(", ")));
    }
    if form != Form::Annotations {
        notes.extend(of_others(ingress));
    }
    notes
}

/// Returns the line of an annotation with this value.
fn said(ingress: &Ingress, key: &str, form: Form, line: &str) -> Option<String> {
    let line = match key {
        "satisfy" if ingress.set(key).is_none_or(|own| own == "all") => return None,
        "ssl-redirect" if form != Form::Annotations && ingress.says_no(key) => {
            return Some(format!(
                "{key}: {} said no, and nginx served http too; what is printed here for a host with TLS is \
                 https alone",
                ingress.full_name()
            ));
        }
        _ => line,
    };
    Some(format!("{key}: {line}"))
}

/// Returns lines for the annotations that something else reads.
fn of_others(ingress: &Ingress) -> Vec<String> {
    let mut notes = Vec::new();
    let keys = ingress.annotations.keys().map(String::as_str);
    let others: Vec<&str> = keys
        .filter(|key| {
            !key.starts_with(PREFIX)
                && !key.starts_with("kubectl.kubernetes.io/")
                && *key != "kubernetes.io/ingress.class"
        })
        .collect();
    let issuers = ["cert-manager.io/issuer", "cert-manager.io/cluster-issuer"];
    let is_issued = others.iter().any(|key| issuers.contains(key));
    let blocks = ingress.spec.tls.iter();
    let secrets = blocks.filter_map(|tls| tls.secret_name.as_ref());
    for secret in secrets.filter(|_| is_issued) {
        let namespace = ingress.own_namespace();
        notes.push(format!(
            "cert-manager: the certificate goes with the Ingress. Before you delete it: kubectl patch \
             certificate -n {namespace} {secret} --type=json -p \
             '[{{\"op\":\"remove\",\"path\":\"/metadata/ownerReferences\"}}]'"
        ));
    }
    if !others.is_empty() {
        notes.push(format!(
            "what reads these annotations of the Ingress does not find them at the route: {}",
            others.join(", ")
        ));
    }
    notes
}
