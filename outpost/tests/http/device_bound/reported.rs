//! What an operator sees of sessions that are bound to devices, in metrics and the audit log.

use reqwest::header::{CONTENT_TYPE, SET_COOKIE};

use super::*;
use crate::browser::session_value;
use crate::program::{Folder, Running, client, write_config};
use crate::provider::Provider;

/// What a plugin hands on of its rule.
const RULE: (&str, &str) = ("X-Gatepost-Require", "all=deviceBound:true");

/// A client of the running program.
struct Client<'r> {
    http: reqwest::Client,
    running: &'r Running,
}

impl Client<'_> {
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let url = format!("http://{}/akprox/{path}", self.running.http);
        let mut request = self.http.request(method, url).header("Host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.expect("text"),
        }
    }

    /// Asks as a proxy does about a script's request with these cookies.
    async fn ask(&self, cookie: &str, further: &[(&str, &str)]) -> Reply {
        let about = [
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", HOST),
            ("X-Forwarded-Uri", "/x"),
            ("Sec-Fetch-Mode", "cors"),
            ("Cookie", cookie),
        ];
        let headers = [&about[..], further].concat();
        self.send(Method::GET, "auth/traefik", &headers).await
    }
}

fn cookies(reply: &Reply) -> String {
    let pairs = reply.headers.get_all(SET_COOKIE).iter();
    let pairs = pairs.filter_map(|line| line.to_str().ok()?.split(';').next());
    let pairs: Vec<&str> = pairs.filter(|pair| !pair.ends_with('=')).collect();
    pairs.join("; ")
}

#[tokio::test]
async fn bound_refused_and_skipped_renewals_are_counted_and_audited_without_secrets() {
    let folder = Folder::new("devices");
    let provider = Provider::start().await;
    let running = Running::start(&write_config(&folder, &provider, PREFER));
    running.ready().await;
    let http = client().build().expect("a client");
    let client = Client {
        http,
        running: &running,
    };

    let begun = client.send(Method::GET, "start", &[]).await.expect(302);
    let back = provider.authorize(begun.location());
    let callback = format!("callback?{}", back.query().expect("a query"));
    let flow = cookies(&begun);
    let headers = [("Cookie", &*flow), ("Sec-Fetch-Mode", "navigate")];
    let signed_in = client.send(Method::GET, &callback, &headers).await;
    let unbound = cookies(&signed_in.clone().expect(302));
    let refused = client.ask(&unbound, &[RULE]).await;
    assert!(refused.expect(403).body.contains("device_not_bound"));

    let (key, other) = (DeviceKey::new(), DeviceKey::new());
    let registration = key.registration(&registration_challenge(&signed_in));
    let headers = [("Secure-Session-Response", &*registration)];
    let registered = client.send(Method::POST, "device/register", &headers).await;
    let registered = registered.expect(200);
    assert_eq!(
        registered.headers[CONTENT_TYPE], "application/json",
        "{registered:?}"
    );
    let id = session_id(&registered);
    let renew = async |cookie: &str, key: &DeviceKey| {
        let named = [("Sec-Secure-Session-Id", &*id), ("Cookie", cookie)];
        let asked = client.send(Method::POST, "device/refresh", &named).await;
        let proof = key.proof(&challenge(&asked.expect(403), &id));
        let proven = [&named[..], &[("Secure-Session-Response", &*proof)]].concat();
        client.send(Method::POST, "device/refresh", &proven).await
    };
    renew(&unbound, &other).await.expect(403);
    let bound = cookies(&renew(&unbound, &key).await.expect(200));
    let bound = cookies(&renew(&bound, &key).await.expect(200));
    let skipped = [(
        "Secure-Session-Skipped",
        "quota_exceeded;session_identifier=\"x\"",
    )];
    client.ask(&bound, &skipped).await.expect(200);
    let made_up = [("Secure-Session-Skipped", "made-up-by-a-client")];
    client.ask(&bound, &made_up).await.expect(200);
    client.ask(&bound, &[RULE]).await.expect(200);
    let headers = [("Cookie", &*unbound), ("Sec-Fetch-Mode", "navigate")];
    let unproven = client.send(Method::GET, "start", &headers).await;
    assert!(
        unproven
            .expect(302)
            .location()
            .starts_with(&provider.issuer)
    );

    let (_, metrics) = running.operations("/metrics").await;
    for (event, count) in [
        ("registered", 1),
        ("bound", 1),
        ("renewed", 2),
        ("refused", 1),
        ("unproven", 1),
        ("missing", 0),
    ] {
        let labels = format!("application=\"app\",event=\"{event}\"");
        let line = format!("gatepost_device_bound_total{{{labels}}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    for line in [
        "gatepost_device_skips_total{reason=\"quota_exceeded\"} 1\n",
        "gatepost_decisions_total{application=\"app\",verdict=\"deny\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    assert!(!metrics.contains("made-up"), "{metrics}");

    let audited = |event: &'static str| {
        let is_it = move |line: &Value| line["target"] == "audit" && line["event"] == event;
        running.lines.await_line(is_it)
    };
    let session = audited("sign_in")["session"].clone();
    for event in [
        "device_missing",
        "device_bound",
        "device_refused",
        "device_unproven",
    ] {
        let line = audited(event);
        assert_eq!(line["session"], session, "{line}");
        assert_eq!(line["subject"], "alice-id", "{line}");
        assert_eq!(line["application"], "app", "{line}");
    }
    let said = format!("{}\n{metrics}", running.lines.all());
    let (bound, unbound) = (session_value(&bound), session_value(&unbound));
    for secret in [&*registration, &*id, bound, unbound] {
        let end = secret.rsplit('.').next().expect("an end");
        assert!(end.len() > 20 && !said.contains(end), "{end}: {said}");
    }
}
