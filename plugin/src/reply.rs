//! The plugin's own responses.
//!
//! An application's name and the outpost's URLs need no escape in JSON or in a header: see
//! [`Audience`], [`OutpostUrl`] and [`OutpostPrefix`].
//!
//! [`OutpostUrl`]: gatepost_policy::OutpostUrl
//! [`OutpostPrefix`]: gatepost_policy::OutpostPrefix

use gatepost_policy::{Denial, Presentation};
use gatepost_session::Audience;

use crate::host::Reply;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

fn new_reply(status: u16, content_type: &'static str, body: String) -> Reply {
    let mut headers = vec![
        ("Content-Type", content_type.to_owned()),
        // An answer is for one user at one time: no cache may give it to another request.
        ("Cache-Control", "no-store".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
    ];
    if content_type == HTML {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        headers.push(("Content-Security-Policy", policy.to_owned()));
    }
    Reply {
        status,
        headers,
        body,
    }
}

/// Sends a page load to sign in.
pub(crate) fn redirect(location: String) -> Reply {
    let mut reply = new_reply(302, TEXT, String::new());
    reply.headers.push(("Location", location));
    reply
}

/// What `gatepost check` learns of the plugin. The texts of rules need no escape.
pub(crate) struct Probe<'p> {
    /// The rule that is in force, but for the router's own.
    pub(crate) rule: &'p str,
    /// The fingerprints of the list of rules, and of the public paths.
    pub(crate) rules: &'p str,
    pub(crate) public: &'p str,
    /// Whether the list of revoked sessions can be read: empty without one.
    pub(crate) list: &'p str,
    /// The router's own, where the other comes from the outpost's folder: then both must hold.
    pub(crate) narrowed_to: Option<&'p str>,
    /// The headers in which the application gets tokens.
    pub(crate) tokens: Option<&'p str>,
}

/// Answers a request that is no page load: where to sign in.
///
/// `probe` is set for the session with which `gatepost check` probes: the answer then says that the
/// session is authentic, so that the keys and names are those of the outpost, and shows the
/// plugin's rules.
pub(crate) fn unauthenticated(
    application: &Audience,
    sign_in: &str,
    probe: Option<Probe<'_>>,
) -> Reply {
    let session = probe.map_or_else(String::new, |probe| {
        let Probe {
            rule,
            rules,
            public,
            list,
            ..
        } = probe;
        let from = probe.narrowed_to.map_or_else(String::new, |own| {
            format!(r#""settings":"stateDir","narrowedTo":"{own}","#)
        });
        let tokens = probe.tokens.map_or_else(String::new, |names| {
            format!(r#""upstreamTokens":"{names}","#)
        });
        format!(
            r#""probe":"known","require":"{rule}","rules":"{rules}","public":"{public}","revokedFile":"{list}",{from}{tokens}"#
        )
    });
    let body = format!(
        r#"{{"error":"unauthenticated","message":"sign in first",{session}"signIn":"{sign_in}"}}"#
    );
    let mut reply = new_reply(401, JSON, body);
    // A scheme that no browser knows: the prompt for a password would lead nowhere.
    reply.headers.push((
        "WWW-Authenticate",
        format!(r#"Gatepost realm="{application}""#),
    ));
    reply
}

/// Answers a script whose user has to authenticate again, or in another way (RFC 9470 §3).
pub(crate) fn insufficient(sign_in: &str, challenge: String) -> Reply {
    let body = [
        r#"{"error":"insufficient_user_authentication","signIn":""#,
        sign_in,
        "\"}",
    ];
    let mut reply = new_reply(401, JSON, body.concat());
    reply.headers.push(("WWW-Authenticate", challenge));
    reply
}

/// Shows a user who sent a form that it was not delivered, and why. The request is not stored: the
/// user decides whether to send it again.
pub(crate) fn not_delivered(why: &str, sign_in: &str) -> Reply {
    let body = format!(
        "<p>{why}, so what you sent has not been delivered. \
         <a href=\"{sign_in}\" target=\"_blank\">Sign in in a new tab</a>, then come back here, \
         reload this page and confirm to send it again.</p>"
    );
    new_reply(401, HTML, page("Please sign in again", &body))
}

/// Refuses a signed-in user, or every client. A rule's name needs no escape in JSON; a client that is
/// not signed in does not learn it.
pub(crate) fn denied(
    how: Presentation,
    denial: &Denial<'_>,
    application: &Audience,
    outpost: &str,
) -> Reply {
    let user = denial.identity();
    let rule = user.map_or("", |_| denial.rule().unwrap_or("require"));
    match how {
        // A page load has gone to the outpost.
        Presentation::PageLoad | Presentation::Form if denial.lacks_device() => {
            let body = format!(
                "<p>Your session is not bound to your device, as <strong>{}</strong> asks for, so \
                 what you sent has not been delivered. If you have just signed in, go back in a few \
                 seconds and send it again.</p>",
                html_text(application.as_str())
            );
            new_reply(403, HTML, page("Access denied", &body))
        }
        Presentation::Data if denial.lacks_device() => {
            let body = r#"{"error":"device_not_bound","message":"signed in, but the session is not bound to a device"}"#;
            new_reply(403, JSON, body.to_owned())
        }
        Presentation::PageLoad | Presentation::Form => {
            let application = html_text(application.as_str());
            let who = user.map(|claims| {
                let names = [&claims.preferred_username, &claims.email];
                let who = html_text(names.into_iter().flatten().next().unwrap_or(&claims.sub));
                let rule = html_text(rule);
                format!("You are signed in as <strong>{who}</strong>. By the rule {rule} you")
            });
            let who = who.as_deref().unwrap_or("All users");
            let body = format!(
                "<p>{who} may not open this page of <strong>{application}</strong>.</p><p><a href=\"{outpost}/sign_out\">Sign in as \
                 another user</a>, or ask the operator of this application for access.</p>"
            );
            new_reply(403, HTML, page("Access denied", &body))
        }
        Presentation::Data => {
            let (message, rule) = match user {
                Some(_) => (
                    "signed in, but not admitted to this application",
                    format!(r#","rule":"{rule}""#),
                ),
                None => ("closed to every client", String::new()),
            };
            let body = format!(
                r#"{{"error":"denied","message":"{message}","application":"{application}"{rule}}}"#
            );
            new_reply(403, JSON, body)
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

/// Answers while the settings or the keys are invalid. The log says why, the response does not.
pub(crate) fn unavailable() -> Reply {
    let body = "This application cannot be reached at the moment: its sign-in is not set up \
                correctly. The proxy's log says why.\n";
    new_reply(503, TEXT, body.to_owned())
}

/// Refuses a method that no application gets.
pub(crate) fn method_not_allowed() -> Reply {
    new_reply(405, TEXT, "method not allowed\n".to_owned())
}

/// Answers a request for the outpost that reached the plugin instead. A redirect to sign in would
/// come back here for ever.
///
/// Two faults look the same from here: the proxy has no route for the outpost, or it has dropped the
/// route, as Traefik does while the outpost's service has no server. At domain level a third one is
/// that the link names the application's host: `base` then begins with the outpost's origin.
pub(crate) fn misrouted(how: Presentation, base: &str) -> Reply {
    // `gatepost check` knows this answer by the first of these sentences.
    let why = format!(
        "Requests for {base} have to be routed to the outpost, and this one reached the \
         application's router. Either no outpost is running, and the proxy has dropped its route; \
         or the proxy has no such route."
    );
    let mut reply = match how {
        Presentation::PageLoad | Presentation::Form => {
            let body = format!(
                "<p>The sign-in of this application does not answer. Reload this page in a minute. \
                 If it stays like this, tell the operator of this application.</p>\
                 <p><small>For the operator: {why}</small></p>"
            );
            new_reply(503, HTML, page("Please try again later", &body))
        }
        Presentation::Data => {
            let body = format!(r#"{{"error":"outpost_not_reached","message":"{why}"}}"#);
            new_reply(503, JSON, body)
        }
    };
    reply.headers.push(("Retry-After", "30".to_owned()));
    reply
}

/// Answers a client at the path where only a proxy asks the outpost. No route leads a client there.
pub(crate) fn for_proxies_only() -> Reply {
    new_reply(404, TEXT, "not found\n".to_owned())
}

/// Writes a text as HTML content or attribute value.
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

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use gatepost_policy::{OutpostPrefix, OutpostUrl, SignIn};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #[test]
        fn texts_in_json_need_no_escape(
            name in "[!-~]{1,12}|.{1,4}",
            host in "[!-~]{1,6}|[a-z.]{1,6}",
            prefix in "/[!-~]{1,6}|/[a-z._-]{1,6}",
        ) {
            let application = Audience::new(&name);
            let outpost = OutpostUrl::new(&format!("https://{host}"));
            let prefix = OutpostPrefix::new(&prefix);
            let (Ok(application), Ok(outpost), Ok(prefix)) = (application, outpost, prefix) else {
                return Ok(());
            };
            let base = SignIn::OnOutpost(outpost, prefix).base();
            let reply = unauthenticated(&application, &base, None);
            let read: Value = serde_json::from_str(&reply.body).expect("JSON");
            prop_assert_eq!(read.get("signIn").and_then(Value::as_str), Some(&*base));
            let name = serde_json::to_string(application.as_str()).expect("JSON");
            prop_assert_eq!(name, format!("\"{application}\""));
        }
    }
}
