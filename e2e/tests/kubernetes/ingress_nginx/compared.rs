//! nginx, as the real controller configures it, and Traefik, as `gatepost import` does, for the same
//! Ingresses and the same requests: what nginx keeps from an application, Traefik keeps too.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::IngressController;
use gatepost_e2e::{Client, Site, ports, until};
use reqwest::Method;
use serde_json::{Value, json};

use super::rows::{ROWS, Row};
use super::{needs_the_controller, serve};
use crate::checks;
use crate::ingresses::{AUTH_URL, applications, import, list_of};
use crate::served::{FORWARD_AUTH, INGRESS_NGINX, PLUGIN, gateway, objects_of, serve_with};

/// How long a proxy on a busy machine may take to read what is in the cluster.
const LIMIT: Duration = Duration::from_secs(60);

/// What the application answers.
const OK: u16 = 200;

/// What `gatepost import` prints, with what Traefik needs for it.
struct Form {
    to: &'static str,
    arguments: &'static [&'static str],
    config: &'static str,
    further: &'static [&'static str],
}

const FORMS: [Form; 4] = [
    Form {
        to: "crds",
        arguments: &[],
        config: PLUGIN,
        further: &[],
    },
    Form {
        to: "crds",
        arguments: &["--forward-auth"],
        config: FORWARD_AUTH,
        further: &[],
    },
    Form {
        to: "gateway",
        arguments: &[],
        config: PLUGIN,
        further: &["kubernetesGateway"],
    },
    Form {
        to: "traefik-annotations",
        arguments: &[],
        config: INGRESS_NGINX,
        further: &[],
    },
];

/// An application: its name, and the path that it got.
type Reached = (&'static str, String);

/// A request at Traefik.
struct Asked {
    form: &'static Form,
    row: &'static Row,
    path: String,
    reached: Option<Reached>,
}

pub(super) fn traefik_opens_nothing(cluster: &Cluster) -> Result<()> {
    needs_the_controller()?;
    let printed = FORMS.iter().map(printed).collect::<Result<Vec<_>>>()?;
    let mut asked = Vec::new();
    for (form, text) in FORMS.iter().zip(&printed) {
        let name = format!("{} {}", form.to, form.arguments.join(" "));
        asked.extend(by_traefik(cluster, form, text).context(name)?);
    }
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _nginx = serve(cluster, &site, before(), site.ports().web, &[])?;
    let mut nginx = AtNginx::ready(&site)?;
    let mut opened = Vec::new();
    for form in &FORMS {
        let of_form = asked.iter().filter(|it| std::ptr::eq(it.form, form));
        opened.extend(nginx.opened(form, of_form)?);
    }
    ensure!(opened.is_empty(), "open at Traefik:\n{}", opened.join("\n"));
    Ok(())
}

/// nginx, with what it has answered.
struct AtNginx<'s> {
    site: &'s Site,
    /// The applications that got the requests for a path of a row.
    known: BTreeMap<(&'static str, String), Option<&'static str>>,
}

impl<'s> AtNginx<'s> {
    /// Waits until nginx serves every row as it says.
    fn ready(site: &'s Site) -> Result<Self> {
        let port = site.ports().web;
        for row in ROWS {
            until(row.name, LIMIT, || {
                let status = status(port, row, row.protected);
                Ok(status.is_ok_and(|it| it == row.at_nginx).then_some(()))
            })?;
            for path in row.open {
                let status = status(port, row, path)?;
                ensure!(status == OK, "{}: {path}: {status} at nginx", row.name);
            }
        }
        let known = BTreeMap::new();
        Ok(Self { site, known })
    }

    /// Returns the application that gets this request, if one does.
    fn reached(&mut self, row: &Row, path: &str) -> Result<Option<&'static str>> {
        let key = (row.name, path.to_owned());
        if let Some(app) = self.known.get(&key) {
            return Ok(*app);
        }
        let port = self.site.ports().web;
        let app = reached(self.site, || status(port, row, path))?.map(|(app, _)| app);
        self.known.insert(key, app);
        Ok(app)
    }

    /// Returns the requests that reached an application at Traefik alone.
    fn opened<'a>(
        &mut self,
        form: &Form,
        asked: impl Iterator<Item = &'a Asked>,
    ) -> Result<Vec<String>> {
        let mut opened = Vec::new();
        let (mut closed, mut both, mut neither) = (0, 0, 0);
        for it in asked {
            let before = self.reached(it.row, &it.path)?;
            let Some((app, seen)) = &it.reached else {
                match before {
                    Some(_) => closed += 1,
                    None => neither += 1,
                }
                continue;
            };
            // Traefik tidies a path before it chooses a route, and hands on what it chose by. That may be
            // a path that is open at nginx too: `/hook/x/..` is `/hook`, not `/hook/`; `/../hook` is,
            // where nginx answers 400.
            if before == Some(app) || self.reached(it.row, seen)? == Some(app) {
                both += 1;
                continue;
            }
            opened.push(format!(
                "{} {:?}: {}: {}: `{app}` got `{seen}`, and by nginx {before:?}",
                form.to, form.arguments, it.row.name, it.path
            ));
        }
        eprintln!(
            "{} {:?}: {both} requests reach the application by both, {closed} by nginx alone, {neither} by \
             neither",
            form.to, form.arguments
        );
        Ok(opened)
    }
}

/// Returns the Ingresses of all hosts, and what protects them.
fn before() -> Vec<Value> {
    let mut objects: Vec<Value> = ROWS.iter().flat_map(Row::ingresses).collect();
    // Protects every Ingress that does not say otherwise.
    let data = json!({ "global-auth-url": AUTH_URL });
    objects.push(IngressController::config_map(&data));
    objects
}

/// Returns the application that got this request, if one did.
fn reached(site: &Site, send: impl Fn() -> Result<u16>) -> Result<Option<Reached>> {
    let counts = || (site.wiki().len(), site.files().len());
    let (wiki, files) = counts();
    let status = send()?;
    let (name, seen) = match counts() {
        (now, _) if now > wiki => ("wiki", site.wiki()),
        (_, now) if now > files => ("files", site.files()),
        _ => {
            ensure!(status != OK, "no application answered");
            return Ok(None);
        }
    };
    let seen = seen.last().context("a request")?;
    Ok(Some((name, seen.uri.clone())))
}

/// Returns what the import prints in this form, which refuses what the rows say.
fn printed(form: &Form) -> Result<String> {
    let arguments = [&["--to", form.to], form.arguments].concat();
    let mut objects = before();
    // The other forms refuse every host that it includes.
    objects.retain(|it| form.to == "crds" || it["metadata"]["name"] != "wildcard-0");
    let text = import(&arguments, &list_of(&objects))?.text;
    let is_refused = |row: &&Row| text.contains(&format!("\n# - {}: ", row.host()));
    let refused: Vec<&str> = ROWS.iter().filter(is_refused).map(|row| row.name).collect();
    let is_expected =
        |row: &&Row| row.is_refused(form.to) && (form.to == "crds" || row.name != "*");
    let expected: Vec<&str> = ROWS
        .iter()
        .filter(is_expected)
        .map(|row| row.name)
        .collect();
    assert_eq!(refused, expected, "{}: {text}", form.to);
    Ok(text)
}

/// Sends the requests for all hosts to Traefik, which has what this form prints.
fn by_traefik(cluster: &Cluster, form: &'static Form, text: &str) -> Result<Vec<Asked>> {
    let mut rows: Vec<&'static Row> = ROWS.iter().collect();
    rows.retain(|row| !row.is_refused(form.to));
    // The outpost's applications are at plain http here.
    rows.retain(|row| !row.tls || form.config != FORWARD_AUTH);
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(applications(text)?)
        .start()?;
    let mut objects = objects_of(text)?;
    // The printed Ingresses take the place of those that are there.
    let _replaced = match form.config == INGRESS_NGINX {
        true => Some(cluster.apply(rows.iter().flat_map(|row| row.ingresses()).collect())?),
        false => None,
    };
    if !form.further.is_empty() {
        objects.extend(gateway()?);
    }
    let secure = ports::free()?;
    let entry =
        json!({ "entryPoints": { "websecure": { "address": format!("127.0.0.1:{secure}") } } });
    let config = (form.config, &entry);
    let _running = serve_with(cluster, &site, config, form.further, objects, &[])?;
    let web = site.ports().web;
    let client = Client::new()?;
    let at_traefik = |row: &Row, path: &str| -> Result<u16> {
        if !row.tls || form.to != "crds" {
            return status(web, row, path);
        }
        let url = format!("https://{}:{secure}{path}", row.host()).parse()?;
        Ok(client.fetch(Method::GET, &url).send()?.status().as_u16())
    };
    let mut asked = Vec::new();
    for row in rows {
        until(row.name, LIMIT, || {
            let status = at_traefik(row, row.protected);
            Ok(status.is_ok_and(|it| it == row.at_traefik).then_some(()))
        })?;
        for path in row.open {
            let status = at_traefik(row, path)?;
            ensure!(status == OK, "{}: {path}: {status}", row.name);
        }
        for path in row.paths.iter().flat_map(|path| spellings(path)) {
            asked.push(Asked {
                form,
                row,
                reached: reached(&site, || at_traefik(row, &path))?,
                path,
            });
        }
    }
    Ok(asked)
}

/// Asks as a script without a session.
fn status(port: u16, row: &Row, path: &str) -> Result<u16> {
    let mut connection = RawConnection::connect(port)?;
    let host = row.asked();
    connection.request(
        &format!("GET {path}"),
        &[
            ("Host", &host),
            ("Connection", "close"),
            ("Sec-Fetch-Mode", "cors"),
        ],
    )?;
    Ok(connection
        .head()
        .with_context(|| format!("{host}{path}"))?
        .status)
}

/// Returns a path as clients may write it, and as servers may read it as another one.
fn spellings(path: &str) -> Vec<String> {
    // Of a request that names another host, the path alone has spellings.
    if let Some((host, path)) = path
        .strip_prefix("http://")
        .and_then(|it| it.split_once('/'))
    {
        let of_path = spellings(&format!("/{path}")).into_iter();
        return of_path.map(|path| format!("http://{host}{path}")).collect();
    }
    let rest = path.trim_start_matches('/');
    let (first, tail) = rest.split_at(rest.len().min(1));
    let encoded = first.bytes().map(|byte| format!("%{byte:02x}"));
    let encoded: String = encoded.collect();
    let last = rest.rfind('/').map(|at| rest.split_at(at));
    let (head, end) = last.unwrap_or(("", rest));
    let end = end.trim_start_matches('/');
    let mut all = vec![
        path.to_owned(),
        format!("{path}/"),
        format!("{}//", path.trim_end_matches('/')),
        path.trim_end_matches('/').to_owned(),
        format!("//{rest}"),
        format!("/./{rest}"),
        format!("/%2e/{rest}"),
        format!("/%2F{rest}"),
        format!("/x/../{rest}"),
        format!("/x/%2e%2e/{rest}"),
        format!("/x%2F..%2F{rest}"),
        format!("/x%2f%2e%2e%2f{rest}"),
        format!("/%2e%2e/{rest}"),
        format!("/{encoded}{tail}"),
        format!("/%25{:02x}{tail}", first.bytes().next().unwrap_or(b'x')),
        format!("/{}", rest.to_uppercase()),
        format!("/{head}%2F{end}"),
        format!("/{head}//{end}"),
        format!("/{head}/./{end}"),
        format!("/{head}\\{end}"),
        format!("/{head};x=1/{end}"),
        format!("{path}/.."),
        format!("{path}/../"),
        format!("{path}/%2e%2e"),
        format!("{path}/..%2F"),
        format!("{path}/..;/"),
        format!("{path};x=1"),
        format!("{path}.json"),
        format!("{path}%20"),
        format!("{path}%0a"),
        format!("{path}%00"),
        format!("{path}?x=/../y"),
        format!("{path}%3Fx=1"),
        format!("{path}#x"),
        format!("{path}%23x"),
    ];
    all.retain(|path| path.starts_with('/'));
    all.sort_unstable();
    all.dedup();
    all
}
