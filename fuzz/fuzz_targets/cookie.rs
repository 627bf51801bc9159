//! `Cookie` header lines: every line gets an answer, and only a genuine token is a session.

#![no_main]

use gatepost_fuzz::{KEY, is_genuine, now, with_tokens};
use gatepost_session::cookie::{Candidates, CookieName, Hide, strip};
use gatepost_session::{Audience, KeyRing, Verifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let data = with_tokens(data);
    let name = CookieName::default_for(true, false);
    let lines = || data.split(|byte| *byte == b'\n');
    let candidates = Candidates::find(lines(), &name);
    let ring = KeyRing::parse(KEY).expect("a ring");
    let verifier = Verifier::new(&ring, Audience::new("wiki").expect("an audience"));
    let mut tried = 0;
    for value in candidates.values() {
        tried += 1;
        if let Ok(authentic) = verifier.authenticate(&value) {
            assert!(is_genuine(&value), "a token that was never signed");
            assert_eq!(authentic.claims_at_issue().aud.as_str(), "wiki");
            let _ = authentic.current(now(), 30);
        }
    }
    assert!(tried <= 5, "the work for one request is bounded");
    for line in lines() {
        let hide = Hide::All(&name);
        let kept = strip(line, hide);
        let left = kept.as_deref().unwrap_or_default();
        assert!(!Candidates::find([left], &name).any(), "a session left in");
        assert!(!hide.any_in(left), "a cookie of Gatepost's left in");
        assert!(left.len() <= line.len());
        if !hide.any_in(line) {
            let blank = line.iter().all(|b| b.is_ascii_whitespace());
            assert!(blank || line.ends_with(left), "others keep their bytes");
        }
    }
});
