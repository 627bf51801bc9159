//! The attacks. Numbers in comments are those of `docs/security.md`.

use crate::sent::{Allowed, Attack, MARK};

/// Paths that are not public, though one reader or another takes them for `/public/…`. 37 to 46.
const NEARLY_PUBLIC: &[&[u8]] = &[
    b"/admin?path=/public/x",
    b"/admin?/public/x",
    b"/admin%23/public/x",
    b"/public/secret%23/x",
    b"/public/secret#/x",
    b"/public/../admin",
    b"/public/./../admin",
    b"/public/%2e%2e/admin",
    b"/public/.%2E/admin",
    b"/public/..%2fadmin",
    b"/public%2f..%2fadmin",
    b"/public/..%5cadmin",
    b"/public/%5c..%5cadmin",
    b"/public/%2e%2e%2fadmin",
    b"/public/%252e%252e/admin",
    b"/public/%25%32%66..",
    b"/public/..;/admin",
    b"/public;x=/../admin",
    b"/public/x;/../../admin",
    b"/public/x%00/../../admin",
    b"/public%00",
    b"/public/x%00",
    b"/admin%3f/public/x",
    b"/admin%3F.css",
    b"/public//../admin",
    b"/PUBLIC/x",
    b"/publicx",
    b"/public",
    b"/public/%c0%ae%c0%ae/admin",
    b"/public/%u002e",
    b"/public/\\..\\admin",
    b"/public/\xff",
    b"/public/%",
    b"/public/%zz",
    // Behind StripPrefix for `/api` and StripPrefixRegex for `/rx/[a-z]+`. 46.
    b"/api../admin",
    b"/api%2e%2e/admin",
    b"/api/../admin",
    b"/api/public/../admin",
    b"/api/public/..%2fadmin",
    b"/apipublic/../../admin",
    b"/rx/abc%2e/admin",
    b"/rx/abc/public/%2e%2e/admin",
    b"/rx/abc%20/admin",
];

/// Request lines of odd forms. 47, 48.
const LINES: &[&str] = &[
    "GET http://evil.example/admin",
    "GET http://HOST/admin",
    "GET http://HOST/public/../admin",
    "GET //HOST/public/x",
    "GET http:///admin",
    "GET *",
    "CONNECT HOST",
    "CONNECT evil.example:443",
    "get /hook",
    "HEAD /hook",
    "POST /hook",
    "PUBLIC /public/../admin",
    "TRACE /admin",
    "PROPFIND /admin",
];

/// Targets in absolute form (RFC 9112 §3.2.2), and some in none, that one reader or another takes for one
/// of a public path. To some, an authority goes as far as the first `/`, to others no further than `?`, `#`
/// or `\`.
pub(crate) const ABSOLUTE: &[&str] = &[
    "http://HOST/public/x",
    "http://evil.example/public/x",
    "http://x?a=1&@HOST/public/x",
    "http://HOST?a=1&@HOST/public/x",
    "http://evil.example?@HOST/public/x",
    "http://x#@HOST/public/x",
    "http://x\\admin\\users?@HOST/public/x",
    "http://HOST?/public/x",
    "http://HOST;/public/x",
    "http://alice@HOST/public/x",
    "https://HOST/public/x",
    "wss://HOST/public/x",
    "x://HOST/public/x",
    "x://x?@HOST/public/x",
    "HTTP://HOST/public/x",
    "ftp://HOST/public/x",
    "http:///public/x",
    "http://HOST/admin",
    "http://HOST",
    "http://HOST/public/x#/admin",
    "http://HOST/admin?/public/x",
    "http:/public/x",
    "http:public/x",
    "public/x",
    "?/public/x",
];

/// Headers that neither make `/admin` public nor give a request an identity. 18, 19, 34, 35, 46, 48
/// to 50, 53 to 63.
const HEADERS: &[&str] = &[
    "User-Agent: GoogleHC/1.0",
    "User-Agent: kube-probe/1.30",
    "X-Forwarded-For: 127.0.0.1",
    "X-Real-Ip: 127.0.0.1",
    "Forwarded: for=127.0.0.1;host=evil.example;proto=https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Uri: /public/x",
    "X-Forwarded-Method: OPTIONS",
    "X-Forwarded-Prefix: /public",
    "X-Forwarded-Proto: wss",
    "X_Forwarded_Uri: /public/x",
    "X_Forwarded_Method: OPTIONS",
    "X-Original-URL: /public/x",
    "X-Original-URL: http://HOST/public/x",
    "X-Original-URI: /public/x",
    "X-Original-Method: OPTIONS",
    "X-Rewrite-URL: /public/x",
    "X-Replaced-Path: /public/x",
    "X-Envoy-Original-Path: /public/x",
    "X-HTTP-Method-Override: OPTIONS",
    "X-Method-Override: OPTIONS",
    "Origin: https://other.example",
    "Access-Control-Request-Method: PUT",
    "Authorization: Basic YWxpY2U6d29uZGVybGFuZA==",
    "Authorization: Bearer TOKEN",
    "X-Auth-Username: alice",
    "X-Forwarded-User: 248289761001",
    "X-Gatepost-Verdict: allow",
    "x_gatepost_verdict: allow",
    "X.Gatepost.Verdict: allow\r\nConnection: X-Gatepost-Verdict",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// Returns `Cookie` header lines that are not a session, made of one that is. 52, 64, 66 to 72.
fn cookies(token: &str) -> Vec<(&'static str, String)> {
    let (header, rest) = token.split_once('.').unwrap_or_default();
    let (claims, mac) = rest.split_once('.').unwrap_or_default();
    let (front, back) = token.split_at(token.len() / 2);
    let line = |text: String| format!("Cookie: {text}");
    vec![
        ("empty", line("gatepost=".into())),
        ("escapes", line("gatepost=%%%".into())),
        ("a quote", line("gatepost=\"".into())),
        ("quoted", line(format!("gatepost=\"{token}\""))),
        ("quoted name", line(format!("\"gatepost\"={token}"))),
        ("other case", line(format!("Gatepost={token}"))),
        ("another prefix", line(format!("__Host-Gatepost={token}"))),
        (
            "dots for the prefix",
            line(format!("..Host-gatepost={token}")),
        ),
        ("escaped prefix", line(format!("__Host%2Dgatepost={token}"))),
        ("nameless", line(format!("=gatepost={token}"))),
        (
            "in another's quotes",
            line(format!("a=\"x, gatepost={token}\"")),
        ),
        (
            "version and path",
            line(format!("$Version=1, gatepost={token}, $Path=/")),
        ),
        ("comma", line(format!("a=1, gatepost={token}"))),
        ("no-break space", line(format!("\u{a0}gatepost={token}"))),
        (
            "a hole",
            line(format!("gatepost.0={front}; gatepost.2={back}")),
        ),
        ("no first part", line(format!("gatepost.1={token}"))),
        (
            "a part twice",
            line(format!(
                "gatepost.0={front}; gatepost.0={front}; gatepost.1={back}"
            )),
        ),
        (
            "parts numbered oddly",
            line(format!("gatepost.00={token}; gatepost.-1={token}")),
        ),
        (
            "99,999,999 parts",
            line(format!("gatepost.99999999={token}")),
        ),
        (
            "a stale part",
            line(format!(
                "gatepost.0={front}; gatepost.1={back}; gatepost.2=x"
            )),
        ),
        ("padded", line(format!("gatepost={token}="))),
        ("no MAC", line(format!("gatepost={header}.{claims}."))),
        (
            "half a MAC",
            line(format!("gatepost={header}.{claims}.{}", mac.split_at(20).0)),
        ),
        (
            "alg none",
            line(format!(
                "gatepost=eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."
            )),
        ),
        (
            "claims first",
            line(format!("gatepost={claims}.{header}.{mac}")),
        ),
        (
            "fifth of one name",
            line(format!("{}gatepost={token}", "gatepost=x; ".repeat(4))),
        ),
        (
            "hidden by junk",
            line(format!("junk={}", "A".repeat(70_000))),
        ),
        (
            "900 KB",
            line(format!("junk={}; gatepost=x", "A".repeat(900_000))),
        ),
        (
            "20,000 cookies",
            line(format!("{}gatepost=x", "a=b; ".repeat(20_000))),
        ),
        ("10,000 sessions", line("gatepost=x.y.z; ".repeat(10_000))),
        (
            "under a header of another name",
            format!("X-Cookie: gatepost={token}"),
        ),
        (
            "under an alias",
            format!("_Cookie: gatepost={token}\r\nCookie_: gatepost={token}"),
        ),
    ]
}

/// Messages that two readers may take for different ones. 106.
fn ambiguous(cookie: &str) -> Vec<(&'static str, String)> {
    let inner = "GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n";
    let length = inner.len();
    let post = |headers: &str, body: &str| {
        format!("POST /x HTTP/1.1\r\nHost: HOST\r\n{cookie}{headers}\r\n{body}")
    };
    let get = |headers: &str| format!("GET /x HTTP/1.1\r\nHost: HOST\r\n{cookie}{headers}\r\n");
    vec![
        (
            "length and chunks",
            post(
                &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
                &format!("0\r\n\r\n{inner}"),
            ),
        ),
        (
            "unknown coding",
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ),
        (
            "two lengths",
            post(
                &format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
                inner,
            ),
        ),
        (
            "length with a sign",
            post("Content-Length: +5\r\n", "hello"),
        ),
        (
            "coding after a fold",
            post(
                "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
        ),
        ("space in a name", get("X-Auth-Username : mallory\r\n")),
        (
            "folded identity",
            get("X-Junk: a\r\n X-Auth-Username: mallory\r\n"),
        ),
        (
            "line break in a value",
            get("X-Junk: a\nX-Auth-Username: mallory\r\n"),
        ),
        (
            "carriage return in a value",
            get("X-Junk: a\rX-Auth-Username: mallory\r\n"),
        ),
        ("NUL in a value", get("X-Junk: a\0b\r\n")),
        ("NUL in a name", get("X-Auth\0Username: mallory\r\n")),
        ("no name", get(": mallory\r\n")),
        ("host twice", get("Host: evil.example\r\n")),
        (
            "chunk extension",
            post("Transfer-Encoding: chunked\r\n", "0;\nxx\r\n\r\n"),
        ),
    ]
}

/// Returns the attacks by which the user of a session may try to get further rights. 22 to 31, 36.
fn signed_in(cookie: &str) -> Vec<(&'static str, Allowed, String)> {
    let get = |headers: &str| format!("GET /x HTTP/1.1\r\nHost: HOST\r\n{cookie}{headers}\r\n");
    let separators = "!#$%&'*+.^_`|~-";
    let names: String = separators
        .chars()
        .flat_map(|first| separators.chars().map(move |second| (first, second)))
        .map(|(first, second)| format!("X{first}Auth{second}Username: mallory\r\n"))
        .collect();
    let all_names: String = separators
        .chars()
        .map(|c| {
            format!(
                "X{c}Auth{c}Groups: root\r\nX{c}Forwarded{c}Email: mallory@evil.example\r\n\
                 x{c}forwarded{c}user: 0\r\nX{c}Forwarded{c}Preferred{c}Username: mallory\r\n"
            )
        })
        .collect();
    vec![
        ("nothing besides", Allowed::AsAlice, get("")),
        ("a name in every spelling", Allowed::AsAlice, get(&names)),
        (
            "all names in every spelling",
            Allowed::AsAlice,
            get(&all_names),
        ),
        (
            "two lines",
            Allowed::AsAlice,
            get("X-Auth-Username: mallory\r\nX-Auth-Username: eve\r\n"),
        ),
        (
            "names in Connection",
            Allowed::AsAlice,
            get("Connection: close, X-Auth-Username, x-auth-groups, X_Forwarded_User\r\n"),
        ),
        (
            "a name alone in Connection",
            Allowed::AsAlice,
            get("Connection: X-Auth-Username\r\n"),
        ),
        (
            "two Connections",
            Allowed::AsAlice,
            get("Connection: keep-alive\r\nConnection: X-Auth-Username\r\n"),
        ),
        (
            "names that proxies act on in Connection",
            Allowed::NothingOrAlice,
            get("Connection: X-Forwarded-Host, X-Forwarded-Uri, X_Forwarded_Proto\r\n"),
        ),
        // Traefik drops the cookie then, before the plugin or the app sees it.
        (
            "the cookie in Connection",
            Allowed::NothingOrAlice,
            get("Connection: cookie\r\n"),
        ),
        (
            "credentials of another kind",
            Allowed::AsAlice,
            get("Authorization: Basic bWFsbG9yeTp4\r\n"),
        ),
        (
            "an upgrade to HTTP/2",
            Allowed::NothingOrAlice,
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                 HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"),
        ),
        (
            "trailers",
            Allowed::NothingOrAlice,
            format!(
                "POST /x HTTP/1.1\r\nHost: HOST\r\n{cookie}Trailer: X-Auth-Username, X_Auth_Groups\r\n\
                 Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Auth-Username: mallory\r\n\
                 X_Auth_Groups: root\r\n\r\n"
            ),
        ),
        (
            "bad cookies before a good one",
            Allowed::AsAlice,
            get("Cookie: gatepost=x.y.z\r\n").replacen(
                cookie,
                &format!("Cookie: gatepost=x\r\n{cookie}"),
                1,
            ),
        ),
    ]
}

/// Returns all attacks on an app at this `Host`, made with Alice's token.
pub(crate) fn all(host: &str, token: &str) -> Vec<Attack> {
    let cookie = format!("Cookie: gatepost={token}\r\n");
    let usual = "Accept: application/json\r\nConnection: close\r\n";
    let fill = |text: &str| {
        text.replace("HOST", host)
            .replace("TOKEN", token)
            .into_bytes()
    };
    let mut attacks = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>, allowed: Allowed| {
        let marked = format!("Host: {host}\r\n{MARK}: {}\r\n", attacks.len());
        let bytes = replaced(&bytes, &format!("Host: {host}\r\n"), &marked);
        attacks.push(Attack {
            name,
            bytes,
            allowed,
        });
    };

    for path in NEARLY_PUBLIC {
        let rest = format!(" HTTP/1.1\r\nHost: {host}\r\n{usual}\r\n");
        let bytes = [b"GET ".as_slice(), path, rest.as_bytes()].concat();
        add(
            String::from_utf8_lossy(path).into(),
            bytes,
            Allowed::Nothing,
        );
    }
    for line in LINES {
        let text = format!("{line} HTTP/1.1\r\nHost: HOST\r\n{usual}\r\n");
        add((*line).into(), fill(&text), Allowed::Nothing);
    }
    for target in ABSOLUTE {
        let text = format!("GET {target} HTTP/1.1\r\nHost: HOST\r\n{usual}\r\n");
        add((*target).into(), fill(&text), Allowed::NothingOrPublic);
    }
    for header in HEADERS {
        for line in ["GET /admin", "OPTIONS /admin"] {
            let text = format!(
                "{line} HTTP/1.1\r\nHost: HOST\r\nAccept: application/json\r\n{header}\r\n\r\n"
            );
            add(format!("{line}, {header}"), fill(&text), Allowed::Nothing);
        }
    }
    // Public by another method than the request's.
    for header in ["X-Forwarded-Method: GET", "X-Original-Method: GET"] {
        let text = format!("DELETE /hook HTTP/1.1\r\nHost: HOST\r\n{usual}{header}\r\n\r\n");
        add(
            format!("DELETE /hook, {header}"),
            fill(&text),
            Allowed::Nothing,
        );
    }
    for (name, line) in cookies(token) {
        let text = format!("GET /x HTTP/1.1\r\nHost: HOST\r\n{usual}{line}\r\n\r\n");
        add(format!("cookie, {name}"), fill(&text), Allowed::Nothing);
    }
    for (name, text) in ambiguous("") {
        add(format!("no session, {name}"), fill(&text), Allowed::Nothing);
    }
    for (name, text) in ambiguous(&cookie) {
        add(
            format!("Alice, {name}"),
            fill(&text),
            Allowed::NothingOrAlice,
        );
    }
    for (name, allowed, text) in signed_in(&cookie) {
        add(format!("Alice, {name}"), fill(&text), allowed);
    }
    for (name, allowed, text) in signed_in("") {
        let text = text.replace(" /x ", " /public/x ");
        if allowed == Allowed::AsAlice && !name.contains("good one") {
            add(
                format!("no session at a public path, {name}"),
                fill(&text),
                Allowed::Anonymous,
            );
        }
    }
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: {host}\r\n{usual}\r\n",
        "a/".repeat(50_000)
    );
    add(
        "a path of 100 KB".into(),
        long.into_bytes(),
        Allowed::Nothing,
    );
    let asterisk = format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n{usual}\r\n");
    add("OPTIONS *".into(), asterisk.into_bytes(), Allowed::Unheard);
    // After all that, everyone is served as before.
    let usual = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n");
    add(
        "after all of them".into(),
        usual.into_bytes(),
        Allowed::AsAlice,
    );
    attacks
}

/// Returns the bytes with every occurrence of a text replaced.
fn replaced(bytes: &[u8], text: &str, by: &str) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len() + by.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        match rest.strip_prefix(text.as_bytes()) {
            Some(behind) => {
                made.extend(by.as_bytes());
                rest = behind;
            }
            None => {
                made.push(*first);
                rest = after;
            }
        }
    }
    made
}
