//! The answers that the plugin gives itself.

use gatepost_policy::{Denial, Presentation};
use gatepost_session::Audience;

use crate::host::Respond;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

fn respond(status: u16, content_type: &'static str, body: String) -> Respond {
    let mut headers = vec![
        ("Content-Type", content_type.to_owned()),
        // An answer about one person at one time is nobody else's, and not the next request's.
        ("Cache-Control", "no-store".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
    ];
    if content_type == HTML {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        headers.push(("Content-Security-Policy", policy.to_owned()));
    }
    Respond {
        status,
        headers,
        body,
    }
}

/// Sends a page load to sign in.
pub(crate) fn redirect(location: String) -> Respond {
    let mut answer = respond(302, TEXT, String::new());
    answer.headers.push(("Location", location));
    answer
}

/// Tells anything else that it has to sign in, and where. A session that `gatepost check` has
/// signed is shown that it is authentic, so that keys and names are those of the outpost, and the
/// rule here, whose text needs no escape.
pub(crate) fn unauthenticated(
    application: &Audience,
    sign_in: &str,
    rule: Option<&str>,
) -> Respond {
    let session = rule.map_or_else(String::new, |rule| {
        format!(r#""probe":"known","require":"{rule}","#)
    });
    let body = format!(
        r#"{{"error":"unauthenticated","message":"sign in first",{session}"signIn":{}}}"#,
        json_text(sign_in)
    );
    let mut answer = respond(401, JSON, body);
    // A scheme that no browser knows: the prompt for a password would lead nowhere.
    answer.headers.push((
        "WWW-Authenticate",
        format!(r#"Gatepost realm="{application}""#),
    ));
    answer
}

/// Tells a person who sent a form that it was not delivered. The request is not kept: sending it
/// again is theirs to decide.
pub(crate) fn not_delivered(sign_in: &str) -> Respond {
    let body = format!(
        "<p>You are not signed in any more, so what you sent has not been delivered. \
         <a href=\"{sign_in}\" target=\"_blank\">Sign in in a new tab</a>, then come back here, \
         reload this page and confirm to send it again.</p>"
    );
    respond(401, HTML, page("Please sign in again", &body))
}

/// Refuses someone who is signed in.
pub(crate) fn denied(
    how: Presentation,
    denial: &Denial<'_>,
    application: &Audience,
    outpost: &str,
) -> Respond {
    let claims = denial.identity();
    let who = claims
        .preferred_username
        .as_deref()
        .or(claims.email.as_deref());
    let who = who.unwrap_or(&claims.sub);
    match how {
        Presentation::PageLoad | Presentation::Form => {
            let (who, application) = (html_text(who), html_text(application.as_str()));
            let body = format!(
                "<p>You are signed in as <strong>{who}</strong>, who may not open \
                 <strong>{application}</strong>.</p><p><a href=\"{outpost}/sign_out\">Sign in as \
                 someone else</a> or ask whoever runs it for access.</p>"
            );
            respond(403, HTML, page("Access denied", &body))
        }
        Presentation::Data => {
            let body = format!(
                r#"{{"error":"denied","message":"signed in, but not admitted to this application","application":{}}}"#,
                json_text(application.as_str())
            );
            respond(403, JSON, body)
        }
    }
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>{title}</title>\
         <style>:root{{color-scheme:light dark}}body{{background:Canvas;color:CanvasText;\
         font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:10vh auto;padding:0 1.25rem;\
         overflow-wrap:anywhere}}h1{{font-size:1.5rem;line-height:1.25}}</style><main><h1>{title}</h1>{body}</main>"
    )
}

/// Answers while the settings or the keys are wrong. What is wrong stands in the log only.
pub(crate) fn unavailable() -> Respond {
    let body = "This application cannot be reached at the moment: its sign-in is not set up \
                correctly. The proxy's log says why.\n";
    respond(503, TEXT, body.to_owned())
}

/// Answers a method that no application gets.
pub(crate) fn method_not_allowed() -> Respond {
    respond(405, TEXT, "method not allowed\n".to_owned())
}

/// Answers a request for the outpost that reached the plugin instead. A redirect to sign in would
/// come back here for ever.
pub(crate) fn misrouted(prefix: &str) -> Respond {
    let body = format!(
        "Gatepost is not set up completely: requests for {prefix} have to be routed to the \
         outpost, and this one reached the application's router.\n"
    );
    respond(503, TEXT, body)
}

/// A text as a JSON string (RFC 8259 §7).
fn json_text(text: &str) -> String {
    // Writing a text into memory does not fail; were it to, the answer stays well-formed.
    serde_json::to_string(text).unwrap_or_else(|_| "null".to_owned())
}

/// A text as HTML content or attribute value.
fn html_text(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
