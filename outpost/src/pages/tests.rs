use super::*;

const HOSTILE: &str = "<script>alert('x')</script>\"&{application}";

fn view() -> SessionView {
    SessionView {
        application: "wiki".into(),
        provider: None,
        issuer: "https://id.example.com".into(),
        subject: HOSTILE.into(),
        username: Some(HOSTILE.into()),
        name: None,
        email: Some("a@example.com".into()),
        groups: vec!["staff".into(), HOSTILE.into()],
        signed_in_at: 1_800_000_000,
        renews_at: 1_800_000_600,
        window_ends_at: 1_800_000_900,
        ends_at: 1_800_086_400,
        device_bound: true,
        sign_out: "https://wiki.example.com/akprox/sign_out".into(),
    }
}

fn pages(brand: &Brand) -> Pages {
    Pages::new(brand).expect("templates")
}

#[test]
fn every_page_renders_in_every_language_and_escapes_its_values() {
    let denied = Denied {
        application: "wiki".into(),
        signed_in_as: Some(HOSTILE.into()),
        sign_out_url: "https://wiki.example.com/akprox/sign_out".into(),
        rule: Some(HOSTILE.into()),
        rule_name: Some(HOSTILE.into()),
    };
    let offer = |title: &str, last_used, available| Offer {
        title: title.to_owned(),
        url: "https://wiki.example.com/akprox/start?rd=%2F&provider=x".to_owned(),
        last_used,
        available,
    };
    let choice = Choice {
        application: "wiki".into(),
        offers: vec![
            offer("Example Ltd", true, true),
            offer(HOSTILE, false, false),
        ],
    };
    let view = view();
    let pages = pages(&Brand::default());
    for (case, page, says, sagt) in [
        (
            "failure",
            Page::Failure {
                code: FailureCode::NoFlow,
                reference: "0123ab",
                restart_url: Some("https://app.example.com/akprox/start?rd=%2Fa&amp"),
                switch_url: None,
            },
            ["This sign-in has ended", "\">Sign in again</a>"],
            ["Diese Anmeldung ist vorbei", "\">Erneut anmelden</a>"],
        ),
        (
            "another user",
            Page::Failure {
                code: FailureCode::OtherUser,
                reference: "0123ab",
                restart_url: Some("https://app.example.com/akprox/start?rd=%2Fa&amp"),
                switch_url: Some("https://app.example.com/akprox/sign_out?a&amp"),
            },
            ["signed in as someone else", "\">Sign out</a>"],
            ["mit einem anderen Konto", "\">Abmelden</a>"],
        ),
        (
            "choice",
            Page::Choice(&choice),
            [
                "<strong>wiki</strong>, sign in at one of these",
                "Example Ltd <span class=\"quiet\">Used last</span>",
            ],
            [
                "<span class=\"quiet\">Zurzeit nicht erreichbar</span>",
                "Example Ltd <span class=\"quiet\">Zuletzt verwendet</span>",
            ],
        ),
        (
            "denied",
            Page::Denied(&denied),
            ["not admitted to <strong>wiki</strong>", "someone else"],
            ["für <strong>wiki</strong> nicht", "jemand anderes"],
        ),
        (
            "not delivered",
            Page::NotDelivered {
                sign_in_url: "https://a.example/",
                is_step_up: false,
            },
            ["a.example", "not been delivered"],
            ["a.example", "nicht übermittelt"],
        ),
        (
            "not delivered, for want of an authentication",
            Page::NotDelivered {
                sign_in_url: "https://a.example/",
                is_step_up: true,
            },
            ["more recent sign-in", "not been delivered"],
            ["frischere Anmeldung", "nicht übermittelt"],
        ),
        (
            "signed out",
            Page::SignedOut {
                application_url: "https://a.example/",
            },
            ["a.example", "Signed out"],
            ["a.example", "Abgemeldet"],
        ),
        (
            "session",
            Page::Session(&view),
            ["2027-01-15 08:00 UTC", "Groups"],
            ["2027-01-15 08:00 UTC", "Gruppen"],
        ),
    ] {
        for (accepted, said) in [("en", says), ("de", sagt)] {
            let reader = Reader {
                pages: &pages,
                language: Language::accepted(Some(accepted)),
            };
            let html = reader.render(&page);
            assert!(html.starts_with("<!doctype html>"), "{case}");
            assert!(
                html.contains(&format!("<html lang=\"{accepted}\">")),
                "{case}"
            );
            for text in said {
                assert!(html.contains(text), "{case} lacks {text}: {html}");
            }
            assert!(
                html.contains("</html>") && !html.contains("<script"),
                "{case}: {html}"
            );
            assert!(
                html.contains(&pages.style),
                "{case}: the style is not the one that was hashed"
            );
        }
    }
}

#[test]
fn a_brand_shows_on_every_page_and_its_templates_are_checked() {
    let brand = Brand {
        name: Some("<Example & Sons>".into()),
        logo: Logo::new(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        colour: Colour::parse("#ffcc00"),
        templates: [(
            "signed_out.html".to_owned(),
            "{% extends 'layout.html' %}{% block content %}Bye!{% endblock %}".to_owned(),
        )]
        .into(),
    };
    let pages = pages(&brand);
    let reader = Reader {
        pages: &pages,
        language: Language::ENGLISH,
    };
    let html = reader.render(&Page::SignedOut {
        application_url: "x",
    });
    for text in [
        "&lt;Example &amp; Sons&gt;",
        "src=\"data:image&#x2f;svg+xml;base64,",
        "--button: #ffcc00; --on-button: #000",
        "Bye!",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    let policy = reader.headers()[1].1.clone();
    assert!(
        policy.to_str().expect("text").contains("img-src data:;"),
        "{policy:?}"
    );

    let broken = Brand {
        templates: [("denied.html".to_owned(), "{% if %}".to_owned())].into(),
        ..Brand::default()
    };
    let error = Pages::new(&broken)
        .expect_err("a broken template")
        .to_string();
    assert!(error.contains("denied.html"), "{error}");
}

#[test]
fn text_between_backticks_is_code_and_the_rest_is_escaped() {
    for (text, expected) in [
        ("plain", "plain"),
        ("`a` and `b`.", "<code>a</code> and <code>b</code>."),
        ("<i> & `<b>`", "&lt;i&gt; &amp; <code>&lt;b&gt;</code>"),
        ("", ""),
    ] {
        assert_eq!(super::code(text), expected, "{text}");
    }
}
