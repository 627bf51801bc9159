//! Values on pages, cut to what a proxy takes as an answer: see
//! [`MAX_ANSWER_BYTES`](crate::pages::MAX_ANSWER_BYTES).

use std::borrow::Cow;

use gatepost_policy::{AUTHENTICATION, PROOF, STEP_UP};

use crate::pages::{Choice, Denied, SessionView};

/// The most bytes of a URL that a page shows.
const URL_BYTES: usize = 2_500;

/// The most bytes of a text that a page shows, as HTML or JSON.
const TEXT_BYTES: usize = 600;

/// The most bytes of all groups that a page shows, as HTML or JSON.
const GROUP_BYTES: usize = 1_500;

/// What HTML or JSON put around a group, in bytes.
const AROUND_GROUP: usize = 14;

/// Returns the URL, without the way back where it is too long: a sign-in then leads to the application's
/// front page. What is asked of a user's authentication stays, as far as it has room, and so does that
/// it is asked for a request elsewhere.
pub(super) fn url(url: &str) -> Cow<'_, str> {
    let Some((before, query)) = url.split_once('?').filter(|_| url.len() > URL_BYTES) else {
        return Cow::Borrowed(url);
    };
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(own, value)| (own == name).then_some(value))
    };
    let Some(asked) = value(STEP_UP) else {
        return Cow::Borrowed(before);
    };
    let method = asked.split(['+', '%']).next().unwrap_or(asked);
    let marked = format!("{before}?{STEP_UP}={method}%20");
    let conditions = value(AUTHENTICATION).map(|text| {
        let proof = value(PROOF).unwrap_or_default();
        format!("&{AUTHENTICATION}={text}&{PROOF}={proof}")
    });
    let conditions = conditions.filter(|text| marked.len() + text.len() <= URL_BYTES);
    Cow::Owned(marked + &conditions.unwrap_or_default())
}

/// Leaves the way back out of the links where they are too long together. Each names its provider.
pub(super) fn choice(choice: &mut Choice) {
    let bytes: usize = choice.offers.iter().map(|offer| offer.url.len()).sum();
    if bytes <= URL_BYTES {
        return;
    }
    for offer in &mut choice.offers {
        let Some((before, query)) = offer.url.split_once('?') else {
            continue;
        };
        let rest: Vec<&str> = query
            .split('&')
            .filter(|pair| !pair.starts_with("rd="))
            .collect();
        offer.url = format!("{before}?{}", rest.join("&"));
    }
}

/// Cuts the user's name, and leaves the rule out where it is too long.
pub(super) fn denied(denied: &mut Denied) {
    denied.signed_in_as.iter_mut().for_each(cut);
    denied.rule = denied
        .rule
        .take()
        .filter(|rule| written(rule) <= GROUP_BYTES);
}

/// Cuts the texts, and shows only as many groups as fit.
pub(super) fn session(view: &mut SessionView) {
    cut(&mut view.subject);
    let texts = [&mut view.username, &mut view.name, &mut view.email];
    texts.into_iter().flatten().for_each(cut);
    let (mut left, mut shown) = (GROUP_BYTES, 0);
    let all = view.groups.len();
    for group in &mut view.groups {
        cut(group);
        let Some(rest) = left.checked_sub(written(group) + AROUND_GROUP) else {
            break;
        };
        left = rest;
        shown += 1;
    }
    if shown < all {
        view.groups.truncate(shown);
        view.groups.push("…".to_owned());
    }
}

/// Cuts a text that takes too many bytes when it is written.
fn cut(text: &mut String) {
    if written(text) <= TEXT_BYTES {
        return;
    }
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, character)| {
        bytes += written_character(*character);
        bytes > TEXT_BYTES
    });
    if let Some((end, _)) = end {
        text.truncate(end);
        text.push('…');
    }
}

/// Returns how many bytes a text takes at most as HTML or JSON.
fn written(text: &str) -> usize {
    text.chars().map(written_character).sum()
}

fn written_character(character: char) -> usize {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '-' | '_' | '.' | '@' => 1,
        // An entity, or an escape of JSON.
        '\0'..='\x7f' => 6,
        other => other.len_utf8(),
    }
}
