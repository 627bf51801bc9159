{{- define "gatepost.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 55 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: outpost
{{- end -}}

{{- define "gatepost.labels" -}}
{{ include "gatepost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gatepost.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gatepost.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.keysSecret" -}}
{{- default (printf "%s-keys" (include "gatepost.fullname" .)) .Values.keys.existingSecret -}}
{{- end -}}

{{- define "gatepost.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The outpost's configuration: what the chart sets, with `config` laid over it. */ -}}
{{- define "gatepost.config" -}}
{{- $listen := dict "http" "0.0.0.0:9000" "metrics" "0.0.0.0:9300" -}}
{{- $own := dict "listen" $listen "log" (dict "format" "json") "keysFile" "/etc/gatepost/keys/gatepost.keys" -}}
{{- if .Values.service.tlsSecret -}}
{{- $_ := set $listen "https" "0.0.0.0:9443" -}}
{{- $_ := set $own "tls" (dict "certificate" "/etc/gatepost/tls/tls.crt" "key" "/etc/gatepost/tls/tls.key") -}}
{{- end -}}
{{- $store := dict "kind" .Values.store.kind -}}
{{- if eq .Values.store.kind "redis" -}}
{{- if .Values.store.redis.existingSecret -}}
{{- $_ := set $store "urlFile" (printf "/etc/gatepost/redis/%s" .Values.store.redis.key) -}}
{{- else if .Values.store.redis.url -}}
{{- $_ := set $store "url" .Values.store.redis.url -}}
{{- else -}}
{{- fail "store.redis: name the Secret with the URL (existingSecret), or the URL (url). One replica can do with store.kind=embedded" -}}
{{- end -}}
{{- if .Values.store.redis.caSecret -}}
{{- $_ := set $store "caFile" "/etc/gatepost/redis-ca/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $own "store" $store -}}
{{- if .Values.traefik.enabled -}}
{{- $_ := set $own "askedBy" (list "traefik") -}}
{{- end -}}
{{- $config := mergeOverwrite $own (deepCopy .Values.config) -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* What is wrong with the values that a schema cannot say. */ -}}
{{- define "gatepost.validate" -}}
{{- $replicas := ternary (int .Values.autoscaling.maxReplicas) (int .Values.replicas) .Values.autoscaling.enabled -}}
{{- if and (ne .Values.store.kind "redis") (gt $replicas 1) -}}
{{- fail (printf "store.kind=%s is for one replica: set replicas=1, or store.kind=redis" .Values.store.kind) -}}
{{- end -}}
{{- if and .Values.store.redis.existingSecret .Values.store.redis.url -}}
{{- fail "store.redis: name the Secret with the URL (existingSecret) or the URL (url), not both" -}}
{{- end -}}
{{- if and .Values.keys.existingSecret .Values.keys.copyTo -}}
{{- fail "keys.copyTo is for the key that the chart makes: copy keys.existingSecret to these namespaces yourself" -}}
{{- end -}}
{{- if and .Values.existingConfigMap .Values.existingConfigSecret -}}
{{- fail "existingConfigMap and existingConfigSecret: name one of them" -}}
{{- end -}}
{{- include "gatepost.validateSpelling" (dict "section" .Values.config "path" "config" "keys" (list "applications" "askedBy" "assertionKeysFile" "keys" "keysFile" "listen" "log" "providers" "session" "store" "tls" "tracing")) -}}
{{- if not (or .Values.existingConfigMap .Values.existingConfigSecret) -}}
{{- if not .Values.config.providers -}}
{{- fail "config.providers is missing: name the OpenID provider, as docs/configuration.md has it" -}}
{{- end -}}
{{- if .Values.config.keys -}}
{{- fail "config.keys would end in a ConfigMap: use keys.existingSecret" -}}
{{- end -}}
{{- range $key, $_ := default dict .Values.config.store -}}
{{- if has (lower $key) (list "kind" "url" "urlfile" "cafile") -}}
{{- fail (printf "config.store.%s: the chart's own value `store` says that, so leave it out of `config`" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "gatepost.validateEach" (dict "value" .Values.config "path" "config") -}}
{{- if or (contains "@" .Values.store.redis.url) (regexMatch "(?i)password=" .Values.store.redis.url) -}}
{{- fail "store.redis.url has a password and would end in a ConfigMap: use store.redis.existingSecret" -}}
{{- end -}}
{{- if .Values.traefik.enabled -}}
{{- include "gatepost.validateTraefik" . -}}
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

{{- /*
Refuses secrets at any depth, in any spelling; and keys without a value, which the outpost refuses, and which
the API server takes away: a `require` that has lost its groups would admit every user.
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
{{- include "gatepost.validateEach" (dict "value" $value "path" $at) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "gatepost.validateEach" (dict "value" $value "path" (printf "%s[%d]" $path $index)) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if regexMatch "(?i)://[^/?#@]*:[^?#@]*@|[?&](client_secret|[a-z]*password)=" .value -}}
{{- fail (printf "%s has a password and would end in a ConfigMap" $path) -}}
{{- end -}}
{{- if contains "PRIVATE KEY-----" .value -}}
{{- fail (printf "%s is a private key and would end in a ConfigMap: name a file of `secrets`" $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "gatepost.validateTraefik" -}}
{{- $t := .Values.traefik -}}
{{- if and (eq $t.routes "httpRoute") (not $t.parentRefs) -}}
{{- fail "traefik.parentRefs is missing: name the Gateway that the HTTPRoutes belong to" -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.config.applications -}}
{{- $application := . -}}
{{- $names = append $names .name -}}
{{- $at := printf "config.applications: %v" .name -}}
{{- include "gatepost.validateSpelling" (dict "section" . "path" $at "keys" (list "allowPreflight" "apiKeyHeader" "assertion" "cookieDomain" "cookieName" "deviceBound" "externalUrl" "forwardCookie" "headers" "machines" "mode" "name" "outpostPrefix" "partitioned" "providers" "public" "require" "rules" "sameSite" "upstreamTokens")) -}}
{{- include "gatepost.validateSpelling" (dict "section" (default dict .headers) "path" (printf "%s.headers" $at) "keys" (list "keep" "preset" "set")) -}}
{{- include "gatepost.validateSpelling" (dict "section" (default dict .upstreamTokens) "path" (printf "%s.upstreamTokens" $at) "keys" (list "accessToken" "idToken")) -}}
{{- if and .upstreamTokens (eq $t.mode "plugin") -}}
{{- fail (printf "%s: upstreamTokens needs `traefik.mode: forwardAuth`: the plugin lets signed-in users pass without asking the outpost, which has the tokens" $at) -}}
{{- end -}}
{{- include "gatepost.validateSpelling" (dict "section" (default dict .assertion) "path" (printf "%s.assertion" $at) "keys" (list "algorithm" "claims" "header")) -}}
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
{{- if not (has $name $names) -}}
{{- fail (printf "traefik.services.%s: no application of config.applications is called so" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What a pod of the outpost has, for the Deployment and for the test. */ -}}
{{- define "gatepost.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "gatepost.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "gatepost.env" -}}
- name: GATEPOST_CONFIG
  value: /etc/gatepost/config/gatepost.yaml
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gatepost.mounts" -}}
- name: config
  mountPath: /etc/gatepost/config
  readOnly: true
- name: keys
  mountPath: /etc/gatepost/keys
  readOnly: true
{{- if and (eq .Values.store.kind "redis") .Values.store.redis.existingSecret }}
- name: redis
  mountPath: /etc/gatepost/redis
  readOnly: true
{{- end }}
{{- if and (eq .Values.store.kind "redis") .Values.store.redis.caSecret }}
- name: redis-ca
  mountPath: /etc/gatepost/redis-ca
  readOnly: true
{{- end }}
{{- if .Values.service.tlsSecret }}
- name: tls
  mountPath: /etc/gatepost/tls
  readOnly: true
{{- end }}
{{- range .Values.secrets }}
- name: secret-{{ . }}
  mountPath: /etc/gatepost/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gatepost.volumes" -}}
- name: config
  {{- if .Values.existingConfigSecret }}
  secret:
    secretName: {{ .Values.existingConfigSecret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ default (printf "%s-config" (include "gatepost.fullname" .)) .Values.existingConfigMap }}
  {{- end }}
- name: keys
  secret:
    secretName: {{ include "gatepost.keysSecret" . }}
    defaultMode: 0440
{{- if and (eq .Values.store.kind "redis") .Values.store.redis.existingSecret }}
- name: redis
  secret:
    secretName: {{ .Values.store.redis.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- if and (eq .Values.store.kind "redis") .Values.store.redis.caSecret }}
- name: redis-ca
  secret:
    secretName: {{ .Values.store.redis.caSecret }}
    defaultMode: 0440
{{- end }}
{{- if .Values.service.tlsSecret }}
- name: tls
  secret:
    secretName: {{ .Values.service.tlsSecret }}
    defaultMode: 0440
{{- end }}
{{- range .Values.secrets }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
