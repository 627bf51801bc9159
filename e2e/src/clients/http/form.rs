//! Forms of pages.

use anyhow::{Result, anyhow};
use scraper::{Html, Selector};
use url::Url;

use super::Answer;
use crate::users::User;

/// An HTML form with the fields that it would send.
pub(super) struct Form {
    pub(super) action: Url,
    /// Names and values; those without a value are for the person to fill in.
    fields: Vec<(String, String)>,
}

impl Form {
    /// Finds the first form of a page with an element that this CSS selector matches. Where that is
    /// a button, it is the one that is pressed.
    pub(super) fn with(page: &Answer, element: &str) -> Result<Option<Self>> {
        let selector = |text| Selector::parse(text).map_err(|error| anyhow!("{text}: {error}"));
        let inputs = selector("input[name]")?;
        let element = selector(element)?;
        let html = Html::parse_document(&page.body);
        let forms = selector("form")?;
        let found = html
            .select(&forms)
            .find_map(|form| Some((form, form.select(&element).next()?)));
        let Some((form, element)) = found else {
            return Ok(None);
        };
        let action = page.url.join(form.attr("action").unwrap_or_default())?;
        let pressed = (element.value().name() == "button").then_some(element);
        let fields = form
            .select(&inputs)
            .chain(pressed)
            .filter_map(|input| {
                let value = input.attr("value").unwrap_or_default();
                Some((input.attr("name")?.to_owned(), value.to_owned()))
            })
            .collect();
        Ok(Some(Self { action, fields }))
    }

    /// Returns the fields unchanged.
    pub(super) fn fields(self) -> Vec<(String, String)> {
        self.fields
    }

    /// Returns the fields with the person's name and password. Providers differ in what they call
    /// the field for the name; the one for the password is `password` with all.
    pub(super) fn filled_in(self, user: &User) -> Vec<(String, String)> {
        let fill = |(name, value): (String, String)| match name.as_str() {
            "password" => (name, user.password.to_owned()),
            "login" | "username" | "email" => (name, user.login.to_owned()),
            _ => (name, value),
        };
        self.fields.into_iter().map(fill).collect()
    }
}
