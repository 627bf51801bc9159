//! `callback` and `sign_out`: no parameters and no cookies but those of a finished sign-in make a
//! session, and no answer leads away.

#![no_main]

use axum::body::Body;
use gatepost_fuzz::{Sent, ask};
use http::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(sent) = Sent::parse(data) else {
        return;
    };
    for endpoint in ["callback", "sign_out", "start", "session"] {
        let request = Request::builder()
            .method(sent.method.as_str())
            .uri(format!("/akprox/{endpoint}?{}", sent.target))
            .header("Host", "wiki.example.com")
            .body(Body::empty());
        let Ok(mut request) = request else {
            return;
        };
        for (name, value) in &sent.headers {
            // From an untrusted peer, so that no header changes the host.
            request.headers_mut().append(name, value.clone());
        }
        let response = ask("192.0.2.9:4000", request);
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().expect("text");
            let session =
                line.starts_with("__Host-gatepost=") || line.starts_with("__Host-gatepost.");
            assert!(!session || line.contains("Max-Age=0"), "{endpoint}: {line}");
        }
        if let Some(location) = response.headers().get("location") {
            let location = location.to_str().expect("text");
            assert!(
                location.starts_with("https://wiki.example.com/"),
                "{endpoint}: {location}"
            );
        }
    }
});
