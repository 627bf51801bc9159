//! The groups of a user who has too many for a token, from Microsoft Graph.
//!
//! Entra ID leaves the groups of such a user out of tokens, and names a URL to ask
//! (`_claim_sources`). That URL is not used: who may see the user's access token is for the operator
//! to say, and not for a token.

use gatepost_base::Identity;
use openidconnect::AccessToken;
use serde_json::{Map, Value};
use url::Url;

use crate::error::{SignInError, unreadable};
use crate::groups::{self, MAX_GROUPS};
use crate::json;
use crate::provider::Provider;
use crate::token_endpoint::Tokens;

const ENDPOINT: &str = "list of groups (Microsoft Graph)";

/// All groups of the signed-in user, those within groups too. The permission `User.Read` is enough
/// for their ids.
const PATH: &str = "/v1.0/me/transitiveMemberOf?$select=id&$top=999";

/// The most pages that are read.
const MAX_PAGES: usize = 20;

/// The type of a group among the objects that a user is a member of: roles and administrative units
/// are no groups.
const GROUP: &str = "#microsoft.graph.group";

impl Provider {
    /// Adds the groups that a provider left out of these claims because there are too many, where
    /// the settings say where to ask for them.
    ///
    /// # Errors
    ///
    /// [`SignInError`] where they cannot be had.
    pub(crate) async fn add_groups_left_out(
        &self,
        identity: &mut Identity,
        sources: &[&Map<String, Value>],
        tokens: &Tokens,
    ) -> Result<(), SignInError> {
        let settings = &self.settings.claims;
        let Some(graph) = &self.settings.graph_url else {
            return Ok(());
        };
        if !sources
            .iter()
            .any(|claims| groups::left_out(claims, settings))
        {
            return Ok(());
        }
        let groups = self.groups_of_graph(graph, tokens.access()?).await?;
        // Otherwise whole, the list was so but for what the provider left out.
        identity.groups_whole = groups::groups(sources, settings).1;
        for group in groups {
            let is_full = identity.groups.len() == MAX_GROUPS;
            identity.groups_whole &= !is_full || identity.groups.contains(&group);
            if identity.groups.len() < MAX_GROUPS && !identity.groups.contains(&group) {
                identity.groups.push(group);
            }
        }
        Ok(())
    }

    async fn groups_of_graph(
        &self,
        graph: &Url,
        access_token: &AccessToken,
    ) -> Result<Vec<String>, SignInError> {
        let refused = |reason: &str| unreadable(ENDPOINT, reason);
        let mut url = graph
            .join(PATH)
            .map_err(|_| refused("its URL is invalid"))?;
        let mut groups = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = self.page_of_graph(&url, access_token).await?;
            let objects = page.get("value").and_then(Value::as_array);
            let objects = objects.ok_or_else(|| refused("`value` is missing or not a list"))?;
            groups.extend(objects.iter().filter_map(group_id));
            let next = match page.get("@odata.nextLink") {
                None | Some(Value::Null) => return Ok(groups),
                Some(next) => next.as_str().and_then(|next| Url::parse(next).ok()),
            };
            url = next
                .filter(|next| next.origin() == graph.origin())
                .ok_or_else(|| refused("`@odata.nextLink` leads elsewhere"))?;
        }
        Err(refused("it has too many pages"))
    }

    async fn page_of_graph(
        &self,
        url: &Url,
        access_token: &AccessToken,
    ) -> Result<Map<String, Value>, SignInError> {
        let refused = |reason: String| unreadable(ENDPOINT, &reason);
        let response = self.get_with_token(url, ENDPOINT, access_token).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(format!(
                "it answers {status} (it needs an access token with the scope `User.Read`)"
            )));
        }
        json::parse(response.body()).map_err(|error| refused(error.to_string()))
    }
}

/// Returns the id of a group; `None` for another object.
fn group_id(object: &Value) -> Option<String> {
    let is_group = |kind: &Value| kind.as_str() == Some(GROUP);
    if !object.get("@odata.type").is_none_or(is_group) {
        return None;
    }
    let id = object.get("id")?.as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}
