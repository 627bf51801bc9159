use super::*;

fn service(url: &str) -> Result<(String, String), String> {
    let service = Service::of(&Url::parse(url).expect("a URL"), None);
    service
        .map(|it| (it.name, it.namespace))
        .map_err(|error| error.to_string())
}

#[test]
fn a_url_in_a_cluster_names_a_service() {
    for url in [
        "http://wiki.apps.svc",
        "http://wiki.apps.svc:80/",
        "http://WIKI.apps.svc.cluster.local",
        "http://wiki.apps.svc.k8s.example.",
    ] {
        let expected = ("wiki".to_owned(), "apps".to_owned());
        assert_eq!(service(url), Ok(expected), "{url}");
    }
    let wiki = Url::parse("http://wiki:8080").expect("a URL");
    let there = Service::of(&wiki, Some("apps")).expect("a Service");
    assert_eq!((&*there.name, &*there.namespace), ("wiki", "apps"));
}

#[test]
fn what_is_no_service_is_refused_with_what_to_do() {
    let long = format!("http://{}.apps.svc", "a".repeat(64));
    for (url, expected) in [
        ("http://10.0.0.7", "an EndpointSlice"),
        ("http://[2001:db8::7]:9000", "an EndpointSlice"),
        ("http://127.0.0.1:9000", "loopback"),
        ("http://[::1]:9000", "loopback"),
        ("http://localhost:8000", "loopback"),
        ("http://wiki.localhost", "loopback"),
        ("https://wiki.example.com", "allowExternalNameServices"),
        ("https://example.com", "not a Service"),
        ("http://nas.lan:5000", "not a Service"),
        ("http://wiki.apps", "not a Service"),
        ("http://web-0.web.apps.svc", "not a Service"),
        ("http://wiki:8080", "--namespace"),
        ("http://my_wiki.apps.svc", "no Service that can be"),
        ("http://-wiki.apps.svc", "no Service that can be"),
        (&long, "no Service that can be"),
        ("http://wiki.apps.svc:0", "no Service that can be"),
        ("http://wiki.apps.svc/base", "has a path"),
        ("http://wiki.apps.svc/?a=1", "has a path"),
        ("http://user:hunter2@wiki.apps.svc/", "has a path"),
        ("http://user:hunter2@wiki.lan/", "not a Service"),
    ] {
        let refused = service(url).expect_err(url);
        assert!(refused.contains(expected), "{url}: {refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

/// A configuration of Traefik with an application for each of these upstreams.
fn dynamic(upstreams: &[(&str, &str)], middleware: &Value) -> Value {
    let mut routers = Map::new();
    let mut services = Map::new();
    let mut middlewares = Map::new();
    for (name, url) in upstreams {
        let router = json!({"rule": "Host(`x`)", "service": name, "middlewares": ["gatepost"]});
        routers.insert((*name).to_owned(), router);
        let service = json!({"loadBalancer": {"servers": [{"url": url}]}});
        services.insert((*name).to_owned(), service);
    }
    middlewares.insert("gatepost".to_owned(), middleware.clone());
    json!({"http": {"routers": routers, "services": services, "middlewares": middlewares}})
}

fn at(objects: &[Value]) -> Vec<(&str, &str, &str)> {
    objects
        .iter()
        .map(|object| {
            let text = |path: &str| object.pointer(path).and_then(Value::as_str);
            (
                text("/kind").unwrap_or_default(),
                text("/metadata/name").unwrap_or_default(),
                text("/metadata/namespace").unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn objects_are_where_their_service_is_and_cross_no_namespace() {
    let upstreams = [
        ("chat", "https://chat.apps.svc"),
        ("git", "http://git.dev.svc"),
    ];
    let plugin = json!({"plugin": {"gatepost": {"application": "intranet"}}});
    let export = objects(&dynamic(&upstreams, &plugin), None).expect("objects");
    assert_eq!(
        at(&export.objects),
        [
            ("Middleware", "gatepost", "apps"),
            ("Middleware", "gatepost", "dev"),
            ("ServersTransport", "chat", "apps"),
            ("IngressRoute", "chat", "apps"),
            ("IngressRoute", "git", "dev"),
        ]
    );
    let [_, _, transport, chat, git] = &export.objects[..] else {
        panic!("five objects");
    };
    assert_eq!(transport["spec"], json!({"serverName": "chat.apps.svc"}));
    let route = &chat["spec"]["routes"][0];
    let to = json!({"name": "chat", "port": 443, "scheme": "https", "serversTransport": "chat"});
    assert_eq!(route["services"][0], to);
    assert_eq!(route["middlewares"], json!([{"name": "gatepost"}]));
    let to = json!({"name": "git", "port": 80, "scheme": "http"});
    assert_eq!(git["spec"]["routes"][0]["services"][0], to);
    let said = export.advice.join("\n");
    assert!(
        said.contains("patch serverstransports.traefik.io chat"),
        "{said}"
    );
}

/// What a later export leaves out is found by it.
#[test]
fn every_object_says_of_which_export_it_is() {
    let plugin = |rule: &str| json!({"plugin": {"gatepost": {"require": {"groups": [rule]}}}});
    let wiki = [("wiki", "https://wiki.dev.svc")];
    let export = |rule: &str| objects(&dynamic(&wiki, &plugin(rule)), None).expect("objects");
    let (first, again, other) = (export("staff"), export("staff"), export("admins"));
    assert_eq!(first.objects, again.objects);
    for export in [&first, &other] {
        let mut labels = export.objects.iter().map(|it| &it["metadata"]["labels"]);
        let own = labels.next().expect("an object");
        assert!(labels.all(|it| it == own));
        assert_eq!(own["app.kubernetes.io/managed-by"], "gatepost-export");
        let hash = own["gatepost-export"].as_str().expect("a text");
        let rest = format!("gatepost-export!={hash}'");
        assert!(export.removal.contains(&rest), "{}", export.removal);
    }
    assert_ne!(first.removal, other.removal);
}

#[test]
fn what_would_not_work_in_a_cluster_is_refused() {
    let ask = |address: &str| json!({"forwardAuth": {"address": address}});
    let wiki = [("wiki", "http://wiki.apps.svc")];
    let outpost = "http://gatepost.gatepost.svc:9000/x";
    for (upstreams, address, expected) in [
        (&wiki[..], "http://127.0.0.1:9000/x", "loopback"),
        (&wiki[..], "http://outpost:9000/x", "names no namespace"),
        (&[("wiki", "http://10.0.0.7")][..], outpost, "an address"),
        (
            &[("a_b", "http://a.apps.svc"), ("a-b", "http://b.apps.svc")][..],
            outpost,
            "two objects",
        ),
        (&[][..], outpost, "without `upstream`"),
    ] {
        let refused = objects(&dynamic(upstreams, &ask(address)), None);
        let refused = refused.expect_err(expected).to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    // Traefik's own namespace is another one than that of upstreams.
    let refused = objects(&dynamic(&wiki, &ask("http://outpost:9000/x")), Some("apps"));
    assert!(refused.is_err());
    let alone = objects(&dynamic(&[], &ask(outpost)), Some("apps")).expect("objects");
    assert_eq!(at(&alone.objects), [("Middleware", "gatepost", "apps")]);
    let mut by_address = dynamic(&wiki, &ask(outpost));
    by_address["http"]["routers"]["wiki"]["rule"] = json!("Host(`[2001:db8::5]`)");
    let refused = objects(&by_address, None).expect_err("no host");
    assert!(refused.to_string().contains("no route"), "{refused}");
}
