//! What the Helm chart refuses to render.

use anyhow::{Context as _, Result};
use gatepost_e2e::cluster::Cluster;

use crate::Test;
use crate::chart::{example, rendered};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "refused::wrong_values_of_the_chart",
    run: wrong_values,
}];

fn wrong_values(cluster: &Cluster) -> Result<()> {
    for (file, setting, expected) in [
        ("minimal", "replica=2", "'replica' not allowed"),
        ("minimal", "replicas=two", "want integer"),
        ("minimal", "replicas=2", "is for one replica"),
        (
            "minimal",
            "store.kind=redis",
            "name the Secret with the URL",
        ),
        (
            "minimal",
            "config.providers=null",
            "config.providers is missing",
        ),
        (
            "minimal",
            "config.providers[0].clientSecret=hush",
            "use clientSecretFile",
        ),
        (
            "minimal",
            "config.keys[0]=k:hush",
            "use keys.existingSecret",
        ),
        (
            "gateway",
            "store.redis.url=redis://:hush@redis:6379",
            "has a password",
        ),
        (
            "gateway",
            "traefik.parentRefs=null",
            "traefik.parentRefs is missing",
        ),
        (
            "gateway",
            "keys.copyTo[0]=traefik",
            "copy keys.existingSecret",
        ),
        (
            "plugin",
            "traefik.services.wiki.port=null",
            "'/traefik/services/wiki/port': got null, want integer",
        ),
        (
            "plugin",
            "traefik.services.wikki.name=wiki,traefik.services.wikki.port=80",
            "no application",
        ),
        (
            "plugin",
            "traefik.services.intranet.hosts.chat\\.example\\.com.name=a,\
             traefik.services.intranet.hosts.chat\\.example\\.com.port=80",
            "not a host under cookieDomain",
        ),
        // Secrets in other places and spellings.
        ("minimal", "config.Keys[0]=k:hush", "write `keys`"),
        (
            "minimal",
            "config.providers[0].clientsecret=hush",
            "use clientSecretFile",
        ),
        (
            "minimal",
            "config.tracing.Headers.x-key=hush",
            "use headersFile",
        ),
        (
            "minimal",
            "config.tracing.endpoint=https://user:hu/sh@collector",
            "has a password",
        ),
        (
            "gateway",
            "store.redis.url=redis://:hu/sh@redis:6379",
            "has a password",
        ),
        (
            "gateway",
            "store.redis.url=redis-sentinel://a?service=b&sentinelPassword=hush",
            "has a password",
        ),
        // The store in two places.
        (
            "minimal",
            "config.store.url=redis://redis:6379",
            "leave it out",
        ),
        ("minimal", "config.store.Kind=redis", "leave it out"),
        ("plugin", "store.redis.url=redis://redis:6379", "not both"),
        // What the outpost reads, and the routes would not have.
        (
            "plugin",
            "config.applications[0].Require.groups[0]=staff",
            "write `require`",
        ),
        (
            "plugin",
            "config.applications[0].require.groups=null",
            "has no value",
        ),
        (
            "plugin",
            "config.applications[0].headers.Keep[0]=X-User",
            "write `keep`",
        ),
        (
            "plugin",
            "config.applications[1].mode=Domain",
            "'single', 'domain'",
        ),
        (
            "plugin",
            "config.applications[0].upstreamTokens.idToken=X-Id-Token",
            "upstreamTokens needs `traefik.mode: forwardAuth`",
        ),
        (
            "plugin",
            "config.applications[1].outpostPrefix=/sso/",
            "does not match pattern",
        ),
    ] {
        let refused = rendered(cluster, &example(file), &[setting]);
        let refused = refused
            .err()
            .with_context(|| format!("{setting} is taken"))?;
        let refused = format!("{refused:#}");
        assert!(refused.contains(expected), "{setting}: {refused}");
    }
    Ok(())
}
