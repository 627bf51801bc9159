{{- /* What is wrong with the values that a schema cannot say. */ -}}
{{- define "gatepost.validate" -}}
{{- include "gatepost.validateScale" . -}}
{{- include "gatepost.validateSecrets" . -}}
{{- include "gatepost.validatePod" . -}}
{{- include "gatepost.validateConfig" . -}}
{{- if .Values.traefik.enabled -}}
{{- include "gatepost.validateTraefik" . -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.validateScale" -}}
{{- $scale := .Values.autoscaling -}}
{{- $replicas := ternary (int $scale.maxReplicas) (int .Values.replicas) $scale.enabled -}}
{{- if and (ne .Values.store.kind "redis") (gt $replicas 1) -}}
{{- fail (printf "store.kind=%s is for one replica: set replicas=1, or store.kind=redis" .Values.store.kind) -}}
{{- end -}}
{{- if $scale.enabled -}}
{{- if gt (int $scale.minReplicas) (int $scale.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (dig "requests" "cpu" "" (default dict .Values.resources)) -}}
{{- fail "resources.requests.cpu is missing: the autoscaler measures by it" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (eq .Values.store.kind "redis") (not .Values.networkPolicy.egress) -}}
{{- fail "networkPolicy: no rule under networkPolicy.egress leads to Redis, so no pod would become ready. For a Redis in a namespace `redis`: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: redis}}}], ports: [{port: 6379}]}]" -}}
{{- end -}}
{{- if and .Values.service.tlsSecret (eq (int .Values.service.port) 9443) -}}
{{- fail "service.port: port 9443 is that of TLS, which service.tlsSecret opens" -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.validateSecrets" -}}
{{- $redis := .Values.store.redis -}}
{{- if and $redis.existingSecret $redis.url -}}
{{- fail "store.redis: name the Secret with the URL (existingSecret) or the URL (url), not both" -}}
{{- end -}}
{{- if or (contains "@" $redis.url) (regexMatch "(?i)password=" $redis.url) -}}
{{- fail "store.redis.url has a password and would end in a ConfigMap: use store.redis.existingSecret" -}}
{{- end -}}
{{- if and .Values.keys.existingSecret .Values.keys.copyTo -}}
{{- fail "keys.copyTo is for the key that the chart makes: copy keys.existingSecret to these namespaces yourself" -}}
{{- end -}}
{{- if has .Release.Namespace .Values.keys.copyTo -}}
{{- fail (printf "keys.copyTo: %s is the release's own namespace, which has the key already" .Release.Namespace) -}}
{{- end -}}
{{- end -}}

{{- /* What the chart writes into pods and labels itself, and would be there twice. */ -}}
{{- define "gatepost.validatePod" -}}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "serviceMonitor.labels" .Values.serviceMonitor.labels "prometheusRule.labels" .Values.prometheusRule.labels "dashboard.labels" .Values.dashboard.labels -}}
{{- range $label, $_ := $labels -}}
{{- if regexMatch "^(app\\.kubernetes\\.io/(name|instance|component|version|managed-by)|helm\\.sh/chart|gatepost\\.io/endpoint)$" $label -}}
{{- fail (printf "%s: %s is the chart's own label" $value $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.extraEnv -}}
{{- if regexMatch "^GATEPOST_(CONFIG|KEYS_FILE|LISTEN_.*|STORE_(KIND|URL|URL_FILE|CA_FILE))$" .name -}}
{{- fail (printf "extraEnv: %s is the chart's own: use the values `config`, `keys` and `store`" .name) -}}
{{- end -}}
{{- if and .value (or (regexMatch "^GATEPOST_(KEYS|TRACING_HEADERS)$|(SECRET|PASSWORD)$" .name) (include "gatepost.isSecret" .value)) -}}
{{- fail (printf "extraEnv: %s would end in the Deployment: use valueFrom.secretKeyRef" .name) -}}
{{- end -}}
{{- /* Routes and Middlewares are made of the value `config`: what else the outpost reads would hold for it alone. */ -}}
{{- $shared := ternary "^GATEPOST_(APPLICATIONS_|TRUSTED_PROXIES)" "^GATEPOST_APPLICATIONS_[0-9]+_(NAME|EXTERNAL_URL|MODE|COOKIE|OUTPOST_PREFIX|HEADERS|UPSTREAM_TOKENS|ASSERTION|MACHINES|API_KEY_HEADER)" (eq $.Values.traefik.mode "plugin") -}}
{{- if and $.Values.traefik.enabled (regexMatch $shared .name) (not (regexMatch "_(SECRET|TOKEN|PASSWORD)(_FILE)?$" .name)) -}}
{{- fail (printf "extraEnv: Traefik would not know of %s: write it into the value `config`" .name) -}}
{{- end -}}
{{- if has .name $names -}}
{{- fail (printf "extraEnv: %s is there twice" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $names = list -}}
{{- range .Values.extraVolumes -}}
{{- if regexMatch "^(config|keys|redis|redis-ca|tls|state|secret-.*)$" .name -}}
{{- fail (printf "extraVolumes: the chart has a volume `%s`" .name) -}}
{{- end -}}
{{- if has .name $names -}}
{{- fail (printf "extraVolumes: %s is there twice" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.validateConfig" -}}
{{- $config := .Values.config -}}
{{- if and .Values.existingConfigMap .Values.existingConfigSecret -}}
{{- fail "existingConfigMap and existingConfigSecret: name one of them" -}}
{{- end -}}
{{- include "gatepost.validateSpelling" (dict "section" $config "path" "config" "keys" (list "applications" "askedBy" "assertionKeysFile" "keyIntroduction" "keys" "keysFile" "listen" "log" "providers" "session" "store" "tls" "tracing" "trustedProxies")) -}}
{{- include "gatepost.validateSpelling" (dict "section" $config.session "path" "config.session" "keys" (list "deviceBound")) -}}
{{- include "gatepost.validateSpelling" (dict "section" $config.listen "path" "config.listen" "keys" (list "http" "https" "metrics")) -}}
{{- include "gatepost.validateEach" (dict "value" $config "path" "config") -}}
{{- if not (or .Values.existingConfigMap .Values.existingConfigSecret) -}}
{{- if not $config.providers -}}
{{- fail "config.providers is missing: name the OpenID provider, as docs/configuration.md has it" -}}
{{- end -}}
{{- if $config.keys -}}
{{- fail "config.keys would end in a ConfigMap: use keys.existingSecret" -}}
{{- end -}}
{{- /* Services, probes and mounts are made for what the chart says. */ -}}
{{- range $path := list "listen.http" "listen.https" "listen.metrics" "keysFile" "tls.certificate" "tls.key" "store.kind" "store.url" "store.urlFile" "store.caFile" -}}
{{- $parts := splitList "." $path -}}
{{- $section := ternary (index $config (first $parts)) $config (eq (len $parts) 2) -}}
{{- range $key, $_ := $section -}}
{{- if eq (lower $key) (lower (last $parts)) -}}
{{- fail (printf "config.%s: the chart says that, by its values `service`, `keys` and `store`: leave it out" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.traefik.enabled (eq .Values.traefik.mode "forwardAuth") -}}
{{- if not $config.trustedProxies -}}
{{- fail "config.trustedProxies is missing: the outpost would refuse every question of Traefik's. Write the network of the cluster's pods" -}}
{{- end -}}
{{- if and (hasKey $config "askedBy") (not (has "traefik" $config.askedBy)) -}}
{{- fail "config.askedBy leaves out `traefik`, which asks with traefik.mode=forwardAuth" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /*
The outpost compares keys without case, and templates do not: a `Require` that the routes leave out would
admit every user.
*/ -}}
{{- define "gatepost.validateSpelling" -}}
{{- $path := .path -}}
{{- $keys := .keys -}}
{{- range $key, $_ := .section -}}
{{- range $keys -}}
{{- if and (eq (lower $key) (lower .)) (ne $key .) -}}
{{- fail (printf "%s.%s: write `%s`, as the chart does" $path $key .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* `true` where a text has a password. */ -}}
{{- define "gatepost.isSecret" -}}
{{- if regexMatch "(?i)://[^/?#@]*:[^?#@]*@|[?&][a-z_-]*(secret|password|token|key)=|PRIVATE KEY-----" (toString .) -}}
true
{{- end -}}
{{- end -}}

{{- /*
Refuses secrets at any depth, in any spelling; keys without a value, which the outpost refuses, and which
the API server takes away: a `require` that has lost its groups would admit every user; and numbers that
Helm writes with other last digits.
*/ -}}
{{- define "gatepost.validateEach" -}}
{{- $path := .path -}}
{{- if kindIs "invalid" .value -}}
{{- fail (printf "%s has no value: write one, or leave the key out" $path) -}}
{{- end -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $at := printf "%s.%s" $path $key -}}
{{- if and $value (eq (lower $key) "clientsecret") -}}
{{- fail (printf "%s would end in a ConfigMap: use clientSecretFile with `secrets`" $at) -}}
{{- end -}}
{{- if and $value (eq (lower $at) "config.tracing.headers") -}}
{{- fail (printf "%s would end in a ConfigMap: use headersFile with `secrets`" $at) -}}
{{- end -}}
{{- /* Of these two, the keys are names of headers, or the values are. */ -}}
{{- $isNames := regexMatch "(?i)\\.(headers\\.set|upstreamTokens)$" $path -}}
{{- if and $value (not $isNames) (not (or (kindIs "map" $value) (kindIs "slice" $value))) (regexMatch "(?i)(secret|password|passphrase|assertion|token|api_?key)$" $key) -}}
{{- fail (printf "%s is a secret and would end in a ConfigMap" $at) -}}
{{- end -}}
{{- include "gatepost.validateEach" (dict "value" $value "path" $at) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "gatepost.validateEach" (dict "value" $value "path" (printf "%s[%d]" $path $index)) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if contains "PRIVATE KEY-----" .value -}}
{{- fail (printf "%s is a private key and would end in a ConfigMap: name a file of `secrets`" $path) -}}
{{- end -}}
{{- if include "gatepost.isSecret" .value -}}
{{- fail (printf "%s has a password and would end in a ConfigMap" $path) -}}
{{- end -}}
{{- else if not (kindIs "bool" .value) -}}
{{- if gt (float64 .value) 9007199254740991.0 -}}
{{- fail (printf "%s is a number that Helm cannot keep: write it in quotes" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.validateTraefik" -}}
{{- $t := .Values.traefik -}}
{{- if and (eq $t.routes "httpRoute") (not $t.parentRefs) -}}
{{- fail "traefik.parentRefs is missing: name the Gateway that the HTTPRoutes belong to" -}}
{{- end -}}
{{- $prefixes := dict -}}
{{- range .Values.config.applications -}}
{{- $application := . -}}
{{- if hasKey $prefixes .name -}}
{{- fail (printf "config.applications: two applications are called %s" .name) -}}
{{- end -}}
{{- $prefix := default "/akprox" .outpostPrefix -}}
{{- $at := printf "config.applications: %v" .name -}}
{{- include "gatepost.validateSpelling" (dict "section" . "path" $at "keys" (list "allowPreflight" "apiKeyHeader" "assertion" "cookieDomain" "cookieName" "deviceBound" "externalUrl" "forwardCookie" "headers" "machines" "mode" "name" "outpostPrefix" "partitioned" "providers" "public" "require" "rules" "sameSite" "upstreamTokens")) -}}
{{- include "gatepost.validateSpelling" (dict "section" .headers "path" (printf "%s.headers" $at) "keys" (list "keep" "preset" "set")) -}}
{{- include "gatepost.validateSpelling" (dict "section" .upstreamTokens "path" (printf "%s.upstreamTokens" $at) "keys" (list "accessToken" "idToken")) -}}
{{- include "gatepost.validateSpelling" (dict "section" .assertion "path" (printf "%s.assertion" $at) "keys" (list "algorithm" "claims" "header")) -}}
{{- /* The outpost keeps its old configuration then, and would answer at the new route as it did. */ -}}
{{- if regexMatch "^(/akprox|/outpost\\.goauthentik\\.io)/auth(/|$)" $prefix -}}
{{- fail (printf "%s: outpostPrefix `%s` is where proxies ask, and the route would lead clients there" $at $prefix) -}}
{{- end -}}
{{- range $other, $theirs := $prefixes -}}
{{- if or (hasPrefix (printf "%s/" $prefix) $theirs) (hasPrefix (printf "%s/" $theirs) $prefix) -}}
{{- fail (printf "%s: outpostPrefix `%s` and that of %s, `%s`, begin with each other: the route to one would lead clients to where proxies ask under the other" $at $prefix $other $theirs) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $prefixes .name $prefix -}}
{{- if and .upstreamTokens (eq $t.mode "plugin") -}}
{{- fail (printf "%s: upstreamTokens needs `traefik.mode: forwardAuth`: the plugin lets signed-in users pass without asking the outpost, which has the tokens" $at) -}}
{{- end -}}
{{- $service := default dict (get $t.services .name) -}}
{{- $domain := eq (default "single" .mode) "domain" -}}
{{- if and $service $domain (not $service.hosts) -}}
{{- fail (printf "traefik.services.%s: a domain application has `hosts`, each with its Service" .name) -}}
{{- end -}}
{{- if and $service (not $domain) (not (and $service.name $service.port)) -}}
{{- fail (printf "traefik.services.%s: name and port of the Service are missing" .name) -}}
{{- end -}}
{{- range $host, $_ := $service.hosts -}}
{{- if not (or (eq $host (toString $application.cookieDomain)) (hasSuffix (printf ".%v" $application.cookieDomain) $host)) -}}
{{- fail (printf "traefik.services.%s.hosts: %s is not a host under cookieDomain" $application.name $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := $t.services -}}
{{- if not (hasKey $prefixes $name) -}}
{{- fail (printf "traefik.services.%s: no application of config.applications is called so" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
