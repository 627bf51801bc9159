//! Service accounts of the real API as machine clients (`machineTokens.issuers`).

use std::fs;

use anyhow::Result;
use gatepost_e2e::cluster::{Cluster, ISSUER};
use reqwest::StatusCode;
use serde_json::json;

use crate::Test;
use crate::further_issuer::{self, AUDIENCE, MachineClient};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "accounts::token",
    run: token,
}];

/// The namespace of a pod that calls, and its service account.
const NAMESPACE: &str = "ci";
const ACCOUNT: &str = "deployer";

/// The service account of the outpost, to which the API server shows its keys.
const OUTPOST: &str = "gatepost";

fn token(cluster: &Cluster) -> Result<()> {
    let account = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": NAMESPACE },
        })
    };
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": NAMESPACE },
    });
    let _applied = cluster.apply(vec![namespace, account(ACCOUNT), account(OUTPOST)])?;
    let folder = tempfile::tempdir()?;
    let token_file = folder.path().join("token");
    fs::write(&token_file, cluster.token_of(NAMESPACE, OUTPOST, None)?)?;
    let without_token = json!({
        "issuer": ISSUER,
        "jwksUrl": format!("{}/openid/v1/jwks", cluster.url()),
        "caFile": cluster.certificate(),
        "groupsClaim": "kubernetes\\.io.namespace",
    });
    let mut issuer = without_token.clone();
    issuer["tokenFile"] = json!(token_file);
    let client = MachineClient {
        token: cluster.token_of(NAMESPACE, ACCOUNT, Some(AUDIENCE))?,
        issuer,
        name: "system:serviceaccount:ci:deployer",
        group: NAMESPACE,
    };
    further_issuer::comes_in(&client)?;

    // A token for the cluster itself, with which it could be called.
    let for_cluster = cluster.token_of(NAMESPACE, ACCOUNT, None)?;
    further_issuer::is_refused(
        &client,
        &client.issuer,
        &for_cluster,
        StatusCode::UNAUTHORIZED,
    )?;
    // The API server does not show its keys to everyone.
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    further_issuer::is_refused(&client, &without_token, &client.token, unavailable)
}
