use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The anchors of a page, to which other pages can link, and the page's own links.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The anchors of the headings, as GitHub and mdbook both make them.
    pub(super) anchors: BTreeSet<String>,
    /// The targets of links and images, as written.
    pub(super) links: Vec<String>,
}

impl Page {
    /// Parses Markdown.
    pub(super) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut times_used: BTreeMap<String, usize> = BTreeMap::new();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(part) | Event::Code(part) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&part);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let before = times_used.get(&anchor).copied().unwrap_or_default();
                    times_used.insert(anchor.clone(), before + 1);
                    page.anchors.insert(match before {
                        0 => anchor,
                        times => format!("{anchor}-{times}"),
                    });
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Html(html) | Event::InlineHtml(html) => page.links.extend(source(&html)),
                _ => {}
            }
        }
        page
    }
}

/// Returns the anchor of a heading: lower case, `-` for blanks, without punctuation.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter
                .is_alphanumeric()
                .then(|| letter.to_ascii_lowercase()),
        })
        .collect()
}

/// Returns the file that an image in HTML shows.
fn source(html: &str) -> Option<String> {
    let (_, rest) = html.split_once("src=\"")?;
    let (source, _) = rest.split_once('"')?;
    Some(source.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_anchors() {
        for (heading, expected) in [
            ("Which Traefik", "which-traefik"),
            ("`applications[].require`", "applicationsrequire"),
            ("Open redirects: `start?rd=`", "open-redirects-startrd"),
            ("1. Get the programs", "1-get-the-programs"),
        ] {
            let page = Page::parse(&format!("## {heading}\n"));
            assert_eq!(page.anchors, BTreeSet::from([expected.to_owned()]));
        }
        let twice = Page::parse("## A domain\n\n## A domain\n");
        let expected = ["a-domain", "a-domain-1"].map(str::to_owned);
        assert_eq!(twice.anchors, BTreeSet::from(expected));
    }

    #[test]
    fn code_has_no_links() {
        let page = Page::parse("```md\n[a](b.md)\n```\n\n`[a](c.md)` [a](d.md)\n");
        assert_eq!(page.links, ["d.md"]);
    }
}
