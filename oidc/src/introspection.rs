//! Token introspection (RFC 7662).

use gatepost_base::Secret;
use serde_json::Value;

use crate::access_token::{
    CredentialsError, Holder, Refusal, TokenRules, check_says_no_other_kind,
};
use crate::error::unreadable;
use crate::form::Form;
use crate::provider::Provider;

const INTROSPECTION_ENDPOINT: &str = "introspection endpoint";

impl Provider {
    /// Asks the provider about a token, and returns its holder.
    pub(crate) async fn introspected(
        &self,
        token: &Secret,
        rules: TokenRules<'_>,
    ) -> Result<Holder, CredentialsError> {
        self.check_before_introspection(token.expose())?;
        let found = self.discovered()?;
        let url = found.metadata.introspection_endpoint.as_ref();
        let url = url.ok_or_else(|| unreadable(INTROSPECTION_ENDPOINT, "missing"))?;
        let form = Form::new()
            .with("token", token.expose())
            .with("token_type_hint", "access_token");
        let client = self.client(&found, url)?;
        let answer = self
            .post(url, INTROSPECTION_ENDPOINT, &client, form)
            .await?;
        let (status, answer) = answer.read(INTROSPECTION_ENDPOINT)?;
        if !status.is_success() {
            let reason = format!("it answers {status}");
            return Err(unreadable(INTROSPECTION_ENDPOINT, &reason).into());
        }
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(Refusal::Inactive.into());
        }
        check_says_no_other_kind(&answer)?;
        Ok(self.holder_of(answer, rules)?)
    }

    /// Returns whether the provider is known to have an introspection endpoint.
    pub fn introspects(&self) -> bool {
        let found = self.discovered.load();
        found
            .as_ref()
            .is_some_and(|found| found.metadata.introspection_endpoint.is_some())
    }
}
