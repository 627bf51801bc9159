//! The pages for users: small, rendered here, and without anything to load.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue};
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, HtmlEscape, State, Value, context};
use sha2::{Digest as _, Sha256};

mod brand;
mod language;
mod views;

pub(crate) use brand::{Brand, Colour, DEFAULT_COLOUR, Logo, MAX_LOGO_BYTES};
pub(crate) use language::Language;
pub(crate) use views::{Choice, Denied, FailureCode, Offer, SessionView};

/// The templates by name. Their names end in `.html`, which turns escaping on.
const TEMPLATES: [(&str, &str); 7] = [
    ("layout.html", include_str!("pages/templates/layout.html")),
    ("failure.html", include_str!("pages/templates/failure.html")),
    ("choice.html", include_str!("pages/templates/choice.html")),
    ("denied.html", include_str!("pages/templates/denied.html")),
    (
        "not_delivered.html",
        include_str!("pages/templates/not_delivered.html"),
    ),
    (
        "signed_out.html",
        include_str!("pages/templates/signed_out.html"),
    ),
    ("session.html", include_str!("pages/templates/session.html")),
];

/// The name and text of the style sheet, in the folder of the templates.
const STYLE: (&str, &str) = ("style.css", include_str!("pages/templates/style.css"));

/// The most bytes that an answer to a proxy has, without the operator's changes to the pages.
///
/// Traefik allocates that much for every request that it asks about (`maxResponseBodySize`), and
/// refuses a request with a longer answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 * 1024;

/// The page that is served if a template fails, or makes a page that is too long for a proxy.
pub(crate) const LAST_RESORT: &str =
    "<!doctype html><title>Gatepost</title><p>Something went wrong.";

/// A page and its values.
#[derive(Debug)]
pub(crate) enum Page<'a> {
    /// A request failed.
    Failure {
        /// Says which texts the page has.
        code: FailureCode,
        /// Ties the page to a line of the log.
        reference: &'a str,
        /// The URL that starts the sign-in again, where the failure has ended one.
        restart_url: Option<&'a str>,
        /// The URL that signs out, where the user can go on as another.
        switch_url: Option<&'a str>,
    },
    /// The user has to choose a provider.
    Choice(&'a Choice),
    /// The user is signed in, but not admitted.
    Denied(&'a Denied),
    /// A form was sent that a session would have opened, or another authentication.
    NotDelivered {
        /// The URL to sign in at.
        sign_in_url: &'a str,
        /// Whether the user is signed in, and has to authenticate again or in another way.
        is_step_up: bool,
    },
    /// The user has signed out.
    SignedOut {
        /// The URL to sign in again at.
        application_url: &'a str,
    },
    /// The user's own session.
    Session(&'a SessionView),
}

/// The templates, with the operator's changes.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
    style: String,
    policy: HeaderValue,
    brand: Brand,
}

/// A page for one reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'p> {
    /// The templates.
    pub pages: &'p Pages,
    /// The reader's language.
    pub language: Language,
}

impl Pages {
    /// Returns the names of the files that an operator may replace.
    pub fn file_names() -> impl Iterator<Item = &'static str> {
        TEMPLATES.into_iter().map(|(name, _)| name).chain([STYLE.0])
    }

    /// Returns the pages of this brand.
    ///
    /// # Errors
    ///
    /// The error in one of the brand's templates, with its name and line.
    pub fn new(brand: &Brand) -> Result<Self, Error> {
        let mut environment = Environment::new();
        let source = |(name, own): (&'static str, &'static str)| {
            brand
                .templates
                .get(name)
                .map_or_else(|| own.to_owned(), Clone::clone)
        };
        for template in TEMPLATES {
            environment.add_template_owned(template.0, source(template))?;
        }
        environment.add_filter("time", |seconds: i64| {
            DateTime::from_timestamp(seconds, 0)
                .map(|time| time.format("%Y-%m-%d %H:%M UTC").to_string())
                .unwrap_or_default()
        });
        environment.add_filter("code", |text: &str| Value::from_safe_string(code(text)));
        environment.add_function("text", text);
        let colour = brand.colour.unwrap_or(DEFAULT_COLOUR);
        let style = format!(
            ":root {{ --button: {colour}; --on-button: {}; }}\n{}",
            colour.text(),
            source(STYLE)
        );
        // This page's own style, by its hash, a logo that is part of the page, and nothing else.
        // No script runs, nothing is loaded, and no other page can frame it.
        let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
        let images = brand.logo.as_ref().map_or("", |_| " img-src data:;");
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}';{images} base-uri 'none'; form-action \
             'none'; frame-ancestors 'none'"
        );
        Ok(Self {
            environment,
            style,
            policy: HeaderValue::try_from(policy)
                .unwrap_or(HeaderValue::from_static("default-src 'none'")),
            brand: brand.clone(),
        })
    }

    /// Returns the most bytes that an answer to a proxy has.
    pub fn max_answer_bytes(&self) -> usize {
        MAX_ANSWER_BYTES + self.brand.more_bytes()
    }

    fn render(&self, name: &str, language: Language, values: Value) -> Result<String, Error> {
        let values = context! {
            style => Value::from_safe_string(self.style.clone()),
            language => language.tag(),
            brand_name => self.brand.name.as_deref(),
            logo => self.brand.logo.as_ref().map(Logo::url),
            ..values
        };
        self.environment.get_template(name)?.render(values)
    }
}

/// Returns a text as HTML, with the parts between backticks as code.
fn code(text: &str) -> String {
    let mut parts = text.split('`').map(HtmlEscape);
    let mut html = parts
        .next()
        .map(|part| part.to_string())
        .unwrap_or_default();
    while let Some(name) = parts.next() {
        html.push_str(&format!("<code>{name}</code>"));
        html.extend(parts.next().map(|part| part.to_string()));
    }
    html
}

/// Returns a text in the page's language for `text("denied.body", who=…)`. Its values are escaped
/// and emphasised.
fn text(state: &State<'_, '_>, key: &str, fill: Kwargs) -> Result<Value, Error> {
    let tag = state.lookup("language");
    let tag = tag.as_ref().and_then(Value::as_str);
    let Some(text) = Language::accepted(tag).text(key) else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("there is no text `{key}`"),
        ));
    };
    let mut html = HtmlEscape(text).to_string();
    for name in fill.args() {
        let value: String = fill.get(name)?;
        let value = format!("<strong>{}</strong>", HtmlEscape(&value));
        html = html.replace(&format!("{{{name}}}"), &value);
    }
    Ok(Value::from_safe_string(html))
}

impl Reader<'_> {
    /// Returns the headers of every page.
    pub(crate) fn headers(self) -> [(HeaderName, HeaderValue); 5] {
        [
            (
                CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (CONTENT_SECURITY_POLICY, self.pages.policy.clone()),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (
                CONTENT_LANGUAGE,
                HeaderValue::from_static(self.language.tag()),
            ),
            (VARY, HeaderValue::from_static("Cookie, Accept-Language")),
        ]
    }

    /// Renders a page as HTML.
    pub(crate) fn render(self, page: &Page<'_>) -> String {
        let text = |key: &str| self.language.text(key);
        let (name, values) = match page {
            Page::Failure {
                code,
                reference,
                restart_url,
                switch_url,
            } => {
                let values = context! {
                    title => self.language.failure_text(*code, "title"),
                    advice => self.language.failure_text(*code, "advice"),
                    reference => *reference,
                    sign_in_url => *restart_url,
                    switch_url => *switch_url,
                };
                ("failure.html", values)
            }
            Page::Choice(choice) => {
                let values = context! {
                    title => text("choice.title"),
                    application => choice.application.as_str(),
                    offers => Value::from(Serde(&choice.offers)),
                };
                ("choice.html", values)
            }
            Page::Denied(denied) => {
                let values = context! {
                    title => text("denied.title"),
                    application => denied.application.as_str(),
                    signed_in_as => denied.signed_in_as.as_deref(),
                    sign_out_url => denied.sign_out_url.as_str(),
                    rule => denied.rule.as_deref(),
                    rule_name => denied.rule_name.as_deref(),
                };
                ("denied.html", values)
            }
            Page::NotDelivered {
                sign_in_url,
                is_step_up,
            } => {
                let values = context! {
                    title => text("not_delivered.title"),
                    sign_in_url => *sign_in_url,
                    is_step_up => *is_step_up,
                };
                ("not_delivered.html", values)
            }
            Page::SignedOut { application_url } => {
                let values = context! {
                    title => text("signed_out.title"),
                    application_url => *application_url,
                };
                ("signed_out.html", values)
            }
            Page::Session(view) => {
                let values = context! {
                    title => text("session.title"),
                    session => Value::from(Serde(*view)),
                };
                ("session.html", values)
            }
        };
        self.pages
            .render(name, self.language, values)
            .unwrap_or_else(|error| {
                tracing::error!(%error, name, "the page cannot be rendered");
                LAST_RESORT.to_owned()
            })
    }
}

#[cfg(test)]
mod tests;
