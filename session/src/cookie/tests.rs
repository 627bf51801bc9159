use super::*;
use alloc::format;
use alloc::string::{String, ToString};

fn name() -> CookieName {
    CookieName::new("gp").expect("name")
}

fn values(lines: &[&str]) -> Vec<String> {
    Candidates::find(lines.iter().map(|line| line.as_bytes()), &name())
        .values()
        .map(|value| String::from_utf8_lossy(&value).to_string())
        .collect()
}

#[test]
fn one_grammar_finds_the_session() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("alone", &["gp=G"], &["G"]),
        ("among others", &["a=1; gp=G; b=2"], &["G"]),
        ("on a second line", &["a=1", "gp=G"], &["G"]),
        ("no space, empty segments", &["a=1;;gp=G;;"], &["G"]),
        ("tabs around", &["\tgp\t=\tG\t"], &["G"]),
        ("value keeps later equal signs", &["gp=G=="], &["G=="]),
        (
            "duplicates keep their order",
            &["gp=1; gp=2", "gp=3"],
            &["1", "2", "3"],
        ),
        (
            "at most four are tried",
            &["gp=1;gp=2;gp=3;gp=4;gp=5"],
            &["1", "2", "3", "4"],
        ),
        ("quotes belong to the value", &["gp=\"G\""], &["\"G\""]),
        ("no value inside another's quotes", &["a=\"x, gp=G\""], &[]),
        ("comma separates nothing", &["a=1, gp=G"], &[]),
        ("a no-break space is part of the name", &["\u{a0}gp=G"], &[]),
        ("other case", &["GP=G; Gp=G"], &[]),
        ("quoted name", &["\"gp\"=G"], &[]),
        ("nameless", &["=gp=G", "gp"], &[]),
        ("escaped name", &["g%70=G"], &[]),
        (
            "longer and shorter names",
            &["gpx=G; g=G; xgp=G; gp-0=G"],
            &[],
        ),
        ("chunks", &["gp.0=A; gp.1=B"], &["AB"]),
        (
            "chunks in any order and line",
            &["gp.1=B", "gp.0=A"],
            &["AB"],
        ),
        ("whole before chunks", &["gp.0=A; gp=G"], &["G", "A"]),
        ("a hole", &["gp.0=A; gp.2=C"], &[]),
        ("no first chunk", &["gp.1=B"], &[]),
        ("a chunk twice", &["gp.0=A; gp.0=B"], &[]),
        ("a chunk twice, both the same", &["gp.0=A; gp.0=A"], &[]),
        (
            "odd chunk numbers",
            &["gp.00=A; gp.-1=A; gp.5=A; gp.99999999=A; gp.=A"],
            &[],
        ),
    ];
    for (case, lines, expected) in cases {
        assert_eq!(&values(lines), expected, "{case}");
    }
}

#[test]
fn oversized_chunks_are_not_put_together() {
    let line = format!("gp.0={}; gp.1=B", "A".repeat(CHUNK_BYTES + 1));
    assert!(values(&[&line]).is_empty());
}

#[test]
fn stripping_takes_ours_and_keeps_every_other_byte() {
    let cases: &[(&str, Option<&str>)] = &[
        ("gp=G", None),
        ("gp.0=A; gp.1=B; gp.99=C; gp.x=1", None),
        ("gp=G;", None),
        ("a=1; gp=G; b=2", Some("a=1; b=2")),
        ("gp=G; a=1", Some("a=1")),
        ("gp=G;a=\"x y\";b", Some("a=\"x y\";b")),
        ("a=1;  b=2 ;c=3", Some("a=1;  b=2 ;c=3")),
        ("gpx=1; =gp=2", Some("gpx=1; =gp=2")),
        ("gp=1; \u{c} gp=2", Some("\u{c} gp=2")),
        ("", None),
    ];
    for (line, expected) in cases {
        let kept = strip(line.as_bytes(), Hide::All(&name()));
        assert_eq!(kept.as_deref(), expected.map(str::as_bytes), "{line}");
    }
}

/// Row A8: whatever application a session is for, and in however many parts, no other one gets it.
#[test]
fn every_cookie_of_gateposts_is_hidden_by_its_name() {
    let cases: &[(&str, &str, &str)] = &[
        ("__Secure-gatepost=D; a=1", "a=1", "a=1"),
        ("__Host-gatepost=S;__Secure-gatepost.0=D; a=1", "a=1", "a=1"),
        ("gatepost=P; gatepost.4=P; a=1; gatepost.99=P", "a=1", "a=1"),
        (
            "__Secure-gatepost-flow-x=1; __Host-gatepost-flow-x=1; a=1",
            "a=1",
            "a=1",
        ),
        (
            "gatepost-attempts=1; gatepost-provider=1; a=1",
            "a=1",
            "a=1",
        ),
        ("gp=G; gp.0=G; a=1; gatepost=P", "a=1", "gp=G; gp.0=G; a=1"),
        // Names that only look like it are the application's.
        (
            "gateposts=1; __host-gatepost=2; xgatepost=3; __Secure-__Host-gatepost=4; Gatepost=5",
            "gateposts=1; __host-gatepost=2; xgatepost=3; __Secure-__Host-gatepost=4; Gatepost=5",
            "gateposts=1; __host-gatepost=2; xgatepost=3; __Secure-__Host-gatepost=4; Gatepost=5",
        ),
    ];
    for (line, all, all_but) in cases {
        let name = name();
        for (hide, expected) in [(Hide::All(&name), all), (Hide::AllBut(&name), all_but)] {
            let kept = strip(line.as_bytes(), hide);
            assert_eq!(kept.as_deref(), Some(expected.as_bytes()), "{line}");
            assert_eq!(hide.any_in(line.as_bytes()), line != expected, "{line}");
        }
    }
    let own = CookieName::default_for(true, true);
    let line = b"__Secure-gatepost.0=A; __Secure-gatepost-flow-x=1; __Host-gatepost=S";
    let kept = strip(line, Hide::AllBut(&own));
    assert_eq!(kept.as_deref(), Some(&b"__Secure-gatepost.0=A"[..]));
}

#[test]
fn names_that_would_collide_are_refused() {
    for bad in ["", "a.b", "a b", "a=b", "a;b", "ä", &"x".repeat(65)] {
        assert_eq!(CookieName::new(bad), Err(InvalidCookieName), "{bad}");
    }
}
