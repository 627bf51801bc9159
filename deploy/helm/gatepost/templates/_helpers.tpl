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
{{- include "gatepost.validate" . -}}
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
{{- $config := mergeOverwrite $own (deepCopy .Values.config) -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* What is wrong with the values that a schema cannot say. */ -}}
{{- define "gatepost.validate" -}}
{{- $replicas := ternary (int .Values.autoscaling.maxReplicas) (int .Values.replicas) .Values.autoscaling.enabled -}}
{{- if and (ne .Values.store.kind "redis") (gt $replicas 1) -}}
{{- fail (printf "store.kind=%s is for one replica: set replicas=1, or store.kind=redis" .Values.store.kind) -}}
{{- end -}}
{{- if and .Values.keys.existingSecret .Values.keys.copyTo -}}
{{- fail "keys.copyTo is for the key that the chart makes: copy keys.existingSecret to these namespaces yourself" -}}
{{- end -}}
{{- if and .Values.existingConfigMap .Values.existingConfigSecret -}}
{{- fail "existingConfigMap and existingConfigSecret: name one of them" -}}
{{- end -}}
{{- if not (or .Values.existingConfigMap .Values.existingConfigSecret) -}}
{{- if not .Values.config.providers -}}
{{- fail "config.providers is missing: name the OpenID provider, as docs/configuration.md has it" -}}
{{- end -}}
{{- if .Values.config.keys -}}
{{- fail "config.keys would end in a ConfigMap: use keys.existingSecret" -}}
{{- end -}}
{{- range .Values.config.providers -}}
{{- if .clientSecret -}}
{{- fail (printf "config.providers: clientSecret of %v would end in a ConfigMap: use clientSecretFile with `secrets`" .name) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" (toString (default "" (dig "store" "url" "" .Values.config))) -}}
{{- fail "config.store.url has a password and would end in a ConfigMap: use store.redis.existingSecret" -}}
{{- end -}}
{{- if dig "tracing" "headers" "" .Values.config -}}
{{- fail "config.tracing.headers would end in a ConfigMap: use headersFile with `secrets`" -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" .Values.store.redis.url -}}
{{- fail "store.redis.url has a password and would end in a ConfigMap: use store.redis.existingSecret" -}}
{{- end -}}
{{- if and .Values.traefik.enabled (eq .Values.traefik.routes "httpRoute") (not .Values.traefik.parentRefs) -}}
{{- fail "traefik.parentRefs is missing: name the Gateway that the HTTPRoutes belong to" -}}
{{- end -}}
{{- end -}}

{{- /* What stands in a pod of the outpost, for the Deployment and for the test. */ -}}
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
