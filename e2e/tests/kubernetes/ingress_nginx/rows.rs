//! The Ingresses of hosts, as people write them for ingress-nginx.

use serde_json::{Map, Value};

use crate::ingresses::{AUTH, Annotation, ingress};

/// A host with its Ingresses. The controller protects what does not say [`OPEN`], and leads to another
/// application.
pub(super) struct Row {
    pub(super) name: &'static str,
    parts: &'static [Part],
    /// Further keys of each `spec`.
    spec: &'static str,
    /// Requests, which are sent in several spellings.
    pub(super) paths: &'static [&'static str],
    /// One that is protected, with its status at both.
    pub(super) protected: &'static str,
    pub(super) at_nginx: u16,
    pub(super) at_traefik: u16,
    /// Those that are open at both.
    pub(super) open: &'static [&'static str],
    pub(super) tls: bool,
    /// The forms in which the import refuses the host.
    refused: &'static [&'static str],
}

/// An Ingress: its path, type of path, and annotations.
type Part = (&'static str, &'static str, &'static [Annotation]);

const ALL: [&str; 3] = ["crds", "gateway", "traefik-annotations"];
/// Routes of these forms have no priorities.
const WITHOUT_PRIORITIES: [&str; 2] = ["gateway", "traefik-annotations"];
const ANNOTATIONS: [&str; 1] = ["traefik-annotations"];

const OPEN: Annotation = ("enable-global-auth", "false");
const REGEX: Annotation = ("use-regex", "true");

const ROW: Row = Row {
    name: "",
    parts: &[],
    spec: "{}",
    paths: &[],
    protected: "/",
    at_nginx: 401,
    at_traefik: 401,
    open: &[],
    tls: false,
    refused: &[],
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "several-ingresses",
        parts: &[
            ("/", "Prefix", &[OPEN]),
            ("/admin", "ImplementationSpecific", &[AUTH]),
            ("/secret", "Prefix", &[AUTH]),
            ("/secret/open", "Prefix", &[OPEN]),
        ],
        paths: &[
            "/",
            "/admin",
            "/admin/x",
            "/admin.php",
            "/secret",
            "/secret/x",
            "/secret/open/x",
        ],
        protected: "/admin",
        open: &["/", "/other", "/secret/open"],
        ..ROW
    },
    Row {
        name: "exact-path",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            ("/api", "Prefix", &[OPEN]),
            ("/api/admin", "Exact", &[AUTH]),
            ("/x", "Exact", &[OPEN]),
        ],
        paths: &["/api", "/api/admin", "/api/admin/x", "/x", "/x/y"],
        protected: "/api/admin",
        open: &["/api/x", "/x"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "exact-beside-prefix",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            ("/a", "Prefix", &[OPEN]),
            ("/a", "Exact", &[AUTH]),
            ("/b/", "Prefix", &[OPEN]),
        ],
        paths: &["/a", "/a/x", "/b", "/b/x"],
        protected: "/a",
        open: &["/a/x", "/b/x"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "use-regex",
        parts: &[
            ("/", "Prefix", &[OPEN]),
            ("/static/.*", "ImplementationSpecific", &[OPEN, REGEX]),
            ("/admin", "Exact", &[AUTH]),
            (
                "/Private(/|$)(.*)",
                "ImplementationSpecific",
                &[AUTH, REGEX],
            ),
        ],
        paths: &[
            "/static/x",
            "/admin",
            "/admin/x",
            "/administrator",
            "/private/x",
            "/Private",
            "/privates",
        ],
        protected: "/admin",
        open: &["/", "/static/x"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "regex-and-slash",
        parts: &[
            ("/api", "Prefix", &[AUTH]),
            ("/api/", "ImplementationSpecific", &[OPEN, REGEX]),
        ],
        paths: &["/api", "/api/x", "/apis"],
        // The controller sorts by the paths of Ingresses, before it adds `/api/` for the first one.
        protected: "/api",
        open: &["/api/x"],
        ..ROW
    },
    Row {
        name: "slash-and-regex",
        parts: &[
            ("/api/", "ImplementationSpecific", &[OPEN, REGEX]),
            ("/api", "Prefix", &[AUTH]),
        ],
        paths: &["/api", "/api/x", "/apis"],
        protected: "/api",
        open: &["/api/x"],
        ..ROW
    },
    Row {
        name: "rewrite-target",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            (
                "/app(/|$)(.*)",
                "ImplementationSpecific",
                &[AUTH, ("rewrite-target", "/$2")],
            ),
            (
                "/open(/|$)(.*)",
                "ImplementationSpecific",
                &[OPEN, ("rewrite-target", "/open/$2")],
            ),
        ],
        paths: &["/app/x", "/open", "/open/x", "/open/app/x", "/opened"],
        protected: "/app/x",
        open: &["/open/x"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "global-auth",
        parts: &[("/", "Prefix", &[]), ("/hook", "Exact", &[OPEN])],
        paths: &["/", "/hook", "/hook/x"],
        open: &["/hook"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "auth-signin",
        parts: &[
            (
                "/",
                "Prefix",
                &[
                    AUTH,
                    ("auth-signin", "http://auth.example.localhost/akprox/start"),
                ],
            ),
            ("/hook", "Prefix", &[OPEN]),
        ],
        paths: &["/", "/x", "/hook/x"],
        at_nginx: 302,
        open: &["/hook"],
        ..ROW
    },
    Row {
        name: "whitelist",
        parts: &[
            ("/", "Prefix", &[OPEN]),
            ("/mine", "Prefix", &[AUTH]),
            (
                "/office",
                "Prefix",
                &[OPEN, ("whitelist-source-range", "192.0.2.0/24")],
            ),
            (
                "/exact",
                "Exact",
                &[OPEN, ("whitelist-source-range", "192.0.2.0/24")],
            ),
        ],
        paths: &["/", "/mine", "/office", "/office/x", "/exact", "/exact/x"],
        protected: "/office",
        at_nginx: 403,
        at_traefik: 403,
        open: &["/", "/exact/x"],
        refused: &WITHOUT_PRIORITIES,
        ..ROW
    },
    Row {
        name: "permanent-redirect",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            (
                "/old",
                "Prefix",
                &[OPEN, ("permanent-redirect", "https://elsewhere.example")],
            ),
        ],
        paths: &["/old", "/old/x"],
        ..ROW
    },
    Row {
        name: "app-root",
        parts: &[
            ("/", "Prefix", &[AUTH, ("app-root", "/start")]),
            ("/open", "Prefix", &[OPEN]),
        ],
        paths: &["/", "/start", "/open"],
        protected: "/start",
        open: &["/open"],
        ..ROW
    },
    Row {
        name: "server-alias",
        parts: &[
            (
                "/",
                "Prefix",
                &[AUTH, ("server-alias", "alias.example.localhost")],
            ),
            ("/open", "Prefix", &[OPEN]),
        ],
        paths: &[
            "/",
            "/open",
            "/x",
            "http://alias.example.localhost/",
            "http://alias.example.localhost/open",
        ],
        open: &["/open", "http://alias.example.localhost/open"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    // To Traefik, the rules of an Ingress with other names are longer.
    Row {
        name: "alias-of-the-open-part",
        parts: &[
            (
                "/",
                "Prefix",
                &[OPEN, ("server-alias", "open-alias.example.localhost")],
            ),
            ("/admin", "Prefix", &[AUTH]),
        ],
        paths: &[
            "/",
            "/admin",
            "/admin/x",
            "http://open-alias.example.localhost/",
            "http://open-alias.example.localhost/admin",
            "http://open-alias.example.localhost/admin/x",
        ],
        protected: "/admin",
        open: &["/", "http://open-alias.example.localhost/"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "redirect-regex",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            (
                "/old/(.*)",
                "ImplementationSpecific",
                &[
                    OPEN,
                    REGEX,
                    ("permanent-redirect", "https://elsewhere.example"),
                ],
            ),
        ],
        paths: &["/", "/old/x", "/old/"],
        ..ROW
    },
    Row {
        name: "www",
        parts: &[
            ("/", "Prefix", &[AUTH, ("from-to-www-redirect", "true")]),
            ("/open", "Prefix", &[OPEN]),
        ],
        paths: &["/", "/open", "http://www.www.example.localhost/open"],
        open: &["/open"],
        ..ROW
    },
    Row {
        name: "errors",
        parts: &[
            (
                "/",
                "Prefix",
                &[
                    AUTH,
                    ("custom-http-errors", "404,503"),
                    ("default-backend", "files"),
                ],
            ),
            ("/open", "Prefix", &[OPEN]),
        ],
        paths: &["/", "/x", "/open"],
        open: &["/open"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "prefix",
        parts: &[
            (
                "/app(/|$)(.*)",
                "ImplementationSpecific",
                &[
                    AUTH,
                    ("rewrite-target", "/$2"),
                    ("x-forwarded-prefix", "/app"),
                ],
            ),
            ("/open(.*)", "ImplementationSpecific", &[OPEN, REGEX]),
        ],
        paths: &["/app", "/app/x", "/app/open", "/open", "/open/x"],
        protected: "/app/x",
        open: &["/open/x"],
        refused: &ANNOTATIONS,
        ..ROW
    },
    Row {
        name: "satisfy-alone",
        parts: &[("/", "Prefix", &[AUTH, ("satisfy", "any")])],
        paths: &["/", "/x"],
        ..ROW
    },
    // Who comes from one of the addresses needs no session.
    Row {
        name: "satisfy-addresses",
        parts: &[(
            "/",
            "Prefix",
            &[
                AUTH,
                ("satisfy", "any"),
                ("whitelist-source-range", "192.0.2.0/24"),
            ],
        )],
        paths: &["/", "/x"],
        refused: &ALL,
        ..ROW
    },
    Row {
        name: "default-backend",
        parts: &[("/admin", "Prefix", &[AUTH]), ("/open", "Prefix", &[OPEN])],
        spec: r#"{ "defaultBackend": { "service": { "name": "wiki", "port": { "number": 80 } } } }"#,
        paths: &["/", "/admin", "/open", "/other"],
        protected: "/admin",
        open: &["/open"],
        ..ROW
    },
    Row {
        name: "tls",
        parts: &[
            ("/", "Prefix", &[AUTH, ("ssl-redirect", "false")]),
            ("/open", "Prefix", &[OPEN, ("ssl-redirect", "false")]),
        ],
        spec: r#"{ "tls": [{ "hosts": ["tls.example.localhost"] }] }"#,
        paths: &["/", "/x", "/open"],
        open: &["/open"],
        tls: true,
        ..ROW
    },
    Row {
        name: "acme",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            ("/.well-known/acme-challenge", "Prefix", &[AUTH]),
        ],
        paths: &[
            "/.well-known/acme-challenge",
            "/.well-known/acme-challenge/x",
            "/.well-known/x",
        ],
        open: &["/.well-known/acme-challenge/x"],
        ..ROW
    },
    Row {
        name: "*",
        parts: &[("/", "Prefix", &[AUTH])],
        paths: &["/", "/x"],
        refused: &ALL,
        ..ROW
    },
    Row {
        name: "no-equal",
        parts: &[
            ("/", "Prefix", &[AUTH]),
            (
                "/x",
                "Prefix",
                &[OPEN, ("denylist-source-range", "127.0.0.0/8")],
            ),
        ],
        paths: &["/", "/x"],
        refused: &ALL,
        ..ROW
    },
];

impl Row {
    pub(super) fn host(&self) -> String {
        format!("{}.example.localhost", self.name)
    }

    /// Returns whether the import refuses the host in this form.
    pub(super) fn is_refused(&self, form: &str) -> bool {
        self.refused.contains(&form)
    }

    /// Returns the host that clients ask.
    pub(super) fn asked(&self) -> String {
        self.host().replace('*', "any")
    }

    pub(super) fn ingresses(&self) -> Vec<Value> {
        let parts = self.parts.iter().enumerate();
        parts.map(|(at, part)| self.ingress(at, part)).collect()
    }

    fn ingress(&self, at: usize, (path, kind, own): &Part) -> Value {
        let name = format!("{}-{at}", self.name.replace('*', "wildcard"));
        let mut object = ingress(&name, &self.host(), (path, kind), own);
        let further: Map<String, Value> = serde_json::from_str(self.spec).expect("JSON");
        let spec = object["spec"].as_object_mut();
        spec.expect("an object").extend(further);
        if own.contains(&OPEN) {
            let path = &mut object["spec"]["rules"][0]["http"]["paths"][0];
            path["backend"]["service"]["name"] = "files".into();
        }
        object
    }
}
