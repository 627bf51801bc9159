//! The keys of the configuration that Traefik is served.

use gatepost_policy::config::Fields;

use super::urls::http_url;
use crate::export::{PluginKeys, PluginSettings, TraefikSettings};

pub(super) fn traefik(mut fields: Fields<'_>, has_state_dir: bool) -> Option<TraefikSettings> {
    let outpost_url = fields.required_text("outpostUrl", "the outpost, as Traefik reaches it");
    let outpost_url = outpost_url.and_then(|text| {
        let url = http_url(&text);
        if url.is_none() {
            fields.problem("outpostUrl", "expected a URL like `http://outpost:9000`");
        }
        url
    });
    let name = fields.text("plugin");
    let file = fields.text("pluginKeysFile");
    let env = fields.text("pluginKeysEnv");
    let state_dir = fields.text("pluginStateDir");
    if let Some(folder) = &state_dir {
        // What the plugin would refuse, on every router.
        if !folder.starts_with('/') {
            fields.problem(
                "pluginStateDir",
                "expected an absolute path as the plugin sees it, like `/gatepost`",
            );
        }
        if !has_state_dir {
            fields.problem(
                "pluginStateDir",
                "needs `stateDir`: without it, the outpost writes no folder, and every request is \
                 answered 503",
            );
        }
    }
    let keys = match (&name, state_dir, file, env) {
        (Some(_), Some(folder), None, None) => Some(PluginKeys::StateDir(folder)),
        (Some(_), None, Some(file), None) => Some(PluginKeys::File(file)),
        (Some(_), None, None, Some(env)) => Some(PluginKeys::Env(env)),
        (Some(_), ..) => {
            fields.problem(
                "plugin",
                "needs one of `pluginStateDir`, `pluginKeysFile` and `pluginKeysEnv`",
            );
            None
        }
        (None, None, None, None) => None,
        (None, ..) => {
            fields.problem(
                "plugin",
                "missing: the plugin's name in Traefik's configuration",
            );
            None
        }
    };
    let revoked_file = fields.text("pluginRevokedFile");
    if revoked_file.is_some() && matches!(keys, Some(PluginKeys::StateDir(_))) {
        fields.problem(
            "pluginRevokedFile",
            "the folder of `pluginStateDir` has the list: leave it out",
        );
    }
    let entry_points = fields.list("entryPoints").unwrap_or_default();
    let tls = fields.flag("tls").unwrap_or(false);
    let cert_resolver = fields.text("certResolver");
    fields.finish();
    Some(TraefikSettings {
        outpost_url: outpost_url?,
        plugin: name.zip(keys).map(|(name, keys)| PluginSettings {
            name,
            keys,
            revoked_file,
        }),
        entry_points,
        tls,
        cert_resolver,
    })
}
