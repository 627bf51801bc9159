//! The pages a person sees: small, rendered here, with nothing loaded from anywhere.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue};
use minijinja::{Environment, context};
use sha2::{Digest as _, Sha256};

use crate::web::{Denied, FailureText, SessionView};

const STYLE: &str = include_str!("pages/templates/style.css");

/// The templates by name. Their names end in `.html`, which turns escaping on.
const TEMPLATES: [(&str, &str); 6] = [
    ("layout.html", include_str!("pages/templates/layout.html")),
    ("failure.html", include_str!("pages/templates/failure.html")),
    ("denied.html", include_str!("pages/templates/denied.html")),
    (
        "signed_out.html",
        include_str!("pages/templates/signed_out.html"),
    ),
    ("session.html", include_str!("pages/templates/session.html")),
    (
        "not_delivered.html",
        include_str!("pages/templates/not_delivered.html"),
    ),
];

/// What is served should a template be broken, which a test rules out.
const LAST_RESORT: &str = "<!doctype html><title>Gatepost</title><p>Something went wrong.";

/// A page and what it says.
#[derive(Debug)]
pub enum Page<'a> {
    /// Something did not work.
    Failure {
        /// What happened and what to do.
        text: FailureText,
        /// Ties the page to a line of the log.
        reference: &'a str,
    },
    /// Signed in, but not admitted.
    Denied(&'a Denied),
    /// A form came when nobody was signed in any more.
    NotDelivered {
        /// Where to sign in.
        sign_in_url: &'a str,
    },
    /// Signed out.
    SignedOut {
        /// Where to sign in again.
        application_url: &'a str,
    },
    /// The caller's own session.
    Session(&'a SessionView),
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    for (name, source) in TEMPLATES {
        if let Err(error) = environment.add_template(name, source) {
            tracing::error!(name, %error, "template is broken");
        }
    }
    environment.add_filter("time", |seconds: i64| {
        DateTime::from_timestamp(seconds, 0)
            .map(|time| time.format("%Y-%m-%d %H:%M UTC").to_string())
            .unwrap_or_default()
    });
    environment
});

/// `Content-Security-Policy`: this page's own style, by its hash, and nothing else. No script runs,
/// nothing is loaded, nobody frames it.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The headers of every page.
pub fn headers() -> [(HeaderName, HeaderValue); 3] {
    [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ]
}

impl Page<'_> {
    /// The page as HTML.
    pub fn render(&self) -> String {
        let rendered = match self {
            Self::Failure { text, reference } => render(
                "failure.html",
                context! { title => text.title, advice => text.advice, reference => *reference },
            ),
            Self::Denied(denied) => render(
                "denied.html",
                context! {
                    title => "You do not have access",
                    application => denied.application.as_str(),
                    signed_in_as => denied.signed_in_as.as_str(),
                    sign_out_url => denied.sign_out_url.as_str(),
                },
            ),
            Self::NotDelivered { sign_in_url } => {
                let values =
                    context! { title => "Please sign in again", sign_in_url => *sign_in_url };
                render("not_delivered.html", values)
            }
            Self::SignedOut { application_url } => {
                let values =
                    context! { title => "Signed out", application_url => *application_url };
                render("signed_out.html", values)
            }
            Self::Session(view) => {
                let session = minijinja::Value::from(minijinja::value::Serde(*view));
                render(
                    "session.html",
                    context! { title => "Your session", session },
                )
            }
        };
        rendered.unwrap_or_else(|error| {
            tracing::error!(%error, "page cannot be rendered");
            LAST_RESORT.to_owned()
        })
    }
}

fn render(name: &str, values: minijinja::Value) -> Result<String, minijinja::Error> {
    let values =
        context! { style => minijinja::Value::from_safe_string(STYLE.to_owned()), ..values };
    ENVIRONMENT.get_template(name)?.render(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script>\"&";

    fn view() -> SessionView {
        SessionView {
            application: "wiki".into(),
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
            sign_out: "https://wiki.example.com/akprox/sign_out".into(),
        }
    }

    #[test]
    fn every_page_renders_and_escapes_what_others_wrote() {
        let denied = Denied {
            application: "wiki".into(),
            signed_in_as: HOSTILE.into(),
            sign_out_url: "https://wiki.example.com/akprox/sign_out".into(),
        };
        let view = view();
        let text = FailureText {
            code: "x",
            title: "It broke",
            advice: "Wait.",
        };
        for (case, page, says) in [
            (
                "failure",
                Page::Failure {
                    text,
                    reference: "0123ab",
                },
                "0123ab",
            ),
            ("denied", Page::Denied(&denied), "wiki"),
            (
                "signed out",
                Page::SignedOut {
                    application_url: "https://a.example/",
                },
                "a.example",
            ),
            ("session", Page::Session(&view), "2027-01-15 08:00 UTC"),
        ] {
            let html = page.render();
            assert!(html.starts_with("<!doctype html>"), "{case}");
            assert!(
                html.contains(says) && html.contains("</html>"),
                "{case}: {html}"
            );
            assert!(!html.contains("<script"), "{case}: {html}");
            assert!(
                html.contains(STYLE),
                "{case}: the style is not the one that was hashed"
            );
        }
    }
}
