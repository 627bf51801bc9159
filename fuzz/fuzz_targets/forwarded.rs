//! `auth/*`: a request without a session is never allowed, whatever its headers say, unless a
//! trusted proxy says that it goes to a public path.

#![no_main]

use axum::body::Body;
use gatepost_fuzz::{Sent, ask};
use http::Request;
use libfuzzer_sys::fuzz_target;

const ENDPOINTS: [&str; 4] = ["auth/traefik", "auth/caddy", "auth/nginx", "auth/envoy"];

fuzz_target!(|data: &[u8]| {
    let Some(sent) = Sent::parse(data) else {
        return;
    };
    for endpoint in ENDPOINTS {
        let target = if endpoint == "auth/envoy" {
            sent.target.as_str()
        } else {
            ""
        };
        for (peer, trusted) in [("127.0.0.1:4000", true), ("192.0.2.9:4000", false)] {
            let request = Request::builder()
                .method(sent.method.as_str())
                .uri(format!("/akprox/{endpoint}{target}"))
                .body(Body::empty());
            let Ok(mut request) = request else {
                return;
            };
            for (name, value) in &sent.headers {
                request.headers_mut().append(name, value.clone());
            }
            let response = ask(peer, request);
            let consent = response.status().is_success();
            let open = |text| sent.mentions(text) || target.contains(text);
            let may = open("public")
                || open("hook")
                || open("%")
                || open("OPTIONS")
                || sent.method == "OPTIONS";
            assert!(!consent || (trusted && may), "{endpoint} from {peer}");
            let user = response.headers().get("x-auth-username");
            assert!(
                user.is_none_or(|user| user.is_empty()),
                "{endpoint}: an identity"
            );
        }
    }
});
