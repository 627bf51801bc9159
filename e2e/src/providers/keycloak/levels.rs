//! A flow with two levels of authentication, as the documentation's page on Keycloak describes it.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::Keycloak;
use crate::providers::api;

impl Keycloak {
    /// Creates a flow that asks for name and password at the level 1, and for the password once
    /// more at the level 2, for want of a second factor that a test has. Returns its id.
    pub(super) fn create_levels(&self, realm: &str) -> Result<String> {
        let flows = format!("{realm}/authentication/flows");
        let flow = json!({
            "alias": "levels",
            "providerId": "basic-flow",
            "topLevel": true,
            "builtIn": false,
        });
        let answer = self.administrate(Method::POST, &flows, Some(&flow))?;
        let id = api::created(&answer)?.to_owned();
        self.add_step(realm, "levels", "auth-cookie", "ALTERNATIVE")?;
        self.add_flow(realm, "levels", "levels-forms", "ALTERNATIVE")?;
        for (level, alias, form) in [
            ("1", "silver", "auth-username-password-form"),
            ("2", "gold", "auth-password-form"),
        ] {
            self.add_flow(realm, "levels-forms", alias, "CONDITIONAL")?;
            let condition = "conditional-level-of-authentication";
            let condition = self.add_step(realm, alias, condition, "REQUIRED")?;
            let config = json!({
                "alias": alias,
                "config": { "loa-condition-level": level, "loa-max-age": "36000" },
            });
            let path = format!("{realm}/authentication/executions/{condition}/config");
            self.administrate(Method::POST, &path, Some(&config))?;
            self.add_step(realm, alias, form, "REQUIRED")?;
        }
        Ok(id)
    }

    /// Adds a step to a flow, and returns its id.
    fn add_step(&self, realm: &str, flow: &str, kind: &str, requirement: &str) -> Result<String> {
        let path = format!("{realm}/authentication/flows/{flow}/executions/execution");
        let step = json!({ "provider": kind });
        let answer = self.administrate(Method::POST, &path, Some(&step))?;
        let id = api::created(&answer)?.to_owned();
        self.require(realm, flow, requirement, |own| own["id"] == id.as_str())?;
        Ok(id)
    }

    /// Adds a flow to a flow.
    fn add_flow(&self, realm: &str, flow: &str, alias: &str, requirement: &str) -> Result<()> {
        let path = format!("{realm}/authentication/flows/{flow}/executions/flow");
        let inner = json!({
            "alias": alias,
            "type": "basic-flow",
            "provider": "registration-page-form",
            "description": "",
        });
        self.administrate(Method::POST, &path, Some(&inner))?;
        self.require(realm, flow, requirement, |own| own["displayName"] == alias)
    }

    fn require(
        &self,
        realm: &str,
        flow: &str,
        requirement: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let path = format!("{realm}/authentication/flows/{flow}/executions");
        let all = self.administrate(Method::GET, &path, None)?.json()?;
        let all = all.as_array().context("a list of executions")?;
        let mut own = all.iter().find(|own| is_it(own)).context("it")?.clone();
        own["requirement"] = requirement.into();
        self.administrate(Method::PUT, &path, Some(&own))?;
        Ok(())
    }
}
