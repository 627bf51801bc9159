{{- /* The name of all objects. It begins with a letter and has no dots, as the names of Services do. */ -}}
{{- define "gatepost.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Release.Name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if not (contains $name $full) -}}
{{- $full = printf "%s-%s" $full $name -}}
{{- end -}}
{{- if regexMatch "^[0-9]" $full -}}
{{- $full = printf "gatepost-%s" $full -}}
{{- end -}}
{{- $full | replace "." "-" | trunc 55 | trimSuffix "-" -}}
{{- end -}}

{{- /* What all pods of the release have, and no other: the outpost's, and the one of `helm test`. */ -}}
{{- define "gatepost.pods" -}}
{{- dict
  "app.kubernetes.io/name" (default .Chart.Name .Values.nameOverride)
  "app.kubernetes.io/instance" .Release.Name
  | toYaml -}}
{{- end -}}

{{- /* What the outpost's pods alone have. */ -}}
{{- define "gatepost.selector" -}}
{{ include "gatepost.pods" . }}
app.kubernetes.io/component: outpost
{{- end -}}

{{- /* The labels of an object. */ -}}
{{- define "gatepost.labels" -}}
{{- include "gatepost.labelsWith" (list . dict) -}}
{{- end -}}

{{- /* The same with further ones, which come before `commonLabels`: `list . further`. */ -}}
{{- define "gatepost.labelsWith" -}}
{{- $further := last . -}}
{{- with first . -}}
{{- $labels := include "gatepost.selector" . | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- merge (deepCopy $further) $labels (default dict .Values.commonLabels) | toYaml -}}
{{- end -}}
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
{{- /* Two nodes may see a changed Secret so far apart. */ -}}
{{- $_ := set $own "keyIntroduction" "2m" -}}
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

{{- /* What a pod of the outpost has, for the Deployment and for the test. */ -}}
{{- define "gatepost.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.podSecurityContext }}
{{ toYaml . }}
{{- end }}
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
  mountPath: {{ printf "/etc/gatepost/secrets/%s" . | quote }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Files of Secrets are for the pods' group to read: 0440, in the one form that every YAML reads alike. */ -}}
{{- define "gatepost.volumes" -}}
- name: config
  {{- if .Values.existingConfigSecret }}
  secret:
    secretName: {{ .Values.existingConfigSecret | quote }}
    defaultMode: 288
  {{- else }}
  configMap:
    name: {{ default (printf "%s-config" (include "gatepost.fullname" .)) .Values.existingConfigMap | quote }}
  {{- end }}
- name: keys
  secret:
    secretName: {{ include "gatepost.keysSecret" . | quote }}
    defaultMode: 288
{{- if and (eq .Values.store.kind "redis") .Values.store.redis.existingSecret }}
- name: redis
  secret:
    secretName: {{ .Values.store.redis.existingSecret | quote }}
    defaultMode: 288
{{- end }}
{{- if and (eq .Values.store.kind "redis") .Values.store.redis.caSecret }}
- name: redis-ca
  secret:
    secretName: {{ .Values.store.redis.caSecret | quote }}
    defaultMode: 288
{{- end }}
{{- if .Values.service.tlsSecret }}
- name: tls
  secret:
    secretName: {{ .Values.service.tlsSecret | quote }}
    defaultMode: 288
{{- end }}
{{- range .Values.secrets }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . | quote }}
    defaultMode: 288
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
