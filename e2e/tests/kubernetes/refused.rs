//! What the Helm chart refuses to render.

use anyhow::Result;
use gatepost_e2e::cluster::Cluster;

use crate::Test;
use crate::chart::{example, rendered};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "refused::wrong_values_of_the_chart",
    run: wrong_values,
}];

fn wrong_values(cluster: &Cluster) -> Result<()> {
    let mut wrong = Vec::new();
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
            "gateway",
            "existingConfigSecret=,store.kind=memory,replicas=1",
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
        // Row 61: a route there would bring clients to where proxies ask.
        (
            "plugin",
            "config.applications[0].outpostPrefix=/akprox/auth",
            "where proxies ask",
        ),
        (
            "plugin",
            "config.applications[0].outpostPrefix=/akprox/auth/x",
            "where proxies ask",
        ),
        (
            "plugin",
            "config.applications[0].outpostPrefix=/outpost.goauthentik.io/auth",
            "where proxies ask",
        ),
        (
            "plugin",
            "config.applications[0].outpostPrefix=/a,config.applications[1].outpostPrefix=/a/auth",
            "begin with each other",
        ),
        (
            "plugin",
            "config.applications[0].outpostPrefix=/../akprox",
            "does not match pattern",
        ),
        // What the API server would refuse, after it has taken a part of the release.
        (
            "minimal",
            "nameOverride=Gate_post",
            "does not match pattern",
        ),
        (
            "minimal",
            "fullnameOverride=gate.post",
            "does not match pattern",
        ),
        ("minimal", "secrets={a,a}", "are equal"),
        ("plugin", "keys.copyTo={traefik,traefik}", "are equal"),
        ("plugin", "keys.copyTo={a.b}", "does not match pattern"),
        ("plugin", "keys.copyTo={gatepost}", "has the key already"),
        (
            "plugin",
            "networkPolicy.from={a.b}",
            "does not match pattern",
        ),
        (
            "plugin",
            "traefik.services.wiki.namespace=a.b",
            "does not match pattern",
        ),
        (
            "plugin",
            "config.applications[1].name=wiki",
            "two applications are called wiki",
        ),
        (
            "minimal",
            "traefik.enabled=true,config.applications[1].name=WIKI,\
             config.applications[1].externalUrl=https://other.example.com",
            "both be called gatepost/gatepost-wiki",
        ),
        (
            "plugin",
            "autoscaling.minReplicas=5,autoscaling.maxReplicas=2",
            "more than autoscaling.maxReplicas",
        ),
        (
            "plugin",
            "resources.requests=null",
            "resources.requests.cpu is missing",
        ),
        ("minimal", "autoscaling.enabled=true", "is for one replica"),
        (
            "minimal",
            "podDisruptionBudget.maxUnavailable=abc",
            "does not match pattern",
        ),
        (
            "minimal",
            "podDisruptionBudget.maxUnavailable=-1",
            "minimum: got -1, want 0",
        ),
        ("plugin", "service.port=9443", "port 9443 is that of TLS"),
        (
            "minimal",
            "store.embedded.persistence.size=10 GB",
            "does not match pattern",
        ),
        (
            "plugin",
            "traefik.tls.certResolver=5",
            "got number, want string",
        ),
        (
            "plugin",
            "commonLabels.app\\.kubernetes\\.io/name=x",
            "is the chart's own label",
        ),
        (
            "plugin",
            "podLabels.app\\.kubernetes\\.io/component=x",
            "is the chart's own label",
        ),
        (
            "minimal",
            "extraVolumes[0].name=config",
            "the chart has a volume `config`",
        ),
        (
            "minimal",
            "extraEnv[0].name=GATEPOST_CONFIG,extraEnv[0].value=/x",
            "GATEPOST_CONFIG is the chart's own",
        ),
        (
            "minimal",
            "extraEnv[0].name=A,extraEnv[1].name=A",
            "A is there twice",
        ),
        (
            "minimal",
            "config.providers[0].clientId=312345678901234567",
            "got number, want string",
        ),
        (
            "minimal",
            "config.applications[0].require.users={312345678901234567}",
            "write it in quotes",
        ),
        // A key without a value, where the templates read one.
        ("minimal", "keys.copyTo=null", "missing property 'copyTo'"),
        (
            "minimal",
            "traefik.services=null",
            "missing property 'services'",
        ),
        ("minimal", "store.redis=null", "missing property 'redis'"),
        ("minimal", "store.redis.url=null", "missing property 'url'"),
        ("minimal", "image=null", "missing property 'image'"),
        (
            "minimal",
            "autoscaling=null",
            "missing property 'autoscaling'",
        ),
        ("minimal", "keys=null", "missing property 'keys'"),
        ("minimal", "traefik=null", "missing property 'traefik'"),
        (
            "minimal",
            "podDisruptionBudget=null",
            "missing property 'podDisruptionBudget'",
        ),
        ("minimal", "config=null", "missing property 'config'"),
        (
            "plugin",
            "config.applications[2].name=new",
            "missing property 'externalUrl'",
        ),
        (
            "plugin",
            "config.applications[2].externalUrl=https://new.example.com",
            "missing property 'name'",
        ),
        // What would not do what is meant.
        (
            "gateway",
            "networkPolicy.enabled=true",
            "no rule under networkPolicy.egress leads to Redis",
        ),
        (
            "gateway",
            "traefik.parentRefs[0].namespace=null",
            "'/traefik/parentRefs/0/namespace': got null, want string",
        ),
        (
            "minimal",
            "config.listen.http=:8080",
            "config.listen.http: the chart says that",
        ),
        (
            "minimal",
            "config.listen.metrics=127.0.0.1:9300",
            "config.listen.metrics: the chart says that",
        ),
        (
            "minimal",
            "config.listen.https=:9443",
            "config.listen.https: the chart says that",
        ),
        ("minimal", "config.listen.HTTP=:8080", "write `http`"),
        (
            "minimal",
            "config.keysFile=/keys",
            "config.keysFile: the chart says that",
        ),
        (
            "plugin",
            "config.session.DeviceBound=prefer",
            "write `deviceBound`",
        ),
        (
            "gateway",
            "existingConfigSecret=,config.providers[0].name=main,config.providers[0].issuer=https://id.example.com,\
             config.providers[0].clientId=x,config.trustedProxies={10.0.0.0/8},\
             store.kind=memory,replicas=1,config.askedBy={nginx}",
            "config.askedBy leaves out `traefik`",
        ),
        (
            "gateway",
            "existingConfigSecret=,config.providers[0].name=main,config.providers[0].issuer=https://id.example.com,\
             config.providers[0].clientId=x,store.kind=memory,replicas=1",
            "config.trustedProxies is missing",
        ),
        // Secrets that pass for something else.
        (
            "minimal",
            "config.applications[0].machineTokens.parameters.client_assertion=hush",
            "would end in a ConfigMap",
        ),
        (
            "minimal",
            "config.applications[0].machineTokens.parameters.password=hush",
            "would end in a ConfigMap",
        ),
        (
            "minimal",
            "config.providers[0].authorizationParameters.client_secret=hush",
            "would end in a ConfigMap",
        ),
        (
            "minimal",
            "config.tracing.endpoint=https://collector?api_key=hush",
            "would end in a ConfigMap",
        ),
        (
            "minimal",
            "extraEnv[0].name=GATEPOST_KEYS,extraEnv[0].value=k:hush",
            "would end in the Deployment",
        ),
        (
            "minimal",
            "extraEnv[0].name=GATEPOST_PROVIDERS_0_CLIENT_SECRET,extraEnv[0].value=hush",
            "would end in the Deployment",
        ),
        // A rule that holds at the outpost alone.
        (
            "plugin",
            "extraEnv[0].name=GATEPOST_APPLICATIONS_0_REQUIRE_GROUPS,extraEnv[0].value=admins",
            "Traefik would not know",
        ),
    ] {
        let refused = rendered(cluster, &example(file), &[setting]);
        let Err(refused) = refused else {
            wrong.push(format!("{setting} is taken"));
            continue;
        };
        let refused = format!("{refused:#}");
        if !refused.contains(expected) {
            wrong.push(format!("{setting}: {refused}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
