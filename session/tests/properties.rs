//! Properties of every session, every cookie and every change to one.

// Helpers of tests may panic like the tests themselves; clippy exempts only the latter.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::string_slice)]

use gatepost_session::cookie::{Candidates, CookieName, Hide, Rest, separate, strip};
use gatepost_session::{Audience, Claims, KeyRing, NumericDate, SessionId, TextList, Verifier};
use gatepost_signing::{CookieAttributes, CrossSite, Signer};
use proptest::collection::vec;
use proptest::prelude::*;

const KEY: &str = "2026a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

prop_compose! {
    fn claims()(
        sub in ".{1,40}",
        sid in any::<[u8; 24]>(),
        iat in 0_u64..4_000_000_000,
        window in 1_u64..100_000,
        username in proptest::option::of(".{0,40}"),
        email_verified in proptest::option::of(any::<bool>()),
        groups in vec(".{0,20}", 0..20),
        grp_more in any::<bool>(),
        ext in vec(("[a-z]{1,8}", ".{0,20}"), 0..4),
    ) -> Claims {
        let iat = NumericDate::from_seconds(iat);
        Claims {
            iss: "https://id.example.com".into(),
            sub,
            aud: "wiki".into(),
            sid: SessionId::from_random(sid),
            iat,
            exp: iat.plus_seconds(window),
            rnw: iat.plus_seconds(window / 2),
            nbf: None,
            preferred_username: username,
            name: None,
            email: None,
            email_verified,
            groups: groups.iter().collect(),
            grp_more,
            acr: None,
            amr: TextList::default(),
            auth_time: None,
            bound: false,
            ext: ext.into_iter().collect(),
        }
    }
}

fn ring() -> KeyRing {
    KeyRing::parse(KEY).expect("ring")
}

fn verifier() -> Verifier {
    Verifier::new(&ring(), Audience::new("wiki").expect("audience"))
}

fn sign(claims: &Claims) -> String {
    Signer::new(&ring()).sign(claims).expect("token")
}

proptest! {
    #[test]
    fn a_signed_session_is_read_back(claims in claims()) {
        let authentic = verifier().authenticate(sign(&claims).as_bytes()).expect("authentic");
        let session = authentic.current(claims.iat, 0).expect("in force");
        prop_assert_eq!(session.claims(), &claims);
    }

    #[test]
    fn a_session_is_in_force_within_its_window_only(
        claims in claims(),
        now in 0_u64..4_200_000_000,
        skew in 0_u64..300,
    ) {
        let authentic = verifier().authenticate(sign(&claims).as_bytes()).expect("authentic");
        let now = NumericDate::from_seconds(now);
        let within = claims.iat <= now.plus_seconds(skew) && now < claims.exp;
        prop_assert_eq!(authentic.current(now, skew).is_ok(), within);
    }

    #[test]
    fn any_changed_byte_is_noticed(
        claims in claims(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut token = sign(&claims).into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != to);
        token[at] = to;
        prop_assert!(verifier().authenticate(&token).is_err());
    }

    #[test]
    fn any_bytes_are_answered(token in vec(any::<u8>(), 0..300)) {
        prop_assert!(verifier().authenticate(&token).is_err());
    }

    #[test]
    fn a_session_survives_the_trip_through_set_cookie_and_cookie(
        claims in claims(),
        groups in 0_usize..200,
        before in "[a-z]{1,5}=[a-z0-9]{0,9}",
        after in "[a-z]{1,5}=[a-z0-9\"]{0,9}",
    ) {
        let groups = (0..groups).map(|n| format!("group-{n:050}")).collect();
        let token = sign(&Claims { groups, ..claims });
        let name = CookieName::new("__Host-gatepost").expect("name");
        let attributes = CookieAttributes { name: name.clone(), domain: None, secure: true, cross_site: CrossSite::Withheld };
        let mut pairs = vec![before.clone()];
        for line in attributes.issue(&token, 60, &Candidates::default()) {
            pairs.push(line.split_once(';').expect("attributes").0.to_owned());
        }
        pairs.push(after.clone());
        let line = pairs.join("; ");
        let found = Candidates::find([line.as_bytes()], &name);
        let values: Vec<_> = found.values().collect();
        prop_assert_eq!(values.len(), 1);
        prop_assert_eq!(&*values[0], token.as_bytes());
        let kept = strip(line.as_bytes(), Hide::All(&name)).expect("two cookies left");
        prop_assert_eq!(kept, format!("{before}; {after}").into_bytes());
    }

    #[test]
    fn one_look_at_the_lines_finds_what_two_find(
        lines in vec("(gp|gp\\.[0-9]|gatepost|x|;|=| |\t|\"|\u{c}|,){0,20}", 0..4),
        but_the_session in any::<bool>(),
    ) {
        let name = CookieName::new("gp").expect("name");
        let hide = if but_the_session { Hide::AllBut(&name) } else { Hide::All(&name) };
        let lines = || lines.iter().map(String::as_bytes);
        let (found, rest) = separate(lines(), hide);
        let candidates = Candidates::find(lines(), &name);
        prop_assert_eq!(format!("{found:?}"), format!("{candidates:?}"));
        let stripped: Vec<Vec<u8>> = lines().filter_map(|line| strip(line, hide)).collect();
        let expected = if !lines().any(|line| hide.any_in(line)) {
            Rest::AsSent
        } else if stripped.is_empty() {
            Rest::Nothing
        } else {
            Rest::Only(stripped.join(&b"; "[..]))
        };
        prop_assert_eq!(rest, expected);
    }

    #[test]
    fn stripping_leaves_no_cookie_of_ours(line in "(gp|gp\\.[0-9]|x|;|=| |\t|\"|,){0,30}") {
        let name = CookieName::new("gp").expect("name");
        let kept = strip(line.as_bytes(), Hide::All(&name)).unwrap_or_default();
        prop_assert!(!Candidates::find([&kept[..]], &name).any(), "{:?}", kept);
    }
}
